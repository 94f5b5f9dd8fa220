//! Exchanges that cross, told step by step, each with the end it must come to.
//!
//! Every script is run with the roles of the hosts swapped too, and again with every engine
//! replaced by `restore(snapshot())` after every step.

mod child;
mod ike;
mod path;
mod refusals;
mod reload;
mod setup;
mod strangers;

use std::time::Duration;

use crate::packet::HostId;
use crate::scene::{A, B, Setup};
use crate::world::{Options, World};

/// A told world. `variants` are the orders in which it can be told.
#[derive(Clone, Copy)]
pub struct Script {
    pub name: &'static str,
    pub variants: u8,
    pub run: fn(&Stage) -> World,
}

/// How a script is run this time.
#[derive(Clone, Debug)]
pub struct Stage {
    pub options: Options,
    /// The host that acts first.
    pub x: HostId,
    pub y: HostId,
    pub variant: u8,
}

pub fn all() -> impl Iterator<Item = &'static Script> {
    [
        child::SCRIPTS,
        ike::SCRIPTS,
        setup::SCRIPTS,
        path::SCRIPTS,
        refusals::SCRIPTS,
        reload::SCRIPTS,
        strangers::SCRIPTS,
    ]
    .into_iter()
    .flatten()
}

const fn script(name: &'static str, variants: u8, run: fn(&Stage) -> World) -> Script {
    Script { name, variants, run }
}

impl Stage {
    /// Both hosts booted, nothing said yet.
    pub fn world(&self, tune: impl FnOnce(&mut Setup)) -> World {
        let mut setup = Setup::default();
        tune(&mut setup);
        let mut world = setup.world(self.options.clone());
        world.boot(A);
        world.boot(B);
        world
    }

    /// Both hosts booted, `x` has dialled, traffic flows both ways and must go on flowing.
    pub fn tunnel(&self, tune: impl FnOnce(&mut Setup)) -> World {
        let mut world = self.world(tune);
        world.establish(self.x);
        for (from, to) in [(A, B), (B, A)] {
            world.flow(from, to, 0, self.pace(), Duration::from_secs(3_600));
        }
        world.run_for(Duration::from_millis(50));
        world
    }

    /// Between two inner packets. Every one counts where none may be lost; where a crash is planned
    /// some are lost anyway.
    fn pace(&self) -> Duration {
        Duration::from_millis(if self.options.crash.is_some() { 100 } else { 4 })
    }

    /// Every way to run a script.
    pub fn all(script: &Script) -> Vec<Stage> {
        let mut stages = Vec::new();
        for variant in 0..script.variants {
            for (x, y) in [(A, B), (B, A)] {
                for restore_each_step in [false, true] {
                    let options = Options { seed: 1, restore_each_step, ..Options::default() };
                    stages.push(Stage { options, x, y, variant });
                }
            }
        }
        stages
    }
}
