//! The vaults that there are, and how many of them are owed to those who paid withdrawals, from the ledger's events.

use std::collections::{BTreeMap, HashMap};

use bitcoin::{OutPoint, Transaction};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::Vault;
use trestle_rollup::{Digest, Event, Ledger, Tag};

use crate::view::View;
use crate::{Error, is_deep};

/// Every vault and every operator's payout of the chain, by height. Rebuilt from the ledger when the operator is opened.
#[derive(Default)]
pub(super) struct Vaults {
    blocks: BTreeMap<u32, Block>,
    /// Spent so deep that nobody needs to look again; whether by Reimburse.
    gone: HashMap<OutPoint, bool>,
    /// What there is at the tip, by denomination.
    stocks: Vec<Stock>,
}

struct Block {
    hash: Digest,
    minted: Vec<Vault>,
    /// The denominations of the slots fulfilled.
    paid: Vec<u8>,
}

/// The vaults of one denomination.
#[derive(Debug, Clone, Default)]
pub(super) struct Stock {
    /// Those that are unspent, the oldest first, with the heights of their Confirms.
    pub unspent: Vec<(Vault, u32)>,
    /// Fulfilled slots of all operators for which no vault was spent yet.
    pub owed: usize,
}

impl Vaults {
    /// Looks at what there is at the tip of the view.
    pub fn sync(&mut self, bridge: &Bridge, view: &dyn View) -> Result<(), Error> {
        self.follow(view.ledger())?;
        let denominations = 0..bridge.parameters.denominations.len() as u8;
        self.stocks =
            denominations.map(|denomination| self.count(denomination, bridge, view)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The vaults of a denomination of the bridge, as of [`Self::sync`].
    pub fn stock(&self, denomination: u8) -> &Stock {
        &self.stocks[usize::from(denomination)]
    }

    /// Takes in the blocks up to the ledger's tip, and lets go of those that are not in its chain any more.
    fn follow(&mut self, ledger: &Ledger) -> Result<(), Error> {
        let (tip, _) = ledger.tip();
        while let Some((&height, block)) = self.blocks.last_key_value() {
            if ledger.entry(height)?.is_some_and(|entry| height <= tip && entry.block_hash == block.hash) {
                break;
            }
            self.blocks.remove(&height);
        }
        let next = self.blocks.last_key_value().map_or(ledger.parameters().genesis_height, |(height, _)| height + 1);
        for height in next..=tip {
            let Some(entry) = ledger.entry(height)? else { break };
            let mut block = Block { hash: entry.block_hash, minted: Vec::new(), paid: Vec::new() };
            for event in ledger.events(height)? {
                match event {
                    Event::Minted { txid, denomination, .. } => {
                        block.minted.push(Vault { outpoint: OutPoint::new(txid.into(), 0), denomination });
                    }
                    Event::Paid { slot, .. } => block.paid.push(slot.denomination),
                    _ => {}
                }
            }
            self.blocks.insert(height, block);
        }
        Ok(())
    }

    fn count(&mut self, denomination: u8, bridge: &Bridge, view: &dyn View) -> Result<Stock, Error> {
        let mut stock = Stock::default();
        let mut reimbursed = 0;
        for (height, block) in &self.blocks {
            stock.owed += block.paid.iter().filter(|paid| **paid == denomination).count();
            for vault in block.minted.iter().filter(|vault| vault.denomination == denomination) {
                if let Some(by_reimburse) = self.gone.get(&vault.outpoint) {
                    reimbursed += usize::from(*by_reimburse);
                    continue;
                }
                let Some(spend) = view.spender(&vault.outpoint)? else {
                    stock.unspent.push((*vault, *height));
                    continue;
                };
                let by_reimburse = !is_cooperative(&spend.tx, bridge.tag);
                reimbursed += usize::from(by_reimburse);
                if is_deep(spend.height, bridge.parameters.confirmations, view.height()) {
                    self.gone.insert(vault.outpoint, by_reimburse);
                }
            }
        }
        stock.owed = stock.owed.saturating_sub(reimbursed);
        Ok(stock)
    }
}

/// Of what spends a vault, cooperative payouts carry a tag, and Reimburse does not.
fn is_cooperative(tx: &Transaction, bridge_tag: [u8; 4]) -> bool {
    tx.output.get(1).is_some_and(|output| Tag::payload(output.script_pubkey.as_bytes(), bridge_tag).is_some())
}
