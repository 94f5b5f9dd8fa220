//! The command's end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ConfigPath;
use crate::config;
use crate::daemon::control::{Ask, ControlAnswer, ControlReply, ProtocolLine};

/// The service answers from memory: longer is a service that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the service is.
#[derive(clap::Args, Clone, Debug)]
pub struct ServiceAddress {
    #[command(flatten)]
    config: ConfigPath,
    /// The service's control socket; unless it is given, the configuration's `control_socket`.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl ServiceAddress {
    /// The service at this control socket.
    pub fn at(socket: PathBuf) -> ServiceAddress {
        ServiceAddress { config: ConfigPath::default(), socket: Some(socket) }
    }

    /// The service of this configuration.
    pub fn of(config: ConfigPath) -> ServiceAddress {
        ServiceAddress { config, socket: None }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, ask: Ask) -> Result<ControlAnswer, String> {
        let socket = self.socket();
        let line = speak(&socket, ask).map_err(|error| trouble(&socket, &error))?;
        match line.body {
            ControlReply::Result(answer) => Ok(*answer),
            ControlReply::Error(why) => Err(why),
        }
    }

    /// A file that cannot be read says nothing: the service is sought where it is by default.
    fn socket(&self) -> PathBuf {
        let text = || std::fs::read_to_string(&self.config.config).unwrap_or_default();
        self.socket.clone().unwrap_or_else(|| config::control_socket(&text()))
    }
}

fn trouble(socket: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ": the service does not run, or listens elsewhere: another --config, or a control_socket that was changed since it \
             started (then --socket with the former one); `systemctl status s2sd` tells"
        }
        io::ErrorKind::PermissionDenied => {
            ": be root, or join the service's group: `usermod -aG s2sd $USER`, then log in again"
        }
        io::ErrorKind::WouldBlock => {
            ": the service does not answer; `journalctl -u s2sd` tells why"
        }
        _ => "",
    };
    format!("{}: {error}{remedy}", socket.display())
}

fn speak(path: &Path, ask: Ask) -> io::Result<ProtocolLine<ControlReply>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(&ProtocolLine::new(ask)).map_err(io::Error::other)?;
    text.push(b'\n');
    // A service that refuses us may answer before it has read; the answer is worth more than the
    // failed write.
    let written = stream.write_all(&text);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        written?;
    }
    serde_json::from_str(&answer).map_err(io::Error::other)
}
