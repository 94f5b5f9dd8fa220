//! Linux, and the only `unsafe` in the tree. Everything above sees safe types.
//!
//! | file | noun |
//! |---|---|
//! | [`affinity`] | which processor a thread runs on |
//! | [`clock`] | the monotonic and the wall clock, read together |
//! | [`cmsg`] | control messages: building and reading them in plain byte arrays |
//! | [`confine`] | rights given up for good: system calls, files, dumps |
//! | [`descriptors`] | how many may be open |
//! | `fault` | calls that fail in tests; in no other build |
//! | [`ike_socket`] | the sockets on which IKE messages come from anywhere |
//! | [`inherited`] | descriptors that the service manager kept for us |
//! | [`memory`] | memory that outlives a process |
//! | [`mmsg`] | many datagrams in one call, out and in, with GSO and GRO |
//! | [`namespace`] | a network namespace and threads inside it |
//! | [`netlink`] | links, addresses and routes (rtnetlink) |
//! | [`poll`] | waiting for descriptors, and waking who waits |
//! | [`probe`] | sockets that look at a path: UDP to one address, ICMP echo from one
//! | [`random`] | the operating system's randomness |
//! | [`sd_notify`] | messages to the service manager (sd_notify(3)), descriptors among them |
//! | [`socket`] | a lane's socket to its peer: ESP in UDP with GSO and GRO, or raw ESP |
//! | [`tun`] | the tunnel device with its offloads |
//! | [`unsent`] | why the kernel did not send |
//! | [`user_namespace`] | being root in a namespace of one's own |

#![allow(unsafe_code)]

/// Fails here instead of calling, when a test has it so (see `fault`). Nothing at all in a build
/// without the feature.
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
pub mod poll;
pub mod probe;
pub mod random;
pub mod sd_notify;
pub mod send_error;
pub mod tun;
pub mod user_namespace;
