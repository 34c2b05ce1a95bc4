//! What a ledger says of the past: which state is deep; at which height a nonce was used, and by which transaction.

use std::collections::HashMap;

use trestle_rollup::{Account, Digest, Event, Ledger, Transaction, View};

use crate::consensus::{Error, Fate, Orderer};
use crate::receipt::{Failure, Receipt};

/// The state with so many blocks on top, which no reorganization takes away; the genesis's if there are fewer.
pub(crate) fn deep(ledger: &Ledger, confirmations: u32) -> Result<View, Error> {
    let height = ledger.tip().0.saturating_sub(confirmations).max(ledger.parameters().genesis_height);
    Ok(ledger.state(height)?)
}

/// What became of a transaction, by its id; `None` if it was never accepted, or was dropped.
///
/// # Errors
/// If a store fails.
pub fn receipt(orderer: &Orderer, ledger: &Ledger, confirmations: u32, id: &Digest) -> Result<Option<Receipt>, Error> {
    let height = match orderer.fate(id)? {
        None => return Ok(None),
        Some(Fate::Waiting) => return Ok(Some(Receipt::Pending)),
        Some(Fate::Final { height }) => height,
    };
    let Some(part) = orderer.part(height)? else { return Ok(None) };
    let instance = ledger.parameters().instance();
    let Some(signed) = part.decoded().into_iter().find(|signed| signed.transaction.sighash(&instance) == *id) else {
        return Ok(None);
    };
    let (tip, state) = (ledger.tip().0, ledger.state_at_tip());
    if state.meta()?.batches <= part.number {
        // Without its certificate the user could show it to nobody.
        let is_certified = orderer.certified_part(height)?.is_some();
        return Ok(Some(if is_certified {
            Receipt::Ordered { height, number: part.number }
        } else {
            Receipt::Pending
        }));
    }
    let transaction = &signed.transaction;
    if state.account(&transaction.from())?.nonce <= transaction.nonce() {
        return Ok(Some(Receipt::Failed { reason: Failure::Skipped }));
    }
    let recent = tip.saturating_sub(confirmations);
    let (height, own) = History::new(ledger).use_of_nonce(transaction, recent, tip)?;
    Ok(Some(match own {
        true => Receipt::Executed { height, deep: height.saturating_add(confirmations) <= tip },
        false => Receipt::Failed { reason: Failure::NonceTaken },
    }))
}

/// Looks back in the ledger, remembering what it read.
struct History<'a> {
    ledger: &'a Ledger,
    /// By height: what each account did there, in order.
    deeds: HashMap<u32, HashMap<Account, Vec<Event>>>,
}

impl<'a> History<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, deeds: HashMap::new() }
    }

    /// The height at which the transaction's nonce, which is used at `tip`, was used, and whether by this
    /// transaction. Most are used after `recent`, and looked for there first.
    ///
    /// Events name no nonces, but an account's are in the order of its nonces. A forced transaction that does the
    /// same for another fee counts as this one.
    fn use_of_nonce(&mut self, transaction: &Transaction, recent: u32, tip: u32) -> Result<(u32, bool), Error> {
        let (from, nonce) = (transaction.from(), transaction.nonce());
        let ledger = self.ledger;
        let next = |height| Ok::<_, Error>(ledger.state(height)?.account(&from)?.nonce);
        let genesis = ledger.parameters().genesis_height;
        let recent = recent.max(genesis);
        let (mut before, mut after) = if next(recent)? > nonce { (genesis, recent) } else { (recent, tip) };
        while before + 1 < after {
            let middle = before + (after - before) / 2;
            if next(middle)? > nonce {
                after = middle;
            } else {
                before = middle;
            }
        }
        let first = next(before)?;
        let deeds = self.deeds_at(after)?.get(&from);
        let index = usize::try_from(nonce - first).unwrap_or(usize::MAX);
        let own = deeds.and_then(|deeds| deeds.get(index)).is_some_and(|deed| is_deed_of(deed, transaction));
        Ok((after, own))
    }

    fn deeds_at(&mut self, height: u32) -> Result<&HashMap<Account, Vec<Event>>, Error> {
        if !self.deeds.contains_key(&height) {
            let mut deeds: HashMap<Account, Vec<Event>> = HashMap::new();
            for event in self.ledger.events(height)? {
                if let Event::Transferred { from, .. } | Event::WithdrawalRequested { from, .. } = event {
                    deeds.entry(from).or_default().push(event);
                }
            }
            self.deeds.insert(height, deeds);
        }
        Ok(&self.deeds[&height])
    }
}

fn is_deed_of(event: &Event, transaction: &Transaction) -> bool {
    match (*event, *transaction) {
        (Event::Transferred { to, amount, .. }, Transaction::Transfer { to: payee, amount: paid, .. }) => {
            (to, amount) == (payee, paid)
        }
        (
            Event::WithdrawalRequested { denomination, destination, .. },
            Transaction::Withdraw { denomination: asked, destination: wanted, .. },
        ) => (denomination, destination) == (asked, wanted),
        _ => false,
    }
}
