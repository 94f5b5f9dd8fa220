//! The descriptors as both loops use them, and what follows when the socket refuses a packet.
//!
//! | error of sending | reaction |
//! |---|---|
//! | EAGAIN | full socket: wait for `PATIENCE`, then drop the batch |
//! | EMSGSIZE | ask for the path MTU, drop; the next such packet gets an ICMP error |
//! | EIO, EINVAL for a run | send each packet by itself; if that works, no GSO from now on |
//! | ENOBUFS, ENOMEM | full queue below: drop, as a router does |
//! | EPERM, EINVAL, EADDRNOTAVAIL | local firewall, local address gone: drop; `outage` reports it |
//! | any other | perhaps an ICMP error about an earlier packet: send again, then drop |
//!
//! Each packet that is not sent is in the counter of one reason. No error ends a lane, and none is
//! retried without end.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::Duration;

use tracing::warn;

use super::egress::EgressPort;
use super::event::LaneEvent;
use super::ingress::IngressPort;
use super::shared::Shared;
use crate::esp::{DropReason, PacketTally};
use crate::sys::clock;
use crate::sys::mmsg::Run;
use crate::sys::poll;
use crate::sys::send_error::SendError;
use crate::wire::packet::vnet::VnetHeader;

/// How long egress waits for a full socket before it drops the packets.
const PATIENCE: Duration = Duration::from_millis(100);

/// The descriptors of a lane, as one batch uses them.
pub(super) struct LanePort<'l> {
    shared: &'l Shared,
    /// The error of the last packet that the socket refused.
    refused: Option<io::Error>,
    /// Whether this batch waited for the socket in vain.
    is_full: bool,
}

/// The reaction to an error of sending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reaction {
    Wait,
    Again,
    Singly,
    Drop(DropReason),
}

impl Reaction {
    /// The reaction for a message of so many packets; `retried` when it was sent once before.
    fn to(error: &io::Error, packets: usize, retried: bool) -> Reaction {
        match error.raw_os_error() {
            Some(libc::EAGAIN) if !retried => return Reaction::Wait,
            Some(libc::EIO | libc::EINVAL) if packets > 1 => return Reaction::Singly,
            _ => {}
        }
        match SendError::of(error) {
            SendError::NoRoom => Reaction::Drop(DropReason::NoRoom),
            SendError::TooBig => Reaction::Drop(DropReason::PathShrank),
            SendError::Firewall => Reaction::Drop(DropReason::Firewall),
            SendError::NoAddress => Reaction::Drop(DropReason::NoAddress),
            _ if !retried => Reaction::Again,
            SendError::NoRoute => Reaction::Drop(DropReason::NoRoute),
            SendError::Other => Reaction::Drop(DropReason::SendFailed),
        }
    }
}

