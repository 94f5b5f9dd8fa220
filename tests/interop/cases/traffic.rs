//! The whole of s2sd with traffic in the tunnel: both ways, through rekeys, restarts, a NAT and the
//! failure of a gateway.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use s2sd::sys::namespace::Namespace;
use s2sd::sys::netlink::{AddressPrefix, Hop, Netlink};
use s2sd::wire::packet::ip::IpVersion;

use crate::credentials::{azure, with_other_name};
use crate::daemon::{self, Daemon};
use crate::lab::traffic::{flood, transfer};
use crate::patience::{Failure, ensure, until};
use crate::place::Place;
use crate::strongswan::{self, Strongswan};
use crate::{Case, Verdict};

pub const CASES: &[Case] = &[
    Case { name: "tunnel: we dial, TCP both ways", run: we_dial },
    Case { name: "tunnel: strongSwan dials, TCP both ways", run: they_dial },
    Case { name: "tunnel: Azure's Default policy", run: default_policy },
    Case { name: "tunnel: AES-CBC with SHA-256", run: cbc },
    Case { name: "tunnel: rekeys from strongSwan under traffic", run: rekeys_there },
    Case { name: "tunnel: our child rekeys under traffic", run: rekeys_here },
    Case { name: "tunnel: policy-based, four pairs", run: policy_based },
    Case { name: "tunnel: NAT between, which forgets and rebinds", run: nat },
    Case { name: "tunnel: two tunnels, one fails and returns", run: two_tunnels },
    Case { name: "tunnel: strongSwan is killed and comes back", run: they_die },
    Case { name: "tunnel: s2sd is killed and comes back", run: we_die },
    Case { name: "tunnel: s2sd is stopped and started", run: we_restart },
    Case { name: "tunnel: a refusal, as the log tells it", run: refusal },
];

/// The daemon and its peer.
struct Tunnel {
    ours: Daemon,
    theirs: Strongswan,
    our_settings: daemon::Settings,
    their_settings: strongswan::Settings,
}

type Change<'a> = &'a dyn Fn(&mut daemon::Settings, &mut strongswan::Settings);

fn start(place: &Place, change: Change<'_>) -> Result<Tunnel, Failure> {
    let credentials = azure();
    let mut our_settings = daemon::Settings::new(&credentials[0]);
    let mut their_settings = strongswan::Settings::new(&credentials[1]);
    their_settings.esp = "aes256gcm16-ecp384".into();
    change(&mut our_settings, &mut their_settings);
    let theirs = place.strongswan(&their_settings)?;
    let ours = place.daemon(&our_settings)?;
    Ok(Tunnel { ours, theirs, our_settings, their_settings })
}

impl Tunnel {
    /// Waits until both ends say that the tunnel is up.
    fn wait_up(&self) -> Result<String, Failure> {
        let both = |failure: Failure| {
            failure.with("s2sd's log", &self.ours.log()).with("strongSwan's", &self.theirs.tail())
        };
        let line = self.ours.wait_log(0, &["child SA up"]).map_err(both)?;
        self.theirs.wait_log(0, &["CHILD_SA net{", "established"]).map_err(both)?;
        self.ours.wait_log(0, &["routes lead", "azure0"])?;
        let suite = line.split("suite=").nth(1).and_then(|rest| rest.split(' ').next());
        Ok(suite.unwrap_or("?").to_owned())
    }
}

/// An echo from one address to another, asked for again and again until it comes or patience ends.
fn echo(place: &Place, from: &str, to: &str, patience: Duration) -> Result<(), Failure> {
    let address = |text: &str| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0);
    let failed = |error: io::Error| Failure::new(&format!("an echo from {from} to {to}"), error);
    let short = Some(Duration::from_millis(100));
    let [asking, answering] = [(0, from), (1, to)].map(|(side, own)| {
        place.lab.hosts[side].run(|| {
            let socket = UdpSocket::bind(address(own))?;
            socket.set_read_timeout(short)?;
            Ok(socket)
        })
    });
    let (asking, answering) = (asking.map_err(failed)?, answering.map_err(failed)?);
    let there = answering.local_addr().map_err(failed)?;
    let mut buffer = [0; 64];
    until(&format!("an echo from {from} to {to}"), patience, || {
        asking.send_to(b"are you there", there).ok();
        if let Ok((count, back)) = answering.recv_from(&mut buffer) {
            answering.send_to(&buffer[..count], back).ok();
        }
        asking.recv(&mut buffer).is_ok().then_some(())
    })
}

