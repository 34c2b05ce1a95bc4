//! The message schedule: W_t = σ1(W_{t−2}) + W_{t−7} + σ0(W_{t−15}) + W_{t−16}.

use super::layout::Table;
use super::rounds::Word;
use super::spread::Part;
use super::writer::Writer;

/// σ0 rotates by 7 and by 18 bits and shifts by 3; the rotation by 7 is the one by 3 a digit further on.
const BY_3: [(usize, Part); 2] = [(1, Part::Low(3)), (0, Part::High(3))];
const BY_18: [(usize, Part); 2] = [(5, Part::Low(2)), (4, Part::High(2))];
/// σ1 rotates by 17 and by 19 bits, which need the same two digits, and shifts by 10.
const BY_17_AND_19: [(usize, Part); 2] = [(4, Part::Highs(1, 3)), (5, Part::Lows(1, 3))];
const BY_10: [(usize, Part); 2] = [(3, Part::Low(2)), (2, Part::High(2))];

impl Writer<'_> {
    /// `W_{t−16} … → … W_t`, where word j of the schedule is `words[j % 16]`. W_{t−15} is moved to the top, where its
    /// digits are cheap to copy, and stays there.
    pub fn next_of_schedule(&mut self, words: &[Word; 16], round: usize) -> Word {
        let word = |back: usize| words[(round - back) % 16];
        let [oldest, older] = [word(16), word(7)];
        self.lower_sigmas(&word(15), &word(2));
        let mut sums = oldest;
        for digit in 0..8 {
            self.stack.from_alt();
            if digit > 0 {
                self.rot();
                self.look(Table::Carry);
                self.add();
            }
            self.stack.take(oldest[digit]);
            self.part(Part::Addend);
            self.add();
            self.copy(older[digit]);
            self.part(Part::Addend);
            self.add();
            if digit < 7 {
                self.dup();
            }
            sums[digit] = self.look(Table::Sum);
        }
        sums
    }

    /// `… → …; alt: … σ0(x) + σ1(y)`, the lowest digit on top.
    fn lower_sigmas(&mut self, x: &Word, y: &Word) {
        const DUMMIES: usize = 9;
        self.bring(x);
        self.raise(DUMMIES);
        // The digit of the rotation by 7, and the one of the shift by 3, which is that of the rotation but for the highest.
        self.pair(x, 0, BY_3);
        for digit in (0..8).rev() {
            if digit == 7 {
                self.copy(x[7]);
                self.part(Part::High(3));
            } else {
                self.pair(x, digit, BY_3);
            }
            self.sigma(x, digit, BY_18);
            self.lower_sigma_1(y, digit);
            self.add();
            self.stack.to_alt();
            if digit == 7 {
                self.copy(x[0]);
                self.part(Part::Low(3));
                self.add();
            }
        }
        self.stack.drop(DUMMIES + 1);
    }

    /// `… → … addend`: a digit of σ1.
    fn lower_sigma_1(&mut self, word: &Word, digit: usize) {
        self.pair(word, digit, BY_17_AND_19);
        self.look(Table::Parity);
        // Of the shift only what lies within the word.
        let inside = BY_10.into_iter().filter(|(distance, _)| digit + distance < 8);
        for (distance, part) in inside.clone() {
            self.copy(word[digit + distance]);
            self.part(part);
        }
        for _ in inside {
            self.add();
        }
        self.look(Table::ParityAddend);
    }

    /// Moves a word to the top, its highest digit deepest.
    fn bring(&mut self, word: &Word) {
        for digit in word.iter().rev() {
            self.stack.take(*digit);
        }
    }
}
