//! `s2sd run`: starts the service, moves private keys to a process of their own, and gives up
//! rights that the service does not need.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{ConfigPath, fail, log};
use crate::config::{self, Loaded, Severity};
use crate::crypto::signature::KeyStore;
use crate::daemon::files::{self, Noting};
use crate::daemon::signer::SigningProcess;
use crate::daemon::{self, Options, Signal};
use crate::state::FdStore;
use crate::sys::clock;
use crate::sys::confine::{self, Paths, ServiceUser};
use crate::sys::{descriptors, inherited};

/// The arguments of `s2sd run`.
#[derive(clap::Args, Debug)]
pub struct RunArguments {
    #[command(flatten)]
    config: ConfigPath,
    /// A supervisor's socket that keeps file descriptors over restarts by systemd's protocol:
    /// FDSTORE=1 on the socket, LISTEN_FDS at the start.
    #[arg(long, value_name = "PATH")]
    state_fd_socket: Option<PathBuf>,
    /// The format of log lines.
    #[arg(long, value_enum, default_value_t)]
    log_format: log::LogFormat,
    /// The least severe level that is logged.
    #[arg(long, value_enum, default_value_t)]
    log_level: log::LogLevel,
    /// The user that the service becomes when root starts it: it keeps the capabilities to set up
    /// tunnels and no others. Files that a reload reads have to be readable for this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For debuggers and tracers: no seccomp, no Landlock, and private keys in this process.
    #[arg(long)]
    unconfined: bool,
}

/// Runs the service until a signal stops the service.
pub fn run(arguments: &RunArguments) -> ExitCode {
    // Before anything is opened, which would get one of their numbers.
    let inherited = inherited::take();
    log::start(arguments.log_format, arguments.log_level);
    #[cfg(feature = "faults")]
    if let Err(why) = crate::sys::fault::from_environment() {
        return fail(why);
    }
    let path = &arguments.config.config;
    let text = match files::configuration(path) {
        Ok(text) => text,
        Err(error) => return fail(format_args!("{} cannot be read: {error}", path.display())),
    };
    let user = match arguments.user.as_deref().map(ServiceUser::named).transpose() {
        Ok(user) => user,
        Err(error) => return fail(error),
    };
    let (key_store, signer) = match arguments.unconfined {
        true => (KeyStore::in_process(), None),
        false => start_signer(user.as_ref()),
    };
    let files = Noting::default();
    let loaded = config::load(&path.display().to_string(), &text, &files, &key_store, clock::now());
    for found in &loaded.report.found {
        match found.severity {
            Severity::Error => tracing::error!("{}", found.in_a_line()),
            Severity::Warning => tracing::warn!("{}", found.in_a_line()),
        }
    }
    if loaded.config.is_none() {
        return fail(format_args!("{} has errors, see above", path.display()));
    }
    if let Err(error) = descriptors::claim(wanted_descriptors(&loaded)) {
        return fail(error);
    }
    let fd_store = match &arguments.state_fd_socket {
        Some(path) => FdStore::at(path),
        None => Ok(FdStore::from_environment()),
    };
    if let Some(config) = &loaded.config {
        let socket = &config.device.control_socket;
        if let Some(user) = &user
            && let Err(error) = switch_user(user, socket)
        {
            return fail(format_args!("the service cannot run as another user: {error}"));
        }
        if !arguments.unconfined {
            give_up_rights(path, socket, &files);
        }
    }
    let served = fd_store.and_then(|fd_store| {
        let source = Some(path.clone());
        let options = Options { source, fd_store, key_store, ..Options::default() };
        serve(loaded, options, inherited, signer)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// The file descriptors that the service needs: some for the process; and for each tunnel a device,
/// a socket, an eventfd and, for moments, a netlink socket.
fn wanted_descriptors(loaded: &Loaded) -> u64 {
    let connections = loaded.config.iter().flat_map(|config| &config.connections);
    let tunnels: usize = connections.map(|connection| connection.tunnels.len()).sum();
    32 + 4 * u64::try_from(tunnels).unwrap_or(u64::MAX / 8)
}

/// Starts the signing process. Returns the store that hands private keys over to the process, and a
/// descriptor that shows when the process ends.
fn start_signer(user: Option<&ServiceUser>) -> (KeyStore, Option<OwnedFd>) {
    let started = SigningProcess::start(user.map(ServiceUser::numbers));
    let started = started.and_then(|signer| Ok((signer.line()?, signer)));
    match started {
        Ok((line, signer)) => (KeyStore::in_signer(Arc::new(signer)), Some(line)),
        Err(error) => {
            tracing::warn!(%error, "the signing process could not be started: the private keys stay in this process");
            (KeyStore::in_process(), None)
        }
    }
}

/// Becomes the user of `--user`, for whom the directory of the control socket is made before.
fn switch_user(user: &ServiceUser, socket: &Path) -> io::Result<()> {
    if let Some(directory) = socket.parent() {
        user.make_directory(directory)?;
    }
    confine::become_user(user)
}

/// Confines the process to the system calls and paths that the service needs (seccomp, Landlock).
fn give_up_rights(config: &Path, socket: &Path, files: &Noting) {
    let mut paths = Paths::default();
    paths.read_beside(config);
    files.seen().iter().for_each(|file| paths.read_beside(file));
    if let Some(directory) = socket.parent() {
        // If the directory cannot be created, opening the socket fails and is reported.
        let _ = std::fs::create_dir_all(directory);
    }
    paths.bind_beside(socket);
    let confinement = confine::process(&paths);
    match confinement.is_full() {
        true => tracing::info!("process confined: {confinement}"),
        false => tracing::warn!("process only partly confined: {confinement}"),
    }
}

fn serve(
    loaded: Loaded,
    options: Options,
    inherited: Vec<(String, OwnedFd)>,
    signer: Option<OwnedFd>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let (sender, signals) = mpsc::channel(4);
        pass_on(SignalKind::terminate(), Signal::Stop, &sender)?;
        pass_on(SignalKind::interrupt(), Signal::Stop, &sender)?;
        pass_on(SignalKind::hangup(), Signal::Reload, &sender)?;
        pass_on(SignalKind::user_defined2(), Signal::HandOver, &sender)?;
        if let Some(line) = signer {
            watch(line, &sender)?;
        }
        daemon::run(loaded, options, inherited, signals).await
    });
    // A name lookup that hangs must not delay the end of the process, and with it a restart.
    runtime.shutdown_background();
    outcome
}

fn pass_on(kind: SignalKind, meaning: Signal, to: &mpsc::Sender<Signal>) -> io::Result<()> {
    let mut signals = signal(kind)?;
    let to = to.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() && to.send(meaning).await.is_ok() {}
    });
    Ok(())
}

/// Sends [`Signal::KeysLost`] when the process with the private keys ends.
fn watch(line: OwnedFd, to: &mpsc::Sender<Signal>) -> io::Result<()> {
    let to = to.clone();
    let watch = move || {
        // POLLHUP is reported without being asked for; answers are read elsewhere.
        let mut fds = [PollFd::new(line.as_fd(), PollFlags::empty())];
        while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
        let _ = to.blocking_send(Signal::KeysLost);
    };
    std::thread::Builder::new().name("signer-watch".to_owned()).spawn(watch).map(drop)
}
