//! strongSwan as the peer: charon with ESP in userspace (`kernel-libipsec`), driven through
//! swanctl.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use s2sd::sys::namespace::{Namespace, unshare_run_directory};

use super::credentials::{Credentials, pem};
use super::patience::{Failure, life, until};

const CHARON: &str = "/usr/lib/ipsec/charon";
/// Why strongSwan cannot be used here.
pub fn obstacle() -> Option<String> {
    if !Path::new(CHARON).exists() {
        return Some(format!("no {CHARON} (Debian package strongswan-charon)"));
    }
    if !Path::new("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so").exists() {
        return Some("no kernel-libipsec (Debian package libcharon-extra-plugins)".into());
    }
    let swanctl = Command::new("swanctl").arg("--version").output();
    swanctl.is_err().then(|| "no swanctl (Debian package strongswan-swanctl)".into())
}

/// How the peer is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    pub credentials: Credentials,
    pub here: String,
    /// Where s2sd is.
    pub there: String,
    pub ike: String,
    pub esp: String,
    pub local_ts: String,
    pub remote_ts: String,
    /// How it signs, and how it wants us to sign.
    pub auth: [&'static str; 2],
    /// Its ID and the one that it expects, where they are not the certificates' common names.
    pub ids: [Option<&'static str>; 2],
    /// Lines of the connection.
    pub connection: String,
    /// Lines of the child.
    pub child: String,
    /// More children, whole.
    pub children: String,
    /// More connections, whole.
    pub connections: String,
    /// Lines of the daemon.
    pub daemon: String,
    /// `start`, `trap` or `none`.
    pub start: &'static str,
}

impl Settings {
    /// The gateway of the Azure article.
    pub fn new(credentials: &Credentials) -> Settings {
        Settings {
            credentials: credentials.clone(),
            here: "203.0.113.2".into(),
            there: "203.0.113.1".into(),
            ike: "aes256gcm16-prfsha384-ecp384".into(),
            esp: "aes256gcm16".into(),
            local_ts: "10.2.0.0/24".into(),
            remote_ts: "10.1.0.0/24".into(),
            auth: ["pubkey"; 2],
            ids: [None; 2],
            connection: String::new(),
            child: String::new(),
            children: String::new(),
            connections: String::new(),
            daemon: String::new(),
            start: "none",
        }
    }
}

/// A running daemon; it ends with this.
#[derive(Debug)]
pub struct Strongswan {
    wrapper: Child,
    directory: PathBuf,
    /// Whether it is ours to end: the next one has the same directory.
    running: bool,
}

impl Strongswan {
    /// Starts it in a namespace, with everything in `directory`, and loads its connections.
    pub fn start(
        namespace: &Namespace,
        directory: &Path,
        settings: &Settings,
    ) -> Result<Strongswan, Failure> {
        let failed = |error: io::Error| Failure::new("starting strongSwan", error);
        fs::create_dir_all(directory).map_err(failed)?;
        for old in ["log", "vici", "pid"] {
            fs::remove_file(directory.join(old)).ok();
        }
        write(directory, settings).map_err(failed)?;
        let pid = directory.join("pid");
        let script = format!("echo $$ > {}; exec {CHARON}", pid.display());
        let wrapper = namespace
            .run(|| {
                unshare_run_directory()?;
                let out = fs::File::create(directory.join("out"))?;
                Command::new("timeout")
                    .args(["-s", "KILL", &life(), "sh", "-c", &script])
                    .env("STRONGSWAN_CONF", directory.join("strongswan.conf"))
                    .stdin(Stdio::null())
                    .stdout(out.try_clone()?)
                    .stderr(out)
                    .spawn()
            })
            .map_err(failed)?;
        let running = Strongswan { wrapper, directory: directory.to_owned(), running: true };
        let socket = running.directory.join("vici");
        until("strongSwan's control socket", Duration::from_secs(20), || {
            socket.exists().then_some(())
        })?;
        running.load(settings)?;
        Ok(running)
    }

    /// Takes other settings.
    pub fn load(&self, settings: &Settings) -> Result<(), Failure> {
        write(&self.directory, settings)
            .map_err(|error| Failure::new("strongSwan's files", error))?;
        let file = self.directory.join("swanctl.conf");
        self.control(&["--load-all", "--clear", "--file", &file.display().to_string()]).map(drop)
    }

    /// Runs a swanctl command that has to succeed.
    pub fn control(&self, arguments: &[&str]) -> Result<String, Failure> {
        let (succeeded, text) = self.ask(arguments)?;
        match succeeded {
            true => Ok(text),
            false => Err(Failure::new(&format!("swanctl {}", arguments.join(" ")), text)),
        }
    }

    /// Runs a swanctl command; whether it succeeded, and all that it said.
    pub fn ask(&self, arguments: &[&str]) -> Result<(bool, String), Failure> {
        let output = Command::new("timeout")
            .args(["20", "swanctl"])
            .args(arguments)
            .env("STRONGSWAN_CONF", self.directory.join("strongswan.conf"))
            .output()
            .map_err(|error| Failure::new("swanctl", error))?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// Sets the child up, and says what came of it.
    pub fn initiate(&self) -> Result<(bool, String), Failure> {
        self.ask(&["--initiate", "--child", "net", "--timeout", "12"])
    }

    /// Its SAs, as text.
    pub fn sas(&self) -> Result<String, Failure> {
        self.control(&["--list-sas"])
    }

    /// How many IKE SAs it has established.
    pub fn count_ike_sas(&self) -> Result<usize, Failure> {
        Ok(self.sas()?.matches("ESTABLISHED, IKEv2").count())
    }

    /// How many child SAs it has installed.
    pub fn count_child_sas(&self) -> Result<usize, Failure> {
        Ok(self.sas()?.matches(" INSTALLED,").count())
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Waits for a line of its log that has all of `parts`; counted from `from` octets on.
    pub fn wait_log(&self, from: usize, parts: &[&str]) -> Result<String, Failure> {
        let what = format!("strongSwan to log \"{}\"", parts.join("\" .. \""));
        until(&what, Duration::from_secs(25), || {
            let log = self.log();
            let line = log
                .get(from..)?
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)))?
                .to_owned();
            Some(line)
        })
        .map_err(|failure| failure.with("strongSwan's log", &self.tail()))
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(45)..].join("\n")
    }

    /// Kills it without a word to anybody.
    pub fn kill(&mut self) {
        if !std::mem::take(&mut self.running) {
            return;
        }
        if let Ok(pid) = fs::read_to_string(self.directory.join("pid")) {
            Command::new("sh").arg("-c").arg(format!("kill -KILL {}", pid.trim())).status().ok();
        }
        self.wrapper.wait().ok();
    }
}