const SOON: Duration = Duration::from_secs(10);
const HOSTS: [&str; 2] = ["10.1.0.10", "10.2.0.10"];

/// An echo, then megabytes each way, every octet checked.
fn traffic(place: &Place, tunnel: &Tunnel) -> Result<String, Failure> {
    let blame = |failure: Failure| {
        failure.with("s2sd's log", &tunnel.ours.log()).with("strongSwan's", &tunnel.theirs.tail())
    };
    echo(place, HOSTS[0], HOSTS[1], SOON).map_err(blame)?;
    let mut rates = Vec::new();
    for from in [0, 1] {
        const LEN: usize = 8 << 20;
        let time = transfer(&place.lab, from, IpVersion::V4, LEN)
            .map_err(|error| blame(Failure::new("a TCP stream", error)))?;
        rates.push(format!("{:.0}", LEN as f64 * 8.0 / 1e6 / time.as_secs_f64()));
    }
    Ok(format!("{} Mbit/s out/in", rates.join("/")))
}

fn up_and_traffic(place: &Place, change: Change<'_>) -> Verdict {
    let tunnel = start(place, change)?;
    let suite = tunnel.wait_up()?;
    Ok(format!("{suite}, {}", traffic(place, &tunnel)?))
}

fn we_dial(place: &Place) -> Verdict {
    up_and_traffic(place, &|ours, _| ours.mode = "ResponderOnly")
}

fn they_dial(place: &Place) -> Verdict {
    up_and_traffic(place, &|ours, theirs| {
        ours.mode = "InitiatorOnly";
        theirs.start = "start";
        theirs.connection = "keyingtries = 0".into();
        theirs.daemon = "retransmit_timeout = 0.5".into();
    })
}

fn default_policy(place: &Place) -> Verdict {
    up_and_traffic(place, &|ours, theirs| {
        ours.policy = "\"Default\"".into();
        (theirs.ike, theirs.esp) = ("aes256-sha256-modp1024".into(), "aes256gcm16".into());
    })
}

fn cbc(place: &Place) -> Verdict {
    up_and_traffic(place, &|ours, theirs| {
        ours.policy = daemon::POLICY
            .replace("ipsec_encryption = \"GCMAES256\"", "ipsec_encryption = \"AES256\"")
            .replace("ipsec_integrity = \"GCMAES256\"", "ipsec_integrity = \"SHA256\"");
        theirs.esp = "aes256-sha256-ecp384".into();
    })
}

/// Datagrams in a steady stream from each side while `work` is done; what was lost.
fn under_traffic(
    place: &Place,
    time: Duration,
    work: impl FnOnce() -> Result<(), Failure> + Send,
) -> Result<String, Failure> {
    const RATE: usize = 300;
    let floods = std::thread::scope(|scope| {
        let flows =
            [0, 1].map(|from| scope.spawn(move || flood(&place.lab, from, 200, RATE, time, true)));
        work()?;
        Ok::<_, Failure>(flows.map(|flow| flow.join().expect("no panic")))
    })?;
    let told = floods.map(|flood| format!("{} of {}", flood.sent - flood.received, flood.sent));
    let evidence = format!("{floods:?}");
    let lost: usize = floods.iter().map(|flood| flood.sent - flood.received).sum();
    let doubled: usize = floods.iter().map(|flood| flood.doubled).sum();
    ensure(doubled == 0, "datagrams arrived twice", &evidence)?;
    ensure(lost == 0, &format!("{lost} datagrams were lost"), &evidence)?;
    Ok(format!("lost out {}, in {}", told[0], told[1]))
}

