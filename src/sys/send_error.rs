//! Why the kernel did not send a packet: the causes that an operator mends in different ways.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// The cause of an error of send(2), with a sentence for the log and the status as `Display`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SendError {
    /// A rule of this host's own firewall refuses the packet.
    Firewall,
    /// No route leads to the destination: a link is down, or a route is missing or prohibits.
    NoRoute,
    /// The source is not, or no longer, an address of this host.
    NoAddress,
    /// The kernel has no room or memory for the packet at the moment.
    NoRoom,
    /// The packet is larger than the path MTU.
    TooBig,
    /// Any other cause: the error itself names it.
    Other,
}

impl SendError {
    /// Classifies an error of send(2), sendmsg(2) or sendmmsg(2).
    pub fn of(error: &io::Error) -> SendError {
        use Errno::*;
        match error.raw_os_error().map(Errno::from_raw) {
            Some(EPERM) => SendError::Firewall,
            Some(ENETUNREACH | EHOSTUNREACH | ENETDOWN | ENODEV | EACCES) => SendError::NoRoute,
            // What a socket that is bound to the address reports (fib lookup, net/ipv4/route.c).
            Some(EADDRNOTAVAIL | EINVAL) => SendError::NoAddress,
            Some(EAGAIN | ENOBUFS | ENOMEM) => SendError::NoRoom,
            Some(EMSGSIZE) => SendError::TooBig,
            _ => SendError::Other,
        }
    }

    /// What is wrong, and what mends it.
    fn story(self) -> &'static str {
        match self {
            SendError::Firewall => {
                "a firewall on this host refuses the packets; allow UDP 500 and 4500 and protocol 50 to the gateway in its output chain"
            }
            SendError::NoRoute => "no route leads to the gateway; check links and routes",
            SendError::NoAddress => {
                "our address towards the gateway is not on this host any more, or a blackhole route covers the gateway"
            }
            SendError::NoRoom => "the kernel has no room for more packets at the moment",
            SendError::TooBig => "the packet does not fit the path MTU",
            SendError::Other => "the kernel refuses the packet",
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.story())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        for (errno, cause) in [
            (Errno::EPERM, SendError::Firewall),
            (Errno::ENETUNREACH, SendError::NoRoute),
            (Errno::EHOSTUNREACH, SendError::NoRoute),
            (Errno::ENETDOWN, SendError::NoRoute),
            (Errno::EINVAL, SendError::NoAddress),
            (Errno::EADDRNOTAVAIL, SendError::NoAddress),
            (Errno::ENOBUFS, SendError::NoRoom),
            (Errno::EMSGSIZE, SendError::TooBig),
            (Errno::ECONNREFUSED, SendError::Other),
        ] {
            assert_eq!(SendError::of(&errno.into()), cause, "{errno}");
        }
        assert_eq!(SendError::of(&io::Error::other("no number")), SendError::Other);
    }
}