impl<'l> LanePort<'l> {
    pub(super) fn new(shared: &'l Shared) -> LanePort<'l> {
        LanePort { shared, refused: None, is_full: false }
    }

    /// Sends runs; the number of messages that left.
    fn push(&mut self, buffer: &[u8], runs: &[Run], lost: &mut PacketTally) -> usize {
        let socket = &self.shared.parts.socket;
        let (mut rest, mut left, mut retried) = (runs, 0, false);
        while !rest.is_empty() && !self.shared.stopped() {
            let (sent, result) = socket.send(buffer, rest);
            left += sent;
            retried &= sent == 0;
            rest = &rest[sent..];
            let (Some((run, after)), Err(error)) = (rest.split_first(), result) else { break };
            match Reaction::to(&error, run.count(), retried) {
                Reaction::Wait if self.has_room() => {
                    retried = true;
                    continue;
                }
                Reaction::Wait => {
                    rest.iter().for_each(|run| lost.drop(DropReason::NoRoom, packets(run)));
                    break;
                }
                Reaction::Again => {
                    retried = true;
                    continue;
                }
                Reaction::Singly => left += self.push_singly(buffer, *run, &error, lost),
                Reaction::Drop(reason) => {
                    if reason == DropReason::PathShrank {
                        self.shared.refresh_path_mtu();
                    }
                    lost.drop(reason, packets(run));
                    self.refused = Some(error);
                }
            }
            (rest, retried) = (after, false);
        }
        left
    }

    /// Sends the packets of a run one by one, after GSO was refused. EIO: the device cannot
    /// complete checksums. EINVAL: the device cannot segment; or, from some kernels, the segments
    /// do not fit the path any longer, and each is refused with EMSGSIZE; or the local address is
    /// gone, and none is sent.
    fn push_singly(
        &mut self,
        buffer: &[u8],
        run: Run,
        error: &io::Error,
        lost: &mut PacketTally,
    ) -> usize {
        let Shared { parts, .. } = self.shared;
        self.shared.refresh_path_mtu();
        let left = run.singles().map(|single| self.push(buffer, &[single], lost)).sum();
        if left > 0 && self.shared.fits(run.segment) && parts.socket.disable_gso() {
            warn!(connection = parts.connection, %error, "the kernel or the device refuses UDP GSO; each packet is sent by itself from now on");
        }
        left
    }

    /// Waits until the socket has room, at most [`PATIENCE`], and only once in a batch that waited
    /// in vain.
    fn has_room(&mut self) -> bool {
        let Shared { parts, waker, .. } = self.shared;
        let ready = || poll::writable(parts.socket.as_fd(), waker, Some(PATIENCE));
        let has_room = !self.is_full && ready().is_ok_and(|ready| ready.io);
        self.is_full = !has_room;
        has_room
    }
}

fn packets(run: &Run) -> u32 {
    u32::try_from(run.count()).unwrap_or(u32::MAX)
}

impl EgressPort for LanePort<'_> {
    fn send(&mut self, buffer: &[u8], runs: &[Run], lost: &mut PacketTally) {
        let left = self.push(buffer, runs, lost);
        let (outage, connection) = (&self.shared.outage, &self.shared.parts.connection);
        match self.refused.take() {
            _ if left > 0 => outage.end(connection),
            Some(error) => outage.begin(connection, &error, clock::now().mono),
            None => {}
        }
    }

    fn reply(&mut self, packet: &[u8]) {
        let header = VnetHeader::default().to_bytes();
        let tun = &self.shared.parts.tun;
        if tun.write(&[IoSlice::new(&header), IoSlice::new(packet)]).is_ok() {
            self.shared.counters.replied();
        }
    }

    fn tell(&mut self, event: LaneEvent) {
        self.shared.tell(event);
    }
}

impl IngressPort for LanePort<'_> {
    fn deliver(&mut self, frame: &[IoSlice<'_>]) -> bool {
        self.shared.parts.tun.write(frame).is_ok()
    }

    fn tell(&mut self, event: LaneEvent) -> bool {
        self.shared.tell(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of an error that stays, for one packet and for several: reactions in their order.
    fn course(errno: i32, packets: usize) -> Vec<Reaction> {
        let error = io::Error::from_raw_os_error(errno);
        let mut all = vec![Reaction::to(&error, packets, false)];
        if matches!(all[0], Reaction::Wait | Reaction::Again) {
            all.push(Reaction::to(&error, packets, true));
        }
        all
    }

    #[test]
    fn every_error_ends_in_a_counter_of_its_reason() {
        use DropReason::*;
        use Reaction::{Again, Drop, Singly, Wait};
        let cases: &[(i32, &[Reaction])] = &[
            (libc::EAGAIN, &[Wait, Drop(NoRoom)]),
            (libc::ENOBUFS, &[Drop(NoRoom)]),
            (libc::ENOMEM, &[Drop(NoRoom)]),
            (libc::EMSGSIZE, &[Drop(PathShrank)]),
            (libc::EPERM, &[Drop(Firewall)]),
            (libc::EADDRNOTAVAIL, &[Drop(NoAddress)]),
            (libc::ENETUNREACH, &[Again, Drop(NoRoute)]),
            (libc::EHOSTUNREACH, &[Again, Drop(NoRoute)]),
            (libc::ENETDOWN, &[Again, Drop(NoRoute)]),
            (libc::ECONNREFUSED, &[Again, Drop(SendFailed)]),
            (libc::EINTR, &[Again, Drop(SendFailed)]),
            (libc::EBADF, &[Again, Drop(SendFailed)]),
        ];
        for (errno, reactions) in cases {
            for packets in [1, 40] {
                assert_eq!(course(*errno, packets), *reactions, "{errno}");
            }
        }
        for errno in [libc::EIO, libc::EINVAL] {
            assert_eq!(course(errno, 40), [Singly]);
        }
        assert_eq!(course(libc::EINVAL, 1), [Drop(NoAddress)]);
        assert_eq!(course(libc::EIO, 1), [Again, Drop(SendFailed)]);
    }
}
