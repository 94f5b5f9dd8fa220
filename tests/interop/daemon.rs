//! The s2sd program, with a configuration as an operator writes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use s2sd::sys::namespace::{Namespace, unshare_run_directory};

use super::credentials::{Credentials, pem};
use super::patience::{Failure, life, until};

/// How s2sd is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    pub credentials: Credentials,
    /// Our public address, as the gateway knows it.
    pub here: String,
    /// The gateway's, one or two.
    pub there: Vec<String>,
    pub local: Vec<String>,
    pub remote: Vec<String>,
    /// Azure's word.
    pub mode: &'static str,
    /// The whole table, or `"Default"`.
    pub policy: String,
    /// Lines of the connection.
    pub connection: String,
    /// Lines of its tunnel.
    pub tunnel: String,
}

/// GCMAES256 and ECP384 throughout.
pub const POLICY: &str = "{ ike_encryption = \"GCMAES256\", ike_integrity = \"SHA384\", \
     dh_group = \"ECP384\", ipsec_encryption = \"GCMAES256\", ipsec_integrity = \"GCMAES256\", \
     pfs_group = \"ECP384\" }";

impl Settings {
    /// The site of the Azure article.
    pub fn new(credentials: &Credentials) -> Settings {
        Settings {
            credentials: credentials.clone(),
            here: "203.0.113.1".into(),
            there: vec!["203.0.113.2".into()],
            local: vec!["10.1.0.0/24".into()],
            remote: vec!["10.2.0.0/24".into()],
            mode: "Default",
            policy: POLICY.into(),
            connection: "dpd_timeout_seconds = 9".into(),
            tunnel: String::new(),
        }
    }
}

/// A running daemon; it ends with this.
#[derive(Debug)]
pub struct Daemon {
    wrapper: Child,
    directory: PathBuf,
    /// Whether it is ours to end: the next one has the same directory.
    running: bool,
}

impl Daemon {
    /// Starts it in a namespace, with everything in `directory`.
    pub fn start(
        namespace: &Namespace,
        directory: &Path,
        settings: &Settings,
    ) -> Result<Daemon, Failure> {
        let failed = |error: std::io::Error| Failure::new("starting s2sd", error);
        write(directory, settings).map_err(failed)?;
        let (pid, file) = (directory.join("pid"), directory.join("s2sd.toml"));
        let script = format!(
            "echo $$ > {}; exec {} run --config {}",
            pid.display(),
            env!("CARGO_BIN_EXE_s2sd"),
            file.display()
        );
        let start = || {
            unshare_run_directory()?;
            let log =
                fs::OpenOptions::new().create(true).append(true).open(directory.join("log"))?;
            Command::new("timeout")
                .args(["-s", "KILL", &life(), "sh", "-c", &script])
                .env_remove("JOURNAL_STREAM")
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
        };
        let wrapper = namespace.run(start).map_err(failed)?;
        Ok(Daemon { wrapper, directory: directory.to_owned(), running: true })
    }

    /// Gives it an order that it has to obey; what it says.
    pub fn order(&self, words: &[&str]) -> Result<String, Failure> {
        let socket = self.directory.join("control.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_s2sd"));
        let output = command.args(words).arg("--socket").arg(socket).output();
        let output = output.map_err(|error| Failure::new("s2sd's command line", error))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(said),
            false => Err(Failure::new(
                &format!("s2sd {}", words.join(" ")),
                said + &String::from_utf8_lossy(&output.stderr),
            )),
        }
    }

    /// Its log so far; it goes on over restarts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Waits for a line of its log that has all of `parts`; counted from `from` octets on.
    pub fn wait_log(&self, from: usize, parts: &[&str]) -> Result<String, Failure> {
        let what = format!("s2sd to log \"{}\"", parts.join("\" .. \""));
        until(&what, Duration::from_secs(30), || {
            let log = self.log();
            let has = |line: &&str| parts.iter().all(|part| line.contains(part));
            log.get(from..)?.lines().find(has).map(str::to_owned)
        })
        .map_err(|failure| failure.with("s2sd's log", &self.log()))
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        if let Ok(pid) = fs::read_to_string(self.directory.join("pid")) {
            let kill = format!("kill -{name} {}", pid.trim());
            Command::new("sh").arg("-c").arg(kill).status().ok();
        }
    }

    /// Ends it without a word to anybody.
    pub fn kill(&mut self) {
        if std::mem::take(&mut self.running) {
            self.signal("KILL");
            self.wrapper.wait().ok();
        }
    }

    /// Ends it as the service manager does.
    pub fn stop(&mut self) -> Result<(), Failure> {
        self.signal("TERM");
        until("s2sd to stop", Duration::from_secs(10), || {
            self.wrapper.try_wait().ok().flatten().map(drop)
        })?;
        self.running = false;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes what it is started with, and does not start it.
pub fn write(directory: &Path, settings: &Settings) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    let Credentials { leaf, chain, key, roots, expects, .. } = &settings.credentials;
    let certificates = |all: Vec<&Vec<u8>>| -> String {
        all.into_iter().map(|der| pem("CERTIFICATE", der)).collect()
    };
    fs::write(directory.join("own.pem"), certificates([leaf].into_iter().chain(chain).collect()))?;
    fs::write(directory.join("own.key"), pem("PRIVATE KEY", key))?;
    fs::set_permissions(directory.join("own.key"), fs::Permissions::from_mode(0o600))?;
    fs::write(directory.join("roots.pem"), certificates(roots.iter().collect()))?;
    let Settings { here, there, local, remote, mode, policy, connection, tunnel, .. } = settings;
    let path = directory.display();
    let text = format!(
        "[device]
name = \"site1\"
control_socket = \"{path}/control.sock\"

[local_network_gateway]
name = \"Site1\"
gateway_ip_address = \"{here}\"
address_prefixes = {local:?}

[[connection]]
name = \"VNet1-to-Site1\"
connection_mode = \"{mode}\"
ipsec_policy = {policy}
{connection}

[connection.virtual_network_gateway]
name = \"VNet1GW\"
public_ip_addresses = {there:?}
address_prefixes = {remote:?}

[connection.certificate_authentication]
inbound_certificate = \"{path}/own.pem\"
inbound_private_key = \"{path}/own.key\"
outbound_certificate_roots = [\"{path}/roots.pem\"]
outbound_certificate_subject_name = \"{expects}\"

[connection.tunnel]
interface = \"azure0\"
{tunnel}
"
    );
    fs::write(directory.join("s2sd.toml"), text)
}
