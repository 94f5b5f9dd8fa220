//! The commands of `docs/azure.md`: which there are, and running them. (`tests/docs.rs` holds the
//! README's commands to that page.)

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use s2sd::sys::namespace::{Namespace, unshare_run_directory};

use super::patience::{Failure, ensure, life};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/azure.md");

/// A /run of its own is there already; /etc gets a place for s2sd's files that the host does not
/// see.
const PREAMBLE: &str = r#"set -eu
mkdir /run/real /run/etc /run/s2sd
mount --rbind /etc /run/real
for entry in /run/real/*; do ln -s "$entry" /run/etc/; done
rm -f /run/etc/s2sd
mkdir /run/etc/s2sd
mount --bind "$PLACE/etc" /run/etc/s2sd
mount --rbind /run/etc /etc
mount --bind "$PLACE/run" /run/s2sd
set -a
if [ -e "$PLACE/environment" ]; then . "$PLACE/environment"; cd "$(cat "$PLACE/current")"; fi
"#;
const AFTERWORD: &str = r#"
pwd > "$PLACE/current"
export -p > "$PLACE/environment"
"#;

/// The blocks of commands of the page, in their order. Fails when a block is not one of commands.
pub fn blocks() -> Result<Vec<String>, Failure> {
    let (mut fence, mut blocks) = (None::<String>, Vec::new());
    let page = fs::read_to_string(PAGE).map_err(|error| Failure::new(PAGE, error))?;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut fence) {
            (Some(kind), None) => {
                ensure(kind == "sh", "commands of the page stand in ```sh", line)?;
                fence = Some(String::new());
            }
            (Some(_), Some(_)) => blocks.extend(fence.take()),
            (None, Some(block)) => {
                *block += line;
                block.push('\n');
            }
            (None, None) => mentioned(line)?,
        }
    }
    ensure(!blocks.is_empty(), "the page has commands", PAGE)?;
    Ok(blocks)
}

/// A command that the text mentions in passing exists at least.
fn mentioned(line: &str) -> Result<(), Failure> {
    for code in line.split('`').skip(1).step_by(2) {
        let program = code.split(' ').next().unwrap_or_default();
        ensure(program != "az" || code == "az", "a command of az outside of a block", code)?;
        if program != "s2sd" {
            continue;
        }
        let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
        let words: Vec<&str> = code.split(' ').skip(1).take_while(is_word).collect();
        let help = Command::new(env!("CARGO_BIN_EXE_s2sd")).args(&words).arg("--help").output();
        let help = help.map_err(|error| Failure::new("s2sd --help", error))?;
        ensure(help.status.success(), "a command of the page that s2sd does not have", code)?;
    }
    Ok(())
}

/// The block with the doctor's exit code for warnings accepted: this machine's clock may have
/// nothing that keeps it right.
fn bearing_warnings(block: &str) -> String {
    let bearing = |line: &str| match line.contains("s2sd azure doctor") {
        true => format!("{} || [ $? = 1 ]\n", line.split(" #").next().unwrap_or(line)),
        false => format!("{line}\n"),
    };
    block.lines().map(bearing).collect()
}

/// A host on which somebody follows the page.
#[derive(Debug)]
pub struct Reader<'n> {
    namespace: &'n Namespace,
    directory: PathBuf,
}

impl<'n> Reader<'n> {
    /// On a host that has s2sd installed, and nothing else of it.
    pub fn new(namespace: &'n Namespace, directory: &Path) -> std::io::Result<Reader<'n>> {
        for part in ["bin", "etc", "run", "stored"] {
            fs::create_dir_all(directory.join(part))?;
        }
        symlink(env!("CARGO_BIN_EXE_s2sd"), directory.join("bin/s2sd"))?;
        for (name, text) in [
            ("az", include_str!("stand-ins/az")),
            ("systemctl", include_str!("stand-ins/systemctl")),
        ] {
            let path = directory.join("bin").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Reader { namespace, directory: directory.to_owned() })
    }

    /// Runs a block in a shell, where the one before ended; each of its commands has to succeed.
    /// What was said.
    pub fn follow(&self, block: &str) -> Result<String, Failure> {
        let script = self.directory.join("block");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.directory.join("bin").display());
        let start = || {
            unshare_run_directory()?;
            fs::write(&script, [PREAMBLE, &bearing_warnings(block), AFTERWORD].concat())?;
            let said = fs::File::create(self.directory.join("said"))?;
            Command::new("timeout")
                .args(["-s", "KILL", "120", "sh"])
                .arg(&script)
                .current_dir("/")
                .env("PATH", path)
                .env("PLACE", &self.directory)
                .env("UNIT", concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/s2sd.service"))
                .env("LIFE", life())
                .env_remove("CREDENTIALS_DIRECTORY")
                .env_remove("JOURNAL_STREAM")
                .stdin(Stdio::null())
                .stdout(said.try_clone()?)
                .stderr(said)
                .status()
        };
        let status = self.namespace.run(start).map_err(|error| Failure::new("sh", error))?;
        let said = fs::read_to_string(self.directory.join("said")).unwrap_or_default();
        match status.success() {
            true => Ok(said),
            false => Err(Failure::new("a command of the page failed", block)
                .with("what was said", &said)
                .with("the service's log", &self.log())),
        }
    }

    /// What the service has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The password that the key vault was given with its file.
    pub fn vault_password(&self) -> Result<Vec<u8>, Failure> {
        let calls = self.calls();
        let import = calls.iter().find(|call| {
            call.starts_with(&["keyvault", "certificate", "import"].map(String::from))
        });
        let mut arguments = import.into_iter().flatten().skip_while(|word| *word != "--password");
        let password =
            arguments.nth(1).ok_or_else(|| Failure::new("a password for the key vault", ""))?;
        Ok(password.clone().into_bytes())
    }

    /// The calls of `az` so far, each with its arguments.
    pub fn calls(&self) -> Vec<Vec<String>> {
        let entries = fs::read_dir(self.directory.join("calls")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
        paths.iter().map(|path| read(path).lines().map(str::to_owned).collect()).collect()
    }
}

impl Drop for Reader<'_> {
    /// Ends the service, if it was started.
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.directory.join("pid")) {
            Command::new("kill").args(["-KILL", pid.trim()]).status().ok();
        }
    }
}
