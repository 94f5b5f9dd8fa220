//! Facts about this host: its addresses, its route to a gateway, and evidence of the true time.

use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::config::prefix::Prefix;
use crate::config::settings::{Connection, Site};
use crate::config::value::Host;
use crate::doctor::facts::{ClockFacts, Interface, RouteToGateway};
use crate::sys::clock;
use crate::sys::probe::UdpProbe;
use crate::time::UnixTime;

/// The file that systemd-timesyncd touches whenever it sets the clock
/// (systemd-timesyncd.service(8)).
const TIMESYNC: &str = "/var/lib/systemd/timesync/clock";
/// The hardware clock (rtc(4)).
const HARDWARE_CLOCK: &str = "/sys/class/rtc/rtc0/since_epoch";

/// The addresses of this host.
pub fn interfaces() -> Vec<Interface> {
    let known = pnet_datalink::interfaces().into_iter();
    known
        .map(|interface| Interface {
            addresses: interface
                .ips
                .iter()
                .filter_map(|network| {
                    Some((network.ip(), Prefix::of(network.ip(), network.prefix())?))
                })
                .collect(),
            name: interface.name,
        })
        .collect()
}

/// The address of a configured host: looked up when the host is a name.
pub fn resolve(host: &Host) -> Result<IpAddr, String> {
    match host {
        Host::Address(address) => Ok(*address),
        Host::Name(name) => {
            let found =
                (name.as_str(), 500).to_socket_addrs().map_err(|error| error.to_string())?;
            let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            let v4 = found.iter().find(|address| address.is_ipv4());
            v4.or(found.first()).copied().ok_or_else(|| "the name has no address".to_owned())
        }
    }
}

/// The settings that keep packets between the site's networks and the tunnels from being forwarded.
/// The kernel looks at the setting of the interface by which a packet comes in.
pub fn not_forwarding(
    interfaces: &[Interface],
    site: &Site,
    connection: &Connection,
) -> Vec<String> {
    let of_site = |address: IpAddr| site.address_prefixes.iter().any(|p| p.contains(address));
    let own = |address: IpAddr| {
        interfaces.iter().any(|interface| interface.addresses.iter().any(|(a, _)| *a == address))
    };
    let mut settings = Vec::new();
    for (v6, family) in [(false, "ipv4"), (true, "ipv6")] {
        let mut networks =
            site.address_prefixes.iter().filter(|prefix| prefix.network().is_ipv6() == v6);
        // Behind a host whose networks are its own addresses there is nobody.
        if networks.all(|prefix| *prefix == Prefix::host(prefix.network()) && own(prefix.network()))
        {
            continue;
        }
        let is_meant = |interface: &&Interface| {
            let mut tunnels = connection.tunnels.iter();
            interface.addresses.iter().any(|(a, _)| a.is_ipv6() == v6 && of_site(*a))
                || tunnels.any(|tunnel| tunnel.interface.as_str() == interface.name)
        };
        let is_off = |name: &str| {
            let path = format!("/proc/sys/net/{family}/conf/{name}/forwarding");
            fs::read_to_string(path).is_ok_and(|text| text.trim() == "0")
        };
        let all = if is_off("all") { vec!["all"] } else { Vec::new() };
        let single = interfaces.iter().filter(is_meant).map(|it| it.name.as_str());
        let off: Vec<&str> = single.filter(|name| is_off(name)).collect();
        let has_own = interfaces
            .iter()
            .any(|it| it.addresses.iter().any(|(a, _)| a.is_ipv6() == v6 && of_site(*a)));
        let off = if has_own { off } else { all };
        settings.extend(off.iter().map(|name| format!("net.{family}.conf.{name}.forwarding")));
    }
    settings
}

/// The route of outer packets to an address.
pub fn route(remote: IpAddr, interfaces: &[Interface]) -> io::Result<RouteToGateway> {
    let source = UdpProbe::connect((remote, 500).into())?.local()?.ip();
    let has = |interface: &&Interface| interface.addresses.iter().any(|(own, _)| *own == source);
    Ok(RouteToGateway {
        source,
        interface: interfaces.iter().find(has).map(|found| found.name.clone()),
    })
}

/// The evidence of the true time; `files` are those that were written when the connection was set
/// up.
pub fn clock(files: &[PathBuf]) -> ClockFacts {
    let program = std::env::current_exe().ok();
    let written = files.iter().map(PathBuf::as_path).chain(program.as_deref());
    let newest = written.chain([Path::new(TIMESYNC)]).filter_map(written_at).max();
    let hardware = fs::read_to_string(HARDWARE_CLOCK).ok();
    ClockFacts {
        now: clock::now().unix,
        newest: newest.map(|(at, path)| (path.display().to_string(), at)),
        hardware: hardware.and_then(|text| text.trim().parse().ok()).map(UnixTime),
        synchronized: clock::is_synchronized(),
    }
}

fn written_at(path: &Path) -> Option<(UnixTime, &Path)> {
    let at = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((UnixTime(at.as_secs()), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_a_loopback_interface_and_a_route_to_itself() {
        let interfaces = interfaces();
        let own = "127.0.0.1".parse().unwrap();
        let route = route(own, &interfaces).unwrap();
        assert_eq!(route.source, own);
        let name = route.interface.unwrap();
        let found = interfaces.iter().find(|interface| interface.name == name).unwrap();
        assert!(found.addresses.iter().any(|(_, network)| network.length() == 8));
    }

    #[test]
    fn the_newest_file_is_found() {
        let facts = clock(&[PathBuf::from("/nonexistent/file")]);
        let (_, at) = facts.newest.expect("this program is a file");
        assert!(at.0 > 1_700_000_000 && at <= facts.now, "{at}");
    }
}
