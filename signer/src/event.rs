//! What goes into a signer and what comes out.

use bitcoin::hashes::sha256;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{OutPoint, Transaction};
use serde::{Deserialize, Serialize};
use trestle_bridge::job::Job;
use trestle_bridge::transactions::LanePlace;

use crate::message::{JobId, Message};

/// Something happened. Every event may be given twice.
#[derive(Clone, Debug)]
pub enum Event {
    /// A peer sent a message; the transport vouches for who it was.
    Message {
        /// Index of the sender in the committee.
        from: usize,
        /// What it sent.
        message: Message,
    },
    /// The best chain has a new tip, or some time has passed: look again at everything.
    Tip,
    /// The signer was opened; like [`Event::Tip`], and everything to be watched is named again.
    Restarted,
    /// A user, an operator or a person of this signer asks for a job: a deposit to be confirmed, a run to be signed, an
    /// administrative change. Slots and vaults that the job lists are ignored: the leader lists what it knows. Only the leader
    /// proposes; other signers take note of an administrative change that their own person approves.
    Requested {
        /// What is asked for.
        job: Box<Job>,
        /// The signatures of those whom the job binds ([`crate::consent`]).
        consents: Vec<Signature>,
    },
    /// Somebody answered [`Duty::FetchLaneKeys`] with these bytes. They are looked at only if their digest was asked for.
    LaneKeys(Vec<u8>),
}

/// Something is to be done by whoever runs the signer. Every duty is idempotent; a lost one comes again on a later tip, except
/// `Deliver`, which can be asked for ([`Signer::signatures_for`](crate::Signer::signatures_for)).
#[derive(Clone, Debug, PartialEq)]
pub enum Duty {
    /// Send a message to another signer.
    Send {
        /// Index of the receiver in the committee.
        to: usize,
        /// What to send.
        message: Message,
    },
    /// Broadcast a transaction that is complete.
    Broadcast {
        /// Which one, such as `Confirm`.
        what: String,
        /// The transaction; it pays its own way, and anyone can bump it by its anchor or its last output.
        transaction: Transaction,
    },
    /// Give somebody the signatures that it is owed. Every signer delivers: the receiver needs one that is honest.
    Deliver {
        /// To whom.
        to: Receiver,
        /// The signatures.
        delivery: Delivery,
    },
    /// From now on the view must know what spends these outputs.
    Watch {
        /// The outputs.
        outpoints: Vec<OutPoint>,
    },
    /// Bring the operator's keys of a lane, as bytes, for [`Event::LaneKeys`]. A run is not signed before they are here.
    FetchLaneKeys {
        /// The operator, which has them.
        operator: u8,
        /// SHA-256 of the bytes.
        digest: sha256::Hash,
    },
    /// Tell people: a job is not being signed.
    Refused {
        /// The job.
        job: JobId,
        /// Which signer refuses.
        by: usize,
        /// Why.
        reason: String,
    },
    /// Tell people: a signer sent what an honest one never sends.
    Suspect {
        /// Which signer.
        signer: usize,
        /// What it did.
        why: String,
    },
}

/// Who is owed a job's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Receiver {
    /// An operator, by its index: those of its runs, and Reimburse for its slots.
    Operator(u8),
    /// A challenger, by its index: those of every run, so that it can contest and gets its bond back.
    Challenger(usize),
    /// Whoever carries out an administrative change.
    Administrator,
}

/// The final signatures of a job: who has the parameters can rebuild the transactions and complete them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// What was signed.
    pub job: Job,
    /// Stage by stage as in [`Job::stage`], in the order of its requests.
    pub signatures: Vec<Vec<Signature>>,
    /// Of a run: those of its lanes, or of the receiver's among them.
    pub lanes: Vec<LaneSignatures>,
}

/// The final signatures of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneSignatures {
    /// Which lane of the run.
    pub at: LanePlace,
    /// In the order of [`LaneGraph::requests`](trestle_bridge::lane::LaneGraph::requests).
    pub signatures: Vec<Signature>,
}

impl Delivery {
    /// What of it concerns `receiver`: a challenger has no use for the lanes of others.
    pub fn for_receiver(&self, receiver: Receiver) -> Self {
        let concerns = |lane: &&LaneSignatures| match receiver {
            Receiver::Challenger(index) => usize::from(lane.at.challenger) == index,
            Receiver::Operator(_) | Receiver::Administrator => true,
        };
        let lanes = self.lanes.iter().filter(concerns).cloned().collect();
        Self { job: self.job.clone(), signatures: self.signatures.clone(), lanes }
    }
}
