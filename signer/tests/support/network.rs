//! Signers on a network that loses, repeats and reorders, on disks that lose power: everything from one seed.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{OutPoint, Transaction};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_bridge::job::Job;
use trestle_bridge::transactions::Vault;
use trestle_signer::store::Store;
use trestle_signer::{Delivery, Duty, Error, Event, Message, Progress, Receiver, Signer};

use super::members::{Everyone, outpoint};
use super::world::World;
use super::{Crash, Disk};

/// How bad things are, in percent.
#[derive(Clone, Copy, Default)]
pub struct Chaos {
    /// A message is lost.
    pub lose: u32,
    /// A message arrives twice.
    pub repeat: u32,
    /// A message overtakes others.
    pub reorder: u32,
    /// While an event is processed the power fails, at one of its commits or right after.
    pub crash: u32,
    /// A signer's node is a block or two behind.
    pub lag: u32,
}

pub const QUIET: Chaos = Chaos { lose: 0, repeat: 0, reorder: 0, crash: 0, lag: 0 };
pub const STORM: Chaos = Chaos { lose: 15, repeat: 15, reorder: 50, crash: 5, lag: 20 };

/// What is on its way to a signer.
#[derive(Clone)]
enum Mail {
    Message {
        from: usize,
        to: usize,
        bytes: Vec<u8>,
    },
    /// Keys of a lane, from its operator.
    Keys {
        to: usize,
        keys: Vec<u8>,
    },
}

/// Aggregate nonce and partial signature, as they are on disk.
type Signed = (Vec<u8>, Vec<u8>);

/// A committee at work.
pub struct Network {
    pub everyone: Everyone,
    pub world: World,
    pub disks: Vec<Disk>,
    pub signers: Vec<Signer<Disk>>,
    pub chaos: Chaos,
    /// Deliveries, by who got them.
    pub delivered: Vec<(Receiver, Delivery)>,
    pub refused: Vec<(usize, String)>,
    pub suspects: Vec<(usize, String)>,
    /// Bytes that each signer sent.
    pub sent: Vec<usize>,
    /// Signers who keep complete payouts to themselves and burn no ticket.
    pub thieves: BTreeSet<usize>,
    /// What they keep.
    pub withheld: Vec<Transaction>,
    /// No operator gives its keys out.
    pub keys_withheld: bool,
    mail: Vec<Mail>,
    rng: StdRng,
    /// What every signer ever signed: (signer, record key) → (aggregate nonce, partial).
    ledger: BTreeMap<(usize, Vec<u8>), Signed>,
    partials: HashSet<(usize, Vec<u8>)>,
}

impl Network {
    pub fn new(everyone: Everyone, seed: u64) -> Self {
        let disks: Vec<Disk> = everyone.signers.iter().map(|_| Disk::default()).collect();
        let mut rng = StdRng::seed_from_u64(seed);
        let open = |(disk, key): (&Disk, _)| {
            let signer = Signer::open(disk.clone(), key, everyone.bridge.clone()).unwrap();
            let signer = signer.with_lanes(everyone.lanes.clone());
            signer.with_entropy(Box::new(StdRng::from_rng(&mut rng).unwrap()))
        };
        let signers: Vec<_> = disks.iter().zip(&everyone.signers).map(open).collect();
        let world = World::new(everyone.bridge.clone());
        Self {
            world,
            sent: vec![0; signers.len()],
            disks,
            signers,
            everyone,
            chaos: QUIET,
            delivered: Vec::new(),
            refused: Vec::new(),
            suspects: Vec::new(),
            thieves: BTreeSet::new(),
            withheld: Vec::new(),
            keys_withheld: false,
            mail: Vec::new(),
            rng,
            ledger: BTreeMap::new(),
            partials: HashSet::new(),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.gen_range(0..100) < percent
    }

    /// Gives a signer an event, and carries out what it says.
    pub fn give(&mut self, to: usize, event: Event) {
        let lag = if self.chance(self.chaos.lag) { self.rng.gen_range(1..3) } else { 0 };
        let view = self.world.view(lag);
        if self.chance(self.chaos.crash) {
            let at = self.rng.gen_range(0..3);
            self.disks[to].crash(if self.rng.gen_bool(0.5) { Crash::Before(at) } else { Crash::After(at) });
        }
        let result = self.signers[to].process(event, &view);
        self.audit(to);
        match result {
            Ok(mut duties) => {
                // The power may also fail between two duties.
                let dies = self.chance(self.chaos.crash);
                if dies {
                    duties.truncate(self.rng.gen_range(0..=duties.len()));
                }
                for duty in duties {
                    self.carry_out(to, duty);
                }
                if dies {
                    self.restart(to);
                }
            }
            Err(Error::Store(_)) => self.restart(to),
            Err(error) => panic!("signer {to}: {error}"),
        }
        if self.disks[to].dead() {
            self.restart(to);
        }
    }

    /// What a signer says to an event, and to the keys that it asks for then. Nothing else is carried out.
    pub fn hear(&mut self, to: usize, event: Event) -> Vec<Duty> {
        let mut duties = Vec::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let said = match self.signers[to].process(event.clone(), &self.world.view(0)) {
                // A failure of its power that was still to come.
                Err(Error::Store(_)) => {
                    self.restart(to);
                    self.signers[to].process(event, &self.world.view(0))
                }
                said => said,
            };
            for duty in said.unwrap() {
                match &duty {
                    Duty::FetchLaneKeys { digest, .. } if !duties.contains(&duty) => {
                        events.extend(self.everyone.lane_keys.borrow().get(digest).cloned().map(Event::LaneKeys));
                    }
                    _ => {}
                }
                duties.push(duty);
            }
        }
        duties
    }

