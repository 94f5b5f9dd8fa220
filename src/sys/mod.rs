//! Linux, and the only `unsafe` in the tree. Everything above sees safe types.
//!
//! | file | what lives there |
//! |---|---|
//! | [`affinity`] | which processor a thread runs on |
//! | [`clock`] | the monotonic and the wall clock, read together; the one pause |
//! | [`cmsg`] | control messages: building and reading them in plain byte arrays |
//! | [`confine`] | rights given up for good: seccomp, Landlock, no core dumps |
//! | [`descriptors`] | how many descriptors may be open |
//! | [`esp_socket`] | a lane's socket to its peer: ESP in UDP with GSO and GRO, or raw ESP |
//! | `fault` | calls that fail in tests; absent from every other build |
//! | [`ike_socket`] | the sockets on which IKE messages come from any address |
//! | [`inherited`] | descriptors that the service manager kept over a restart |
//! | [`memfd`] | memory that outlives a process (memfd_create(2)) |
//! | [`mmsg`] | many datagrams in one call, out and in, with GSO and GRO |
//! | [`namespace`] | a network namespace and threads inside it |
//! | [`netlink`] | links, addresses and routes (rtnetlink) |
//! | [`peer_groups`] | the groups of the process at the other end of a Unix socket |
//! | [`poll`] | waiting for descriptors, and waking a thread that waits |
//! | [`probe`] | sockets that look at a path: UDP to one address, ICMP echo from one |
//! | [`random`] | the operating system's randomness |
//! | [`sd_notify`] | messages to the service manager (sd_notify(3)), descriptors among them |
//! | [`send_error`] | why the kernel did not send a packet |
//! | [`tun`] | the tunnel device with its offloads |
//! | [`user_namespace`] | being root in a user namespace of one's own |

#![allow(unsafe_code)]

/// Returns an error in place of the system call that follows, when a test has armed one (see
/// `fault`). Expands to nothing in a build without the feature.
macro_rules! fault {
    ($call:ident) => {
        #[cfg(feature = "faults")]
        crate::sys::fault::meet(crate::sys::fault::Call::$call)?;
    };
}

pub mod affinity;
pub mod clock;
pub mod cmsg;
pub mod confine;
pub mod descriptors;
pub mod esp_socket;
#[cfg(feature = "faults")]
pub mod fault;
pub mod ike_socket;
pub mod inherited;
pub mod memfd;
pub mod mmsg;
pub mod namespace;
pub mod netlink;
pub mod peer_groups;
pub mod poll;
pub mod probe;
pub mod random;
pub mod sd_notify;
pub mod send_error;
pub mod tun;
pub mod user_namespace;
