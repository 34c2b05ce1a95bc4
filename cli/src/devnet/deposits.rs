//! The deposits that users registered, in one file, so that the committee can be told again after a restart.

use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::secp256k1::schnorr::Signature;
use serde::{Deserialize, Serialize};
use trestle_bridge::job::{DepositJob, Job};
use trestle_bridge::transactions::DepositTerms;

use crate::user::home::{self, HomeError};

/// One deposit as its user registered it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Registered {
    /// Its terms.
    pub terms: DepositTerms,
    /// The user's consent to them ([`trestle_signer::consent`]).
    pub consent: Signature,
}

impl Registered {
    /// What the committee is asked for; it adds the slots itself.
    pub fn job(&self) -> Job {
        Job::Deposit(DepositJob { terms: self.terms, slots: Vec::new() })
    }
}

/// The deposits.
#[derive(Debug)]
pub struct Deposits {
    file: PathBuf,
    registered: Vec<Registered>,
    /// How many of them, the oldest, the committee's leader was told of.
    told: usize,
}

impl Deposits {
    /// The deposits in `file`; one that is not there has none.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn open(file: &Path) -> Result<Self, std::io::Error> {
        let registered = match fs::read(file) {
            Ok(json) => serde_json::from_slice(&json)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { file: file.into(), registered, told: 0 })
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[Registered] {
        &self.registered
    }

    /// Writes one down; the same one again is no error.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn register(&mut self, deposit: Registered) -> Result<(), HomeError> {
        if self.registered.iter().any(|known| known.terms == deposit.terms) {
            return Ok(());
        }
        let mut next = self.registered.clone();
        next.push(deposit);
        let json = serde_json::to_vec_pretty(&next).expect("terms and signatures are plain data");
        home::replace(&self.file, &json)?;
        self.registered = next;
        Ok(())
    }

    /// The deposits that the committee's leader was not told of since this was opened, now counted as told.
    pub fn take_untold(&mut self) -> Vec<Registered> {
        let untold = self.registered[self.told..].to_vec();
        self.told = self.registered.len();
        untold
    }
}
