//! What a faulty sequencer does, and what was seen of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commonware_consensus::Application;
use commonware_consensus::marshal::ancestry::Ancestry;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::Context as View;
use commonware_consensus::types::Round;
use commonware_cryptography::ed25519::PublicKey;
use commonware_cryptography::{Digested, Digestible as _, sha256};
use commonware_macros::select;
use commonware_p2p::simulated::{Receiver, Sender, SplitForwarder, SplitOrigin, SplitSender, SplitTarget};
use commonware_p2p::{Receiver as _, Recipients, Sender as _};
use commonware_runtime::{Clock as _, IoBuf, Spawner as _, Supervisor as _};
use trestle_rollup::compact::most_bytes;
use trestle_rollup::{Ledger, LedgerError, SignedTransaction};
use trestle_sequencer::consensus::{Block, Channels, Message, Shared, Subject};

use crate::cluster::Context;

/// What a sequencer does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It says nothing.
    Silent,
    /// It is two that share a key, and tells either half of the others something else.
    Twins,
    /// It floods the others with what the engine does not judge: signatures, questions, transactions.
    Spam,
    /// It says everything to everybody, also bent, on all channels, until it is cut off.
    Noise,
    /// It proposes what is not valid, and votes for anything.
    Invalid,
}

/// How often things happened. A fault that never happens makes a test that cannot fail.
#[derive(Debug, Default)]
pub struct Seen {
    /// An honest sequencer was killed.
    pub kills: u64,
    /// One was started again while the others went on.
    pub restarts: u64,
    /// All were killed at once.
    pub power_cuts: u64,
    /// The network fell apart.
    pub partitions: u64,
    /// Messages took long.
    pub slow: u64,
    /// Messages were lost.
    pub lossy: u64,
    /// Blocks of Bitcoin gave way to others.
    pub reorganizations: u64,
    /// Something was proposed that is not what an honest leader would propose.
    pub lies: u64,
    /// An honest sequencer refused to vote for a block.
    pub refusals: u64,
    /// A message was repeated, bent or made up, and sent to all.
    pub spam: u64,
    /// An honest sequencer cut a faulty one off.
    pub caught: u64,
    /// What each of two twins proposed, by the first twin's index.
    twins: BTreeMap<(usize, Round), BTreeMap<usize, sha256::Digest>>,
}

impl Seen {
    /// In how many views twins had two proposals.
    pub fn equivocations(&self) -> u64 {
        let differ = |proposals: &&BTreeMap<_, _>| proposals.values().max() != proposals.values().min();
        self.twins.values().filter(differ).count() as u64
    }

    /// Whether a fault did what it is there for.
    pub fn has(&self, fault: Fault) -> bool {
        match fault {
            // There is nothing to see of it.
            Fault::Silent => true,
            Fault::Twins => self.equivocations() > 0,
            Fault::Spam => self.spam > 1_000,
            Fault::Noise => self.caught > 0,
            Fault::Invalid => self.lies > 0 && self.refusals > 0,
        }
    }

