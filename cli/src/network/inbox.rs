//! Where what came over the network waits for a runtime.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Error, Request, Response};

/// A challenger asks. Who drops this without a reply hangs up.
#[derive(Debug)]
pub struct Asked {
    /// Index of the operator that is asked.
    pub operator: u16,
    /// Index of the challenger, which has shown that it is that one.
    pub challenger: u16,
    /// What it wants. If it is about a lane, then about a lane of these two.
    pub request: Request,
    pub(super) reply: oneshot::Sender<Response>,
}

impl Asked {
    /// Replies. If nobody waits any more, nothing is sent.
    pub fn reply(self, response: Response) {
        drop(self.reply.send(response));
    }
}

/// What became of a request.
#[derive(Debug)]
pub struct Heard {
    /// Index of the challenger that asked.
    pub challenger: u16,
    /// Index of the operator, which has shown that it is that one.
    pub operator: u16,
    /// What was asked.
    pub request: Request,
    /// What the operator says to it, or why it says nothing.
    pub response: Result<Response, Error>,
}

/// Something that came over the network.
#[derive(Debug)]
pub enum Event {
    /// A challenger asks one of this process's operators.
    Asked(Asked),
    /// A request of one of this process's challengers is done with.
    Heard(Heard),
}

/// What waits. There is one request at most of a challenger to an operator, the last.
#[derive(Debug, Default)]
pub struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asked: VecDeque<Asked>,
    heard: VecDeque<Heard>,
}

impl State {
    fn take(&mut self) -> Option<Event> {
        if let Some(heard) = self.heard.pop_front() {
            return Some(Event::Heard(heard));
        }
        std::iter::from_fn(|| self.asked.pop_front()).find(|asked| !asked.reply.is_closed()).map(Event::Asked)
    }
}

impl Inbox {
    pub(super) fn ask(&self, asked: Asked) {
        let mut state = self.lock();
        state.asked.retain(|other| (other.operator, other.challenger) != (asked.operator, asked.challenger));
        state.asked.push_back(asked);
        self.changed.notify_one();
    }

    pub(super) fn hear(&self, heard: Heard) {
        self.lock().heard.push_back(heard);
        self.changed.notify_one();
    }

    /// What comes next; none if nothing has come by then.
    pub(super) fn next(&self, until: Instant) -> Option<Event> {
        let mut state = self.lock();
        loop {
            if let Some(event) = state.take() {
                return Some(event);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The requests that wait now.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked).into()
    }

    // A panic elsewhere leaves a whole queue behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
