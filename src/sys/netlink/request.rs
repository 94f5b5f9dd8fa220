//! The messages of netlink(7): a request with its attributes, written; the first reply, read.
//!
//! ```text
//! nlmsghdr:   | length 4 | type 2 | flags 2 | sequence 4 | port 4 |
//! attribute:  | length 2 | type 2 | data, padded to 4 |     nested: the data is attributes
//! ```

use std::ffi::{c_int, c_uchar};
use std::io;
use std::net::IpAddr;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

/// Flags of a request that makes something: it may not exist, it must not exist, it is replaced.
pub(super) const CREATE: u16 = flag(libc::NLM_F_CREATE);
pub(super) const EXCLUSIVE: u16 = flag(libc::NLM_F_EXCL);
pub(super) const REPLACE: u16 = flag(libc::NLM_F_REPLACE);
/// The flag of a request for a list.
pub(super) const DUMP: u16 = flag(libc::NLM_F_DUMP);

/// Every request asks for an acknowledgement.
const REQUEST_ACK: u16 = flag(libc::NLM_F_REQUEST | libc::NLM_F_ACK);

/// Octets of nlmsghdr.
pub(super) const HEADER_LEN: usize = 16;

/// libc has the 16-bit flags of nlmsghdr as `int`.
const fn flag(flags: c_int) -> u16 {
    assert!(flags >= 0 && flags <= 0xffff);
    flags as u16
}

/// One request in the making: headers, then attributes, some of them nested.
pub(super) struct NetlinkRequest(Vec<u8>);

/// A nested attribute whose length is not known yet: the place where it begins.
pub(super) struct Nest(usize);

impl NetlinkRequest {
    pub(super) fn new(kind: u16, flags: u16) -> NetlinkRequest {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST_ACK | flags).to_ne_bytes());
        NetlinkRequest(bytes)
    }

    /// A request about the device of this name.
    pub(super) fn about(kind: u16, name: &str, flags: u32, change: u32) -> io::Result<Self> {
        let mut request = NetlinkRequest::new(kind, 0);
        request.link(index(name)?, flags, change);
        Ok(request)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// An ifinfomsg.
    pub(super) fn link(&mut self, index: u32, flags: u32, change: u32) {
        let words = [0, index, flags, change];
        self.put(words.map(u32::to_ne_bytes).as_flattened());
    }

    pub(super) fn attribute(&mut self, kind: u16, data: &[u8]) {
        let nest = self.open(kind);
        self.0.extend_from_slice(data);
        self.close(nest);
    }

    pub(super) fn open(&mut self, kind: u16) -> Nest {
        let start = self.0.len();
        self.0.extend([0, 0]);
        self.0.extend(kind.to_ne_bytes());
        Nest(start)
    }

    pub(super) fn close(&mut self, nest: Nest) {
        let len = u16::try_from(self.0.len() - nest.0).expect("attributes here are short");
        self.0[nest.0..nest.0 + 2].copy_from_slice(&len.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// The octets to send, with the length of the whole.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).expect("requests here are short");
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

/// The type of a received message.
pub(super) fn kind(message: &[u8]) -> Option<u16> {
    message.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]))
}

/// The messages that were received together.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    pieces(bytes, |rest| usize::try_from(word(rest, 0)?).ok(), HEADER_LEN)
}

/// The attributes of a message, by type.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let half = |bytes: &[u8], at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    pieces(bytes, move |rest| half(rest, 0).map(usize::from), 4)
        .filter_map(move |attribute| Some((half(attribute, 2)?, attribute.get(4..)?)))
}

/// Divides what begins with its own length, padded to 4, again and again.
fn pieces(
    mut rest: &[u8],
    length: impl Fn(&[u8]) -> Option<usize>,
    least: usize,
) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = length(rest).filter(|length| *length >= least)?;
        let piece = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(piece)
    })
}

/// The flags of the device that an RTM_NEWLINK describes: ifinfomsg has them at 8.
pub(super) fn link_flags(message: &[u8]) -> Option<u32> {
    word(message, HEADER_LEN + 8)
}

/// What an acknowledgement says: nlmsgerr begins with the negated errno.
pub(super) fn acknowledged(reply: &[u8]) -> io::Result<()> {
    let is_error = kind(reply).is_some_and(|kind| c_int::from(kind) == libc::NLMSG_ERROR);
    match word(reply, HEADER_LEN).map(u32::cast_signed) {
        Some(0) if is_error => Ok(()),
        Some(code) if is_error => Err(Errno::from_raw(-code).into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a netlink acknowledgement")),
    }
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..at + 4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

/// The index of the device of this name; ENODEV when there is none.
pub(super) fn index(name: &str) -> io::Result<u32> {
    Ok(if_nametoindex(name)?)
}

/// The address family of an address, as the one octet that rtnetlink's headers have for it.
pub(super) fn family(v6: bool) -> c_uchar {
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    c_uchar::try_from(family).expect("AF_INET is 2 and AF_INET6 is 10")
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A name as the kernel wants it, with a zero octet at its end.
pub(super) fn text(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}
