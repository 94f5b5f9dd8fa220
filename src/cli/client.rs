//! The client of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ConfigPath;
use crate::config;
use crate::daemon::control::{Ask, ControlAnswer, ControlReply, ProtocolLine};
use crate::doctor::service::ServiceError;

/// How long to wait for an answer. The service answers from memory, so a longer wait means that the
/// service hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The options that tell where the control socket of the service is.
#[derive(clap::Args, Clone, Debug)]
pub struct ServiceAddress {
    #[command(flatten)]
    config: ConfigPath,
    /// The control socket of the service; without this option, `control_socket` of the
    /// configuration.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl ServiceAddress {
    /// The address of the service with this control socket.
    pub fn at(socket: PathBuf) -> ServiceAddress {
        ServiceAddress { config: ConfigPath::default(), socket: Some(socket) }
    }

    /// The address of the service that runs this configuration.
    pub fn of(config: ConfigPath) -> ServiceAddress {
        ServiceAddress { config, socket: None }
    }

    /// Sends a command to the service, and waits for the answer.
    pub fn ask(&self, ask: Ask) -> Result<ControlAnswer, ServiceError> {
        let socket = self.socket();
        let unreachable = |error| ServiceError::Unreachable(cannot_connect(&socket, &error));
        let line = exchange(&socket, ask).map_err(unreachable)?;
        match line.body {
            ControlReply::Result(answer) => Ok(*answer),
            ControlReply::Error(why) => Err(ServiceError::Refused(why)),
        }
    }

    /// The path of the control socket; the default path when the configuration cannot be read.
    fn socket(&self) -> PathBuf {
        let text = || std::fs::read_to_string(&self.config.config).unwrap_or_default();
        self.socket.clone().unwrap_or_else(|| config::control_socket(&text()))
    }
}

fn cannot_connect(socket: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ": the service does not run, or has another control socket: name its configuration with --config; if `control_socket` was \
             changed after the service started, name the former socket with --socket. `systemctl status s2sd` shows the service"
        }
        io::ErrorKind::PermissionDenied => {
            ": run the command as root, or join the group of the service: `usermod -aG s2sd $USER`, then log in again"
        }
        io::ErrorKind::WouldBlock => {
            ": the service does not answer within 10 s; `journalctl -u s2sd` shows its log"
        }
        _ => "",
    };
    format!("{}: {error}{remedy}", socket.display())
}

fn exchange(path: &Path, ask: Ask) -> io::Result<ProtocolLine<ControlReply>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let mut text = serde_json::to_vec(&ProtocolLine::new(ask)).map_err(io::Error::other)?;
    text.push(b'\n');
    // A service that refuses the client may answer before it reads the command: the answer then
    // says more than the failed write.
    let written = stream.write_all(&text);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        written?;
    }
    serde_json::from_str(&answer).map_err(io::Error::other)
}
