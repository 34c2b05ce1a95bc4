//! The Layer 2 function with nothing around it: nodes in a map, signatures by the guest's code.

use std::collections::HashMap;

use trestle_rollup::native::RawBlock;
use trestle_rollup::state::At;
use trestle_rollup::{Digest, Entry, Error, Event, Host, Parameters, Sink, apply};

/// Nodes in memory.
#[derive(Clone, Debug, Default)]
pub struct Nodes(pub HashMap<Digest, (Digest, [u8; 64])>);

impl Host for Nodes {
    type Error = &'static str;

    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), Self::Error> {
        self.0.get(digest).copied().ok_or("no such node")
    }
}

/// What a block gave.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    pub nodes: HashMap<Digest, (Digest, [u8; 64])>,
    pub events: Vec<Event>,
}

impl Sink for Recorder {
    fn node(&mut self, digest: &Digest, m: &Digest, b: &[u8; 64]) {
        self.nodes.insert(*digest, (*m, *b));
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// A Layer 2 at its tip.
#[derive(Clone, Debug)]
pub struct Memory {
    pub nodes: Nodes,
    pub entry: Entry,
}

impl Memory {
    pub fn new(parameters: &Parameters) -> Self {
        let mut genesis = Recorder::default();
        let entry = parameters.genesis(&mut genesis).expect("good parameters");
        Self { nodes: Nodes(genesis.nodes), entry }
    }

    /// Applies a serialized block.
    pub fn extend(&mut self, raw: &[u8]) -> Vec<Event> {
        let mut block = RawBlock::parse(raw).expect("a block");
        let mut recorder = Recorder::default();
        let applied = apply(&self.entry, &mut block, &mut self.nodes, &mut recorder);
        match applied {
            Ok(applied) => self.entry = applied.entry,
            Err(Error::NotChild) => panic!("not a child"),
            Err(Error::State(error)) => panic!("{error}"),
            Err(Error::Block(never)) => match never {},
        }
        self.nodes.0.extend(recorder.nodes);
        recorder.events
    }

    /// The state, to be read.
    pub fn state(&mut self) -> At<'_, Nodes> {
        At { host: &mut self.nodes, root: self.entry.state_root }
    }
}
