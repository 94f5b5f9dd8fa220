//! The descriptors as both loops use them, and what follows when the socket refuses a packet.
//!
//! | error of sending | reaction |
//! |---|---|
//! | EAGAIN | full socket: wait for `PATIENCE`, then drop the batch |
//! | EMSGSIZE for a run | as for EIO, but GSO stays |
//! | EMSGSIZE | the link's MTU is noted, drop; the next such packet gets an ICMP error |
//! | EIO, EINVAL for a run | send each packet by itself; if that works, no GSO from now on |
//! | ENOBUFS, ENOMEM | full queue below: drop, as a router does |
//! | EPERM, EINVAL, EADDRNOTAVAIL | local firewall, local address gone: drop; `outage` reports it |
//! | EMSGSIZE, any other | perhaps an ICMP error about an earlier packet: send again first |
//!
//! Each packet that is not sent is in the counter of one reason. No error ends a lane, and none is
//! retried without end.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
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

/// How often a message is sent before an error counts as the message's own.
const TRIES: u32 = 4;

/// How many more tries a message has for errors that the socket's error queue explains: each ICMP
/// error, which anybody may send, fails one send of whatever is sent next.
const FOREIGN: u32 = 1024;

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
    /// The reaction for a message of so many packets, after so many failures of sending it.
    fn to(error: &io::Error, packets: usize, failures: u32) -> Reaction {
        match error.raw_os_error() {
            Some(libc::EAGAIN) if failures == 1 => return Reaction::Wait,
            Some(libc::EIO | libc::EINVAL) if packets > 1 => return Reaction::Singly,
            _ => {}
        }
        match SendError::of(error) {
            SendError::NoRoom => Reaction::Drop(DropReason::NoRoom),
            SendError::Firewall => Reaction::Drop(DropReason::Firewall),
            SendError::NoAddress => Reaction::Drop(DropReason::NoAddress),
            _ if failures < TRIES => Reaction::Again,
            SendError::TooBig if packets > 1 => Reaction::Singly,
            SendError::TooBig => Reaction::Drop(DropReason::PathShrank),
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
        let (mut rest, mut left, mut failures) = (runs, 0, 0);
        let (mut foreign, mut seen) = (0, self.shared.errors.load(Ordering::Relaxed));
        while !rest.is_empty() && !self.shared.stopped() {
            let (sent, result) = socket.send(buffer, rest);
            left += sent;
            if sent > 0 {
                (failures, foreign) = (0, 0);
            }
            rest = &rest[sent..];
            let (Some((run, after)), Err(error)) = (rest.split_first(), result) else { break };
            match self.is_foreign(&error, &mut seen) {
                Some(true) if foreign < FOREIGN => foreign += 1,
                // Of a single packet the link's own word is final; it says none of a run.
                None if run.count() == 1 => failures = TRIES,
                _ => failures += 1,
            }
            match Reaction::to(&error, run.count(), failures) {
                Reaction::Wait if self.has_room() => continue,
                Reaction::Wait => {
                    rest.iter().for_each(|run| lost.drop(DropReason::NoRoom, packets(run)));
                    break;
                }
                Reaction::Again => continue,
                Reaction::Singly => left += self.push_singly(buffer, *run, &error, lost),
                Reaction::Drop(reason) => {
                    lost.drop(reason, packets(run));
                    self.refused = Some(error);
                }
            }
            (rest, failures, foreign) = (after, 0, 0);
        }
        left
    }

    /// Whether the error is that of an ICMP error that came meanwhile, as far as the error queue
    /// tells; `None` when the link refused the message for its size. `seen` counts the errors of
    /// the queue, which the other thread reads too.
    fn is_foreign(&self, error: &io::Error, seen: &mut usize) -> Option<bool> {
        use SendError::{Firewall, NoAddress, NoRoom};
        if matches!(SendError::of(error), NoRoom | Firewall | NoAddress) {
            return Some(false);
        }
        let is_link = self.shared.read_errors();
        let count = self.shared.errors.load(Ordering::Relaxed);
        let is_foreign = std::mem::replace(seen, count) != count;
        (!is_link).then_some(is_foreign)
    }

    /// Sends the packets of a run one by one, after GSO was refused. EIO: the device cannot
    /// complete checksums. EMSGSIZE, or EINVAL from some kernels: the segments do not fit the link
    /// any longer, and each is refused with EMSGSIZE. Else EINVAL: the device cannot segment; or
    /// the local address is gone, and none is sent.
    fn push_singly(
        &mut self,
        buffer: &[u8],
        run: Run,
        error: &io::Error,
        lost: &mut PacketTally,
    ) -> usize {
        let Shared { parts, .. } = self.shared;
        let left = run.singles().map(|single| self.push(buffer, &[single], lost)).sum();
        let is_gso = SendError::of(error) != SendError::TooBig;
        if is_gso && left > 0 && self.shared.fits(run.segment) && parts.socket.disable_gso() {
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

    fn tell(&mut self, event: LaneEvent) -> bool {
        self.shared.tell(event)
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
        let all = (1..=TRIES).map(|failures| Reaction::to(&error, packets, failures));
        let mut is_over = false;
        all.take_while(|reaction| {
            let goes_on = matches!(reaction, Reaction::Wait | Reaction::Again);
            !std::mem::replace(&mut is_over, !goes_on)
        })
        .collect()
    }

    #[test]
    fn every_error_ends_in_a_counter_of_its_reason() {
        use DropReason::*;
        use Reaction::{Again, Drop, Singly, Wait};
        let cases: &[(i32, &[Reaction])] = &[
            (libc::EAGAIN, &[Wait, Drop(NoRoom)]),
            (libc::ENOBUFS, &[Drop(NoRoom)]),
            (libc::ENOMEM, &[Drop(NoRoom)]),
            (libc::EPERM, &[Drop(Firewall)]),
            (libc::EADDRNOTAVAIL, &[Drop(NoAddress)]),
            (libc::ENETUNREACH, &[Again, Again, Again, Drop(NoRoute)]),
            (libc::EHOSTUNREACH, &[Again, Again, Again, Drop(NoRoute)]),
            (libc::ENETDOWN, &[Again, Again, Again, Drop(NoRoute)]),
            (libc::ECONNREFUSED, &[Again, Again, Again, Drop(SendFailed)]),
            (libc::EINTR, &[Again, Again, Again, Drop(SendFailed)]),
            (libc::EBADF, &[Again, Again, Again, Drop(SendFailed)]),
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
        assert_eq!(course(libc::EIO, 1), [Again, Again, Again, Drop(SendFailed)]);
        assert_eq!(course(libc::EMSGSIZE, 1), [Again, Again, Again, Drop(PathShrank)]);
        assert_eq!(course(libc::EMSGSIZE, 40), [Again, Again, Again, Singly]);
    }
}
