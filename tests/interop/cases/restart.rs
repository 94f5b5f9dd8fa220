//! s2sd restarted and killed under a keeper of its descriptors: strongSwan sees rekeys at most, and
//! no new IKE SA. `S2SD_RESTARTS=50` has fifty of each kind instead of three.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use s2sd::wire::packet::ip::IpVersion;

use crate::credentials::azure;
use crate::keeper::Keeper;
use crate::lab::traffic::transfer;
use crate::patience::{Failure, ensure, restarts, until};
use crate::place::Place;
use crate::{Case, Verdict, daemon, strongswan};

pub const CASES: &[Case] =
    &[Case { name: "s2sd restarts and crashes with a keeper", run: restarted }];

fn restarted(place: &Place) -> Verdict {
    let credentials = azure();
    let mut theirs = strongswan::Settings::new(&credentials[1]);
    theirs.esp = "aes256gcm16-ecp384".into();
    let peer = place.strongswan(&theirs)?;
    let directory = place.directory.join("s2sd");
    let failed = |error: std::io::Error| Failure::new("starting s2sd", error);
    fs::create_dir_all(&directory).map_err(failed)?;
    daemon::write(&directory, &daemon::Settings::new(&credentials[0])).map_err(failed)?;
    let (config, own) = (directory.join("s2sd.toml"), directory.join("log"));
    let mut keeper = Keeper::new(directory.join("keeper"));
    keeper.start(&place.lab.gateways[0], &config, &own);
    let said = |words: &str| fs::read_to_string(&own).unwrap_or_default().matches(words).count();
    let blame = |failure: Failure| {
        let ours = fs::read_to_string(&own).unwrap_or_default();
        failure.with("s2sd's log", &ours).with("strongSwan's", &peer.tail())
    };
    until("the first tunnel", Duration::from_secs(20), || (said("child SA up") > 0).then_some(()))
        .map_err(blame)?;
    let passes = || -> Result<(), Failure> {
        for from in [0, 1] {
            transfer(&place.lab, from, IpVersion::V4, 1 << 20)
                .map_err(|error| blame(Failure::new("a TCP stream", error)))?;
        }
        Ok(())
    };
    passes()?;
    let times = restarts();
    for turn in 0..2 * times {
        let (signal, children) =
            ([Signal::SIGUSR2, Signal::SIGKILL][turn % 2], said("child SA up"));
        keeper.end(signal);
        keeper.start(&place.lab.gateways[0], &config, &own);
        passes()?;
        if signal == Signal::SIGKILL {
            until("fresh keys after a crash", Duration::from_secs(20), || {
                (said("child SA up") > children).then_some(())
            })
            .map_err(blame)?;
        }
    }
    let log = peer.log();
    let new =
        log.lines().filter(|l| l.contains("IKE_SA s2s[") && l.contains("established between"));
    let lines = new.collect::<Vec<_>>().join("\n");
    ensure(lines.lines().count() == 1, "strongSwan's log has one IKE SA", &lines).map_err(blame)?;
    ensure(said("IKE SA up") == 1, "and so has s2sd", "").map_err(blame)?;
    Ok(format!("{times} restarts, {times} crashes, one IKE SA"))
}