fn rekeys_there(place: &Place) -> Verdict {
    const ROUNDS: usize = 4;
    let tunnel = start(place, &|_, _| {})?;
    tunnel.wait_up()?;
    echo(place, HOSTS[0], HOSTS[1], SOON)?;
    let lost = under_traffic(place, Duration::from_secs(8), || {
        for _ in 0..ROUNDS {
            let (here, there) = (tunnel.ours.log().len(), tunnel.theirs.log().len());
            tunnel.theirs.control(&["--rekey", "--child", "net"])?;
            tunnel.ours.wait_log(here, &["child SA up", "rekeyed)"])?;
            tunnel.theirs.wait_log(there, &["CHILD_SA closed"])?;
            tunnel.theirs.control(&["--rekey", "--ike", "s2s"])?;
            tunnel.ours.wait_log(here, &["IKE SA rekeyed"])?;
            tunnel.theirs.wait_log(there, &["IKE_SA deleted"])?;
        }
        Ok(())
    })
    .map_err(|failure| failure.with("s2sd's log", &tunnel.ours.log()))?;
    Ok(format!("{ROUNDS} of each kind, {lost}"))
}

fn rekeys_here(place: &Place) -> Verdict {
    let tunnel = start(place, &|ours, _| {
        ours.tunnel = "child_rekey_seconds = 30\nike_rekey_seconds = 30".into();
    })?;
    tunnel.wait_up()?;
    echo(place, HOSTS[0], HOSTS[1], SOON)?;
    let lost = under_traffic(place, Duration::from_secs(36), || {
        until("our own rekeys", Duration::from_secs(35), || {
            let log = tunnel.ours.log();
            (log.contains("rekeyed)") && log.contains("IKE SA rekeyed")).then_some(())
        })
    })
    .map_err(|failure| failure.with("s2sd's log", &tunnel.ours.log()))?;
    Ok(format!("child and IKE, {lost}"))
}

fn policy_based(place: &Place) -> Verdict {
    place.add_address(&place.lab.hosts[0], "10.1.0.200")?;
    place.add_address(&place.lab.hosts[1], "10.2.0.200")?;
    place.add_address(&place.lab.gateways[1], "10.2.0.201")?;
    let halves = |net: &str| vec![format!("{net}.0/25"), format!("{net}.128/25")];
    let tunnel = start(place, &|ours, theirs| {
        ours.local = halves("10.1.0");
        ours.remote = halves("10.2.0");
        ours.connection += "\nuse_policy_based_traffic_selectors = true";
        theirs.local_ts = "10.2.0.0/25".into();
        theirs.remote_ts = "10.1.0.0/25".into();
        theirs.children = [("two", "0/25", "128/25"), ("three", "128/25", "0/25"), ("four", "128/25", "128/25")]
            .map(|(name, local, remote)| {
                format!("{name} {{ local_ts = 10.2.0.{local}\nremote_ts = 10.1.0.{remote}\nesp_proposals = aes256gcm16-ecp384 }}\n")
            })
            .concat();
    })?;
    tunnel.wait_up()?;
    for name in ["two", "three", "four"] {
        tunnel.theirs.wait_log(0, &[&format!("CHILD_SA {name}{{"), "established"])?;
    }
    for from in ["10.1.0.10", "10.1.0.200"] {
        for to in ["10.2.0.10", "10.2.0.200"] {
            echo(place, from, to, SOON)?;
        }
    }
    Ok("an echo through each".into())
}

/// Runs a program inside a namespace; it has to succeed.
fn run_in(namespace: &Namespace, program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let output = namespace.run(|| Command::new(program).args(arguments).output());
    let output = output.map_err(|error| Failure::new(program, error))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.success(), &format!("{program} {}", arguments.join(" ")), said)
}

