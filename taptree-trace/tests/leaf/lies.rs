//! Every lie is found: whatever an operator signs wrongly in an opening, a leaf can be satisfied.

use trestle_taptree_trace::lane::{End, MessageId, Side};
use trestle_taptree_trace::leaf::Tree;

use crate::bodies::{compiled, satisfied, satisfied_since};
use crate::cases::{Case, bound};
use crate::world::{STEPS, rng};

/// Whether a message may say anything, because what it says is about nothing.
fn is_free(case: &Case, id: MessageId, other: &Case) -> bool {
    let said = case.said();
    let number = |id| said.number(id).unwrap();
    let (j, claimed) = (number(MessageId::BlockIndex), number(MessageId::Claim));
    let level = |id| said.position(id).unwrap().level;
    let cut = |case: &Case| case.said().bytes(id).unwrap()[..24].to_vec();
    match id {
        // Entries beyond N have no parts.
        MessageId::BlockHash(End::Previous) | MessageId::BlockRoot(End::Previous) => j > claimed,
        MessageId::BlockHash(End::Next) | MessageId::BlockRoot(End::Next) => j >= claimed,
        // Beyond the claim the machine need not accept.
        MessageId::StepAfter => number(MessageId::StepIndex) == STEPS - 1 && j > claimed,
        // Above the tree there is no sibling, and of what stands for the root 24 bytes are bound.
        MessageId::ReadPosition | MessageId::ReadSibling => level(MessageId::ReadPosition) >= 27,
        MessageId::WritePosition | MessageId::WriteSibling => level(MessageId::WritePosition) >= 27,
        MessageId::ReadChild => level(MessageId::ReadPosition) >= 27 && cut(case) == cut(other),
        MessageId::WriteChild(Side::Old) => level(MessageId::WritePosition) >= 27 && cut(case) == cut(other),
        _ => false,
    }
}

/// The tree in which the leaves about an opening's message are.
fn tree_of(id: MessageId) -> Tree {
    match id {
        MessageId::StepBefore | MessageId::StepAfter => Tree::Step,
        MessageId::ReadPosition | MessageId::ReadChild | MessageId::ReadSibling => Tree::ReadNode,
        MessageId::WritePosition | MessageId::WriteChild(_) | MessageId::WriteSibling => Tree::WriteNode,
        MessageId::Header(..) => Tree::Fork,
        _ => Tree::Block,
    }
}

#[test]
fn whatever_is_signed_wrongly_in_an_opening_a_leaf_is_satisfied() {
    let mut rng = rng(10);
    for _ in 0..60 {
        let honest = Case::honest(&mut rng);
        let honestly = compiled(&Tree::ALL, &honest.constants);
        assert_eq!(satisfied(&honestly, &honest.said(), false), [""; 0], "{honest:?}");
        for id in bound() {
            let wrong = honest.corrupted(&mut rng, id);
            if is_free(&honest, id, &wrong) {
                continue;
            }
            let leaves = compiled(&[tree_of(id)], &wrong.constants);
            let found = satisfied_since(&leaves, &wrong.said(), id);
            assert!(!found.is_empty(), "{id}: {wrong:?}");
        }
    }
}
