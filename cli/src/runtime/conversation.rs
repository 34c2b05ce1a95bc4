//! What challengers and operators say to each other, over the [network](crate::network).
//!
//! A challenger's question leaves as a request, and what becomes of it comes back as an event; an operator's answer is the reply to
//! one. So neither waits for the other while it holds anything, though both may be of this process, and a dispute that is played off
//! chain is over at the tip at which it began. What is lost comes again with the next tip.

use std::time::{Duration, Instant};

use trestle_challenger::lane::{self, Question};
use trestle_challenger::{Error as Refused, dispute, operator, watchtower};

use super::challenger::Answer;
use super::operator::Request as Said;
use super::{Error, Runtime};
use crate::network::{Asked, Event, Heard, Request, Response};

/// How long challengers wait at a tip for all that they ask. What is not answered then is a stall, and comes later or never.
const PATIENCE: Duration = Duration::from_secs(300);

impl Runtime {
    /// Gives a challenger an event, and lets it ask operators what it wants to know then; returns what it says to others.
    pub(super) fn give_challenger(&mut self, index: usize, event: watchtower::Event) -> Result<Vec<Answer>, Error> {
        let Some(challenger) = self.challengers.get_mut(index) else { return Err(Error::Silent("that challenger")) };
        let said = challenger.give(&self.sender, event)?;
        let mut said = self.pass_on(index, said);
        said.extend(self.converse()?.into_iter().filter(|(of, _)| *of == index).map(|(_, answer)| answer));
        Ok(said)
    }

    /// Asks operators what a challenger wants to know of them; returns the rest of what it says.
    pub(super) fn pass_on(&mut self, challenger: usize, said: Vec<Answer>) -> Vec<Answer> {
        let Ok(index) = u16::try_from(challenger) else { return said };
        let mut rest = Vec::new();
        for answer in said {
            match answer {
                Answer::LacksKeys { operator, digest } => {
                    self.network.ask(index, operator.into(), Request::LaneKeys(digest));
                }
                Answer::Asks { slot, ask } => {
                    let question = Question { slot, challenger: index, ask: *ask };
                    self.network.ask(index, slot.operator.into(), Request::Move(question));
                }
                answer => rest.push(answer),
            }
        }
        rest
    }

    /// Lets challengers and operators speak until no challenger waits for anything; returns what else challengers say then.
    pub(super) fn converse(&mut self) -> Result<Vec<(usize, Answer)>, Error> {
        let until = Instant::now() + PATIENCE;
        let mut rest = Vec::new();
        while let Some(event) = self.network.next(until) {
            match event {
                Event::Asked(asked) => self.reply(asked)?,
                Event::Heard(heard) => {
                    let challenger = usize::from(heard.challenger);
                    let said = self.hear(heard)?;
                    rest.extend(self.pass_on(challenger, said).into_iter().map(|answer| (challenger, answer)));
                }
            }
        }
        for asked in self.network.asked() {
            self.reply(asked)?;
        }
        Ok(rest)
    }

    /// Has an operator reply. If it has nothing to say, it hangs up.
    fn reply(&mut self, asked: Asked) -> Result<(), Error> {
        let Some(role) = self.operators.get_mut(usize::from(asked.operator)) else { return Ok(()) };
        let response = match &asked.request {
            Request::Move(Question { slot, ask, .. }) => {
                let event =
                    operator::Event::Asked { slot: *slot, challenger: asked.challenger, ask: Box::new(ask.clone()) };
                match role.give(&self.sender, event) {
                    Err(Error::Claims(error @ (Refused::Refused(_) | Refused::Dispute(_)))) => {
                        tracing::warn!(operator = role.role.name, %slot, %error, "no answer");
                        Some(if is_askers(&error) { Response::refused(error) } else { Response::Busy })
                    }
                    said => said?.into_iter().find_map(|said| match said {
                        Said::Answer(answer) => Some(Response::Move(*answer)),
                        _ => None,
                    }),
                }
            }
            Request::LaneKeys(digest) => {
                let keys = role.machine().lane_keys(digest)?;
                Some(keys.map_or_else(|| Response::refused(format!("there are no keys {digest}")), Response::LaneKeys))
            }
        };
        if let Some(response) = response {
            asked.reply(response);
        }
        Ok(())
    }

    /// Gives a challenger what it asked for.
    fn hear(&mut self, heard: Heard) -> Result<Vec<Answer>, Error> {
        let Heard { challenger, operator, request, response } = heard;
        let Some(role) = self.challengers.get_mut(usize::from(challenger)) else { return Ok(Vec::new()) };
        let name = &role.role.name;
        let event = match (request, response) {
            (Request::Move(Question { slot, ask, .. }), Ok(Response::Move(answer))) => {
                watchtower::Event::Answered { slot, wanted: ask.wanted, answer: Box::new(answer) }
            }
            (Request::LaneKeys(_), Ok(Response::LaneKeys(keys))) => watchtower::Event::LaneKeys(keys),
            (_, Ok(response)) => {
                tracing::warn!(challenger = name, operator, ?response, "no answer");
                return Ok(Vec::new());
            }
            (_, Err(error)) => {
                tracing::warn!(challenger = name, operator, %error, "no answer");
                return Ok(Vec::new());
            }
        };
        match role.give(&self.sender, event) {
            // Whoever answers wrongly has not answered.
            Err(Error::Claims(error @ (Refused::Refused(_) | Refused::Dispute(_)))) => {
                tracing::warn!(challenger = role.role.name, operator, %error, "not an answer");
                Ok(Vec::new())
            }
            said => said,
        }
    }
}

/// Whether it is the question that is wrong, which whoever asked it is told. What else goes wrong is the operator's own business.
fn is_askers(error: &Refused) -> bool {
    use lane::Error::{ChosenBefore, NoSuchMove, OtherAccess, OutOfOrder, Transcript};
    match error {
        Refused::Dispute(error) => matches!(
            **error,
            dispute::Error::Player(
                NoSuchMove(_) | OutOfOrder { .. } | ChosenBefore { .. } | OtherAccess(_) | Transcript(_)
            )
        ),
        error => matches!(error, Refused::Refused(_)),
    }
}
