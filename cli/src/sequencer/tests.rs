//! What can be told without the other sequencers: the interface's description, the set's file, proofs.

use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
use bitcoin::{Amount, XOnlyPublicKey};
use jsonrpsee::core::{SubscriptionResult, async_trait};
use jsonrpsee::server::PendingSubscriptionSink;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Genesis, Members};
use trestle_rollup::Ledger;
use trestle_sequencer::consensus::Conflict;

use super::rpc::{
    ApiServer, BatchStatus, BlockStatus, HandoverStatus, ReceiptStatus, SequencerAccount, SequencerStatus,
};
use super::{AccountProof, Peer, openrpc, proof, set};
use crate::rpc::RpcError;
use crate::rpc::types::{EntryStatus, Hex32};

mod serving;

struct Nobody;

#[async_trait]
impl ApiServer for Nobody {
    fn status(&self) -> Result<SequencerStatus, RpcError> {
        unreachable!()
    }
    async fn sync(&self, _: u32) -> Result<SequencerStatus, RpcError> {
        unreachable!()
    }
    async fn submit(&self, _: String) -> Result<Hex32, RpcError> {
        unreachable!()
    }
    fn receipt(&self, _: Hex32) -> Result<Option<ReceiptStatus>, RpcError> {
        unreachable!()
    }
    fn account(&self, _: XOnlyPublicKey) -> Result<SequencerAccount, RpcError> {
        unreachable!()
    }
    fn block(&self, _: u64) -> Result<Option<BlockStatus>, RpcError> {
        unreachable!()
    }
    fn batch(&self, _: u64) -> Result<Option<BatchStatus>, RpcError> {
        unreachable!()
    }
    fn handover(&self, _: u32) -> Result<Option<HandoverStatus>, RpcError> {
        unreachable!()
    }
    fn entry(&self, _: u32) -> Result<EntryStatus, RpcError> {
        unreachable!()
    }
    fn proof(&self, _: XOnlyPublicKey, _: u32) -> Result<AccountProof, RpcError> {
        unreachable!()
    }
    fn conflicts(&self) -> Result<Vec<Conflict>, RpcError> {
        unreachable!()
    }
    async fn subscribe_blocks(&self, _: PendingSubscriptionSink) -> SubscriptionResult {
        unreachable!()
    }
}

#[test]
fn the_description_names_every_method_and_is_the_one_in_docs() {
    let mut served: Vec<_> = Nobody.into_rpc().method_names().collect();
    let mut described = openrpc::names();
    served.sort_unstable();
    described.sort_unstable();
    assert_eq!(served, described);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openrpc.json");
    let written = serde_json::to_string_pretty(&openrpc::document()).unwrap() + "\n";
    if std::env::var_os("TRESTLE_WRITE").is_some() {
        std::fs::write(file, &written).unwrap();
    }
    assert!(std::fs::read_to_string(file).unwrap() == written, "TRESTLE_WRITE=1 writes docs/openrpc.json anew");
}

fn key(byte: u8) -> Keypair {
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&[byte; 32]).unwrap())
}

fn bridge() -> Bridge {
    let x_only = |byte| key(byte).x_only_public_key().0;
    let members = Members {
        signers: vec![key(1).public_key()],
        operators: vec![x_only(2)],
        challengers: vec![x_only(3)],
        sequencers: (4..8).map(x_only).collect(),
    };
    let genesis = Genesis { height: 100, hash: bitcoin::hashes::Hash::all_zeros() };
    Bridge::new(BridgeParameters::regtest(members, genesis)).unwrap()
}

#[test]
fn a_set_is_read_only_if_every_sequencer_signed_its_line() {
    let (bridge, directory) = (bridge(), tempfile::tempdir().unwrap());
    let file = directory.path().join("sequencers.json");
    let address = |port: u8| format!("127.0.0.1:{port}").parse().unwrap();
    let line = |set, byte, port| Peer::new(&bridge.instance, set, &key(byte), address(port));
    let peers: Vec<_> = (4..8).map(|byte| line(0, byte, byte)).collect();
    let keys = &bridge.rollup.sequencers;
    let read = |peers: &[Peer], set| {
        set::write(&file, peers).unwrap();
        set::members(&file, &bridge.instance, set, keys).map_err(|error| error.to_string())
    };
    let members = read(&peers, 0).unwrap();
    assert_eq!(members[2], (peers[2].network_key.0, address(6)));
    let later: Vec<_> = [line(0, 6, 60), line(1, 6, 61)].into_iter().chain(peers.clone()).rev().collect();
    assert_eq!(read(&later, 0).unwrap()[2].1, address(60), "the later line counts, wherever it is");

    let mut of_another_set = peers.clone();
    of_another_set[1].set = 1;
    let mut moved = peers.clone();
    moved[3].address = address(9);
    let mut renamed = peers.clone();
    renamed[1].network_key = peers[0].network_key;
    let mut foreign = peers.clone();
    foreign[2].signature = line(0, 9, 6).signature;
    let mut relabelled = peers.clone();
    relabelled.iter_mut().for_each(|peer| peer.set = 1);
    let rows = [
        (&peers[..3], 0, "no line of sequencer 3"),
        (&of_another_set, 0, "no line of sequencer 1"),
        (&moved, 0, "not signed by sequencer 3"),
        (&renamed, 0, "not signed by sequencer 1"),
        (&foreign, 0, "not signed by sequencer 2"),
        (&relabelled, 1, "not signed by sequencer 0"),
    ];
    for (peers, set, why) in rows {
        let error = read(peers, set).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn a_proof_of_an_account_that_nobody_heard_of_holds_as_it_is_and_no_other_way() {
    let (bridge, db) = (bridge(), sled::Config::new().temporary(true).open().unwrap());
    let ledger = Ledger::open(&db, &bridge.rollup).unwrap();
    let (height, entry) = ledger.tip();
    let r = entry.digest();
    let block_hash = bitcoin::hashes::Hash::from_byte_array(entry.block_hash);
    let entry = EntryStatus { height, block_hash, state_root: Hex32(entry.state_root), entry: Hex32(r) };
    let account = key(9).x_only_public_key().0;
    let good = proof::prove(&ledger, account, entry).unwrap();
    assert!(good.holds(&r) && !good.nodes.is_empty());
    assert!(!good.holds(&[1; 32]), "another R");
    let changes: [&dyn Fn(&mut AccountProof); 6] = [
        &|proof| proof.index = Some(0),
        &|proof| proof.balance = Amount::from_sat(1),
        &|proof| proof.nonce = 1,
        &|proof| proof.nodes.clear(),
        &|proof| proof.nodes[0] = "00".repeat(64),
        &|proof| drop(proof.nodes.pop()),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(!bad.holds(&r), "change {index}");
    }
}
