//! The names of what can be false in a dispute.

use trestle_challenger::operator::lie::Since;
use trestle_zkvm_adapter::Kind;

use crate::demo::HostileKind;

/// What is false in a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisputeKind {
    /// Nobody was paid, and the trace ends in acceptance without a reason.
    Unpaid,
    /// The payout is not deep in the claim's block.
    Early,
    /// The payout comes after the claim.
    Premature,
    /// The payout was mined after the operator's time.
    LatePayout,
    /// The payout paid somebody else.
    Script,
    /// The payout paid too little.
    Amount,
    /// One payout was claimed by two slots.
    Double,
    /// The claim's block is not there.
    Beyond,
    /// A state is false, in the first block, one in the middle, or the last.
    State(Since),
    /// Blocks are made up.
    Fork,
    /// The path of a memory access is wrong.
    Path,
    /// A node beside it is wrong.
    Sibling,
    /// A node is on the wrong side.
    Direction,
    /// The block opening is true, and not what the rounds of the history said.
    OpeningBlock,
    /// The step opening is true, and not what the rounds of the trace said.
    OpeningStep,
    /// The node opening is true, and not what the rounds of the path said.
    OpeningNode,
    /// The operator is silent from some move on.
    Silence,
    /// A lie in the trace.
    Trace(Kind),
    /// Nothing: hostile challengers contest what is true.
    Hostile(HostileKind),
}

/// The names on the command line, but for those of lies in the trace.
const NAMED: [(&str, DisputeKind); 19] = [
    ("unpaid", DisputeKind::Unpaid),
    ("early", DisputeKind::Early),
    ("premature", DisputeKind::Premature),
    ("late-payout", DisputeKind::LatePayout),
    ("script", DisputeKind::Script),
    ("amount", DisputeKind::Amount),
    ("double", DisputeKind::Double),
    ("beyond", DisputeKind::Beyond),
    ("state-early", DisputeKind::State(Since::First)),
    ("state-middle", DisputeKind::State(Since::Middle)),
    ("state-late", DisputeKind::State(Since::Last)),
    ("fork", DisputeKind::Fork),
    ("path", DisputeKind::Path),
    ("sibling", DisputeKind::Sibling),
    ("direction", DisputeKind::Direction),
    ("opening-block", DisputeKind::OpeningBlock),
    ("opening-step", DisputeKind::OpeningStep),
    ("opening-node", DisputeKind::OpeningNode),
    ("silence", DisputeKind::Silence),
];

impl DisputeKind {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace(kind) => kind.name(),
            Self::Hostile(kind) => kind.name(),
            _ => NAMED.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name),
        }
    }
}

pub(super) fn dispute(text: &str) -> Result<DisputeKind, String> {
    if let Ok(kind) = text.parse() {
        return Ok(DisputeKind::Hostile(kind));
    }
    match NAMED.into_iter().find(|(name, _)| *name == text) {
        Some((_, kind)) => Ok(kind),
        None => text.parse().map(DisputeKind::Trace),
    }
}