/// Puts a translator between the gateways: s2sd is 192.168.7.2 behind 203.0.113.1.
fn translate(place: &Place) -> Result<Namespace, Failure> {
    let failed = |error: io::Error| Failure::new("the network with a NAT", error);
    let nat = Namespace::create().map_err(failed)?;
    let [ours, theirs] = &place.lab.gateways;
    let prefix =
        |text: &str, length| AddressPrefix { address: text.parse::<IpAddr>().unwrap(), length };
    let build = || {
        ours.run(|| {
            let netlink = Netlink::open()?;
            netlink.delete_link("wan")?;
            netlink.add_veth("wan", "inside", &nat)?;
            netlink.add_address("wan", prefix("192.168.7.2", 24))?;
            netlink.set_up("wan")
        })?;
        theirs.run(|| Netlink::open()?.add_veth("wan", "outside", &nat))?;
        theirs.run(|| {
            let netlink = Netlink::open()?;
            netlink.add_address("wan", prefix("203.0.113.2", 24))?;
            netlink.set_up("wan")
        })?;
        nat.run(|| {
            let netlink = Netlink::open()?;
            netlink.add_address("inside", prefix("192.168.7.1", 24))?;
            netlink.add_address("outside", prefix("203.0.113.1", 24))?;
            netlink.set_up("inside")?;
            netlink.set_up("outside")?;
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
        })?;
        ours.run(|| {
            let via = Hop::Via("192.168.7.1".parse().unwrap());
            Netlink::open()?.add_route(prefix("0.0.0.0", 0), via)
        })
    };
    build().map_err(failed)?;
    let rules = "table ip nat { chain post { type nat hook postrouting priority 100; \
                 oifname \"outside\" masquerade fully-random; }; }";
    run_in(&nat, "nft", &[rules])?;
    Ok(nat)
}

fn nat(place: &Place) -> Verdict {
    let nat = translate(place)?;
    let tunnel = start(place, &|_, _| {})?;
    tunnel.wait_up()?;
    let rates = traffic(place, &tunnel)?;
    let from = tunnel.theirs.log().len();
    // The NAT forgets what was silent for a second: the next sign of life leaves from another port,
    // which strongSwan takes up with a rekey, for its SAs in userspace cannot move.
    remember(&nat, 1)?;
    tunnel
        .theirs
        .wait_log(from, &["remote endpoint changed from 203.0.113.1["])
        .map_err(|failure| failure.with("s2sd's log", &tunnel.ours.log()))?;
    remember(&nat, 120)?;
    traffic(place, &tunnel)?;
    Ok(format!("{rates}, and again from a new port"))
}

/// Has a NAT remember a silent stream for so many seconds.
fn remember(nat: &Namespace, seconds: u32) -> Result<(), Failure> {
    let write = || {
        for name in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            std::fs::write(format!("/proc/sys/net/netfilter/{name}"), seconds.to_string())?;
        }
        Ok(())
    };
    nat.run(write).map_err(|error| Failure::new("the NAT's memory", error))
}

/// A second gateway of the same virtual network: 203.0.113.3, with a way of its own to host 1.
fn second_gateway(place: &Place) -> Result<Namespace, Failure> {
    let other = Namespace::create().map_err(|error| Failure::new("a gateway", error))?;
    let prefix =
        |text: &str, length| AddressPrefix { address: text.parse::<IpAddr>().unwrap(), length };
    let build = || {
        place.lab.gateways[0].run(|| {
            let netlink = Netlink::open()?;
            netlink.add_veth("wan2", "wan", &other)?;
            netlink.set_up("wan2")?;
            netlink.add_route(prefix("203.0.113.3", 32), Hop::Device("wan2"))
        })?;
        place.lab.hosts[1].run(|| {
            let netlink = Netlink::open()?;
            netlink.add_veth("lan2", "lan", &other)?;
            netlink.add_address("lan2", prefix("10.2.9.10", 24))?;
            netlink.set_up("lan2")
        })?;
        other.run(|| {
            let netlink = Netlink::open()?;
            netlink.set_up("lo")?;
            netlink.add_address("wan", prefix("203.0.113.3", 32))?;
            netlink.add_address("lan", prefix("10.2.9.1", 24))?;
            netlink.add_address("lan", prefix("10.2.0.3", 32))?;
            netlink.set_up("wan")?;
            netlink.set_up("lan")?;
            netlink.add_route(prefix("203.0.113.1", 32), Hop::Device("wan"))?;
            netlink.add_route(prefix("10.2.0.0", 24), Hop::Via("10.2.9.10".parse().unwrap()))?;
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
        })
    };
    build().map_err(|error| Failure::new("the network with two gateways", error))?;
    Ok(other)
}

