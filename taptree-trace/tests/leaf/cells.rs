//! Every cell of docs/protocol.md's table of what a challenger may do: opening × index range × state × access × level. An
//! honest operator opens each, and no leaf is satisfied, whatever the unsigned items.
//!
//! Which cell was visited is read off what the operator has signed, not off what the test meant it to sign.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;
use trestle_taptree_trace::lane::{End, LaneConstants, MessageId, Statements};
use trestle_taptree_trace::leaf::{Said, Tree};
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};
use trestle_zkvm_adapter::opening::Access;

use crate::bodies::{compiled, satisfied};
use crate::world::{History, STEPS, Step, rng, say_node, say_step};

/// M − 1, the last step of the history.
const LAST: u64 = 65535;
/// The claims of which block and fork openings are made.
const CLAIMS: [u64; 4] = [0, 1, 300, LAST];
/// The claim of the steps and paths.
const CLAIMED: u64 = 300;

/// Where j is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Block {
    First,
    UpToN,
    N,
    AfterN,
    Beyond,
    Last,
}

/// Where k is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Time {
    First,
    Middle,
    Last,
}

/// What the step does to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Running,
    Accepts,
    Rejects,
    Accepted,
    Rejected,
}

/// Where the opened level is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Leaf,
    Inner,
    Padded,
    Top,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Block(u64, Block),
    Fork(u64, Block),
    Step(Block, Time, State),
    Node(Block, Time, State, u8, Level),
}

const BLOCKS: [Block; 6] = [Block::First, Block::UpToN, Block::N, Block::AfterN, Block::Beyond, Block::Last];
const TIMES: [Time; 3] = [Time::First, Time::Middle, Time::Last];
const STATES: [State; 5] = [State::Running, State::Accepts, State::Rejects, State::Accepted, State::Rejected];
const LEVELS: [Level; 4] = [Level::Leaf, Level::Inner, Level::Padded, Level::Top];

impl Block {
    fn of(j: u64, claimed: u64) -> Self {
        match j {
            0 => Self::First,
            _ if j == LAST => Self::Last,
            _ if j < claimed => Self::UpToN,
            _ if j == claimed => Self::N,
            _ if j == claimed + 1 => Self::AfterN,
            _ => Self::Beyond,
        }
    }

    /// All indices that matter, and a random one; empty if the claim leaves no room for the range.
    fn indices(self, claimed: u64, rng: &mut StdRng) -> Vec<u64> {
        let (from, to) = match self {
            Self::First => (0, 1),
            Self::UpToN => (1, claimed),
            Self::N => (claimed, claimed + 1),
            Self::AfterN => (claimed + 1, claimed + 2),
            Self::Beyond => (claimed + 2, LAST),
            Self::Last => (LAST, LAST + 1),
        };
        let mut indices = if from < to { vec![from, to - 1, rng.gen_range(from..to)] } else { Vec::new() };
        indices.retain(|j| *j <= LAST && Self::of(*j, claimed) == self);
        indices.dedup();
        indices
    }
}

/// Whether a trace of an honest operator goes through there: it does not begin in a halted state, and up to the claim's
/// step it ends in HALT_ACCEPT.
fn is_honest(block: Block, time: Time, state: State) -> bool {
    let claimed = matches!(block, Block::First | Block::UpToN | Block::N);
    match (time, state) {
        (Time::First, State::Accepted | State::Rejected) => false,
        (Time::Last, State::Running | State::Rejects | State::Rejected) => !claimed,
        _ => true,
    }
}

/// The whole table.
fn table() -> BTreeSet<Cell> {
    let mut cells = BTreeSet::new();
    for claimed in CLAIMS {
        let ranges = BLOCKS.into_iter().filter(|block| !block.indices(claimed, &mut rng(0)).is_empty());
        cells.extend(ranges.flat_map(|block| [Cell::Block(claimed, block), Cell::Fork(claimed, block)]));
    }
    for block in BLOCKS {
        for time in TIMES {
            for state in STATES.into_iter().filter(|state| is_honest(block, time, *state)) {
                cells.insert(Cell::Step(block, time, state));
                let nodes = Access::ALL.into_iter().flat_map(|access| LEVELS.map(|level| (access as u8, level)));
                cells.extend(nodes.map(|(access, level)| Cell::Node(block, time, state, access, level)));
            }
        }
    }
    cells
}

/// The range of j, by what was signed, and N.
fn block_of(said: &Said<'_>) -> (u64, Block) {
    let claimed = said.number(MessageId::Claim).unwrap();
    (claimed, Block::of(said.number(MessageId::BlockIndex).unwrap(), claimed))
}

fn time_of(said: &Said<'_>) -> Time {
    match said.number(MessageId::StepIndex).unwrap() {
        0 => Time::First,
        k if k == STEPS - 1 => Time::Last,
        _ => Time::Middle,
    }
}

fn state_of(said: &Said<'_>) -> State {
    let is = |id, halt: [u8; 32]| said.bytes(id).unwrap() == halt[..24];
    match () {
        () if is(MessageId::StepBefore, HALT_ACCEPT) => State::Accepted,
        () if is(MessageId::StepBefore, HALT_REJECT) => State::Rejected,
        () if is(MessageId::StepAfter, HALT_ACCEPT) => State::Accepts,
        () if is(MessageId::StepAfter, HALT_REJECT) => State::Rejects,
        () => State::Running,
    }
}

