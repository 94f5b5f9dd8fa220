//! Traffic selectors that change in a reload, while traffic flows.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use s2sd::wire::packet::ip::IpVersion;

use super::lab::pair::Pair;
use super::lab::traffic::{stream, transfer};

/// One policy, as a side writes it: the third octet of the networks on both sides.
fn policy(side: usize, network: usize) -> String {
    let (here, there) = (side + 1, 2 - side);
    format!(
        "[[connection.traffic_selector_policy]]\n\
         local_address_ranges = [\"10.{here}.{network}.0/24\"]\n\
         remote_address_ranges = [\"10.{there}.{network}.0/24\"]\n"
    )
}

/// Puts text in front of a line of both files, and reloads both services.
fn reload_with(pair: &Pair, line: &str, text: impl Fn(usize) -> String) {
    for side in [1, 0] {
        pair.edit(side, line, &format!("{}{line}", text(side)));
        pair.obey(side, &["reload"]);
    }
}

/// Waits until a side has so many children; the inbound SPIs.
fn children(pair: &Pair, side: usize, count: usize) -> Vec<String> {
    let of = |status: &serde_json::Value| {
        let children = &status["connections"][0]["tunnels"][0]["children"];
        let children = children.as_array().cloned().unwrap_or_default();
        children.iter().map(|child| child["spi_in"].to_string()).collect::<Vec<_>>()
    };
    pair.wait_for(side, "with its children", |status| of(status).len() == count);
    of(&pair.status(side))
}

#[test]
fn a_reload_with_new_selectors_is_taken_up_while_traffic_flows() {
    let Some(pair) = Pair::start("selectors") else { return };
    let wide = children(&pair, 0, 1);
    let (done, lab) = (AtomicBool::new(false), &pair.lab);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            // TCP sends again what the moment between two child SAs costs.
            while !done.load(Ordering::Relaxed) {
                assert!(stream(lab, 0, 10, Duration::from_millis(500)).unwrap() > 0);
            }
        });
        for side in [1, 0] {
            let mode = "dpd_timeout_seconds";
            pair.edit(side, mode, &format!("use_policy_based_traffic_selectors = true\n{mode}"));
        }
        let table = "[connection.virtual_network_gateway]";
        reload_with(&pair, table, |side| policy(side, 0));
        pair.wait_for(0, "narrow", |status| {
            let children = &status["connections"][0]["tunnels"][0]["children"];
            children.as_array().is_some_and(|all| all.len() == 1)
                && !wide.contains(&children[0]["spi_in"].to_string())
        });
        let narrow = children(&pair, 0, 1);
        // A policy in front of the one that is there.
        let first = "[[connection.traffic_selector_policy]]";
        reload_with(&pair, first, |side| policy(side, 9));
        let both = children(&pair, 0, 2);
        assert!(both.contains(&narrow[0]), "{both:?} without {narrow:?}");
        done.store(true, Ordering::Relaxed);
        traffic.join().unwrap();
    });
    for from in [0, 1] {
        transfer(&pair.lab, from, IpVersion::V4, 4 << 20).unwrap();
    }
    let log = fs::read_to_string(pair.file(1, "log")).unwrap() + &pair.log(0);
    assert!(log.contains("its traffic selectors are no longer in the configuration"), "{log}");
}
