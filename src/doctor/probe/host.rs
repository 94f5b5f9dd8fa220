//! Facts about this host: its addresses, its route to a gateway, and evidence of the true time.

use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::config::prefix::Prefix;
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
