//! Two services in the gateways of a lab, as operators run them: the real binary, a configuration
//! file, a control socket.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value as Json;

use super::{Lab, SIDES};

pub const NAMES: [&str; 2] = ["site", "azure"];
/// How long anything may take here.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Both services with their files.
pub struct Pair {
    pub lab: Lab,
    pub directory: PathBuf,
    pub services: [Option<Child>; 2],
}

impl Pair {
    pub fn start(name: &str) -> Option<Pair> {
        let lab = Lab::build()?;
        let directory = std::env::temp_dir().join(format!("s2sd-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        // A user without rights has to reach the socket's directory.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let mut pair = Pair { lab, directory, services: [None, None] };
        for side in SIDES {
            certify(&pair.directory, NAMES[side]);
            pair.configure(side, 45);
        }
        for side in [1, 0] {
            pair.launch(side);
        }
        pair.wait(0, "up");
        pair.wait(1, "up");
        Some(pair)
    }

    pub fn file(&self, side: usize, kind: &str) -> PathBuf {
        self.directory.join(format!("{}.{kind}", NAMES[side]))
    }

    pub fn configure(&self, side: usize, dpd: u32) {
        fs::write(self.file(side, "toml"), configuration(&self.directory, side, dpd)).unwrap();
    }

    /// Starts a service inside its gateway: a child takes the namespace of the thread that starts
    /// it.
    pub fn launch(&mut self, side: usize) {
        self.launch_with(side, |_| {});
    }

    /// The same, prepared in the thread that starts it.
    pub fn launch_with(&mut self, side: usize, prepare: impl FnOnce(&mut Command) + Send) {
        let (config, log) = (self.file(side, "toml"), self.file(side, "log"));
        let service = self.lab.gateways[side].run(|| {
            let mut service = Command::new(env!("CARGO_BIN_EXE_s2sd"));
            service.args(["run", "--config"]).arg(config);
            service.stderr(fs::File::create(log)?).stdout(Stdio::null());
            prepare(&mut service);
            service.spawn()
        });
        self.services[side] = Some(service.unwrap());
    }

    /// Ends a service and waits until it is over.
    pub fn end(&mut self, side: usize, signal: Signal) {
        self.signal(side, signal);
        self.services[side].take().unwrap().wait().unwrap();
    }

    /// Replaces something in a side's configuration file, and nothing else.
    pub fn edit(&self, side: usize, what: &str, by: &str) {
        let text = fs::read_to_string(self.file(side, "toml")).unwrap();
        assert!(text.contains(what), "{what} is not in {text}");
        fs::write(self.file(side, "toml"), text.replace(what, by)).unwrap();
    }

    /// An order that is obeyed.
    pub fn obey(&self, side: usize, words: &[&str]) {
        let output = self.order(side, words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn log(&self, side: usize) -> String {
        fs::read_to_string(self.file(side, "log")).unwrap_or_default()
    }

    /// Runs a command against a side's service.
    pub fn order(&self, side: usize, words: &[&str]) -> Output {
        let socket = self.file(side, "sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_s2sd"));
        command.args(words).arg("--socket").arg(socket).output().unwrap()
    }

    pub fn status(&self, side: usize) -> Json {
        let output = self.order(side, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Json::Null)
    }

    pub fn tunnel(&self, side: usize) -> Json {
        self.status(side)["connections"][0]["tunnels"][0].clone()
    }

    /// Waits until a side's connection is in this state.
    pub fn wait(&self, side: usize, state: &str) {
        self.wait_for(side, state, |status| status["connections"][0]["state"] == state);
    }

    #[expect(clippy::disallowed_methods, reason = "a test's patience is measured in real time")]
    pub fn wait_for(&self, side: usize, what: &str, is_so: impl Fn(&Json) -> bool) {
        let began = Instant::now();
        while !is_so(&self.status(side)) {
            let late = || format!("{} is not {what}: {}", NAMES[side], self.log(side));
            assert!(began.elapsed() < PATIENCE, "{}", late());
            // The processors are for the services.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&mut self, side: usize, signal: Signal) {
        let pid = self.services[side].as_ref().unwrap().id();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub fn routes(&self, side: usize) -> String {
        let read = || fs::read_to_string("/proc/thread-self/net/route");
        self.lab.gateways[side].run(read).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for service in self.services.iter_mut().flatten() {
            let _ = service.kill();
            let _ = service.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What a side is started with, as an operator writes it.
pub fn configuration(directory: &Path, side: usize, dpd: u32) -> String {
    let (own, other) = (NAMES[side], NAMES[1 - side]);
    let (here, there) = (side + 1, 2 - side);
    let mode = ["Default", "InitiatorOnly"][side];
    let at = directory.display();
    format!(
        r#"[device]
name = "{own}"
control_socket = "{at}/{own}.sock"
[local_network_gateway]
name = "{own}"
gateway_ip_address = "203.0.113.{here}"
address_prefixes = ["10.{here}.0.0/24"]
[[connection]]
name = "tunnel"
connection_mode = "{mode}"
dpd_timeout_seconds = {dpd}
[connection.ipsec_policy]
ike_encryption = "GCMAES256"
ike_integrity = "SHA384"
dh_group = "ECP256"
ipsec_encryption = "GCMAES256"
ipsec_integrity = "GCMAES256"
pfs_group = "ECP256"
[connection.virtual_network_gateway]
name = "gateway"
public_ip_addresses = ["203.0.113.{there}"]
address_prefixes = ["10.{there}.0.0/24"]
[connection.certificate_authentication]
inbound_certificate = "{at}/{own}.cer"
inbound_private_key = "{at}/{own}.key"
outbound_certificate_roots = ["{at}/{other}-root.cer"]
outbound_certificate_subject_name = "{other}"
"#
    )
}

/// A root and a leaf of this name, for a day.
pub fn certify(directory: &Path, name: &str) {
    let named = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let (root_key, key) =
        (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut root = named(&format!("{name} root"));
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = root.self_signed(&root_key).unwrap();
    fs::write(directory.join(format!("{name}-root.cer")), certificate.der()).unwrap();
    fs::write(directory.join(format!("{name}-root.key")), root_key.serialize_der()).unwrap();
    let issuer = rcgen::Issuer::new(root, root_key);
    let leaf = named(name).signed_by(&key, &issuer).unwrap();
    fs::write(directory.join(format!("{name}.cer")), leaf.der()).unwrap();
    fs::write(directory.join(format!("{name}.key")), key.serialize_der()).unwrap();
}