    /// Opens a signer again on what is on its disk.
    pub fn restart(&mut self, index: usize) {
        self.disks[index].restart();
        let key = &self.everyone.signers[index];
        let signer = Signer::open(self.disks[index].clone(), key, self.everyone.bridge.clone()).unwrap();
        let signer = signer.with_lanes(self.everyone.lanes.clone());
        self.signers[index] = signer.with_entropy(Box::new(StdRng::from_rng(&mut self.rng).unwrap()));
        let duties = self.signers[index].process(Event::Restarted, &self.world.view(0)).unwrap();
        self.audit(index);
        duties.into_iter().for_each(|duty| self.carry_out(index, duty));
    }

    /// Signer `index` never signed one sighash twice; what is on its disk is all it can have said.
    fn audit(&mut self, index: usize) {
        let was_dead = self.disks[index].dead();
        self.disks[index].look(|disk| {
            for (key, value) in disk.scan(b"r").unwrap() {
                // A `Signed` record, read by its places: points take long to decode.
                if value[0] != 1 {
                    continue;
                }
                let signed = (value[67..133].to_vec(), value[133..].to_vec());
                self.partials.insert((index, signed.1.clone()));
                let first = self.ledger.entry((index, key)).or_insert_with(|| signed.clone());
                assert_eq!(*first, signed, "signer {index} signed one sighash twice");
            }
        });
        assert_eq!(was_dead, self.disks[index].dead());
    }

    /// True if a thief does not do this: it gives no complete payout away, and destroys no ticket.
    fn withholds(&mut self, from: usize, duty: &Duty) -> bool {
        if !self.thieves.contains(&from) {
            return false;
        }
        match duty {
            Duty::Broadcast { what, transaction } if what == "cooperative payout" => {
                self.withheld.push(transaction.clone());
                true
            }
            Duty::Broadcast { what, .. } => what == "Burn",
            Duty::Send { message: Message::Signatures { job, .. }, .. } => {
                let payout = |(id, known, _): (_, &Job, _)| id == job && matches!(known, Job::Cooperative(_));
                self.signers[from].jobs().any(payout)
            }
            _ => false,
        }
    }

