//! Addresses of gateways: a connection with two gateways and routes that follow, names that resolve
//! to another address later, and a site whose own address changes.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use s2sd::wire::packet::ip::IpVersion;
use serde_json::Value as Json;

use super::lab::pair::Pair;
use super::lab::traffic::round_trips_over;
use super::lab::{Lab, skip};
use super::spare::Spare;

/// Runs `ip` on a side's gateway; `None` where there is none.
pub fn ip(lab: &Lab, side: usize, words: &[&str]) -> Option<String> {
    let output = lab.gateways[side].run(|| match Command::new("ip").args(words).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        output => output.map(Some),
    });
    let output = output.unwrap()?;
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The devices that the site's route to the virtual network leads into.
fn hops(lab: &Lab) -> Vec<String> {
    let text = ip(lab, 0, &["-json", "route", "show", "10.2.0.0/24"]).unwrap();
    let routes: Json = serde_json::from_str(&text).unwrap_or(Json::Null);
    let leads = |route: &&Json| route["type"] != "unreachable";
    let Some(route) = routes.as_array().and_then(|all| all.iter().find(leads)) else {
        return Vec::new();
    };
    let one = [route.clone()];
    let hops = route["nexthops"].as_array().map_or(&one[..], Vec::as_slice);
    hops.iter().map(|hop| hop["dev"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the service says that its routes lead there, and looks whether they do.
fn wait_for_hops(pair: &Pair, expected: &[&str]) {
    pair.wait_for(0, &format!("routed into {expected:?}"), |status| {
        status["connections"][0]["routes_into"] == serde_json::json!(expected)
    });
    assert_eq!(hops(&pair.lab), expected, "{}", pair.log(0));
}

#[test]
fn routes_follow_the_tunnels_of_an_active_active_gateway() {
    let Some(mut pair) = Pair::start("active") else { return };
    if ip(&pair.lab, 0, &["-Version"]).is_none() {
        return skip(
            "routes of an active-active gateway: no program `ip` (Debian package iproute2)",
        );
    }
    let _spare = Spare::start(&pair);
    pair.edit(0, "dpd_timeout_seconds = 45", "dpd_timeout_seconds = 9");
    pair.edit(0, "[\"203.0.113.2\"]", "[\"203.0.113.2\", \"203.0.113.3\"]");
    pair.obey(0, &["reload"]);
    wait_for_hops(&pair, &["azure0", "azure1"]);

    // One dies without a word.
    pair.end(1, Signal::SIGKILL);
    wait_for_hops(&pair, &["azure1"]);
    assert_eq!(pair.status(0)["connections"][0]["state"], "up");
    pair.launch(1);
    wait_for_hops(&pair, &["azure0", "azure1"]);

    // One alone is used while it lives; it goes with a farewell this time.
    let text = fs::read_to_string(pair.file(0, "toml")).unwrap();
    fs::write(pair.file(0, "toml"), text + "[connection.tunnel]\nroutes = \"preferred\"\n")
        .unwrap();
    pair.obey(0, &["reload"]);
    wait_for_hops(&pair, &["azure0"]);
    pair.wait_for(0, "up twice", |status| {
        let tunnels = status["connections"][0]["tunnels"].as_array();
        tunnels.is_some_and(|all| all.len() == 2 && all.iter().all(|t| t["state"] == "up"))
    });
    pair.end(1, Signal::SIGTERM);
    wait_for_hops(&pair, &["azure1"]);
    pair.launch(1);
    wait_for_hops(&pair, &["azure0"]);
    pair.obey(0, &["down", "tunnel"]);
    wait_for_hops(&pair, &[]);
}

/// Has what this thread starts find names in another file of hosts.
fn know_hosts(file: &Path) {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some(file), "/etc/hosts", none, MsFlags::MS_BIND, none).unwrap();
}

/// Writes the file in place: it is mounted.
fn name(file: &Path, name: &str, address: &str) {
    fs::write(file, format!("127.0.0.1 localhost\n{address} {name}\n")).unwrap();
}

fn wait_for_peer(pair: &Pair, side: usize, address: &str) {
    pair.wait_for(side, &format!("up with {address}"), |status| {
        let tunnel = &status["connections"][0]["tunnels"][0];
        tunnel["state"] == "up" && tunnel["peer"] == address
    });
}

#[test]
fn a_gateway_that_is_replaced_is_dialled_where_its_name_leads() {
    let Some(mut pair) = Pair::start("replaced") else { return };
    let hosts = pair.directory.join("hosts");
    pair.end(0, Signal::SIGTERM);
    pair.edit(0, "dpd_timeout_seconds = 45", "dpd_timeout_seconds = 9");
    pair.edit(0, "[\"203.0.113.2\"]", "[\"gateway.test\"]");
    // Only with the name's address it shows that these prefixes hold the gateway itself.
    pair.edit(0, "[\"10.2.0.0/24\"]", "[\"10.2.0.0/24\", \"203.0.113.2/31\"]");
    name(&hosts, "gateway.test", "203.0.113.2");
    pair.launch_with(0, |_| know_hosts(&hosts));
    wait_for_peer(&pair, 0, "203.0.113.2");
    assert_eq!(round_trips_over(&pair.lab, 5, IpVersion::V4, 64).len(), 5);

    let _spare = Spare::start(&pair);
    name(&hosts, "gateway.test", "203.0.113.3");
    pair.end(1, Signal::SIGKILL);
    wait_for_peer(&pair, 0, "203.0.113.3");
    let log = pair.log(0);
    assert!(log.contains("looked up") && log.contains("address 203.0.113.3"), "{log}");
}

#[test]
fn a_site_whose_address_changes_goes_on_from_the_new_one() {
    let Some(mut pair) = Pair::start("moved") else { return };
    if ip(&pair.lab, 0, &["-Version"]).is_none() {
        return skip("a site whose address changes: no program `ip` (Debian package iproute2)");
    }
    let hosts = pair.directory.join("hosts");
    for side in [0, 1] {
        pair.edit(side, "dpd_timeout_seconds = 45", "dpd_timeout_seconds = 9");
        pair.end(side, Signal::SIGTERM);
    }
    pair.edit(1, "[\"203.0.113.1\"]", "[\"site.test\"]");
    name(&hosts, "site.test", "203.0.113.1");
    pair.launch_with(1, |_| know_hosts(&hosts));
    pair.launch(0);
    wait_for_peer(&pair, 1, "203.0.113.1");

    name(&hosts, "site.test", "203.0.113.4");
    for words in [["address", "delete", "203.0.113.1/24"], ["address", "add", "203.0.113.4/24"]] {
        ip(&pair.lab, 0, &[&words[..], &["dev", "wan"]].concat());
    }
    wait_for_peer(&pair, 1, "203.0.113.4");
    pair.wait_for(0, "up from its new address", |status| {
        let tunnel = &status["connections"][0]["tunnels"][0];
        tunnel["state"] == "up" && tunnel["local"] == "203.0.113.4"
    });
    assert_eq!(round_trips_over(&pair.lab, 5, IpVersion::V4, 64).len(), 5);
}
