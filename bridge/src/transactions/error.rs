//! Why a transaction cannot be built or completed.

use bitcoin::{Amount, ScriptBuf};

/// A transaction cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The inputs do not cover the outputs, the fee and a change that is not dust.
    #[error("{name}: the inputs carry {inputs}, it needs {needed}")]
    TooSmall {
        /// The transaction.
        name: String,
        /// What the inputs carry.
        inputs: Amount,
        /// What they would have to.
        needed: Amount,
    },
    /// The parameters have no such denomination.
    #[error("{name}: there is no denomination {index}")]
    Denomination {
        /// The transaction.
        name: String,
        /// The index asked for.
        index: u8,
    },
    /// The parameters have no such operator.
    #[error("{name}: there is no operator {index}")]
    Operator {
        /// The transaction.
        name: String,
        /// The index asked for.
        index: u8,
    },
    /// The parameters have no such signer.
    #[error("{name}: there is no signer {index}")]
    Signer {
        /// The transaction.
        name: String,
        /// The index asked for.
        index: usize,
    },
    /// A slot is used for what it is not for.
    #[error("{name}: the slot's denomination is {slot}, the vault's {vault}")]
    Fungibility {
        /// The transaction.
        name: String,
        /// The slot's denomination.
        slot: u8,
        /// The vault's denomination.
        vault: u8,
    },
    /// Nodes would not relay an output.
    #[error("{name}: {value} to {script} is dust, it has to be at least {least}")]
    Dust {
        /// The transaction.
        name: String,
        /// The output's value.
        value: Amount,
        /// The output's script.
        script: ScriptBuf,
        /// The least that is relayed.
        least: Amount,
    },
}

/// A transaction cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompleteError {
    /// There are not as many signatures as [`Presigned::requests`].
    #[error("{name}: {got} committee signatures, not {expected}")]
    Count {
        /// The transaction.
        name: String,
        /// Signatures needed.
        expected: usize,
        /// Signatures given.
        got: usize,
    },
    /// A signature does not verify.
    #[error("{name}: the signature for input {input} is wrong")]
    Signature {
        /// The transaction.
        name: String,
        /// The input that it is for.
        input: usize,
    },
    /// The reveal is not the one that this kind of transaction needs.
    #[error("{name}: input {input} needs another reveal")]
    Reveal {
        /// The transaction.
        name: String,
        /// The input that needs it.
        input: usize,
    },
}
