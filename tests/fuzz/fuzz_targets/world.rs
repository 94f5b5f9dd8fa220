//! Bytes become what happens to two engines: see `Plan::from_bytes`. The simulator is the tests'
//! own, its files as they are, so this target is a crate root for them, and `tests/sim` replays its
//! corpus.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the parts of the simulator that tell scripts are not used here")]

#[path = "../../sim/chaos.rs"]
mod chaos;
#[path = "../../sim/clock.rs"]
mod clock;
#[path = "../../sim/config.rs"]
mod config;
#[path = "../../sim/esp.rs"]
mod esp;
#[path = "../../sim/host.rs"]
mod host;
#[path = "../../sim/invariants.rs"]
mod invariants;
#[path = "../../sim/minimise.rs"]
mod minimise;
#[path = "../../sim/net.rs"]
mod net;
#[path = "../../sim/packet.rs"]
mod packet;
#[path = "../../sim/plane.rs"]
mod plane;
#[path = "../../sim/rng.rs"]
mod rng;
#[path = "../../sim/rules.rs"]
mod rules;
#[path = "../../sim/scene.rs"]
mod scene;
#[path = "../../sim/toy.rs"]
mod toy;
#[path = "../../sim/trace.rs"]
mod trace;
#[path = "../../sim/verbs.rs"]
mod verbs;
#[path = "../../sim/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let plan = chaos::Plan::from_bytes(data);
    if let Some(why) = chaos::failure(&plan, &world::Options::default()) {
        panic!("{why}\n{}", chaos::tell(&chaos::shortest(&plan)));
    }
});
