//! The 64 rounds.
//!
//! A round is five loops over the eight digits of a word. Each consumes as many items as it leaves, so that the tables are
//! at the same distance for all eight; what would be left over goes to the alternative stack.

use super::super::stack::Item;
use super::layout::{ADDEND, Table};
use super::spread::Part;
use super::writer::Writer;

/// Digits of a word, the lowest first.
pub(super) type Word = [Item; 8];

/// K of FIPS 180-4.
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

/// The order in which Σ0 is computed, see [`Writer::upper_sigma_0`].
const SIGMA_0_ORDER: [usize; 8] = [0, 3, 6, 1, 4, 7, 2, 5];

/// The eight words of the state after some round: a, b, c, d are the last four a, and e, f, g, h the last four e.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// a, b, c, d.
    pub a: [Word; 4],
    /// e, f, g, h.
    pub e: [Word; 4],
}

impl Writer<'_> {
    /// All rounds. The stack is the tables, the block and the state; it is replaced by words of the schedule and the
    /// last state.
    pub fn rounds(&mut self, block: [Word; 16], mut state: State) -> State {
        let mut schedule = block;
        self.upper_sigma_0(&state.a[0]);
        let mut partial = self.choose(&state);
        for round in 0..64 {
            if round >= 16 {
                schedule[round % 16] = self.next_of_schedule(&schedule, round);
            }
            let (a, e) = self.sums(&partial, &schedule[round % 16], K[round], &state);
            let a = self.normalize(a);
            if round < 63 {
                self.upper_sigma_0(&a);
            }
            let e = self.normalize(e);
            let last = state;
            state.a = [a, last.a[0], last.a[1], last.a[2]];
            state.e = [e, last.e[0], last.e[1], last.e[2]];
            if round < 63 {
                // h of the next round is g of this one, which `choose` consumes.
                partial = self.choose(&state);
            }
        }
        state
    }

    /// `… → …; alt: … Σ0`: a rotated by 2, 13 and 22 bits, in the order of [`SIGMA_0_ORDER`], the last on top.
    ///
    /// Rotations by 2 and by 22 differ by 5 digits, so digit i of the second is digit i + 5 of the first. Computed in
    /// steps of 3 = −5 modulo 8, each digit needs one new digit of the first rotation and the one before it.
    fn upper_sigma_0(&mut self, a: &Word) {
        const DUMMIES: usize = 3;
        let by_2 = [(1, Part::Low(2)), (0, Part::High(2))];
        let by_13 = [(3, Part::High(1)), (4, Part::Low(1))];
        self.raise(DUMMIES);
        self.pair(a, SIGMA_0_ORDER[7], by_2);
        for digit in SIGMA_0_ORDER {
            self.pair(a, digit, by_2);
            self.sigma(a, digit, by_13);
            self.stack.to_alt();
        }
        self.stack.drop(DUMMIES + 1);
    }

    /// `x y → y addend`: a digit of the exclusive or of x, y and a rotation.
    pub fn sigma(&mut self, word: &Word, digit: usize, rotation: [(usize, Part); 2]) {
        self.tuck();
        self.pair(word, digit, rotation);
        self.add();
        self.look(Table::Parity);
        self.add();
        self.look(Table::ParityAddend);
    }

    /// `… → … spread`: a digit of a rotated word, from the two digits that it is made of.
    pub fn pair(&mut self, word: &Word, digit: usize, parts: [(usize, Part); 2]) {
        for (distance, part) in parts {
            self.copy(word[(digit + distance) % 8]);
            self.part(part);
        }
        self.add();
    }

    /// `h … → … u`: h + Σ1(e) + Ch(e, f, g), digit by digit, with h the oldest of e.
    fn choose(&mut self, state: &State) -> Word {
        let [e, f, g, h] = &state.e;
        self.upper_sigma_1(e);
        std::array::from_fn(|digit| {
            self.stack.from_alt();
            self.stack.take(h[digit]);
            self.part(Part::Addend);
            // g and not e
            self.copy(g[digit]);
            self.part(Part::Whole);
            self.copy(e[digit]);
            self.part(Part::Whole);
            self.tuck();
            self.sub();
            self.look_difference();
            // e and f
            self.swap();
            self.copy(f[digit]);
            self.part(Part::Whole);
            self.add();
            self.look(Table::Conjunction);
            self.add();
            self.add();
            self.add()
        })
    }

    /// `… → …; alt: … Σ1`: e rotated by 6, 11 and 25 bits, the lowest digit on top.
    fn upper_sigma_1(&mut self, e: &Word) {
        const DUMMIES: usize = 6;
        // By 25: digits 6 and 7 above. By 6: 1 and 2. By 11: 2 and 3.
        let outer = [(6, Part::High(1)), (7, Part::Low(1))];
        let inner = [(1, Part::High(2)), (2, Part::Both { low: 2, high: 3 }), (3, Part::Low(3))];
        self.raise(DUMMIES);
        for digit in (0..8).rev() {
            for (distance, part) in outer.into_iter().chain(inner) {
                self.copy(e[(digit + distance) % 8]);
                self.part(part);
            }
            self.add();
            self.add();
            self.look(Table::Parity);
            self.add();
            self.add();
            self.look(Table::ParityAddend);
            self.stack.to_alt();
        }
        self.stack.drop(DUMMIES);
    }

    /// `u … d … → … sums; alt: Σ0 →`: for each digit the sums of a = T1 + T2 and e = d + T1, not yet normalized. `partial`
    /// is T1 without W and K.
    fn sums(&mut self, partial: &Word, word: &Word, constant: u32, state: &State) -> (Word, Word) {
        let [a, b, c, d] = &state.a;
        let (mut sums_a, mut sums_e) = (*partial, *partial);
        for digit in SIGMA_0_ORDER.into_iter().rev() {
            self.stack.take(partial[digit]);
            self.copy(word[digit]);
            self.part(Part::Addend);
            self.add();
            self.add_round_constant(ADDEND * i64::from(constant >> (4 * digit) & 15));
            self.dup();
            self.stack.take(d[digit]);
            self.part(Part::Addend);
            sums_e[digit] = self.add();
            self.swap();
            self.stack.from_alt();
            // Maj: b and c, or a and one of them.
            self.copy(a[digit]);
            self.part(Part::Whole);
            self.copy(b[digit]);
            self.part(Part::Whole);
            self.copy(c[digit]);
            self.part(Part::Whole);
            self.add();
            self.tuck();
            self.look(Table::Parity);
            self.add();
            self.look(Table::Conjunction);
            self.swap();
            self.look(Table::Conjunction);
            self.add();
            self.add();
            sums_a[digit] = self.add();
        }
        (sums_a, sums_e)
    }

    /// `sums … → … word`: carries from digit to digit.
    fn normalize(&mut self, sums: Word) -> Word {
        let mut word = sums;
        self.stack.take(sums[0]);
        for digit in 0..7 {
            self.dup();
            word[digit] = self.look(Table::Sum);
            self.stack.take(sums[digit + 1]);
            self.rot();
            self.look(Table::Carry);
            self.add();
        }
        word[7] = self.look(Table::Sum);
        word
    }
}
