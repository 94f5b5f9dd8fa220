//! Why the kernel did not send: told apart by what an operator could do about it.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// The causes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsent {
    /// A rule of this host's own firewall refuses it.
    Firewall,
    /// No way leads there: a link is down, a route is missing or forbids it.
    NoRoute,
    /// What it is to come from is not, or no longer, an address of this host.
    NoAddress,
    /// The kernel has no room or memory for it at the moment.
    NoRoom,
    /// It does not fit the path.
    TooBig,
    /// Something else: the error says what.
    Other,
}

impl Unsent {
    /// The cause of an error of send(2) and its kin.
    pub fn of(error: &io::Error) -> Unsent {
        use Errno::*;
        match error.raw_os_error().map(Errno::from_raw) {
            Some(EPERM) => Unsent::Firewall,
            Some(ENETUNREACH | EHOSTUNREACH | ENETDOWN | ENODEV | EACCES) => Unsent::NoRoute,
            // What a socket that is bound to the address reports (fib lookup, net/ipv4/route.c).
            Some(EADDRNOTAVAIL | EINVAL) => Unsent::NoAddress,
            Some(EAGAIN | ENOBUFS | ENOMEM) => Unsent::NoRoom,
            Some(EMSGSIZE) => Unsent::TooBig,
            _ => Unsent::Other,
        }
    }

    /// What is wrong and what would mend it.
    fn story(self) -> &'static str {
        match self {
            Unsent::Firewall => {
                "a firewall on this host refuses it; allow UDP 500 and 4500 and protocol 50 to the gateway in its output chain"
            }
            Unsent::NoRoute => "no way leads to the gateway; look at links and routes",
            Unsent::NoAddress => {
                "our address towards the gateway is no longer on this host, or a blackhole route leads there"
            }
            Unsent::NoRoom => "the kernel has no room for it at the moment",
            Unsent::TooBig => "it does not fit the path",
            Unsent::Other => "the kernel refuses it",
        }
    }
}

impl fmt::Display for Unsent {
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
            (Errno::EPERM, Unsent::Firewall),
            (Errno::ENETUNREACH, Unsent::NoRoute),
            (Errno::EHOSTUNREACH, Unsent::NoRoute),
            (Errno::ENETDOWN, Unsent::NoRoute),
            (Errno::EINVAL, Unsent::NoAddress),
            (Errno::EADDRNOTAVAIL, Unsent::NoAddress),
            (Errno::ENOBUFS, Unsent::NoRoom),
            (Errno::EMSGSIZE, Unsent::TooBig),
            (Errno::ECONNREFUSED, Unsent::Other),
        ] {
            assert_eq!(Unsent::of(&errno.into()), cause, "{errno}");
        }
        assert_eq!(Unsent::of(&io::Error::other("no number")), Unsent::Other);
    }
}
