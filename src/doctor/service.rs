//! What the doctor asks the running service over the control socket: the status of a connection,
//! and the explanations of its last refusals.

use std::fmt;

use crate::daemon::control::{Ask, ControlAnswer};
use crate::daemon::explain::Explanation;
use crate::daemon::status::ConnectionStatus;

/// Sends one control command to the service and returns its answer.
pub type AskService<'a> = &'a (dyn Fn(Ask) -> Result<ControlAnswer, ServiceError> + Sync);

/// The reason why the service gave no usable answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServiceError {
    /// The control socket cannot be reached: the error, and how to fix it.
    Unreachable(String),
    /// The service refused the command, with this reason.
    Refused(String),
    /// The service sent an answer of another kind than the command expects.
    UnexpectedAnswer,
}

/// The service's status of a connection.
pub fn status(connection: &str, ask: AskService<'_>) -> Result<ConnectionStatus, ServiceError> {
    match ask(Ask::Status { connection: Some(connection.to_owned()) })? {
        ControlAnswer::Status(status) => {
            let unknown = || ServiceError::Refused(format!("no connection named {connection}"));
            status.connections.into_iter().next().ok_or_else(unknown)
        }
        _ => Err(ServiceError::UnexpectedAnswer),
    }
}

/// The explanations of a connection's last refusals: one for each tunnel, or none without a
/// service.
pub fn explanations(connection: &str, ask: AskService<'_>) -> Vec<Explanation> {
    match ask(Ask::Explain { connection: connection.to_owned() }) {
        Ok(ControlAnswer::Explanations(all)) => all,
        _ => Vec::new(),
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceError::Unreachable(why) | ServiceError::Refused(why) => f.write_str(why),
            ServiceError::UnexpectedAnswer => f.write_str(
                "the service sent an unexpected answer: are the service and this command of the same version?",
            ),
        }
    }
}