fn node_of(said: &Said<'_>) -> (u8, Level) {
    let position = said.position(MessageId::ReadPosition).or(said.position(MessageId::WritePosition)).unwrap();
    let level = match position.level {
        0 => Level::Leaf,
        1..27 => Level::Inner,
        27..63 => Level::Padded,
        _ => Level::Top,
    };
    (position.access, level)
}

/// Asserts that no leaf of the trees is satisfied, `hard` trying unsigned items.
fn none(trees: &[Tree], statements: &Statements, constants: &LaneConstants, step: Option<&Step>, hard: bool) {
    let said = Said { statements, constants, preimage: step.map(|step| &step.preimage) };
    assert_eq!(satisfied(&compiled(trees, constants), &said, hard), [""; 0], "{statements:?}");
}

/// A step that does this.
fn step(rng: &mut StdRng, history: &History, j: u64, state: State) -> Step {
    loop {
        let step = match state {
            State::Accepted | State::Rejected => Step::halted(rng),
            _ => Step::random(rng, &history.inputs(j)),
        };
        let mut said = history.statements(j);
        say_step(&mut said, 1, &step.opening.step);
        if state_of(&Said { statements: &said, constants: &history.constants(), preimage: None }) == state {
            return step;
        }
    }
}

/// Where a path is opened: at the ends of each range of levels, and somewhere between.
fn levels(rng: &mut StdRng) -> [usize; 8] {
    [0, 1, rng.gen_range(2..26), 26, 27, rng.gen_range(28..62), 62, 63]
}

#[test]
fn no_leaf_is_satisfied_in_any_cell_of_the_table() {
    let mut rng = rng(50);
    let mut visited = BTreeSet::new();
    for history in CLAIMS.map(|claimed| History { claimed }) {
        for j in BLOCKS.into_iter().flat_map(|block| block.indices(history.claimed, &mut rng)).collect::<Vec<_>>() {
            let constants = history.constants();
            let mut statements = history.statements(j);
            none(&[Tree::Block], &statements, &constants, None, true);
            let (claimed, block) = block_of(&Said { statements: &statements, constants: &constants, preimage: None });
            visited.insert(Cell::Block(claimed, block));
            history.say_headers(&mut statements, j);
            none(&[Tree::Fork], &statements, &constants, None, true);
            visited.insert(Cell::Fork(claimed, block));
        }
    }
    let history = History { claimed: CLAIMED };
    for block in BLOCKS {
        let [j, ..] = block.indices(CLAIMED, &mut rng)[..] else { unreachable!("the claim leaves room for all") };
        for time in TIMES {
            for state in STATES.into_iter().filter(|state| is_honest(block, time, *state)) {
                let step = step(&mut rng, &history, j, state);
                let k = match time {
                    Time::First => 0,
                    Time::Middle => 4u64.pow(rng.gen_range(0..22)) * rng.gen_range(1..4),
                    Time::Last => STEPS - 1,
                };
                let mut constants = history.constants();
                if time == Time::First {
                    constants.first_state = step.opening.step.roots.before;
                }
                let mut opened = history.statements(j);
                say_step(&mut opened, k, &step.opening.step);
                none(&[Tree::Step], &opened, &constants, Some(&step), true);
                let said = Said { statements: &opened, constants: &constants, preimage: None };
                let at = (block_of(&said).1, time_of(&said), state_of(&said));
                visited.insert(Cell::Step(at.0, at.1, at.2));
                for access in Access::ALL {
                    for level in levels(&mut rng) {
                        let mut said = opened.clone();
                        say_node(&mut said, &step.opening, access, level);
                        // No leaf about a node reads j or k.
                        let hard = block == Block::UpToN;
                        none(&[Tree::ReadNode, Tree::WriteNode], &said, &constants, Some(&step), hard);
                        let said = Said { statements: &said, constants: &constants, preimage: None };
                        let (access, level) = node_of(&said);
                        visited.insert(Cell::Node(at.0, at.1, at.2, access, level));
                    }
                }
            }
        }
    }
    let table = table();
    assert_eq!(visited.symmetric_difference(&table).collect::<Vec<_>>(), Vec::<&Cell>::new());
    assert_eq!(table.len(), COUNT);
}

/// Cells of the table.
const COUNT: usize = 2037;

#[test]
fn what_an_honest_operator_opens_beyond_the_claim_is_what_the_table_says() {
    for (j, claimed) in [(0, 0), (300, 300), (301, 300), (400, 300), (LAST, 300), (LAST, LAST)] {
        let history = History { claimed };
        let statements = history.statements(j);
        let said = Said { statements: &statements, constants: &history.constants(), preimage: None };
        let entry = |end| said.bytes(MessageId::BlockEntry(end)).unwrap();
        assert_eq!(entry(End::Next), HALT_ACCEPT[..24]);
        assert_eq!(entry(End::Previous) == HALT_ACCEPT[..24], j > claimed);
    }
}
