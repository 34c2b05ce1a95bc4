//! A user's deposit: the committee confirms it, or the user takes it back.

use std::sync::Arc;

use bitcoin::key::XOnlyPublicKey;
use bitcoin::relative;
use bitcoin::{ScriptBuf, Sequence};
use miniscript::descriptor::{TapTree, Tr};
use miniscript::{Descriptor, Miniscript, RelLockTime, Tap, Terminal};

use super::Leaf;

/// The point of which nobody knows the secret, from BIP 341: the key path of a deposit is closed.
pub const NUMS: [u8; 32] = [
    0x50, 0x92, 0x9b, 0x74, 0xc1, 0xa0, 0x49, 0x54, 0xb7, 0x8b, 0x4b, 0x60, 0x35, 0xe9, 0x7a, 0x5e, 0x07, 0x8a, 0x5a,
    0x0f, 0x28, 0xec, 0x96, 0xd5, 0x47, 0xbf, 0xee, 0x9a, 0xce, 0x80, 0x3a, 0xc0,
];

/// `tr(NUMS,{pk(P),and_v(v:pk(user),older(T_refund))})`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    committee: XOnlyPublicKey,
    user: XOnlyPublicKey,
    refund_delay: relative::Height,
    descriptor: Tr<XOnlyPublicKey>,
}

impl Deposit {
    /// The deposit output of a user whose refund key is `user`. `refund_delay` is at least 1
    /// ([`crate::parameters::BridgeParameters::check`]).
    pub fn new(committee: XOnlyPublicKey, user: XOnlyPublicKey, refund_delay: relative::Height) -> Self {
        let pk = |key| fragment(Terminal::Check(Arc::new(fragment(Terminal::PkK(key)))));
        let delay =
            RelLockTime::from_consensus(refund_delay.to_consensus_u32()).expect("the delay is 1 to 65535 blocks");
        let user_leaf = fragment(Terminal::AndV(
            Arc::new(fragment(Terminal::Verify(Arc::new(pk(user))))),
            Arc::new(fragment(Terminal::Older(delay))),
        ));
        let tree = TapTree::combine(TapTree::Leaf(Arc::new(pk(committee))), TapTree::Leaf(Arc::new(user_leaf)));
        let nums = XOnlyPublicKey::from_slice(&NUMS).expect("BIP 341's point is on the curve");
        let descriptor = Tr::new(nums, Some(tree)).expect("two leaves are not too deep");
        Deposit { committee, user, refund_delay, descriptor }
    }

    /// The descriptor, for wallets.
    pub fn descriptor(&self) -> Descriptor<XOnlyPublicKey> {
        Descriptor::Tr(self.descriptor.clone())
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> ScriptBuf {
        self.descriptor.script_pubkey()
    }

    /// The committee's leaf, `<P> CHECKSIG`: a mint is only counted if it spends this (docs/protocol.md §4).
    pub fn confirm_leaf(&self) -> Leaf {
        self.leaf(0)
    }

    /// The user's leaf, `<user> CHECKSIGVERIFY <T_refund> CHECKSEQUENCEVERIFY`.
    pub fn refund_leaf(&self) -> Leaf {
        self.leaf(1)
    }

    /// The sequence number with which the refund leaf can be satisfied.
    pub fn refund_sequence(&self) -> Sequence {
        Sequence::from_height(self.refund_delay.value())
    }

    /// The committee's key.
    pub fn committee(&self) -> XOnlyPublicKey {
        self.committee
    }

    /// The user's refund key.
    pub fn user(&self) -> XOnlyPublicKey {
        self.user
    }

    fn leaf(&self, index: usize) -> Leaf {
        let (_, leaf) = self.descriptor.iter_scripts().nth(index).expect("the descriptor has two leaves");
        Leaf::new(&self.descriptor.spend_info(), leaf.encode())
    }
}

fn fragment(node: Terminal<XOnlyPublicKey, Tap>) -> Miniscript<XOnlyPublicKey, Tap> {
    Miniscript::from_ast(node).expect("a fragment of the fixed policy is well typed")
}
