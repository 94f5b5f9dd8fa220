//! strongSwan with ESP in userspace (`kernel-libipsec`) as both gateways, where it is installed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use s2sd::sys::namespace::unshare_run_directory;
use s2sd::wire::packet::ip::IpVersion;

use super::lab::traffic::round_trips;
use super::lab::{Lab, SIDES, gateway};

const CHARON: &str = "/usr/lib/ipsec/charon";

/// Two running daemons; they end with this.
pub struct Strongswan {
    daemons: Vec<Child>,
    directory: PathBuf,
}

impl Strongswan {
    /// Starts both and waits for the tunnel.
    pub fn start(lab: &Lab) -> Result<Strongswan, String> {
        if !Path::new(CHARON).exists() {
            return Err(format!("{CHARON} is not installed"));
        }
        let directory = std::env::temp_dir().join(format!("s2sd-bench-{}", std::process::id()));
        let mut running = Strongswan { daemons: vec![], directory };
        // The second side first: the first one dials.
        for side in [1, 0] {
            let daemon = running.start_side(lab, side).map_err(|error| error.to_string())?;
            running.daemons.push(daemon);
        }
        for _ in 0..20 {
            if round_trips(lab, 1).len() == 1 {
                return Ok(running);
            }
        }
        let log = running.directory.join("0/log");
        let text = fs::read_to_string(log).unwrap_or_default();
        Err(format!("no tunnel:\n{}", text.lines().rev().take(12).collect::<Vec<_>>().join("\n")))
    }

    fn start_side(&self, lab: &Lab, side: usize) -> io::Result<Child> {
        let directory = self.directory.join(side.to_string());
        fs::create_dir_all(&directory)?;
        let path = directory.display();
        fs::write(directory.join("strongswan.conf"), daemon_settings(&path.to_string()))?;
        fs::write(directory.join("swanctl.conf"), connection(side))?;
        let settings = directory.join("strongswan.conf");
        let with_settings = |program: &str| {
            let mut command = Command::new(program);
            command.env("STRONGSWAN_CONF", &settings).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        lab.gateways[side].run(|| {
            unshare_run_directory()?;
            let daemon = with_settings(CHARON).spawn()?;
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(100));
                if directory.join("vici").exists() {
                    break;
                }
            }
            with_settings("swanctl")
                .args(["--load-all", "--file"])
                .arg(directory.join("swanctl.conf"))
                .status()?;
            Ok(daemon)
        })
    }
}

impl Drop for Strongswan {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            daemon.kill().ok();
            daemon.wait().ok();
        }
        fs::remove_dir_all(&self.directory).ok();
    }
}

fn daemon_settings(path: &str) -> String {
    format!(
        "charon {{
  load_modular = no
  load = random nonce openssl hmac kdf gcm aes sha2 sha1 curve25519 vici kernel-libipsec kernel-netlink socket-default updown
  plugins {{
    vici {{ socket = unix://{path}/vici }}
    kernel-libipsec {{ allow_peer_ts = yes }}
  }}
  filelog {{ log {{ path = {path}/log }} }}
}}
swanctl {{
  load = random openssl
  socket = unix://{path}/vici
}}
"
    )
}

fn connection(side: usize) -> String {
    let [here, there] = [side, 1 - side].map(|side| gateway(side, IpVersion::V4));
    let lans = SIDES.map(|side| ["10.1.0.0/24", "10.2.0.0/24"][side]);
    let (local, remote) = (lans[side], lans[1 - side]);
    let start = if side == 0 { "start" } else { "none" };
    format!(
        "connections {{ bench {{
  version = 2
  local_addrs = {here}
  remote_addrs = {there}
  proposals = aes256gcm16-prfsha384-ecp384
  encap = yes
  local {{ auth = psk }}
  remote {{ auth = psk }}
  children {{ net {{
    local_ts = {local}
    remote_ts = {remote}
    esp_proposals = aes256gcm16
    start_action = {start}
  }} }}
}} }}
secrets {{ ike-bench {{ secret = \"only for the bench\" }} }}
"
    )
}
