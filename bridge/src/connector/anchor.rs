//! Pay-to-anchor: an output that anyone may spend, so that anyone may pay for a faster confirmation
//! (Bitcoin Core 28 release notes; `OP_1 <4e73>`).

use bitcoin::{Amount, ScriptBuf, TxOut};

/// What an anchor carries: Bitcoin Core's dust limit for it.
pub const VALUE: Amount = Amount::from_sat(240);

/// The output. It is always a transaction's last.
pub fn output() -> TxOut {
    TxOut { value: VALUE, script_pubkey: ScriptBuf::new_p2a() }
}
