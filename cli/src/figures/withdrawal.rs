//! What an uncontested withdrawal takes of Bitcoin's blocks, in virtual bytes.
//!
//! The transactions are complete: the committee's signatures are MuSig2's, Claim has the longest one-time signature that
//! there is. Children that pay a higher fee are not counted, neither here nor in the anchors.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use trestle_bridge::connector::{OperatorConnector, key_path_witness, sign_key_path};
use trestle_bridge::transactions::claim::Statement;
use trestle_bridge::transactions::{
    CooperativeTerms, FinalizeKind, Presigned, Reveal, RunGraph, Vault, deal, payout, reimburse,
};
use trestle_rollup::WithdrawalId;

use super::committee::{Signers, Transactions};
use super::secrets::{Secrets, key, outpoint, slot, x_only};
use super::{Figure, FiguresError};

/// PROTOCOL §11, "uncontested withdrawal, all transactions": the BitVM bridge.
const BITVM_BRIDGE: f64 = 12_700.0;
/// PROTOCOL §11, the same row: Strata, about.
const STRATA: f64 = 700.0;
/// ANCHORS, "Strata (garbled circuits)": its claim.
const STRATA_CLAIM: f64 = 197.0;

const WITHDRAWAL: WithdrawalId = WithdrawalId(7);

pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    progress("the transactions of a withdrawal");
    let secrets = Secrets::new()?;
    let [claim, finalize, reimburse, cooperative] = presigned(&secrets)?.map(|tx| tx.vsize());
    let payout = payout_tx(&secrets)?.vsize();
    let all = payout + claim + finalize + reimburse;
    let vbytes = |name, value| Figure::count(name, value, "vB");
    Ok(vec![
        vbytes("withdrawal.presigned.vbytes", all).against(BITVM_BRIDGE),
        vbytes("withdrawal.presigned_to_strata.vbytes", all).against(STRATA),
        vbytes("withdrawal.payout.vbytes", payout),
        vbytes("withdrawal.claim.vbytes", claim).against(STRATA_CLAIM),
        vbytes("withdrawal.finalize_fast.vbytes", finalize),
        vbytes("withdrawal.reimburse.vbytes", reimburse),
        vbytes("withdrawal.cooperative.vbytes", cooperative),
    ])
}

/// Claim, FinalizeFast, Reimburse and the cooperative payout, as they are broadcast.
fn presigned(secrets: &Secrets) -> Result<[Transaction; 4], FiguresError> {
    let bridge = &secrets.bridge;
    let graph = RunGraph::build(bridge, secrets.run(2))?;
    let of = &graph.slots[0];
    let vault = Vault { outpoint: outpoint("vault"), denomination: 0 };
    let reimburse = reimburse(bridge, &vault, of, FinalizeKind::Fast)?;
    let fee = bridge.parameters.withdrawal_fee;
    let cooperative = CooperativeTerms { withdrawal: WITHDRAWAL, vault, destination: wallet(), fee }.build(bridge)?;
    let all = [&of.claim, &of.finalize_fast, &reimburse, &cooperative];

    let signed = Signers::open(secrets)?.sign(&Transactions(&all))?.signatures.concat();
    let mut dealt = deal(all, &signed).into_iter().flatten();
    let mut complete = |reveal: Reveal| -> Result<Transaction, FiguresError> {
        let none = || FiguresError::Unexpected("a transaction has no signatures".into());
        let (presigned, signatures): (&Presigned, _) = dealt.next().ok_or_else(none)?;
        Ok(presigned.complete(signatures, reveal)?)
    };
    // A statement with the longest witness: no digit, and none of the checksum's, is 0, which is an empty item.
    let claim = secrets.claim(slot(0), Statement { n: 0x7776, block_prefix: [0x77; 4] })?;
    let none = || FiguresError::Unexpected("Reimburse has no input of the operator".into());
    let operator = sign_key_path(&secrets.operator, reimburse.party_message().ok_or_else(none)?);
    Ok([
        complete(Reveal::Claim(&claim))?,
        complete(Reveal::Nothing)?,
        complete(Reveal::Party(&operator))?,
        complete(Reveal::Nothing)?,
    ])
}

/// A payout as an operator's wallet makes it: one Taproot coin in, change out.
fn payout_tx(secrets: &Secrets) -> Result<Transaction, FiguresError> {
    let coin = TxOut { value: Amount::from_sat(100_000_000), script_pubkey: wallet() };
    let mut output = payout::outputs(&secrets.bridge, WITHDRAWAL, wallet(), slot(0))?.to_vec();
    output.push(TxOut { value: Amount::from_sat(90_000_000), script_pubkey: wallet() });
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: outpoint("coin"),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output,
    };
    let message = SighashCache::new(&tx)
        .taproot_key_spend_signature_hash(0, &Prevouts::All(&[coin]), TapSighashType::Default)
        .expect("the transaction has an input 0, and its only prevout is given");
    tx.input[0].witness = key_path_witness(&sign_key_path(&key("wallet"), message.to_byte_array()));
    Ok(tx)
}

fn wallet() -> ScriptBuf {
    OperatorConnector(x_only(&key("wallet"))).script_pubkey()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_meets_the_goals_of_protocol_11() {
        let figures = measure(&|_| {}).unwrap();
        let value = |name: &str| figures.iter().find(|figure| figure.name == name).unwrap().value;
        assert!(value("withdrawal.presigned.vbytes") <= 1_000.0, "{figures:?}");
        assert!(value("withdrawal.cooperative.vbytes") <= 250.0, "{figures:?}");
        let parts = ["payout", "claim", "finalize_fast", "reimburse"];
        let sum: f64 = parts.iter().map(|part| value(&format!("withdrawal.{part}.vbytes"))).sum();
        assert_eq!(sum, value("withdrawal.presigned.vbytes"));
    }
}
