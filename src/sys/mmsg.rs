//! Many datagrams in one call: sendmmsg(2) with UDP GSO, recvmmsg(2) with UDP GRO, each message
//! with control messages of its own (which is why `nix`, with one set for all, will not do).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::cmsg::ControlBuffer;

/// Messages of one call. More runs than this go out in several calls.
const MESSAGES: usize = 16;

/// A stretch of a send buffer that leaves as one message: one datagram, or equal segments with at
/// most one shorter tail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// Where it begins in the buffer.
    pub start: usize,
    /// Its bytes.
    pub len: usize,
    /// The bytes of a segment; `len` when there is one only.
    pub segment: usize,
    /// DSCP and ECN of the outer header.
    pub tos: u8,
}

impl Run {
    /// The datagrams in it.
    pub fn count(&self) -> usize {
        self.len.div_ceil(self.segment.max(1))
    }

    /// The same datagrams, each as a run of its own.
    pub fn singles(self) -> impl Iterator<Item = Run> {
        let end = self.start + self.len;
        (self.start..end).step_by(self.segment.max(1)).map(move |start| {
            let len = self.segment.min(end - start);
            Run { start, len, segment: len, tos: self.tos }
        })
    }
}

/// A message received: one datagram, or several of `segment` bytes that GRO joined.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Received {
    /// Where it begins in the arena.
    pub start: usize,
    /// Its bytes.
    pub len: usize,
    /// The bytes of a segment; `len` when there is one only.
    pub segment: usize,
    /// DSCP and ECN of the outer header.
    pub tos: u8,
}

/// Sends `runs` of `buffer` to the peer that `fd` is connected to. Says how many left, and why the
/// next did not.
pub fn send(fd: BorrowedFd<'_>, buffer: &[u8], runs: &[Run], v6: bool) -> (usize, io::Result<()>) {
    let mut sent = 0;
    while let Some(rest) = runs.get(sent..).filter(|rest| !rest.is_empty()) {
        let outcome = match rest {
            // By far the most frequent cases get the cheapest calls.
            [run] if run.tos == 0 && run.len <= run.segment => send_one(fd, slice(buffer, run)),
            rest => send_some(fd, buffer, &rest[..rest.len().min(MESSAGES)], v6),
        };
        match outcome {
            Ok(count) => sent += count,
            Err(error) => return (sent, Err(error)),
        }
    }
    (sent, Ok(()))
}

fn slice<'a>(buffer: &'a [u8], run: &Run) -> &'a [u8] {
    &buffer[run.start..run.start + run.len]
}

fn send_one(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    fault!(Send);
    nix::sys::socket::send(fd.as_raw_fd(), bytes, nix::sys::socket::MsgFlags::MSG_DONTWAIT)?;
    Ok(1)
}

fn send_some(fd: BorrowedFd<'_>, buffer: &[u8], runs: &[Run], v6: bool) -> io::Result<usize> {
    fault!(Send);
    let mut controls = [ControlBuffer::default(); MESSAGES];
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MESSAGES];
    let mut messages = [empty_message(); MESSAGES];
    let parts = runs.iter().zip(&mut controls).zip(&mut vectors).zip(&mut messages);
    for (((run, control), vector), message) in parts {
        let bytes = slice(buffer, run);
        *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        if run.len > run.segment {
            // At most 65,507, the largest UDP payload.
            let segment = u16::try_from(run.segment).unwrap_or(u16::MAX);
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        if run.tos != 0 {
            let (level, kind) = if v6 {
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
            } else {
                (libc::IPPROTO_IP, libc::IP_TOS)
            };
            control.push(level, kind, &i32::from(run.tos).to_ne_bytes());
        }
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        let control = control.as_bytes();
        if !control.is_empty() {
            message.msg_hdr.msg_control = control.as_ptr().cast_mut().cast();
            message.msg_hdr.msg_controllen = control.len();
        }
    }
    let count = u32::try_from(runs.len()).expect("at most MESSAGES");
    let (fd, first, flags) = (fd.as_raw_fd(), messages.as_mut_ptr(), libc::MSG_DONTWAIT);
    // SAFETY: the first `count` messages point at `vectors`, `controls` and `buffer`, all alive and
    // borrowed until after this call; sendmmsg only reads them and writes `msg_len` within
    // `messages`.
    let sent = unsafe { libc::sendmmsg(fd, first, count, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives up to `received.len()` messages, each into its own `slot` bytes of `arena`. Never
/// blocks.
pub fn receive(
    fd: BorrowedFd<'_>,
    arena: &mut [u8],
    slot: usize,
    received: &mut [Received],
) -> io::Result<usize> {
    fault!(Receive);
    let mut controls = [ControlBuffer::default(); MESSAGES];
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MESSAGES];
    let mut messages = [empty_message(); MESSAGES];
    let wanted = received.len().min(MESSAGES);
    let mut count = 0;
    let parts =
        arena.chunks_exact_mut(slot).zip(&mut controls).zip(&mut vectors).zip(&mut messages);
    for (((room, control), vector), message) in parts.take(wanted) {
        *vector = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let control = control.room();
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_control = control.as_mut_ptr().cast();
        message.msg_hdr.msg_controllen = control.len();
        count += 1;
    }
    // SAFETY: the first `count` messages point at `vectors`, `controls` and disjoint parts of
    // `arena`, all alive and exclusively ours until after this call; the kernel writes no more than
    // the lengths given there.
    let got = unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            messages.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    let parts = messages.iter().zip(&controls).zip(received.iter_mut()).take(got).enumerate();
    for (index, ((message, control), received)) in parts {
        *received = read(message, control, index * slot);
    }
    Ok(got)
}

fn read(message: &libc::mmsghdr, control: &ControlBuffer, start: usize) -> Received {
    let header = &message.msg_hdr;
    let len = usize::try_from(message.msg_len).expect("fits: usize has 64 bits");
    // A message cut short would only fail to authenticate; an empty one is dropped as a runt, which
    // says it better.
    let len = if header.msg_flags & libc::MSG_TRUNC == 0 { len } else { 0 };
    let mut received = Received { start, len, segment: len, tos: 0 };
    for message in control.received(header.msg_controllen) {
        let value = message.as_int().unwrap_or(0);
        match (message.level, message.kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                received.segment = usize::try_from(value).ok().filter(|s| *s > 0).unwrap_or(len);
            }
            (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                received.tos = value.to_le_bytes()[0];
            }
            _ => {}
        }
    }
    received
}

fn empty_message() -> libc::mmsghdr {
    // SAFETY: mmsghdr is plain integers and raw pointers; all zero is a message without address,
    // data and control.
    unsafe { mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_and_divides_into_its_datagrams() {
        let run = Run { start: 10, len: 250, segment: 100, tos: 3 };
        assert_eq!(run.count(), 3);
        let singles: Vec<_> = run.singles().map(|run| (run.start, run.len, run.segment)).collect();
        assert_eq!(singles, [(10, 100, 100), (110, 100, 100), (210, 50, 50)]);
        assert_eq!(Run { start: 0, len: 7, segment: 7, tos: 0 }.singles().count(), 1);
    }
}
