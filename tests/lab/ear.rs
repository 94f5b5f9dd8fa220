//! The service manager's end of sd_notify(3): a socket that receives what a service reports.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::pair::PATIENCE;
use super::traffic::patiently;

/// What the service manager hears at `NOTIFY_SOCKET`.
pub struct Ear {
    socket: UnixDatagram,
    path: String,
}

impl Ear {
    /// Listens at this path, which must be free.
    pub fn at(path: &Path) -> Ear {
        Ear { socket: UnixDatagram::bind(path).unwrap(), path: path.display().to_string() }
    }

    /// What a service must be started with to be heard.
    pub fn environment(&self) -> (&str, &str) {
        ("NOTIFY_SOCKET", &self.path)
    }

    /// Waits for a message with this in it.
    pub fn hear(&self, part: &str) {
        let mut heard = Vec::new();
        while let Some(message) = self.next(PATIENCE) {
            if message.contains(part) {
                return;
            }
            heard.push(message);
            assert!(heard.len() < 1000, "{part} was waited for");
        }
        panic!("no {part} after {heard:?}");
    }

    /// Waits until nothing comes for so long.
    pub fn wait_for_silence(&self, time: Duration) {
        for _ in 0..1000 {
            if self.next(time).is_none() {
                return;
            }
        }
        panic!("there is always something");
    }

    fn next(&self, patience: Duration) -> Option<String> {
        let mut buffer = [0; 1024];
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let length = patiently(|| self.socket.recv(&mut buffer)).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}
