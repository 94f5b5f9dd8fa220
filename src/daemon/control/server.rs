//! [`ControlSocket`]: the service's end of the control socket, and who may use the socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{getegid, geteuid};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::protocol::{Ask, ControlReply, ProtocolLine, VERSION};
use crate::sys::peer_groups::peer_groups;

/// How many callers are served at a time; further callers wait.
const MAX_CALLERS: usize = 16;
/// The longest line that a caller may send, in octets.
const MAX_LINE: u64 = 64 << 10;
/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a caller may take to send a line.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller may take to read the answer. Callers that read nothing would otherwise fill
/// all places, and shut out the administrator.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// The groups of this host, for the answer to a caller who is refused.
const GROUPS: &str = "/etc/group";

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
    let groups = peer_groups(stream.as_fd())?;
    let (reader, mut writer) = stream.into_split();
    // The line of a caller who is refused is read too: closing a socket with unread input would
    // discard the answer.
    let mut line = String::new();
    let mut reader = BufReader::new(reader).take(MAX_LINE);
    timeout(LINE_TIMEOUT, reader.read_line(&mut line)).await??;
    let reply = match is_allowed(&caller, &groups) {
        true => answer(&line, questions).await,
        false => refuse(&caller),
    };
    let mut text = serde_json::to_vec(&ProtocolLine::new(reply)).map_err(io::Error::other)?;
    text.push(b'\n');
    timeout(ANSWER_TIMEOUT, writer.write_all(&text)).await?
}

fn refuse(caller: &UCred) -> ControlReply {
    warn!(
        uid = caller.uid(),
        gid = caller.gid(),
        "a command at the control socket is refused: the caller is neither root nor in the service's group"
    );
    let gid = getegid().as_raw();
    // Read as a file: who is asked by the C library may be a server that does not answer.
    let groups = fs::read_to_string(GROUPS).unwrap_or_default();
    let group = group_name(&groups, gid).unwrap_or_else(|| gid.to_string());
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

/// Whether the caller is root, the service's own user, or a member of the service's group. The
/// groups are those that the caller had when the caller connected, as the kernel has them.
fn is_allowed(caller: &UCred, groups: &[u32]) -> bool {
    let group = getegid().as_raw();
    let is_user = caller.uid() == 0 || caller.uid() == geteuid().as_raw();
    is_user || caller.gid() == group || groups.contains(&group)
}

/// The name of a group (group(5)).
fn group_name(text: &str, gid: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(gid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream as Caller;

    use super::*;

    #[test]
    fn a_group_has_the_name_of_its_number() {
        let text = "root:x:0:\nadm:x:4:syslog,me\nbroken\ns2sd:x:997:operator\n";
        assert_eq!(group_name(text, 997).as_deref(), Some("s2sd"));
        assert_eq!(group_name(text, 4).as_deref(), Some("adm"));
        assert_eq!(group_name(text, 9), None);
    }

    /// As many callers as there are places ask for an answer that no socket buffer takes, and never
    /// read.
    #[tokio::test]
    async fn callers_who_do_not_read_shut_nobody_out() {
        let path = std::env::temp_dir().join(format!("s2sd-callers-{}.sock", std::process::id()));
        let mut control = ControlSocket::open(&path).unwrap();
        let line = b"{\"version\":1,\"do\":\"reload\"}\n";
        let long = ControlReply::Error("x".repeat(1 << 20));
        let mut idle = Vec::new();
        for _ in 0..MAX_CALLERS {
            let mut caller = Caller::connect(&path).unwrap();
            caller.write_all(line).unwrap();
            idle.push(caller);
            let (_, reply_to) = control.next().await.unwrap();
            reply_to.send(long.clone()).unwrap();
        }
        let served = tokio::task::spawn_blocking(move || {
            let mut caller = Caller::connect(&path).unwrap();
            caller.set_read_timeout(Some(ANSWER_TIMEOUT * 10)).unwrap();
            caller.write_all(line).unwrap();
            let mut answer = String::new();
            caller.read_to_string(&mut answer).map(|_| answer)
        });
        let asked = timeout(ANSWER_TIMEOUT * 10, control.next()).await;
        let (_, reply_to) = asked.expect("a place becomes free").unwrap();
        reply_to.send(ControlReply::Error("heard".to_owned())).unwrap();
        assert!(served.await.unwrap().unwrap().contains("heard"));
        drop(idle);
    }
}