    /// All of it, by name.
    pub fn figures(&self) -> [(&'static str, u64); 12] {
        [
            ("kills", self.kills),
            ("restarts", self.restarts),
            ("power cuts", self.power_cuts),
            ("partitions", self.partitions),
            ("times of slow links", self.slow),
            ("times of lossy links", self.lossy),
            ("reorganizations", self.reorganizations),
            ("equivocations", self.equivocations()),
            ("lies", self.lies),
            ("refusals", self.refusals),
            ("messages of spam", self.spam),
            ("faulty ones cut off", self.caught),
        ]
    }
}

/// What one run sees, shared with the sequencers in it.
#[derive(Clone, Default)]
pub struct Eye(Arc<Mutex<Seen>>);

impl Eye {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose application it is.
#[derive(Clone, Copy, Debug)]
pub enum Character {
    Honest,
    Liar,
    /// The twin of the sequencer with this index that has this disk.
    Twin {
        index: usize,
        disk: usize,
    },
}

/// A sequencer's application, as its character has it.
#[derive(Clone)]
pub struct Player {
    pub shared: Shared,
    pub character: Character,
    pub eye: Eye,
    pub ledger: Ledger,
}

impl Application<Context> for Player {
    type SigningScheme = Scheme;
    type Context = View<sha256::Digest, PublicKey>;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (context, view): (Context, Self::Context),
        ancestry: impl Ancestry<Block>,
        input: (),
    ) -> Option<Digested<Block>> {
        let round = view.round;
        let honest = self.shared.propose((context, view), ancestry, input).await?;
        let block = match self.character {
            Character::Honest => return Some(honest),
            Character::Liar => lie(honest.inner()),
            Character::Twin { index, disk } if index == disk => honest.inner().clone(),
            Character::Twin { .. } => other(honest.inner(), &self.ledger),
        };
        let digest = block.digest();
        let mut seen = self.eye.seen();
        match self.character {
            Character::Twin { index, disk } => {
                seen.twins.entry((index, round)).or_default().insert(disk, digest);
            }
            _ => seen.lies += u64::from(digest != honest.digest()),
        }
        Some(Digested::precomputed(block, digest))
    }

