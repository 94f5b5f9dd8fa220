//! What is asked and answered over the control socket.

use serde::{Deserialize, Serialize};

use crate::daemon::explain::Explanation;
use crate::daemon::status::Status;

/// The version of the protocol. Another one is refused, so that a new command never meets an old
/// service unawares.
pub const VERSION: u32 = 1;

/// A line of either side.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProtocolLine<T> {
    /// See [`VERSION`].
    pub version: u32,
    /// What is said.
    #[serde(flatten)]
    pub body: T,
}

impl<T> ProtocolLine<T> {
    /// Of this version.
    pub fn new(body: T) -> ProtocolLine<T> {
        ProtocolLine { version: VERSION, body }
    }
}

/// A question or a wish.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Ask {
    /// How is it?
    Status {
        /// Of one connection alone.
        connection: Option<String>,
    },
    /// Keep it up.
    Up {
        /// Which connection.
        connection: String,
    },
    /// Disconnect, and stay so.
    Down {
        /// Which connection.
        connection: String,
    },
    /// Replace keys now.
    Rekey {
        /// Which connection.
        connection: String,
        /// Which keys.
        which: RekeyWhich,
    },
    /// Read the configuration again.
    Reload,
    /// Why did it not work?
    Explain {
        /// Which connection.
        connection: String,
    },
}

/// Which keys to replace.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RekeyWhich {
    /// Those of the IKE SA.
    Ike,
    /// Those of the packets.
    Child,
    /// Both.
    Both,
}

/// An answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlReply {
    /// It was done, or here it is.
    Result(Box<ControlAnswer>),
    /// It was not, for this reason.
    Error(String),
}

/// What comes with success.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlAnswer {
    /// To [`Ask::Status`].
    Status(Status),
    /// To [`Ask::Explain`]: one for each tunnel.
    Explanations(Vec<Explanation>),
    /// What was done, in sentences.
    Done(Vec<String>),
}
