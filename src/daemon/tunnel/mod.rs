//! One tunnel's packets: the device, the lane, and the child SAs as the IKE engine wants them.
//!
//! The device lives as long as the configuration has the tunnel, and over restarts too where a file
//! descriptor store has a copy of its descriptor. The lane starts with the first SA, when the outer
//! addresses are known, and starts anew when more than the peer's address changes. SAs outlive
//! both: a device that another program deleted is made anew under its SAs, and a lane that could
//! not start finds them when it can.
//!
//! | file | noun |
//! |---|---|
//! | [`data_path`] | the state machine of device, socket and lane, drawn |
//! | [`child_table`] | child SAs installed, switched and removed in the data plane |
//! | [`host`] | the kernel behind traits: devices, links, sockets, lanes |

mod child_table;
mod data_path;
mod host;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use self::child_table::ChildTable;
use self::data_path::DataPath;
use self::host::OuterEnds;
use self::host::{HostLane, KernelHost, TunnelHost};
use super::child::Child;
use super::device::DevicePlan;
use super::problem::Problem;
use super::traffic::Traffic;
use crate::dataplane::{InboundSa, InnerNetworks, LaneEvent};
use crate::esp::{Counters, DropReason};
use crate::ike::endpoint::output::EspSa;
use crate::ike::path::Path;
use crate::ike::{ChildId, PeerId};
use crate::state::PersistentState;
use crate::state::inventory::Position;
use crate::time::Instant;
use crate::wire::spi::EspSpi;

/// An event of the lane of a peer's tunnel.
pub(crate) type PeerLaneEvent = (PeerId, LaneEvent);

/// One tunnel's data plane.
#[derive(Debug)]
pub(crate) struct RunningTunnel<H: TunnelHost = KernelHost> {
    data_path: DataPath<H>,
    children: ChildTable,
    /// Whether a former process made the device.
    inherited: bool,
}

impl RunningTunnel {
    /// Makes the device, or takes over the one that a former process left. Needs CAP_NET_ADMIN.
    pub(crate) fn create(
        peer: PeerId,
        plan: DevicePlan,
        events: Sender<PeerLaneEvent>,
        persistent: &mut PersistentState,
    ) -> Result<RunningTunnel, Problem> {
        RunningTunnel::create_on(KernelHost, peer, plan, events, persistent)
    }
}

impl<H: TunnelHost> RunningTunnel<H> {
    fn create_on(
        host: H,
        peer: PeerId,
        plan: DevicePlan,
        events: Sender<PeerLaneEvent>,
        persistent: &mut PersistentState,
    ) -> Result<RunningTunnel<H>, Problem> {
        let (data_path, inherited) = DataPath::new(host, peer, plan, events, persistent)?;
        let ledger = persistent.handles.ledger.clone();
        let children = ChildTable::new(data_path.forwarding.clone(), ledger);
        Ok(RunningTunnel { data_path, children, inherited })
    }

    /// Goes on with what a former process had: SAs begin at these positions, and no lane starts
    /// before [`RunningTunnel::release`].
    pub(crate) fn resume(&mut self, past: Traffic, positions: Vec<Position>) {
        self.data_path.park();
        self.children.recover(past, positions);
    }

    /// Whether a former process made the device: then the device has its routes already.
    pub(crate) fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// Ends [`RunningTunnel::resume`]: the lane may run.
    pub(crate) fn release(&mut self) -> Result<(), Problem> {
        self.children.forget_recovered();
        self.data_path.release()
    }

    /// Stops the lane for good: packets wait in the kernel for the next process.
    pub(crate) fn park(&mut self) {
        self.data_path.park();
    }

    /// The position of each SA, exact while no lane runs.
    pub(crate) fn positions(&self) -> Vec<Position> {
        self.children.positions()
    }

    /// Whether the lane that runs has lost its device.
    pub(crate) fn has_lost_device(&self) -> bool {
        self.data_path.lane().is_some_and(HostLane::has_lost_device)
    }

    /// Another program deleted the device. SAs stay, and the socket with the packets in it.
    pub(crate) fn lose_device(&mut self) {
        self.data_path.lose_device();
    }

    /// Makes the device anew if it is gone, and gives it its MTU and addresses again.
    pub(crate) fn restore_device(&mut self) -> Result<(), Problem> {
        self.data_path.restore_device()
    }

    /// Starts a lane if SAs need one that is not there.
    pub(crate) fn ensure_lane(&mut self) -> Result<(), Problem> {
        self.data_path.ensure_lane()
    }

    /// What is wrong with the device, if no packet can pass it.
    pub(crate) fn device_problem(&self) -> Option<Problem> {
        self.data_path.device_problem()
    }

    /// Why the last packets did not leave.
    pub(crate) fn send_problem(&self) -> Option<Problem> {
        self.data_path.lane().and_then(HostLane::send_error).map(|error| Problem::send(&error))
    }

    /// Deletes the device, also the copy in the file descriptor store.
    pub(crate) fn remove(self) {
        self.data_path.remove();
    }

    /// The name of the device's interface.
    pub(crate) fn interface(&self) -> &str {
        &self.data_path.plan.interface
    }

