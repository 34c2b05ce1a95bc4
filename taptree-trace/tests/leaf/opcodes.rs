//! A leaf about the words of one opcode is of no use for those of any other, instruction or not, whatever the rest of the
//! word says and whatever else was signed.

use rand::{Rng, RngCore};
use trestle_taptree_trace::leaf::Disproof;
use trestle_taptree_trace::leaf::semantics::{Class, Semantics};

use crate::semantics::{Compiled, class};
use crate::semantics_steps::{constants, halts, honest};
use crate::world::rng;

#[test]
fn a_leaf_about_one_opcode_is_refused_for_every_other() {
    let constants = constants();
    let mut rng = rng(70);
    let leaves: Vec<_> =
        Compiled::all(&constants).into_iter().filter_map(|leaf| Some((class(leaf.leaf)?, leaf))).collect();
    let mut refused = 0;
    for opcode in 0..0x80 {
        for (class, leaf) in leaves.iter().filter(|(class, _)| class.opcode() != opcode) {
            for _ in 0..2 {
                let (pc, word) = (0x0001_0000 + 4 * rng.gen_range(0..100), rng.next_u32() & !0x7f | opcode);
                let (a, b) = (rng.r#gen(), rng.gen_range(0..9));
                let mut step = honest(&mut rng, pc, word, a, b);
                // Whatever the leaf is about is wrong.
                let words = &mut step.signed.words;
                for field in [&mut words.address, &mut words.value, &mut words.next_pc] {
                    *field = rng.gen_range(1..0x8000) * 4;
                }
                step.signed.after = halts().get(rng.gen_range(0..3)).copied().unwrap_or_else(|| rng.r#gen());
                assert!(leaf.refuses_whatever_the_hints(&step.signed), "{class:?} {:?} {word:#x}", leaf.leaf);
                refused += 1;
            }
        }
    }
    // All but those about no code at pc, no opcode, an ECALL that was none, no address and x0.
    assert_eq!(leaves.len(), Semantics::all().len() - 5);
    assert_eq!(refused, 2 * (127 * leaves.len()));
}

#[test]
fn an_unknown_opcode_is_none_of_the_machines() {
    let constants = constants();
    let leaf = Compiled::new(Semantics::UnknownOpcode, &constants);
    let mut rng = rng(71);
    for opcode in 0..0x80 {
        let known = Class::ALL.iter().any(|class| class.opcode() == opcode);
        for _ in 0..8 {
            let word = rng.next_u32() & !0x7f | opcode;
            let mut step = honest(&mut rng, 0x0001_0000, word, 1, 2);
            step.signed.after = rng.r#gen();
            assert_eq!(leaf.leaf.hint_count(), 0);
            assert_eq!(leaf.accepts(&step.signed, &[]), !known, "{word:#x}");
        }
    }
}
