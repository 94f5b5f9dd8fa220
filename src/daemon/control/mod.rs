//! The control socket, over which `s2sd status`, `up`, `down`, `rekey`, `explain` and `reload`
//! reach the service: one line of JSON asks, one line of JSON answers.
//!
//! ```text
//!   {"version":1,"do":"status","connection":null}  ->  {"version":1,"result":{...}}
//!   {"version":1,"do":"down","connection":"site"}  ->  {"version":1,"error":"no connection ..."}
//! ```
//!
//! | file | what lives there |
//! |---|---|
//! | `protocol.rs` | [`Ask`] and [`ControlReply`]: the lines of JSON |
//! | `server.rs` | [`ControlSocket`]: the listening socket, and who may connect |
//! | `handler.rs` | what each command does in the service |
//!
//! **Access.** Root, the service's own user, and members of the service's group may send commands.
//! The mode of the socket has the kernel enforce this, and the server checks the credentials of
//! each caller again, because somebody may change the mode by mistake.

pub(crate) mod handler;
mod protocol;
mod server;

pub use protocol::{Ask, ControlAnswer, ControlReply, ProtocolLine, RekeyWhich, VERSION};
pub use server::{ControlSocket, PendingQuestion};