    /// Sets the addresses between which the peer may send.
    pub(crate) fn set_networks(&mut self, networks: Arc<InnerNetworks>) {
        self.data_path.set_networks(networks);
    }

    /// The outer addresses, once there was an SA.
    pub(crate) fn path(&self) -> Option<Path> {
        self.data_path.ends().map(|ends| ends.path)
    }

    /// Whether ESP travels in UDP (NAT traversal, RFC 3948).
    pub(crate) fn is_encapsulated(&self) -> bool {
        self.data_path.ends().is_none_or(|ends| ends.encapsulated)
    }

    /// The path MTU: the largest outer packet that is believed to arrive.
    pub(crate) fn path_mtu(&self) -> Option<usize> {
        self.data_path.lane().map(HostLane::path_mtu)
    }

    /// The MTU of the device.
    pub(crate) fn mtu(&self) -> u16 {
        self.data_path.mtu()
    }

    /// Gives the device the MTU that the path leaves.
    pub(crate) fn follow_path_mtu(&mut self) {
        self.data_path.follow_path_mtu();
    }

    /// Whether the lane's threads have shown lately that they run; true if there is no lane.
    pub(crate) fn is_responsive(&self, now: Instant) -> bool {
        self.data_path.lane().is_none_or(|lane| lane.is_responsive(now))
    }

    /// The child SAs.
    pub(crate) fn children(&self) -> impl Iterator<Item = (ChildId, &Child)> {
        self.children.iter()
    }

    /// Whether any traffic can leave.
    pub(crate) fn can_send(&self) -> bool {
        self.children.can_send()
    }

    /// Whether traffic leaves on this child.
    pub(crate) fn is_active(&self, child: ChildId) -> bool {
        self.children.is_active(child)
    }

    /// What moved since the tunnel was made, over restarts too.
    pub(crate) fn traffic(&self) -> Traffic {
        self.children.traffic()
    }

    /// The inbound SAs on which packets came since the last call.
    pub(crate) fn newly_heard(&mut self) -> Vec<EspSpi> {
        self.children.newly_heard()
    }

    /// How many packets were dropped, by reason: of the present SAs, and of no SA.
    pub(crate) fn drops(&self) -> BTreeMap<&'static str, u64> {
        let mut drops = BTreeMap::new();
        let mut add = |counters: &Counters| {
            for (reason, count) in counters.all_drops() {
                *drops.entry(DropReason::name(reason)).or_default() += count;
            }
        };
        if let Some(lane) = self.data_path.lane() {
            lane.stray_counters().into_iter().for_each(&mut add);
        }
        self.children.counters().for_each(&mut add);
        drops
    }

    /// The child that has this SPI in either direction.
    pub(crate) fn child_of(&self, spi: EspSpi) -> Option<ChildId> {
        self.children.child_of(spi)
    }

    /// The inbound SA of this SPI.
    pub(crate) fn inbound_sa(&self, spi: EspSpi) -> Option<&Arc<InboundSa>> {
        self.children.inbound_sa(spi)
    }

    /// Receives on this SA from now on. If no lane can start now, the SA waits for one.
    pub(crate) fn install_inbound(&mut self, sa: EspSa) -> Result<(), Problem> {
        let ends = OuterEnds { path: sa.path, encapsulated: sa.encapsulated };
        self.children.install_inbound(sa, &self.data_path.plan).map_err(not_installed)?;
        self.data_path.set_ends(ends)
    }

    /// Has this SA ready for sending, as [`RunningTunnel::activate_outbound`] will do.
    pub(crate) fn install_outbound(&mut self, sa: EspSa) -> Result<(), Problem> {
        let ends = OuterEnds { path: sa.path, encapsulated: sa.encapsulated };
        self.children.install_outbound(sa, &self.data_path.plan).map_err(not_installed)?;
        self.data_path.set_ends(ends)
    }

    /// Sends on this SA what its selectors cover, in preference to the SAs before it.
    pub(crate) fn activate_outbound(&mut self, child: ChildId, spi: EspSpi) {
        self.children.activate_outbound(child, spi);
        // Each suite leaves another room for the inner packet.
        self.data_path.follow_path_mtu();
    }

    /// Sends nothing on this SA until it is activated again.
    pub(crate) fn displace_outbound(&mut self, child: ChildId, spi: EspSpi) {
        self.children.displace_outbound(child, spi);
        self.data_path.follow_path_mtu();
    }

    /// Never sends on this SA again.
    pub(crate) fn retire_outbound(&mut self, child: ChildId, spi: EspSpi) {
        self.children.retire_outbound(child, spi);
    }

    /// No longer receives on this SA.
    pub(crate) fn remove_inbound(&mut self, child: ChildId, spi: EspSpi) {
        self.children.remove_inbound(child, spi);
    }

    /// Sends to another outer address of the peer, once there is an SA.
    pub(crate) fn set_path(&mut self, path: Path, encapsulated: bool) -> Result<(), Problem> {
        match self.data_path.ends() {
            Some(_) => self.data_path.set_ends(OuterEnds { path, encapsulated }),
            None => Ok(()),
        }
    }
}

fn not_installed(error: io::Error) -> Problem {
    Problem::NotCarried { cause: error.into() }
}
