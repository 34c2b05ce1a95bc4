//! Disputes on a real bitcoind with its default policy: every transaction of a lane is relayed when it should be, together with a child
//! that pays for it, and refused when it should be, for the reason that it should be.

// What is signed in these tests, and by whom, is that of taptree-trace's own.
#[path = "../../../taptree-trace/tests/leaf/cases.rs"]
#[expect(dead_code, reason = "not every leaf is shown here")]
mod cases;
#[path = "../../../bridge/tests/members/mod.rs"]
mod members;
#[path = "../../../taptree-trace/tests/leaf/world.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod world;

mod desk;
mod disputes;
mod ends;
mod game;
mod reading;
mod setup;
mod sizes;