/// Has host 1 answer through the one gateway or the other, as a virtual network does when one
/// fails.
fn answer_through(place: &Place, gateway: &str) -> Result<(), Failure> {
    run_in(&place.lab.hosts[1], "ip", &["route", "replace", "10.1.0.0/24", "via", gateway])
}

fn two_tunnels(place: &Place) -> Verdict {
    let other = second_gateway(place)?;
    let mut tunnel = start(place, &|ours, _| ours.there.push("203.0.113.3".into()))?;
    let mut second_settings = tunnel.their_settings.clone();
    second_settings.here = "203.0.113.3".into();
    let second = Strongswan::start(&other, &place.directory.join("second"), &second_settings)?;
    tunnel.wait_up()?;
    second.wait_log(0, &["CHILD_SA net{", "established"])?;
    tunnel.ours.wait_log(0, &["routes lead", "azure0, azure1"])?;
    echo(place, HOSTS[0], HOSTS[1], SOON)?;
    let from = tunnel.ours.log().len();
    tunnel.theirs.kill();
    answer_through(place, "10.2.9.1")?;
    tunnel.ours.wait_log(from, &["routes lead", "into azure1)"])?;
    echo(place, HOSTS[0], HOSTS[1], SOON)?;
    tunnel.theirs = place.strongswan(&tunnel.their_settings)?;
    tunnel.ours.wait_log(from, &["routes lead", "into azure0, azure1)"])?;
    echo(place, HOSTS[0], HOSTS[1], SOON)?;
    Ok("the routes follow".into())
}

fn they_die(place: &Place) -> Verdict {
    let mut tunnel = start(place, &|_, _| {})?;
    tunnel.wait_up()?;
    traffic(place, &tunnel)?;
    let from = tunnel.ours.log().len();
    tunnel.theirs.kill();
    tunnel.ours.wait_log(from, &["IKE SA down", "the peer does not answer"])?;
    tunnel.ours.wait_log(from, &["the routes are removed"])?;
    tunnel.theirs = place.strongswan(&tunnel.their_settings)?;
    tunnel.ours.wait_log(from, &["child SA up"])?;
    Ok(format!("noticed, redialled, {}", traffic(place, &tunnel)?))
}

fn we_die(place: &Place) -> Verdict {
    let mut tunnel = start(place, &|_, _| {})?;
    tunnel.wait_up()?;
    traffic(place, &tunnel)?;
    let (here, there) = (tunnel.ours.log().len(), tunnel.theirs.log().len());
    tunnel.ours.kill();
    tunnel.ours = place.daemon(&tunnel.our_settings)?;
    tunnel.ours.wait_log(here, &["child SA up"])?;
    tunnel.theirs.wait_log(there, &["CHILD_SA net{", "established"])?;
    traffic(place, &tunnel)
}

fn we_restart(place: &Place) -> Verdict {
    let mut tunnel = start(place, &|_, _| {})?;
    tunnel.wait_up()?;
    let (here, there) = (tunnel.ours.log().len(), tunnel.theirs.log().len());
    tunnel.ours.stop()?;
    tunnel.theirs.wait_log(there, &["received DELETE for IKE_SA s2s"])?;
    tunnel.ours = place.daemon(&tunnel.our_settings)?;
    tunnel.ours.wait_log(here, &["child SA up"])?;
    traffic(place, &tunnel)
}

fn refusal(place: &Place) -> Verdict {
    let credentials = with_other_name(1);
    let theirs = place.strongswan(&strongswan::Settings::new(&credentials[1]))?;
    let ours = place.daemon(&daemon::Settings::new(&credentials[0]))?;
    let line = ours.wait_log(0, &["VNet1-to-Site1", "Somebody-else", "Outbound-certificate"])?;
    theirs.wait_log(0, &["parsed INFORMATIONAL request", "N(AUTH_FAILED)"])?;
    Ok(line)
}
