//! A supervisor as small as it can be: keeps descriptors that its service sends, hands them to the
//! next one (sd_notify(3), sd_listen_fds(3)), and starts a service again at once whatever way it
//! ended.

use std::ffi::CString;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use s2sd::sys::namespace::Namespace;

use super::lab::pair::PATIENCE;
use super::lab::traffic::clock;

/// Where descriptors wait in a child before they get their numbers: above all that are open here.
const ASIDE: RawFd = 600;

/// One service and what is kept for it.
pub struct Keeper {
    shelf: Arc<Shelf>,
    path: PathBuf,
    service: Option<Pid>,
    listener: Option<JoinHandle<()>>,
}

/// What is kept, and where it comes from. A socket of this kind holds ten messages: somebody has to
/// read all the time.
struct Shelf {
    socket: UnixDatagram,
    /// Names and numbers; they are closed by us alone.
    held: Mutex<Vec<(String, RawFd)>>,
    done: AtomicBool,
}

impl Keeper {
    pub fn new(path: PathBuf) -> Keeper {
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let shelf =
            Arc::new(Shelf { socket, held: Mutex::default(), done: AtomicBool::new(false) });
        let listening = Arc::clone(&shelf);
        let listener = Some(std::thread::spawn(move || listening.attend()));
        Keeper { shelf, path, service: None, listener }
    }

    /// Starts the service in a namespace with all that is kept. Its log goes on.
    pub fn start(&mut self, namespace: &Namespace, config: &Path, log: &Path) {
        assert!(self.service.is_none());
        self.shelf.listen();
        let held = self.shelf.held.lock().unwrap();
        let service = namespace.run(|| {
            let mut actions = PosixSpawnFileActions::init()?;
            for ((_, fd), aside) in held.iter().zip(ASIDE..) {
                actions.add_dup2(*fd, aside)?;
            }
            for (aside, number) in (ASIDE..).zip(3..).take(held.len()) {
                actions.add_dup2(aside, number)?;
                actions.add_close(aside)?;
            }
            // The shell knows its own number, which the service keeps.
            let script = "export LISTEN_PID=$$; exec \"$0\" \"$@\" 2>>\"$S2SD_LOG\"";
            let binary = env!("CARGO_BIN_EXE_s2sd");
            let words = ["sh", "-c", script, binary, "run", "--config", text(config)];
            let words = words.into_iter().chain(["--state-fd-socket", text(&self.path)]);
            let names: Vec<&str> = held.iter().map(|(name, _)| name.as_str()).collect();
            let environment = [
                format!("LISTEN_FDS={}", names.len()),
                format!("LISTEN_FDNAMES={}", names.join(":")),
                format!("S2SD_LOG={}", text(log)),
                format!("PATH={}", std::env::var("PATH").unwrap_or_default()),
            ];
            let string = |text: &str| CString::new(text).map_err(io::Error::other);
            let words = words.map(string).collect::<io::Result<Vec<_>>>()?;
            let environment =
                environment.iter().map(|e| string(e)).collect::<io::Result<Vec<_>>>()?;
            let attributes = PosixSpawnAttr::init()?;
            Ok(posix_spawn("/bin/sh", &actions, &attributes, &words, &environment)?)
        });
        self.service = Some(service.unwrap());
    }

    /// Sends the service a signal and waits for its end.
    pub fn end(&mut self, signal: Signal) -> WaitStatus {
        let service = self.service.take().unwrap();
        kill(service, signal).unwrap();
        let status = waitpid(service, None).unwrap();
        self.shelf.listen();
        status
    }

    /// Waits until the service ends by itself.
    pub fn await_end(&mut self) -> WaitStatus {
        let (service, began) = (self.service.unwrap(), clock());
        loop {
            match waitpid(service, Some(WaitPidFlag::WNOHANG)).unwrap() {
                WaitStatus::StillAlive => std::thread::sleep(Duration::from_millis(5)),
                ended => {
                    self.service = None;
                    self.shelf.listen();
                    return ended;
                }
            }
            assert!(began.elapsed() < PATIENCE, "the service goes on");
        }
    }

    /// The service's children: its signer.
    pub fn children(&self) -> Vec<Pid> {
        let service = self.service.unwrap();
        let children = format!("/proc/{service}/task/{service}/children");
        let children = std::fs::read_to_string(children).unwrap();
        children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// The names of what is kept.
    pub fn names(&self) -> Vec<String> {
        self.shelf.listen();
        self.shelf.held.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    /// Forgets what is kept under a name, as if it had never come.
    pub fn lose(&mut self, name: &str) {
        self.shelf.listen();
        let mut held = self.shelf.held.lock().unwrap();
        for (_, fd) in held.extract_if(.., |(other, _)| other == name) {
            nix::unistd::close(fd).unwrap();
        }
    }
}

impl Shelf {
    /// Takes in whatever comes, until the end.
    fn attend(&self) {
        while !self.done.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, 50u8);
            self.listen();
        }
    }

    /// Takes in what the service said so far.
    fn listen(&self) {
        let mut held = self.held.lock().unwrap();
        loop {
            let (mut text, mut control) = ([0; 1024], nix::cmsg_space!([RawFd; 4]));
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            let mut parts = [IoSliceMut::new(&mut text)];
            let number = self.socket.as_raw_fd();
            let Ok(message) = recvmsg::<()>(number, &mut parts, Some(&mut control), flags) else {
                return;
            };
            let fds: Vec<RawFd> = message
                .cmsgs()
                .unwrap()
                .flat_map(|control| match control {
                    ControlMessageOwned::ScmRights(fds) => fds,
                    _ => Vec::new(),
                })
                .collect();
            let length = message.bytes;
            let text = std::str::from_utf8(&text[..length]).unwrap();
            let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap();
            if text.contains("FDSTOREREMOVE=1") {
                let name = name.to_owned();
                held.extract_if(.., |(other, _)| *other == name).for_each(|(_, fd)| {
                    nix::unistd::close(fd).unwrap();
                });
            } else {
                assert!(text.contains("FDSTORE=1") && text.contains("FDPOLL=0"), "{text}");
                held.extend(fds.into_iter().map(|fd| (name.to_owned(), fd)));
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if self.service.is_some() {
            self.end(Signal::SIGKILL);
        }
        self.shelf.done.store(true, Ordering::Relaxed);
        self.listener.take().into_iter().for_each(|listener| listener.join().unwrap());
        for (_, fd) in self.shelf.held.lock().unwrap().drain(..) {
            nix::unistd::close(fd).ok();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