impl Drop for Strongswan {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write(directory: &Path, settings: &Settings) -> io::Result<()> {
    let Credentials { leaf, chain, key, roots, .. } = &settings.credentials;
    fs::write(directory.join("leaf.der"), leaf)?;
    // swanctl takes keys from here alone.
    fs::create_dir_all(directory.join("private"))?;
    fs::write(directory.join("private/key.pem"), pem("PRIVATE KEY", key))?;
    for (kind, certificates) in [("chain", chain), ("root", roots)] {
        for (number, der) in certificates.iter().enumerate() {
            fs::write(directory.join(format!("{kind}{number}.der")), der)?;
        }
    }
    fs::write(directory.join("strongswan.conf"), daemon(directory, settings))?;
    fs::write(directory.join("swanctl.conf"), connections(directory, settings))
}

fn daemon(directory: &Path, settings: &Settings) -> String {
    let (path, more) = (directory.display(), &settings.daemon);
    format!(
        "charon {{
  load_modular = no
  load = random nonce openssl gmp pem pkcs1 pkcs8 x509 pubkey constraints revocation hmac kdf gcm aes sha2 sha1 curve25519 vici kernel-libipsec kernel-netlink socket-default updown
  plugins {{
    vici {{ socket = unix://{path}/vici }}
    kernel-libipsec {{ allow_peer_ts = yes }}
  }}
  filelog {{ log {{
    path = {path}/log
    flush_line = yes
    default = 1
    ike = 2
    cfg = 2
  }} }}
{more}
}}
swanctl {{
  load = pem pkcs1 pkcs8 x509 openssl random
  socket = unix://{path}/vici
}}
"
    )
}

fn connections(directory: &Path, settings: &Settings) -> String {
    let Settings { credentials, here, there, ike, esp, local_ts, remote_ts, start, .. } = settings;
    let Settings { connection, child, children, connections, auth: [signs, wants], .. } = settings;
    let (path, Credentials { name, expects, .. }) = (directory.display(), credentials);
    let listed = |kind: &str, count: usize| -> String {
        let item = |n| format!("  {kind}{n} {{ cacert = {path}/{kind}{n}.der }}\n");
        (0..count).map(item).collect()
    };
    let named = |id: Option<&str>, name: &str| id.map_or(format!("CN={name}"), str::to_owned);
    let [id, other] = [named(settings.ids[0], name), named(settings.ids[1], expects)];
    let authorities =
        listed("chain", credentials.chain.len()) + &listed("root", credentials.roots.len());
    format!(
        "connections {{
  s2s {{
    version = 2
    local_addrs = {here}
    remote_addrs = {there}
    proposals = {ike}
    encap = yes
    keyingtries = 1
{connection}
    local {{
      auth = {signs}
      certs = {path}/leaf.der
      id = \"{id}\"
    }}
    remote {{
      auth = {wants}
      id = \"{other}\"
    }}
    children {{
      net {{
        local_ts = {local_ts}
        remote_ts = {remote_ts}
        esp_proposals = {esp}
        start_action = {start}
{child}
      }}
{children}
    }}
  }}
{connections}
}}
authorities {{
{authorities}}}
"
    )
}
