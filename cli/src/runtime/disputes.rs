//! Brings a challenger's questions to the operator whose claim it disputes, and the answers back.

use trestle_challenger::lane::Ask;
use trestle_challenger::{Error as Refused, operator, watchtower};
use trestle_rollup::SlotId;

use super::challenger::Answer;
use super::operator::Request;
use super::{Error, Runtime};

impl Runtime {
    /// Plays a lane off chain, for as long as the operator answers and the challenger asks on.
    pub(super) fn play(&mut self, challenger: usize, slot: SlotId, ask: Box<Ask>) -> Result<(), Error> {
        let Ok(index) = u16::try_from(challenger) else { return Ok(()) };
        let mut next = Some(ask);
        while let Some(ask) = next.take() {
            let wanted = ask.wanted;
            let asked = operator::Event::Asked { slot, challenger: index, ask };
            let Some(role) = self.operators.get_mut(usize::from(slot.operator)) else { return Ok(()) };
            let answers = match role.give(&self.sender, asked) {
                // Whoever asks wrongly is told, and whoever answers wrongly has not answered.
                Err(Error::Claims(error @ (Refused::Refused(_) | Refused::Dispute(_)))) => {
                    tracing::warn!(operator = role.role.name, %slot, %error, "no answer");
                    return Ok(());
                }
                answers => answers?,
            };
            let answer = answers.into_iter().find_map(|request| match request {
                Request::Answer(answer) => Some(answer),
                _ => None,
            });
            let (Some(answer), Some(role)) = (answer, self.challengers.get_mut(challenger)) else { return Ok(()) };
            let said = match role.give(&self.sender, watchtower::Event::Answered { slot, wanted, answer }) {
                Err(Error::Claims(error @ (Refused::Refused(_) | Refused::Dispute(_)))) => {
                    tracing::warn!(challenger = role.role.name, %slot, %error, "not an answer");
                    return Ok(());
                }
                said => said?,
            };
            next = said.into_iter().find_map(|answer| match answer {
                Answer::Asks { slot: of, ask } if of == slot => Some(ask),
                _ => None,
            });
        }
        Ok(())
    }
}
