//! How long a connection waits, and how many there are.

use std::time::Duration;

/// Bounds on what a peer can cost. None of them decides a dispute: what takes longer is a stall, and a challenger's patience with stalls
/// is counted in blocks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the connection to both sides having shown who they are.
    pub handshake: Duration,
    /// From the first byte of a message to its last, and for sending one.
    pub message: Duration,
    /// From a request to the operator's reply. The longest is to run a full block of the Layer 2 with its trace.
    pub reply: Duration,
    /// Connections whose peer has not shown who it is, at a time.
    pub strangers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            message: Duration::from_secs(20),
            reply: Duration::from_secs(120),
            strangers: 64,
        }
    }
}

impl Limits {
    /// How long a challenger waits for a response: sent, replied to, and sent back.
    pub(super) const fn response(&self) -> Duration {
        self.reply.saturating_add(self.message).saturating_add(self.message)
    }
}