    async fn verify(&mut self, context: (Context, Self::Context), ancestry: impl Ancestry<Block>) -> bool {
        let verdict = self.shared.verify(context, ancestry).await;
        match self.character {
            Character::Honest => self.eye.seen().refusals += u64::from(!verdict),
            Character::Liar => return true,
            Character::Twin { .. } => {}
        }
        verdict
    }
}

/// What is not valid, in a different way at each height.
fn lie(honest: &Block) -> Block {
    let mut block = honest.clone();
    match block.height % 9 {
        0 => block.number += 1,
        6 => block.first += 1,
        7 => block.filled ^= 1,
        8 => {
            block.cut = true;
            block.transactions.truncate(block.transactions.len() / 2);
        }
        1 => block.anchor.hash[0] ^= 1,
        2 => block.anchor.height = u32::MAX,
        3 => block.transactions.extend([1; 50]),
        4 => block.transactions = [&block.transactions[..], &block.transactions[..]].concat(),
        _ => {
            if let Some(byte) = block.transactions.last_mut() {
                *byte ^= 1;
            }
        }
    }
    block
}

/// What is valid too, and not the same: without the last transaction, or not cut. There is nothing else to an empty block.
fn other(honest: &Block, ledger: &Ledger) -> Block {
    let mut transactions = honest.decoded().unwrap_or_default();
    let last = transactions.pop();
    let shorter = last.is_some();
    let state = ledger.state(honest.anchor.height).unwrap();
    let index = |account: &_| Ok::<_, LedgerError>(state.account(account)?.index);
    let bytes = last.map_or(0, |last| most_bytes(&last.transaction, index).unwrap());
    let filled = honest.filled - u32::try_from(bytes).unwrap();
    let transactions = transactions.iter().flat_map(SignedTransaction::encode).collect();
    let block = Block { transactions, filled, ..honest.clone() };
    Block { cut: block.cut && shorter && block.filled > 0, ..block }
}

type Half<F> = (SplitSender<PublicKey, Context, F>, Receiver<PublicKey>);

/// The first twin talks with the honest ones up to the one in the middle, the second with those from there on, and both
/// with the other faulty ones.
pub fn split(
    context: &Context,
    (members, honest): (&[PublicKey], usize),
    (sender, receiver): (Sender<PublicKey, Context>, Receiver<PublicKey>),
) -> [Half<impl SplitForwarder<PublicKey>>; 2] {
    let middle = honest / 2;
    let index = |members: &[PublicKey], key: &PublicKey| members.iter().position(|member| member == key).unwrap();
    let hears = move |origin: &SplitOrigin, index: usize| match origin {
        SplitOrigin::Primary => index <= middle || index >= honest,
        SplitOrigin::Secondary => index >= middle,
    };
    let own = members.to_vec();
    let forward = move |origin, recipients: &Recipients<PublicKey>, _: &_| {
        let wanted = |member: &&PublicKey| match recipients {
            Recipients::All => true,
            Recipients::Some(some) => some.contains(member),
            Recipients::One(one) => one == *member,
        };
        let circle = own.iter().filter(|member| hears(&origin, index(&own, member)));
        Some(Recipients::Some(circle.filter(wanted).cloned().collect()))
    };
    let own = members.to_vec();
    let route = move |(from, _): &(PublicKey, _)| match index(&own, from) {
        from if from == middle || from >= honest => SplitTarget::Both,
        from if from < middle => SplitTarget::Primary,
        _ => SplitTarget::Secondary,
    };
    let ((first, second), (third, fourth)) =
        (sender.split_with(forward), receiver.split_with(context.child("split"), route));
    [(first, third), (second, fourth)]
}

/// A sequencer's channels in the simulated network.
pub type Wires = Channels<Sender<PublicKey, Context>, Receiver<PublicKey>>;

/// How often somebody who spams does it again.
const PAUSE: Duration = Duration::from_millis(40);

/// Repeats what it hears beside the engine, bent and straight, and makes things up; all its life.
pub fn spam(context: &Context, eye: &Eye, channels: Wires) {
    let ((mut sender, mut receiver), eye) = (channels.gossip, eye.clone());
    context.child("spam").spawn(move |context| async move {
        for number in 0.. {
            let mut messages: Vec<_> = made_up(number).iter().map(Message::encode).collect();
            select! {
                heard = receiver.recv() => {
                    let Ok((_, heard)) = heard else { return };
                    messages.push(bend(heard.as_ref(), number));
                    messages.push(heard.as_ref().to_vec());
                },
                _ = context.sleep(PAUSE) => {},
            }
            for message in messages {
                sender.send(Recipients::All, IoBuf::from(message), false);
                eye.seen().spam += 1;
            }
            context.sleep(PAUSE).await;
        }
    });
}

/// Repeats what it hears on all channels, bent and straight.
pub fn noise(context: &Context, eye: &Eye, channels: Wires) {
    let Channels { votes, certificates, resolver, blocks, backfill, gossip } = channels;
    for (channel, (mut sender, mut receiver)) in
        [votes, certificates, resolver, blocks, backfill, gossip].into_iter().enumerate()
    {
        let eye = eye.clone();
        context.child("noise").with_attribute("channel", channel).spawn(move |context| async move {
            for number in 0.. {
                let Ok((_, heard)) = receiver.recv().await else { return };
                sender.send(Recipients::All, IoBuf::from(bend(heard.as_ref(), number)), false);
                sender.send(Recipients::All, heard, false);
                eye.seen().spam += 2;
                context.sleep(PAUSE).await;
            }
        });
    }
}

fn bend(heard: &[u8], number: u64) -> Vec<u8> {
    let mut bent = heard.to_vec();
    let place = number as usize % bent.len().clamp(1, 90);
    if let Some(byte) = bent.get_mut(place) {
        *byte ^= 1 << (number % 8);
    }
    bent
}

fn made_up(number: u64) -> [Message; 8] {
    let (signature, close) = ([number as u8; 64], number / 8);
    [
        Message::Signature { subject: Subject::Batch(close), signature },
        Message::Signature { subject: Subject::Part(number), signature },
        Message::Signature { subject: Subject::Handover(1), signature },
        Message::Ask { subject: Subject::Part(close) },
        Message::Ask { subject: Subject::Handover(number % 3) },
        Message::Certificate { subject: Subject::Part(number), signatures: vec![(0, [1; 64]), (9, [2; 64])] },
        Message::Certificate {
            subject: Subject::Handover(1),
            signatures: (0..4).map(|index| (index, signature)).collect(),
        },
        Message::Transactions(vec![number as u8; 300]),
    ]
}
