//! The command's end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::daemon::control::{Answer, Ask, Line, Reply};

/// Where the service listens unless its configuration says otherwise.
pub const SOCKET: &str = "/run/s2sd/control.sock";
/// The service answers from memory: longer is a service that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the service is.
#[derive(clap::Args, Clone, Debug)]
pub struct Service {
    /// The service's control socket, as `control_socket` in its configuration.
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

impl Service {
    /// The service at this control socket.
    pub fn at(socket: PathBuf) -> Service {
        Service { socket }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, ask: Ask) -> Result<Answer, String> {
        let line = speak(&self.socket, ask).map_err(|error| self.trouble(&error))?;
        match line.body {
            Reply::Result(answer) => Ok(*answer),
            Reply::Error(why) => Err(why),
        }
    }

    fn trouble(&self, error: &io::Error) -> String {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ": the service does not run, or has another control_socket; `systemctl status s2sd` tells"
            }
            io::ErrorKind::PermissionDenied => {
                ": be root, or join the service's group: `usermod -aG s2sd $USER`, then log in again"
            }
            io::ErrorKind::WouldBlock => {
                ": the service does not answer; `journalctl -u s2sd` tells why"
            }
            _ => "",
        };
        format!("{}: {error}{remedy}", self.socket.display())
    }
}

fn speak(path: &Path, ask: Ask) -> io::Result<Line<Reply>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(&Line::new(ask)).map_err(io::Error::other)?;
    text.push(b'\n');
    // A service that refuses us may answer before it has read; the answer is worth more than the failed write.
    let written = stream.write_all(&text);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        written?;
    }
    serde_json::from_str(&answer).map_err(io::Error::other)
}
