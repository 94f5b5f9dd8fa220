//! The state machine of a tunnel over a kernel that only takes notes.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc;

use super::host::OuterEnds;
use super::host::{HostLane, TunnelHost};
use super::*;
use crate::crypto::keymat::EspKeys;
use crate::crypto::suite::{Aead, AesKey, EspProtection, Protection};
use crate::crypto::{EspSuite, Secret};
use crate::daemon::device::LinkControl;
use crate::dataplane::Forwarding;
use crate::ike::Slot;
use crate::ike::path::Port;
use crate::ike::sa::lifetime::{Deadlines, LimitPair};
use crate::rng::SeededRng;
use crate::state::{FdStore, fd_store};
use crate::sys::netlink::AddressPrefix;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::selector::set::SelectorSet;

const IN: u32 = 0x1000;
const OUT: u32 = 0x2000;

/// A kernel with one interface at most.
#[derive(Debug, Default)]
struct Kernel {
    calls: Vec<String>,
    /// Whether the interface is switched on; `None` if there is none.
    link: Option<bool>,
    /// The call that fails.
    failing: Option<&'static str>,
    /// Whether a running lane has noticed that the interface is gone.
    lane_lost: bool,
    /// The largest inner packet that the lane carries.
    carried: usize,
}

#[derive(Clone, Debug, Default)]
struct FakeHost(Rc<RefCell<Kernel>>);

impl FakeHost {
    fn call(&self, verb: &'static str, what: impl std::fmt::Display) -> io::Result<()> {
        let mut kernel = self.0.borrow_mut();
        kernel.calls.push(format!("{verb} {what}"));
        match kernel.failing {
            Some(failing) if failing == verb => Err(io::Error::from_raw_os_error(libc::EPERM)),
            _ => Ok(()),
        }
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }

    fn fail(&self, verb: Option<&'static str>) {
        self.0.borrow_mut().failing = verb;
    }

    /// Another program deletes the interface, and switches it off or on.
    fn set_link(&self, link: Option<bool>) {
        let mut kernel = self.0.borrow_mut();
        kernel.link = link;
        kernel.lane_lost = link.is_none();
    }
}

/// Stands for any descriptor.
#[derive(Debug)]
struct Fd(OwnedFd);

