//! What sequencers tell each other beside the engine: it leaves here and comes in here.

use std::time::Duration;

use commonware_cryptography::ed25519::PublicKey;
use commonware_macros::select_loop;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Spawner};

use super::application::Shared;
use super::message::Message;

/// Tells a set's sequencers what is to be told, and hands on what they say, until the runtime stops or a store fails.
///
/// `members` are the network's keys in the order of the sequencers' indices.
pub(crate) async fn run<E: Clock + Spawner>(
    context: E,
    shared: Shared,
    set: u32,
    members: Vec<PublicKey>,
    tick: Duration,
    (mut sender, mut receiver): (impl Sender<PublicKey = PublicKey>, impl Receiver<PublicKey = PublicKey>),
) {
    let mut told = shared.outlet(set);
    let mut next_tick = context.current() + tick;
    select_loop! {
        context,
        on_stopped => {},
        Some((to, message)) = told.recv() else break => {
            let recipients = match to {
                None => Recipients::All,
                Some(index) => match members.get(usize::from(index)) {
                    Some(member) => Recipients::One(member.clone()),
                    None => continue,
                },
            };
            // Lost messages are said again at a tick.
            let _ = sender.send(recipients, message.encode(), false);
        },
        Ok((peer, bytes)) = receiver.recv() else break => {
            let from = members.iter().position(|member| *member == peer).and_then(|index| u8::try_from(index).ok());
            let (Some(from), Some(message)) = (from, Message::decode(bytes.as_ref())) else { continue };
            if let Err(error) = shared.change(|orderer| orderer.hear(set, from, message)) {
                tracing::error!(%error, "the sequencer stops");
                break;
            }
        },
        _ = context.sleep_until(next_tick) => {
            next_tick = context.current() + tick;
            let ticked = shared.tick();
            if let Err(error) = ticked {
                tracing::error!(%error, "the sequencer stops");
                break;
            }
        },
    }
}
