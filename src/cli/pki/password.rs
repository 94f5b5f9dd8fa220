//! Passwords of PKCS#12 files: from a file, from the terminal, or generated.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::super::complain;
use super::file;
use super::new_files::{NewFiles, PRIVATE};
use crate::rng::Rng;

/// The options for the password of a new PKCS#12 file.
#[derive(clap::Args, Debug)]
pub struct PasswordSource {
    /// The file with the password of the new PKCS#12 file; without this option the terminal asks.
    #[arg(long, value_name = "FILE", conflicts_with = "azure_chain")]
    password_file: Option<PathBuf>,
    /// Generate a password and write it into this new file, readable by its owner only.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["azure_chain", "password_file"])]
    new_password_file: Option<PathBuf>,
}

impl PasswordSource {
    /// The file that a generated password is to be written to.
    pub fn new_file(&self) -> Option<&PathBuf> {
        self.new_password_file.as_ref()
    }

    /// The password of the new PKCS#12 file: read, generated or asked for.
    pub fn obtain(
        &self,
        batch: &mut NewFiles,
        rng: &mut dyn Rng,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        match (&self.password_file, &self.new_password_file) {
            (Some(file), _) => read(file),
            (None, Some(file)) => {
                let password = new(rng);
                batch.write(file, PRIVATE, &password)?;
                Ok(password)
            }
            (None, None) => ask(),
        }
    }
}

/// The content of a password file.
pub fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let (bytes, exposed) = file::read(file)?;
    if exposed {
        let file = file.display();
        complain(format_args!("every user of this host can read the password: chmod go= {file}"));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(format!("{} holds no password", file.display()));
    }
    Ok(bytes)
}

/// A new password: 26 letters and digits of five bits each, without those that look alike, and a
/// line end.
fn new(rng: &mut dyn Rng) -> Zeroizing<Vec<u8>> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut octets = Zeroizing::new([0; 26]);
    rng.fill(&mut *octets);
    let mut password = Zeroizing::new(Vec::with_capacity(octets.len() + 1));
    password.extend(octets.iter().map(|octet| LETTERS[usize::from(octet & 31)]));
    password.push(b'\n');
    password
}

fn ask() -> Result<Zeroizing<Vec<u8>>, String> {
    if !std::io::stdin().is_terminal() {
        return Err(
            "there is no terminal to ask for a password: add --password-file FILE, or --new-password-file FILE to generate one"
                .to_owned(),
        );
    }
    let prompt = |text| {
        let typed = rpassword::prompt_password(text).map(String::into_bytes).map(Zeroizing::new);
        typed.map_err(|error| format!("the password could not be read: {error}"))
    };
    let password = prompt("Password for the PKCS#12 file: ")?;
    if password.is_empty() {
        return Err(
            "an empty password protects nothing: type one, or add --new-password-file FILE"
                .to_owned(),
        );
    }
    if prompt("The same password again: ")? != password {
        return Err("the two passwords differ: try again".to_owned());
    }
    Ok(password)
}
