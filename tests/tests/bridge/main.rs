//! A whole bridge on a real bitcoind, under everything that may happen to it: restarts, reorganisations, blocks that hold nothing,
//! deposits that are wrong, fees that rise.

mod play;

mod deposits;
mod fees;
mod fronting;
mod life;
mod sequencers;
mod sets;