impl Fd {
    fn new() -> Fd {
        Fd(File::open("/dev/null").unwrap().into())
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[derive(Debug)]
struct FakeLane {
    host: FakeHost,
    device: Fd,
    socket: Fd,
    stray: Counters,
    _events: SyncSender<LaneEvent>,
}

impl TunnelHost for FakeHost {
    type Device = Fd;
    type Socket = Fd;
    type Lane = FakeLane;
    type Links = FakeHost;

    fn adopt_device(&self, fd: OwnedFd, plan: &DevicePlan) -> io::Result<Fd> {
        self.call("adopt", &plan.interface)?;
        Ok(Fd(fd))
    }

    fn create_device(&self, plan: &DevicePlan) -> io::Result<Fd> {
        self.call("create", &plan.interface)?;
        self.set_link(Some(false));
        Ok(Fd::new())
    }

    fn links(&self) -> io::Result<FakeHost> {
        Ok(self.clone())
    }

    fn adopt_socket(&self, fd: OwnedFd, _: &DevicePlan, ends: OuterEnds) -> Option<Fd> {
        self.call("kept-socket", ends.path.remote).ok()?;
        Some(Fd(fd))
    }

    fn open_socket(&self, _: &DevicePlan, ends: OuterEnds) -> io::Result<Fd> {
        self.call("socket", ends.path.local.ip())?;
        Ok(Fd::new())
    }

    fn connect_socket(&self, _: &Fd, ends: OuterEnds) -> io::Result<()> {
        self.call("connect", ends.path.remote)
    }

    fn start_lane(
        &self,
        device: Fd,
        socket: Fd,
        _: OuterEnds,
        _: &DevicePlan,
        _: Forwarding,
        events: SyncSender<LaneEvent>,
    ) -> io::Result<FakeLane> {
        self.call("lane", "starts")?;
        Ok(FakeLane {
            host: self.clone(),
            device,
            socket,
            stray: Counters::default(),
            _events: events,
        })
    }
}

impl HostLane for FakeLane {
    type Device = Fd;

    fn reconnect(&self, remote: SocketAddr) -> io::Result<()> {
        self.host.call("reconnect", remote)
    }

    fn stop(self) -> Option<(Fd, OwnedFd)> {
        self.host.call("lane", "stops").unwrap();
        Some((self.device, self.socket.0))
    }

    fn has_lost_device(&self) -> bool {
        self.host.0.borrow().lane_lost
    }

    fn send_error(&self) -> Option<io::Error> {
        None
    }

    fn path_mtu(&self) -> usize {
        1500
    }

    fn follow_path_mtu(&self) -> io::Result<usize> {
        Ok(self.host.0.borrow().carried)
    }

    fn is_responsive(&self, _: Instant) -> bool {
        true
    }

    fn stray_counters(&self) -> [&Counters; 2] {
        [&self.stray, &self.stray]
    }
}

impl LinkControl for FakeHost {
    fn is_up(&self, _: &str) -> io::Result<bool> {
        self.0.borrow().link.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    fn set_up(&self, _: &str) -> io::Result<()> {
        self.call("link", "up")?;
        self.set_link(Some(true));
        Ok(())
    }

    fn set_mtu(&self, _: &str, mtu: u16) -> io::Result<()> {
        self.call("mtu", mtu)
    }

    fn set_queue_len(&self, _: &str, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn seclude(&self, interface: &str) -> io::Result<()> {
        self.call("seclude", interface)
    }

    fn add_address(&self, _: &str, address: AddressPrefix) -> io::Result<()> {
        self.call("address", format_args!("{}/{}", address.address, address.length))
    }

    fn delete_link(&self, interface: &str) -> io::Result<()> {
        self.call("delete", interface)
    }
}

const MADE: [&str; 5] =
    ["create s2s0", "mtu 1400", "seclude s2s0", "address 10.0.0.1/32", "link up"];
const STARTED: [&str; 3] = ["socket 192.0.2.1", "connect 192.0.2.2:4500", "lane starts"];
const SET: [&str; 3] = ["mtu 1400", "seclude s2s0", "address 10.0.0.1/32"];

fn plan() -> DevicePlan {
    DevicePlan {
        connection: "site".to_owned(),
        interface: "s2s0".to_owned(),
        addresses: vec![AddressPrefix { address: [10, 0, 0, 1].into(), length: 32 }],
        mtu: None,
        mss: None,
        copy_dscp: false,
        offload: true,
        replay_window: 64,
        networks: Arc::new(InnerNetworks::everything()),
    }
}

fn path(remote: u8) -> Path {
    Path::new([192, 0, 2, 1].into(), [192, 0, 2, remote].into(), Port::NatT)
}

fn sa(child: u64, spi: u32) -> EspSa {
    let protection = EspProtection::Encrypted(Protection::Aead(Aead::AesGcm16(AesKey::Bits256)));
    let hard = |hard: u64| LimitPair { soft: hard / 2, hard };
    EspSa {
        peer: PeerId(1),
        child: ChildId(child),
        slot: Slot(0),
        spi: EspSpi(spi),
        suite: EspSuite { protection, group: None, esn: true },
        keys: EspKeys {
            encryption: Secret::copy_of(&vec![7; protection.encryption_key_len()]),
            integrity: Secret::copy_of(&[]),
        },
        selectors: ChildSelectors { local: SelectorSet::EMPTY, remote: SelectorSet::EMPTY },
        made_at: Instant(0),
        limits: Deadlines {
            time: LimitPair { soft: Instant(1 << 40), hard: Instant(1 << 41) },
            bytes: hard(1 << 40),
            packets: hard(1 << 40),
        },
        path: path(2),
        encapsulated: true,
    }
}

fn spi(number: u32) -> EspSpi {
    EspSpi(number)
}

fn state(inherited: Vec<(String, OwnedFd)>) -> PersistentState {
    PersistentState::open(FdStore::default(), inherited, &mut SeededRng(1)).unwrap().0
}

fn created(inherited: Vec<(String, OwnedFd)>) -> (FakeHost, RunningTunnel<FakeHost>) {
    let host = FakeHost::default();
    host.0.borrow_mut().link = (!inherited.is_empty()).then_some(true);
    host.0.borrow_mut().carried = 1400;
    let (events, _) = mpsc::channel(1);
    let mut state = state(inherited);
    let tunnel =
        RunningTunnel::create_on(host.clone(), PeerId(1), plan(), events, &mut state).unwrap();
    (host, tunnel)
}

/// A tunnel whose first pair of SAs is installed and active.
fn running() -> (FakeHost, RunningTunnel<FakeHost>) {
    let (host, mut tunnel) = created(Vec::new());
    tunnel.install_inbound(sa(1, IN)).unwrap();
    tunnel.install_outbound(sa(1, OUT)).unwrap();
    tunnel.activate_outbound(ChildId(1), spi(OUT));
    host.calls();
    (host, tunnel)
}

#[test]
fn the_device_is_made_at_once_and_the_lane_with_the_first_sa() {
    let (host, mut tunnel) = created(Vec::new());
    assert_eq!(host.calls(), MADE);
    assert_eq!((tunnel.is_inherited(), tunnel.path(), tunnel.can_send()), (false, None, false));
    assert_eq!((tunnel.set_path(path(3), true), tunnel.path()), (Ok(()), None), "no SA yet");
    tunnel.install_inbound(sa(1, IN)).unwrap();
    assert_eq!(host.calls(), STARTED);
    tunnel.install_outbound(sa(1, OUT)).unwrap();
    assert_eq!(host.calls(), [""; 0], "the ends are the same");
    tunnel.remove();
    assert_eq!(
        host.calls(),
        ["lane stops"; 0],
        "a device that nobody keeps goes when it is closed"
    );
}

#[test]
fn a_deleted_device_is_made_anew_with_its_addresses_under_its_sas() {
    let (host, mut tunnel) = running();
    host.set_link(None);
    assert!(tunnel.has_lost_device());
    tunnel.lose_device();
    assert_eq!(host.calls(), ["lane stops"]);
    let gone = Problem::DeviceGone { interface: "s2s0".to_owned() };
    assert_eq!(tunnel.device_problem(), Some(gone));
    tunnel.restore_device().unwrap();
    assert_eq!(host.calls(), [&MADE[..], &SET].concat());
    tunnel.ensure_lane().unwrap();
    // The socket is the lost lane's, with the packets that came meanwhile.
    assert_eq!(
        host.calls(),
        ["kept-socket 192.0.2.2:4500", "connect 192.0.2.2:4500", "lane starts"]
    );
    assert_eq!((tunnel.device_problem(), tunnel.can_send()), (None, true));
    assert!(tunnel.inbound_sa(spi(IN)).is_some());
}

#[test]
fn a_deletion_that_no_lane_noticed_is_found_by_the_look_at_the_link() {
    let (host, mut tunnel) = created(Vec::new());
    host.calls();
    host.set_link(None);
    assert!(tunnel.device_problem().is_some());
    tunnel.restore_device().unwrap();
    assert_eq!(host.calls(), [&MADE[..], &SET].concat());
}

#[test]
fn a_link_that_is_switched_off_is_a_problem_with_a_remedy() {
    let (host, mut tunnel) = running();
    host.set_link(Some(false));
    let problem = tunnel.device_problem().unwrap();
    assert_eq!(problem, Problem::DeviceDown { interface: "s2s0".to_owned() });
    assert!(problem.remedy().unwrap().contains("ip link set s2s0 up"));
    tunnel.restore_device().unwrap();
    assert_eq!(host.calls(), SET, "addresses come back; the operator's switch is left alone");
    assert!(tunnel.device_problem().is_some());
    host.set_link(Some(true));
    assert_eq!(tunnel.device_problem(), None);
}

#[test]
fn a_call_that_fails_is_tried_again() {
    let (host, mut tunnel) = running();
    for failing in ["create", "mtu", "address", "link"] {
        host.set_link(None);
        tunnel.lose_device();
        host.fail(Some(failing));
        let problem = tunnel.restore_device().unwrap_err();
        assert!(matches!(problem, Problem::DeviceNotMade { .. }), "{failing}: {problem}");
        assert!(problem.to_string().contains("CAP_NET_ADMIN"), "{problem}");
        assert!(tunnel.ensure_lane().is_err(), "{failing}");
        host.fail(None);
        tunnel.restore_device().unwrap();
        tunnel.ensure_lane().unwrap();
        assert_eq!(tunnel.device_problem(), None, "{failing}");
        assert_eq!(host.calls().last().unwrap(), "lane starts", "{failing}");
    }
    for failing in ["socket", "connect", "lane"] {
        let (host, mut tunnel) = created(Vec::new());
        host.fail(Some(failing));
        let problem = tunnel.install_inbound(sa(1, IN)).unwrap_err();
        assert!(matches!(problem, Problem::NotCarried { .. }), "{failing}: {problem}");
        assert!(tunnel.inbound_sa(spi(IN)).is_some(), "the SA waits for a lane");
        host.fail(None);
        tunnel.restore_device().unwrap();
        tunnel.ensure_lane().unwrap();
        assert_eq!(host.calls().last().unwrap(), "lane starts", "{failing}");
        tunnel.ensure_lane().unwrap();
        assert_eq!(host.calls(), [""; 0], "a lane that runs is left alone");
    }
}

#[test]
fn a_peer_that_moves_takes_the_socket_along_and_another_socket_needs_another_lane() {
    let (host, mut tunnel) = running();
    tunnel.set_path(path(3), true).unwrap();
    assert_eq!(host.calls(), ["reconnect 192.0.2.3:4500"]);
    assert_eq!(tunnel.path(), Some(path(3)));
    tunnel.set_path(path(3), false).unwrap();
    assert_eq!(
        host.calls(),
        ["socket 192.0.2.1", "connect 192.0.2.3:4500", "lane stops", "lane starts"]
    );
    assert!(!tunnel.is_encapsulated());
    tunnel.set_path(path(3), true).unwrap();
    host.calls();
    host.fail(Some("reconnect"));
    assert!(tunnel.set_path(path(4), true).is_err());
    assert_eq!(host.calls(), ["reconnect 192.0.2.4:4500", "lane stops"]);
    host.fail(None);
    tunnel.ensure_lane().unwrap();
    assert_eq!(host.calls(), ["socket 192.0.2.1", "connect 192.0.2.4:4500", "lane starts"]);
}

#[test]
fn the_devices_mtu_follows_the_path_and_is_never_above_the_configured_one() {
    let (host, mut tunnel) = running();
    for (carried, mtu) in [(1338, 1338), (1280, 1280), (1438, 1400)] {
        host.0.borrow_mut().carried = carried;
        tunnel.follow_path_mtu();
        assert_eq!((host.calls(), tunnel.mtu()), (vec![format!("mtu {mtu}")], mtu));
        tunnel.follow_path_mtu();
        assert_eq!(host.calls(), [""; 0], "once");
    }
    host.0.borrow_mut().carried = 1338;
    host.fail(Some("mtu"));
    tunnel.follow_path_mtu();
    assert_eq!(tunnel.mtu(), 1400, "what the device has");
    host.fail(None);
    tunnel.activate_outbound(ChildId(1), spi(OUT));
    assert_eq!(tunnel.mtu(), 1338, "tried again");
    host.calls();
    tunnel.restore_device().unwrap();
    let restored = [&["mtu 1338"][..], &SET[1..]].concat();
    assert_eq!(host.calls(), restored, "what another program changes comes back");
    tunnel.lose_device();
    host.0.borrow_mut().carried = 1400;
    tunnel.restore_device().unwrap();
    tunnel.ensure_lane().unwrap();
    assert_eq!(tunnel.mtu(), 1400, "another device, another lane");
}

#[test]
fn a_parked_tunnel_starts_no_lane() {
    let (host, mut tunnel) = running();
    tunnel.park();
    assert_eq!(host.calls(), ["lane stops"]);
    tunnel.ensure_lane().unwrap();
    tunnel.set_path(path(3), true).unwrap();
    assert_eq!(host.calls(), [""; 0]);
    assert_eq!(tunnel.positions().len(), 1);
    tunnel.release().unwrap();
    assert_eq!(host.calls(), ["socket 192.0.2.1", "connect 192.0.2.3:4500", "lane starts"]);
}

#[test]
fn the_next_process_takes_the_device_and_the_socket_over_and_starts_when_released() {
    let kept = |name: String| (name, OwnedFd::from(File::open("/dev/null").unwrap()));
    let both = || vec![kept(fd_store::device("s2s0")), kept(fd_store::lane("s2s0"))];
    let (host, mut tunnel) = created(both());
    assert!(tunnel.is_inherited());
    let (_, former) = running();
    let mut positions = former.positions();
    positions[0].outbound.as_mut().unwrap().next = 77;
    let past = Traffic { packets_out: 5, ..Traffic::default() };
    tunnel.resume(past, positions);
    tunnel.install_inbound(sa(1, IN)).unwrap();
    tunnel.install_outbound(sa(1, OUT)).unwrap();
    assert_eq!(host.calls(), ["adopt s2s0"]);
    assert_eq!(tunnel.positions()[0].outbound.unwrap().next, 77);
    assert_eq!(tunnel.traffic().packets_out, 5);
    tunnel.release().unwrap();
    // What a former process gave the device for a narrow path does not stay.
    assert_eq!(
        host.calls(),
        ["kept-socket 192.0.2.2:4500", "connect 192.0.2.2:4500", "lane starts", "mtu 1400"]
    );

    // Without an SA, nothing takes the socket over, and it must not swallow the peer's packets.
    let (host, mut tunnel) = created(both());
    tunnel.resume(Traffic::default(), Vec::new());
    tunnel.release().unwrap();
    tunnel.install_inbound(sa(1, IN)).unwrap();
    assert_eq!(host.calls(), [&["adopt s2s0"][..], &STARTED, &["mtu 1400"]].concat());
}

#[test]
fn children_are_installed_switched_and_removed_in_order() {
    let (_, mut tunnel) = running();
    let tables = |tunnel: &RunningTunnel<FakeHost>| {
        let tables = tunnel.data_path.forwarding.current();
        let inbound: Vec<EspSpi> = tables.inbound.iter().map(|sa| sa.spi).collect();
        let outbound: Vec<EspSpi> = tables.outbound.iter().map(|sa| sa.spi).collect();
        (inbound, outbound)
    };
    let (old_in, old_out, new_in, new_out) = (spi(IN), spi(OUT), spi(IN + 1), spi(OUT + 1));
    assert_eq!(tables(&tunnel), (vec![old_in], vec![old_out]));
    tunnel.install_inbound(sa(2, IN + 1)).unwrap();
    tunnel.install_outbound(sa(2, OUT + 1)).unwrap();
    assert_eq!(tables(&tunnel), (vec![new_in, old_in], vec![old_out]), "nothing leaves on it yet");
    assert_eq!((tunnel.is_active(ChildId(1)), tunnel.is_active(ChildId(2))), (true, false));
    tunnel.activate_outbound(ChildId(2), spi(OUT));
    assert_eq!(tables(&tunnel).1, [old_out], "an SPI that is not the child's switches nothing");
    tunnel.activate_outbound(ChildId(2), new_out);
    assert_eq!(tables(&tunnel), (vec![new_in, old_in], vec![new_out, old_out]));
    assert_eq!((tunnel.is_active(ChildId(1)), tunnel.is_active(ChildId(2))), (true, true));
    tunnel.displace_outbound(ChildId(1), old_out);
    assert_eq!(tables(&tunnel), (vec![new_in, old_in], vec![new_out]));
    assert_eq!((tunnel.is_active(ChildId(1)), tunnel.is_active(ChildId(2))), (false, true));
    tunnel.retire_outbound(ChildId(1), old_out);
    assert_eq!((tunnel.child_of(old_out), tunnel.child_of(old_in)), (None, Some(ChildId(1))));
    tunnel.remove_inbound(ChildId(1), old_in);
    assert_eq!(tables(&tunnel), (vec![new_in], vec![new_out]));
    assert_eq!(tunnel.children().map(|(id, _)| id).collect::<Vec<_>>(), [ChildId(2)]);
    tunnel.retire_outbound(ChildId(2), new_out);
    assert!(!tunnel.can_send());
}
