//! `trestle machine verify-block`: the Layer 2 function on the machine, and natively, over one block.

use std::sync::Arc;
use std::time::Instant;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use serde_json::json;
use trestle_rollup::Parameters;
use trestle_rollup::native::RawBlock;
use trestle_zkvm_adapter::guest::{self, GuestError};
use trestle_zkvm_adapter::oracle::{AnswerError, Oracle};
use trestle_zkvm_adapter::{Disputable, Halt, Limits};

use super::show::hex;
use super::{Ran, RunError, read};
use crate::args::VerifyBlockArgs;
use crate::output::{Outcome, Output, Report};

pub fn verify(args: &VerifyBlockArgs, output: &Output) -> Result<Outcome, RunError> {
    let path = &args.block;
    let block = read(path)?;
    let bad = |why| RunError::Block { path: path.clone(), why };
    let parent = RawBlock::parse(&block).map_err(|why| bad(AnswerError::Block(why)))?.previous();
    let mut state = Oracle::default();
    let previous = empty(parent).genesis(&mut state)?;

    let start = Instant::now();
    let (inputs, answer) = guest::honest(&previous, &block, &mut state).map_err(bad)?;
    let native = start.elapsed();
    let image = guest::image().map_err(GuestError::Image)?;
    let limits = Limits { pages: guest::PAGE_LIMIT, ..Limits::default() };
    let ran = Ran::new(&image, inputs.words(), Arc::new(answer.oracle), &limits, output)?;
    let agree = answer.right == (ran.trace.halt() == Some(Halt::Accept));

    let next = &inputs.next;
    let block_hash = BlockHash::from_byte_array(next.block_hash);
    let text = format!(
        "Block    {block_hash}, {} bytes\nNative   R = {} in {:.3} s\nGuest    {} as native code",
        block.len(),
        hex(&next.digest()),
        native.as_secs_f64(),
        if agree { "says the same" } else { "does not say the same" },
    );
    let json = json!({
        "block_hash": block_hash, "bytes": block.len(), "agree": agree,
        "native": { "state_root": hex(&next.state_root), "entry": hex(&next.digest()), "seconds": native.as_secs_f64() },
    });
    ran.outcome(Report { text, json }, &args.questions)
}

/// A bridge that nobody has keys for, and whose Layer 2 begins with a block.
fn empty(genesis_hash: [u8; 32]) -> Parameters {
    Parameters {
        committee: [2; 32],
        vault_key: [3; 32],
        denominations: vec![1_000_000],
        withdrawal_fee: 5_000,
        cooperative_window: 16,
        operator_window: 30,
        grace: 12,
        operators: vec![[4; 32]],
        sequencers: vec![[5; 32]],
        signers: vec![],
        membership_delay: 12,
        genesis_height: 0,
        genesis_hash,
        bridge: [0; 32],
    }
}
