//! Why a tunnel is not up, or not as the configuration wants it: one type, from which `s2sd status`
//! and the log are made.
//!
//! A problem is always on this device. What a peer refuses is a [`Refusal`], which
//! [`TunnelRecord`] keeps beside the problem.
//!
//! [`Refusal`]: crate::ike::diagnosis::refusal::Refusal
//! [`TunnelRecord`]: super::ike_status::TunnelRecord

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::config::prefix::Prefix;
use crate::sys::send_error::SendError;

/// Why a tunnel is not up, or not as the configuration wants it. `Display` says what is wrong, and
/// what an operator can do about it where that is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Problem {
    /// The tunnel's interface could not be made, or not be given its MTU and addresses.
    DeviceNotMade { interface: String, cause: SystemError },
    /// Another program deleted the tunnel's interface.
    DeviceGone { interface: String },
    /// Another program switched the tunnel's interface off.
    DeviceDown { interface: String },
    /// The threads or the socket that carry ESP packets could not be started.
    NotCarried { cause: SystemError },
    /// A route into the tunnel could not be set or removed.
    RouteNotSet { prefix: Prefix, cause: SystemError },
    /// Somebody else has a route to the same prefix with the configured metric.
    RouteOfOthers { prefix: Prefix, theirs: u32, ours: u32 },
    /// An unreachable route, which keeps packets in while no tunnel is up, could not be set.
    NotClosed { prefix: Prefix, cause: SystemError },
    /// The kernel could not be asked to change routes at all.
    RoutesNotSet { cause: SystemError },
    /// The rules that keep a tunnel from swallowing its own outer packets could not be set.
    RoutingRules { cause: SystemError },
    /// The certificate files cannot be used: one sentence for each error in them.
    Credentials { errors: Vec<String> },
    /// The gateway's name has not been resolved yet.
    NameLookup { host: String },
    /// No route leads to the gateway.
    NoRoute { gateway: IpAddr, cause: SystemError },
    /// `listen_addresses` excludes every address that could reach the gateway.
    NotListening { gateway: IpAddr, source: IpAddr },
    /// The kernel did not take a message or a packet to the gateway.
    Send { class: SendError, cause: SystemError },
    /// The state for the next process could not be stored.
    State { reason: String },
    /// The configuration no longer has the connection.
    NotConfigured,
}

impl Problem {
    /// Why the kernel did not send.
    pub(crate) fn send(error: &io::Error) -> Problem {
        Problem::Send { class: SendError::of(error), cause: error.into() }
    }

    /// What an operator can do, where the problem's own sentence does not say so already.
    pub(crate) fn remedy(&self) -> Option<String> {
        match self {
            Problem::DeviceNotMade { cause, .. } => device_remedy(cause.kind).map(str::to_owned),
            Problem::DeviceDown { interface } => {
                Some(format!("`ip link set {interface} up` switches the interface on"))
            }
            Problem::RouteOfOthers { theirs, .. } => Some(format!(
                "set `route_metric` below {theirs} for the tunnel to be the first choice, or above for the second"
            )),
            Problem::NotListening { source, .. } => Some(format!("add {source} to it")),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::DeviceNotMade { interface, cause } => {
                write!(f, "the interface {interface} cannot be made: {cause}")
            }
            Problem::DeviceGone { interface } => write!(f, "the interface {interface} is gone"),
            Problem::DeviceDown { interface } => write!(f, "the interface {interface} is down"),
            Problem::NotCarried { cause } => {
                write!(f, "the tunnel's packets cannot be carried: {cause}")
            }
            Problem::RouteOfOthers { prefix, theirs, ours } => write!(
                f,
                "somebody else has a route to {prefix} with metric {theirs}, which counts; the tunnel's has metric {ours} and is the second choice"
            ),
            Problem::RouteNotSet { prefix, cause } => {
                write!(f, "the route to {prefix} cannot be changed: {cause}")
            }
            Problem::NotClosed { prefix, cause } => {
                write!(
                    f,
                    "the unreachable route to {prefix} cannot be set: {cause}; without a tunnel, packets leave in clear"
                )
            }
            Problem::RoutesNotSet { cause } => write!(f, "the routes cannot be changed: {cause}"),
            Problem::RoutingRules { cause } => {
                write!(f, "the rules that keep outer packets out of tunnels cannot be set: {cause}")
            }
            Problem::Credentials { errors } => {
                write!(f, "certificate files are not in order: {}", errors.join(". "))
            }
            Problem::NameLookup { host } => write!(f, "the name {host} has no address yet"),
            Problem::NoRoute { gateway, cause } => {
                write!(f, "there is no route to {gateway} ({cause})")
            }
            Problem::NotListening { gateway, .. } => {
                write!(f, "listen_addresses has no address of the family of {gateway}")
            }
            Problem::Send { class, cause } => write!(f, "{class}: {cause}"),
            Problem::State { reason } => {
                write!(f, "the state cannot be stored, so a restart begins anew: {reason}")
            }
            Problem::NotConfigured => f.write_str("the configuration no longer has the connection"),
        }?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// An error of a system call as a value: unlike [`io::Error`] it can be copied and compared, so
/// that a problem that stays the same is logged once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SystemError {
    kind: io::ErrorKind,
    text: String,
}

impl From<&io::Error> for SystemError {
    fn from(error: &io::Error) -> SystemError {
        SystemError { kind: error.kind(), text: error.to_string() }
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> SystemError {
        SystemError::from(&error)
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn device_remedy(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied => Some(
            "s2sd needs CAP_NET_ADMIN: run s2sd as root or by its systemd unit, in a container with `--cap-add NET_ADMIN`",
        ),
        io::ErrorKind::NotFound => Some(
            "/dev/net/tun is missing: load the kernel's module with `modprobe tun`; a container gets the device with `--device /dev/net/tun`",
        ),
        io::ErrorKind::ResourceBusy => Some(
            "another program has an interface of this name: end that program, or set another interface",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_is_wrong_and_what_would_mend_it() {
        let interface = || "azure0".to_owned();
        let busy = io::Error::from_raw_os_error(libc::EBUSY);
        for (problem, expected) in [
            (
                Problem::DeviceNotMade { interface: interface(), cause: busy.into() },
                "the interface azure0 cannot be made: Device or resource busy (os error 16); \
                 another program has an interface of this name: end that program, or set another interface",
            ),
            (
                Problem::DeviceDown { interface: interface() },
                "the interface azure0 is down; `ip link set azure0 up` switches the interface on",
            ),
            (Problem::DeviceGone { interface: interface() }, "the interface azure0 is gone"),
            (
                Problem::NotListening {
                    gateway: [203, 0, 113, 2].into(),
                    source: [203, 0, 113, 1].into(),
                },
                "listen_addresses has no address of the family of 203.0.113.2; add 203.0.113.1 \
                 to it",
            ),
            (
                Problem::Credentials { errors: vec!["a".to_owned(), "b".to_owned()] },
                "certificate files are not in order: a. b",
            ),
            (
                Problem::send(&io::Error::from_raw_os_error(libc::EMSGSIZE)),
                "the packet does not fit the path MTU: Message too long (os error 90)",
            ),
        ] {
            assert_eq!(problem.to_string(), expected);
        }
    }
}