    fn carry_out(&mut self, from: usize, duty: Duty) {
        if self.withholds(from, &duty) {
            return;
        }
        match duty {
            Duty::Send { to, message } => {
                if let Message::Partials { partials, .. } = &message {
                    for partial in partials {
                        let bytes = partial.serialize().to_vec();
                        let on_disk = self.partials.contains(&(from, bytes));
                        assert!(on_disk, "signer {from} sent a partial signature that is not on its disk");
                    }
                }
                let bytes = message.encode();
                assert_eq!(Message::decode(&bytes).unwrap(), message);
                self.sent[from] += bytes.len();
                self.post(Mail::Message { from, to, bytes });
            }
            Duty::FetchLaneKeys { digest, .. } => {
                let keys = self.everyone.lane_keys.borrow().get(&digest).cloned();
                if let Some(keys) = keys.filter(|_| !self.keys_withheld) {
                    self.post(Mail::Keys { to: from, keys });
                }
            }
            Duty::Broadcast { transaction, .. } => self.world.broadcast(&transaction),
            Duty::Deliver { to, delivery } => {
                // An operator publishes its bond when it holds all signatures.
                if let (Receiver::Operator(_), Job::Run(_)) = (to, &delivery.job) {
                    self.world.pay(&delivery.job);
                }
                self.delivered.push((to, delivery));
            }
            Duty::Refused { by, reason, .. } => self.refused.push((by, reason)),
            Duty::Suspect { signer, why } => self.suspects.push((signer, why)),
            Duty::Watch { .. } => {}
        }
    }

    fn post(&mut self, mail: Mail) {
        if self.chance(self.chaos.lose) {
            return;
        }
        if self.chance(self.chaos.repeat) {
            self.mail.push(mail.clone());
        }
        self.mail.push(mail);
    }

    /// Delivers mail until there is none.
    pub fn settle(&mut self) {
        while !self.mail.is_empty() {
            let next = if self.chance(self.chaos.reorder) { self.rng.gen_range(0..self.mail.len()) } else { 0 };
            match self.mail.remove(next) {
                Mail::Message { from, to, bytes } => {
                    let message = Message::decode(&bytes).unwrap();
                    self.give(to, Event::Message { from, message });
                }
                Mail::Keys { to, keys } => self.give(to, Event::LaneKeys(keys)),
            }
        }
    }

    /// Mines a block, tells everyone, and delivers the mail.
    pub fn block(&mut self) {
        self.world.mine();
        for signer in 0..self.signers.len() {
            self.give(signer, Event::Tip);
        }
        self.settle();
    }

    pub fn blocks(&mut self, count: u32) {
        (0..count).for_each(|_| self.block());
    }

    /// Asks the leader for a job, as often as it takes to be heard.
    pub fn request(&mut self, (job, consents): (Job, Vec<Signature>)) {
        self.give(0, Event::Requested { job: Box::new(job), consents });
    }

    /// The operator of a run asks every signer for what a power failure may have kept from it.
    pub fn ask_for(&mut self, (job, _): &(Job, Vec<Signature>)) {
        let Job::Run(run) = job else { panic!("not a run") };
        if self.world.0.borrow().outputs.contains_key(&run.terms.bond) {
            return;
        }
        for signer in 0..self.signers.len() {
            for delivery in self.signers[signer].signatures_for(&run.terms.bond).unwrap() {
                if matches!(delivery.job, Job::Run(_)) {
                    self.carry_out(signer, Duty::Deliver { to: Receiver::Operator(run.terms.operator), delivery });
                }
            }
        }
    }

    /// Every signer's progress with the deposit, run or payout that `is` finds.
    pub fn progress(&self, is: impl Fn(&Job) -> bool) -> Vec<Option<Progress>> {
        let of =
            |signer: &Signer<Disk>| signer.jobs().filter(|(_, job, _)| is(job)).map(|(_, _, progress)| progress).max();
        self.signers.iter().map(of).collect()
    }
}

/// So many signers and two complete runs of two slots, their bonds published.
pub fn committee(signers: usize) -> Network {
    let everyone = Everyone::new(signers, 1, |_| {});
    let mut network = Network::new(everyone, 0);
    let checkpoint = network.world.checkpoint();
    for operator in 0..2 {
        let run = network.everyone.run(operator, 0, 2, checkpoint);
        network.request(run);
    }
    network.settle();
    assert_eq!(network.refused, []);
    network
}

/// The same, and one vault, 7 blocks ago.
pub fn committee_with_vault(signers: usize) -> (Network, Vault) {
    let mut network = committee(signers);
    let (deposit, consents) = network.everyone.deposit("alice");
    network.world.pay(&deposit);
    network.request((deposit, consents));
    network.blocks(16);
    let vault = network.world.0.borrow().spends[&outpoint("alice")].txid;
    (network, Vault { outpoint: OutPoint::new(vault, 0), denomination: 0 })
}
