//! The network between challengers and the operator: it loses, delays, repeats and reorders.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_challenger::lane::{Answer, Ask};
use trestle_taptree_trace::lane::Move;

/// How good a network is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quality {
    /// Of a hundred messages how many never come.
    pub lost: u32,
    /// Of a hundred how many come twice.
    pub repeated: u32,
    /// How many rounds a message can take.
    pub slow: u32,
}

/// What is sent in the lane of a challenger.
pub enum Mail {
    Ask(u16, Ask),
    Answer(u16, Move, Answer),
}

pub struct Network {
    rng: StdRng,
    quality: Quality,
    round: u32,
    /// With the round in which it comes.
    post: Vec<(u32, Mail)>,
}

impl Network {
    pub fn new(seed: u64, quality: Quality) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), quality, round: 0, post: Vec::new() }
    }

    pub fn send(&mut self, mail: Mail) {
        let Quality { lost, repeated, slow } = self.quality;
        if self.rng.gen_range(0..100) < lost {
            return;
        }
        if self.rng.gen_range(0..100) < repeated {
            let again = match &mail {
                Mail::Ask(lane, ask) => Mail::Ask(*lane, ask.clone()),
                Mail::Answer(lane, wanted, answer) => Mail::Answer(*lane, *wanted, answer.clone()),
            };
            self.post.push((self.round + self.rng.gen_range(0..=slow), again));
        }
        self.post.push((self.round + self.rng.gen_range(0..=slow), mail));
    }

    /// Any message that has come.
    pub fn receive(&mut self) -> Option<Mail> {
        let come: Vec<usize> = (0..self.post.len()).filter(|at| self.post[*at].0 <= self.round).collect();
        let at = *come.get(self.rng.gen_range(0..come.len().max(1)))?;
        Some(self.post.swap_remove(at).1)
    }

    /// Some time passes.
    pub fn wait(&mut self) {
        self.round += 1;
    }
}
