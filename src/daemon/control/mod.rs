//! The control socket: one line of JSON asks, one line of JSON answers.
//!
//! ```text
//!   {"version":1,"do":"status","connection":null}        ->  {"version":1,"result":{...}}
//!   {"version":1,"do":"down","connection":"site"}        ->  {"version":1,"error":"no connection is called site; ..."}
//! ```
//!
//! Who may: root, the service's own user, and members of its group. The socket's mode says so to
//! the kernel, and the credentials of each caller are looked at again: a mode can be changed by
//! mistake.

pub(crate) mod handler;
mod protocol;
mod server;

pub use protocol::{Ask, ControlAnswer, ControlReply, ProtocolLine, RekeyWhich, VERSION};
pub use server::{ControlSocket, PendingQuestion};
