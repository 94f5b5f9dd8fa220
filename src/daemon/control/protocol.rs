//! The lines of JSON of the control socket: [`Ask`] and [`ControlReply`].

use serde::{Deserialize, Serialize};

use crate::daemon::explain::Explanation;
use crate::daemon::status::Status;

/// The version of the protocol. The service refuses any other version, so that a command never has
/// another meaning for the service than for the caller.
pub const VERSION: u32 = 1;

/// One line of the protocol, in either direction.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProtocolLine<T> {
    /// The version of the protocol that the sender speaks, [`VERSION`].
    pub version: u32,
    /// The question or the answer.
    #[serde(flatten)]
    pub body: T,
}

impl<T> ProtocolLine<T> {
    /// A line of this version.
    pub fn new(body: T) -> ProtocolLine<T> {
        ProtocolLine { version: VERSION, body }
    }
}

/// A command.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Ask {
    /// Show the state of the connections.
    Status {
        /// The only connection to show; `None` for all.
        connection: Option<String>,
    },
    /// Bring a connection up, and keep the connection up.
    Up {
        /// The name of the connection.
        connection: String,
    },
    /// Take a connection down until [`Ask::Up`].
    Down {
        /// The name of the connection.
        connection: String,
    },
    /// Replace keys of a connection now.
    Rekey {
        /// The name of the connection.
        connection: String,
        /// The SAs to rekey.
        which: RekeyWhich,
    },
    /// Read the configuration file again.
    Reload,
    /// Explain the last refusal of each tunnel of a connection.
    Explain {
        /// The name of the connection.
        connection: String,
    },
}

/// The SAs that a rekey replaces.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RekeyWhich {
    /// The IKE SA.
    Ike,
    /// The child SAs.
    Child,
    /// The IKE SA and the child SAs.
    Both,
}

/// The answer to a command.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlReply {
    /// The command was carried out.
    Result(Box<ControlAnswer>),
    /// The command was not carried out, for this reason.
    Error(String),
}

/// The result of a command that was carried out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlAnswer {
    /// The answer to [`Ask::Status`].
    Status(Status),
    /// The answer to [`Ask::Explain`]: one explanation for each tunnel.
    Explanations(Vec<Explanation>),
    /// What was done, in sentences: the answer to all other commands.
    Done(Vec<String>),
}
