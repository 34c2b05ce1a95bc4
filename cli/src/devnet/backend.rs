//! What the devnet answers to JSON-RPC: read off the sequencer's node, the committee's leader and the chain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::address::NetworkUnchecked;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Address, Amount, Network, Txid, XOnlyPublicKey};
use trestle_bridge::chain::Chain;
use trestle_bridge::transactions::DepositTerms;
use trestle_rollup::{Account, Assignment, Destination, Event, Ledger, View, Withdrawal, WithdrawalId};
use trestle_signer::consent;

use super::deposits::Registered;
use super::world::World;
use crate::rpc::types::*;
use crate::rpc::{Backend, RpcError};
use crate::sequencer::rpc::ReceiptStatus;

/// The devnet, shared between its miner and its JSON-RPC.
pub struct Served(pub Arc<Mutex<World>>);

fn internal(error: impl std::fmt::Display) -> RpcError {
    RpcError::Internal(format!("the devnet failed: {error}; look at its terminal"))
}

impl Served {
    // A panic elsewhere leaves stores that are whole: each is written in one go.
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Served {
    fn status(&self) -> Result<Status, RpcError> {
        let mut world = self.world();
        let sequencers = sequencers(&mut world);
        let (bridge, ledger) = (world.runtime.bridge(), world.runtime.ledger());
        let tip = world.node().chain().tip().map_err(internal)?;
        let (height, entry) = ledger.tip();
        let state = ledger.state_at_tip();
        let runway = (0u8..).zip(&bridge.parameters.denominations);
        let runway = runway.map(|(index, amount)| runway_of(&world, index, *amount)).collect::<Result<_, _>>()?;
        Ok(Status {
            parameters: bridge.parameters.clone(),
            bitcoin: BitcoinTip { height: tip.height, hash: tip.hash },
            layer2: Layer2Tip {
                height,
                entry: Hex32(entry.digest()),
                supply: Amount::from_sat(state.meta().map_err(internal)?.supply),
                pending_withdrawals: state.pending_withdrawals().map_err(internal)?.len() as u32,
            },
            minimum_fee: world.sequencers.fee_floor(),
            sequencers: sets_of(&state)?,
            runway,
            roles: roles(&world)?.into_iter().chain(sequencers).collect(),
        })
    }

    fn account(&self, account: XOnlyPublicKey) -> Result<AccountStatus, RpcError> {
        let mut world = self.world();
        let key = Account::from(account);
        let settled = world.runtime.ledger().state_at_tip().account(&key).map_err(internal)?;
        let tip = world.runtime.ledger().tip().0;
        world.sequencers.sync(tip);
        let (available, next_nonce) = match world.sequencers.account(account) {
            Ok(pending) if pending.next_nonce >= settled.nonce => (pending.available, pending.next_nonce),
            // They see what was forced past them only once it is deep, and so what was minted.
            Ok(pending) => (pending.available.min(Amount::from_sat(settled.balance)), settled.nonce),
            // Without sequencers nobody holds anything.
            Err(_) => (Amount::from_sat(settled.balance), settled.nonce),
        };
        Ok(AccountStatus {
            account,
            balance: Amount::from_sat(settled.balance),
            nonce: settled.nonce,
            available,
            next_nonce,
        })
    }

    fn submit(&self, transaction: &[u8]) -> Result<Hex32, RpcError> {
        self.world().sequencers.submit(transaction)
    }

    fn receipt(&self, query: ReceiptQuery) -> Result<Receipt, RpcError> {
        let mut world = self.world();
        match query {
            ReceiptQuery::Submitted(id) => Ok(match world.sequencers.receipt(id)? {
                None => Receipt::Unknown,
                Some(ReceiptStatus::Pending) => Receipt::Pending,
                Some(ReceiptStatus::Ordered { block }) => {
                    Receipt::Batched { number: block.batch, certificate: Some(Box::new(block)) }
                }
                Some(ReceiptStatus::Executed { height, .. }) => {
                    Receipt::Executed { height, txid: None, withdrawal: None }
                }
                Some(ReceiptStatus::Failed { why }) => Receipt::Failed { why },
            }),
            ReceiptQuery::Forced(txid) => forced(world.runtime.ledger(), txid),
        }
    }

    fn deposit(&self, terms: DepositTerms, consent: Signature) -> Result<DepositStatus, RpcError> {
        let mut world = self.world();
        let deposit = Registered { terms, consent };
        terms.deposit_output(world.runtime.bridge()).map_err(|e| RpcError::Invalid(e.to_string()))?;
        consent::check(world.runtime.bridge(), &deposit.job(), &[consent])
            .map_err(|_| RpcError::Invalid("the deposit's refund key did not sign its terms".into()))?;
        world.deposits.register(deposit).map_err(internal)?;
        world.step().map_err(internal)?;
        Ok(DepositStatus { terms, state: deposit_state(&world, &deposit)? })
    }

    fn deposits(&self, account: XOnlyPublicKey) -> Result<Vec<DepositStatus>, RpcError> {
        let world = self.world();
        let own = world.deposits.all().iter().filter(|deposit| deposit.terms.account == Account::from(account));
        own.map(|deposit| Ok(DepositStatus { terms: deposit.terms, state: deposit_state(&world, deposit)? })).collect()
    }

    fn withdrawals(&self, query: WithdrawalQuery) -> Result<Vec<WithdrawalStatus>, RpcError> {
        let world = self.world();
        let state = world.runtime.ledger().state_at_tip();
        let all = 0..state.meta().map_err(internal)?.withdrawals;
        let mut found = Vec::new();
        for id in all.map(WithdrawalId) {
            let Some(withdrawal) = state.withdrawal(id).map_err(internal)? else { continue };
            let wanted = match &query {
                WithdrawalQuery::Id(wanted) => id.0 == *wanted,
                WithdrawalQuery::Destination(address) => {
                    address.clone().assume_checked().script_pubkey() == withdrawal.destination.script_pubkey()
                }
                WithdrawalQuery::Pending => !withdrawal.paid,
            };
            if wanted {
                found.push(withdrawal_status(&world, &state, id, &withdrawal)?);
            }
        }
        match query {
            WithdrawalQuery::Id(id) if found.is_empty() => {
                Err(RpcError::NotFound(format!("there is no withdrawal {id}")))
            }
            _ => Ok(found),
        }
    }

    fn entry(&self, height: u32) -> Result<EntryStatus, RpcError> {
        let world = self.world();
        let ledger = world.runtime.ledger();
        let entry = ledger.entry(height).map_err(internal)?;
        let entry = entry.ok_or_else(|| {
            let (first, last) = (world.runtime.bridge().parameters.genesis.height, ledger.tip().0);
            RpcError::NotFound(format!("the Layer 2 has no height {height}: it goes from {first} to {last}"))
        })?;
        Ok(EntryStatus {
            height,
            block_hash: bitcoin::hashes::Hash::from_byte_array(entry.block_hash),
            state_root: Hex32(entry.state_root),
            entry: Hex32(entry.digest()),
        })
    }

    fn faucet(&self, address: Address<NetworkUnchecked>, amount_sat: u64) -> Result<Txid, RpcError> {
        let mut world = self.world();
        let network = world.runtime.bridge().parameters.network;
        let address = address
            .require_network(network)
            .map_err(|_| RpcError::Invalid(format!("that is no address of {network}")))?;
        if amount_sat > Amount::from_int_btc(20).to_sat() {
            return Err(RpcError::Refused("the faucet gives at most 20 BTC at once: ask for less".into()));
        }
        world.faucet(&address, Amount::from_sat(amount_sat)).map_err(internal)
    }

    fn chain(&self) -> Result<ChainEndpoint, RpcError> {
        Ok(self.world().endpoint())
    }
}

fn runway_of(world: &World, denomination: u8, amount: Amount) -> Result<Runway, RpcError> {
    let standing = world.runtime.signers.standing(denomination).map_err(internal)?;
    let blocks = world.runtime.run_blocks_left(denomination).map_err(internal)?;
    Ok(Runway {
        denomination: amount,
        open_slots: standing.runs.iter().map(|run| run.slots).sum(),
        vaults: standing.vaults,
        withdrawals: standing.vaults + standing.room,
        blocks,
        room: standing.room,
    })
}

fn roles(world: &World) -> Result<Vec<Role>, RpcError> {
    let tip = world.runtime.ledger().tip().0;
    let mut roles = Vec::new();
    for role in world.runtime.roles() {
        let (kind, index) = role.name.split_once(' ').unwrap_or((role.name.as_str(), "0"));
        let offline =
            world.runtime.signers.signers.iter().any(|signer| signer.role.name == role.name && !signer.online);
        let height = role.ledger().tip().0;
        let state = match (offline, height) {
            (true, _) => "down".to_owned(),
            (false, height) if height < tip => format!("at block {height}"),
            _ => "ready".to_owned(),
        };
        let key = role.secrets.key().map_err(internal)?.x_only_public_key().0.to_string();
        roles.push(Role { role: kind.into(), index: index.parse().unwrap_or_default(), key, state });
    }
    Ok(roles)
}

fn sequencers(world: &mut World) -> Vec<Role> {
    let keys = world.sequencers.keys().to_vec();
    let running: Vec<_> = (0..keys.len()).map(|index| world.sequencers.is_running(index)).collect();
    let state = |is_running| if is_running { "ready".into() } else { "down".into() };
    let role = |((index, key), is_running): ((u32, &XOnlyPublicKey), bool)| Role {
        role: "sequencer".into(),
        index,
        key: key.to_string(),
        state: state(is_running),
    };
    (0..).zip(&keys).zip(running).map(role).collect()
}

/// The sets of sequencers that there were.
fn sets_of(state: &View) -> Result<Vec<Vec<XOnlyPublicKey>>, RpcError> {
    let last = state.sequencers().map_err(internal)?.announced();
    let keys = |set| {
        let keys = state.keys_of_set(set).map_err(internal)?;
        keys.iter().map(|key| XOnlyPublicKey::from_slice(key).map_err(internal)).collect()
    };
    (0..=last).map(keys).collect()
}

/// The last event that `wanted` answers to, and its height.
fn last_event<T>(ledger: &Ledger, wanted: impl Fn(&Event) -> Option<T>) -> Result<Option<(u32, T)>, RpcError> {
    let first = ledger.parameters().genesis_height;
    for height in (first..=ledger.tip().0).rev() {
        if let Some(found) = ledger.events(height).map_err(internal)?.iter().find_map(&wanted) {
            return Ok(Some((height, found)));
        }
    }
    Ok(None)
}

fn forced(ledger: &Ledger, txid: Txid) -> Result<Receipt, RpcError> {
    let outcome = last_event(ledger, |event| match event {
        Event::Forced { txid: of, applied } if Txid::from(*of) == txid => Some(*applied),
        _ => None,
    })?;
    let withdrawal = last_event(ledger, |event| match event {
        Event::WithdrawalRequested { txid: of, id, .. } if Txid::from(*of) == txid => Some(id.0),
        _ => None,
    })?;
    Ok(match outcome {
        None => Receipt::Unknown,
        Some((height, true)) => {
            Receipt::Executed { height, txid: Some(txid), withdrawal: withdrawal.map(|(_, id)| id) }
        }
        Some((height, false)) => Receipt::Failed { why: format!("the Layer 2 did not execute it (block {height})") },
    })
}

fn deposit_state(world: &World, deposit: &Registered) -> Result<DepositState, RpcError> {
    let (bridge, ledger, chain) = (world.runtime.bridge(), world.runtime.ledger(), world.node().chain());
    let outpoint = deposit.terms.outpoint;
    let minted = last_event(ledger, |event| match event {
        Event::Minted { txid, outpoint: of, .. } if bitcoin::OutPoint::from(*of) == outpoint => Some(Txid::from(*txid)),
        _ => None,
    })?;
    if let Some((height, txid)) = minted {
        return Ok(DepositState::Minted { txid, height });
    }
    if let Some(spender) = chain.spender(&outpoint).map_err(internal)? {
        let txid = spender.tx.compute_txid();
        let to_vault = spender.tx.output.first().is_some_and(|output| output.script_pubkey == *bridge.vault_script());
        return Ok(if to_vault { DepositState::Confirming { txid } } else { DepositState::Refunded { txid } });
    }
    let Some(height) = chain.transaction(&outpoint.txid).map_err(internal)?.map(|found| found.height) else {
        return Ok(DepositState::Unseen);
    };
    // As the signers count: K blocks on top of its own.
    let needed = u32::from(bridge.parameters.confirmations) + 1;
    let confirmations = height.map_or(0, |height| (ledger.tip().0 + 1).saturating_sub(height));
    if confirmations < needed {
        return Ok(DepositState::Waiting { confirmations, needed });
    }
    Ok(match world.runtime.signers.refusal_of(&deposit.job()) {
        Some(why) => DepositState::Refused { why: why.into() },
        None => DepositState::Signing,
    })
}

fn withdrawal_status(
    world: &World,
    state: &View,
    id: WithdrawalId,
    withdrawal: &Withdrawal,
) -> Result<WithdrawalStatus, RpcError> {
    let (parameters, ledger) = (&world.runtime.bridge().parameters, world.runtime.ledger());
    let denomination = parameters.denominations.get(usize::from(withdrawal.denomination)).copied().unwrap_or_default();
    let state = if withdrawal.paid { paid(ledger, id)? } else { pending(state, id)? };
    Ok(WithdrawalStatus {
        id: id.0,
        denomination,
        destination: address(&withdrawal.destination, parameters.network)?,
        requested_height: withdrawal.requested_height,
        state,
    })
}

fn address(destination: &Destination, network: Network) -> Result<Address<NetworkUnchecked>, RpcError> {
    Ok(Address::from_script(&destination.script_pubkey(), network).map_err(internal)?.into_unchecked())
}

fn paid(ledger: &Ledger, id: WithdrawalId) -> Result<WithdrawalState, RpcError> {
    let payment = last_event(ledger, |event| match event {
        Event::Paid { txid, id: of, slot } if *of == id => {
            Some((Txid::from(*txid), Turn::Operator(slot.operator.into())))
        }
        Event::PaidCooperatively { txid, id: of } if *of == id => Some((Txid::from(*txid), Turn::Committee)),
        _ => None,
    })?;
    let (height, (txid, by)) = payment.ok_or_else(|| internal(format!("withdrawal {} is paid by nobody", id.0)))?;
    Ok(WithdrawalState::Paid { txid, height, by })
}

/// Whose turn it is in the next block, and the last height at which it still is.
fn pending(state: &View, id: WithdrawalId) -> Result<WithdrawalState, RpcError> {
    let next = state.meta().map_err(internal)?.height + 1;
    let whose = |height| -> Result<Option<Turn>, RpcError> {
        Ok(state.assignment_at(id, height).map_err(internal)?.map(|assignment| match assignment {
            Assignment::Committee => Turn::Committee,
            Assignment::Operator { index, .. } => Turn::Operator(index.into()),
        }))
    };
    let turn = whose(next)?.ok_or_else(|| internal(format!("withdrawal {} is pending for nobody", id.0)))?;
    let mut until_height = next;
    // No turn is longer than two windows of 16 bits.
    while until_height < next + 2 * u32::from(u16::MAX) && whose(until_height + 1)? == Some(turn) {
        until_height += 1;
    }
    Ok(WithdrawalState::Pending { turn, until_height })
}
