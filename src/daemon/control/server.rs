//! [`ControlSocket`]: the service's end of the control socket, and who may use the socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::protocol::{Ask, ControlReply, ProtocolLine, VERSION};

/// How many callers are served at a time; further callers wait.
const MAX_CALLERS: usize = 16;
/// The longest line that a caller may send, in octets.
const MAX_LINE: u64 = 64 << 10;
/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a caller may take to send a line.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// A command, and the channel for the answer.
pub type PendingQuestion = (Ask, oneshot::Sender<ControlReply>);

/// The listening control socket. Dropping the value removes the socket's file.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    task: JoinHandle<()>,
    questions: mpsc::Receiver<PendingQuestion>,
}

impl ControlSocket {
    /// Opens the socket. A file that a dead service left is replaced; the socket of a running
    /// service is an error.
    pub fn open(path: &Path) -> io::Result<ControlSocket> {
        let told = |error: io::Error| {
            let what = format!("the control socket {} cannot be created: {error}", path.display());
            io::Error::new(error.kind(), what)
        };
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let what = format!(
                "another s2sd service answers at {}; stop that service first",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(told(error)),
            _ => {}
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(told)?;
        }
        let listener = UnixListener::bind(path).map_err(told)?;
        fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(told)?;
        let (sender, questions) = mpsc::channel(MAX_CALLERS);
        let task = tokio::spawn(serve(listener, sender));
        Ok(ControlSocket { path: path.to_owned(), task, questions })
    }

    /// Waits for the next command. Cancelling the future loses none.
    pub async fn next(&mut self) -> Option<PendingQuestion> {
        self.questions.recv().await
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
        // An error means that somebody removed the file or its directory already.
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, questions: mpsc::Sender<PendingQuestion>) {
    let places = std::sync::Arc::new(Semaphore::new(MAX_CALLERS));
    loop {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // For example no descriptor is free: the caller stays in the queue, and accepting again
            // at once would fail again.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            if let Err(error) = attend(stream, questions).await {
                debug!(%error, "a caller of the control socket disconnected or sent no line");
            }
            drop(place);
        });
    }
}

async fn attend(stream: UnixStream, questions: mpsc::Sender<PendingQuestion>) -> io::Result<()> {
    let caller = stream.peer_cred()?;
    let (reader, mut writer) = stream.into_split();
    // The line of a caller who is refused is read too: closing a socket with unread input would
    // discard the answer.
    let mut line = String::new();
    let mut reader = BufReader::new(reader).take(MAX_LINE);
    timeout(LINE_TIMEOUT, reader.read_line(&mut line)).await??;
    let reply = match is_allowed(&caller) {
        true => answer(&line, questions).await,
        false => refuse(&caller),
    };
    let mut text = serde_json::to_vec(&ProtocolLine::new(reply)).map_err(io::Error::other)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

fn refuse(caller: &UCred) -> ControlReply {
    warn!(
        uid = caller.uid(),
        gid = caller.gid(),
        "a command at the control socket is refused: the caller is neither root nor in the service's group"
    );
    let group = Group::from_gid(getegid()).ok().flatten();
    let group = group.map_or_else(|| getegid().to_string(), |group| group.name);
    ControlReply::Error(format!("not permitted: be root, or a member of the group {group}"))
}

async fn answer(line: &str, questions: mpsc::Sender<PendingQuestion>) -> ControlReply {
    let ask = match serde_json::from_str::<ProtocolLine<Ask>>(line) {
        Ok(ProtocolLine { version: VERSION, body }) => body,
        Ok(ProtocolLine { version, .. }) => {
            return ControlReply::Error(format!(
                "this command speaks version {version} of the control protocol, the running service speaks {VERSION}: restart \
                 the service, or use the s2sd program that the service runs"
            ));
        }
        Err(error) => return ControlReply::Error(format!("not understood: {error}")),
    };
    let (sender, receiver) = oneshot::channel();
    if questions.send((ask, sender)).await.is_err() {
        return ControlReply::Error("the service is stopping".to_owned());
    }
    receiver.await.unwrap_or_else(|_| ControlReply::Error("the service is stopping".to_owned()))
}

/// Whether the caller is root, the service's own user, or a member of the service's group.
fn is_allowed(caller: &UCred) -> bool {
    let (uid, gid) = (Uid::from_raw(caller.uid()), Gid::from_raw(caller.gid()));
    uid.is_root() || uid == geteuid() || gid == getegid() || is_member(uid, getegid())
}

fn is_member(uid: Uid, gid: Gid) -> bool {
    let user = User::from_uid(uid).ok().flatten();
    let group = Group::from_gid(gid).ok().flatten();
    user.zip(group).is_some_and(|(user, group)| group.mem.contains(&user.name))
}
