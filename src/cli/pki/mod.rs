//! `s2sd pki`: creates the certificates of Azure's article without PowerShell, and explains any
//! other certificates.
//!
//! | file | what lives there |
//! |---|---|
//! | `init.rs` | `s2sd pki init`: creates a root certificate |
//! | `issue.rs` | `s2sd pki issue`: issues and renews leaf and intermediate certificates |
//! | `csr.rs` | `s2sd pki csr`: requests a certificate of an authority that others run |
//! | `export.rs` | `s2sd pki export`: Azure's inbound chain, PKCS#12 for Key Vault |
//! | `show.rs` | `s2sd pki show`: explains certificates |
//! | `folder.rs` | the directory: authorities in it, file names of certificates and renewals |
//! | `new_files.rs` | files that are created together and never overwrite |
//! | `bundle.rs` | reads certificates and keys from PEM, DER and PKCS#12 |
//! | `password.rs` | passwords: from a file, from the terminal, or generated |
//! | `file.rs` | reads one file, and explains errors |
//!
//! A certificate NAME has three files: `NAME.key` holds the private key, `NAME.pem` the certificate
//! and its issuers up to the root, `NAME.cer` the certificate alone with its Base64 on one line. No
//! file is ever overwritten: a renewal is `NAME-2`, then `NAME-3`, with the same subject and a new
//! key, and the old certificate works until it expires.

mod bundle;
mod csr;
mod export;
mod file;
mod folder;
mod init;
mod issue;
mod new_files;
mod password;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::{fail, say};
use crate::crypto::signature::rsa_key::RsaSize;

/// The arguments of `s2sd pki`.
#[derive(clap::Args, Debug)]
pub struct PkiArguments {
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Create a root certificate like that of Azure's article: NAME.key, NAME.pem, NAME.cer.
    Init(init::PkiInitArguments),
    /// Issue or renew a certificate for one side of a tunnel, or for an intermediate authority.
    Issue(issue::PkiIssueArguments),
    /// Make a key and a certificate request (CSR) for an authority that others run: NAME.key,
    /// NAME.csr.
    Csr(csr::PkiCsrArguments),
    /// Explain certificates by the rules of Azure's article: exit code 0 all fit, 1 warnings, 2
    /// failures.
    Show(show::PkiShowArguments),
    /// Print the inbound chain in the form that Azure accepts, or write a PKCS#12 file for Key
    /// Vault.
    Export(export::PkiExportArguments),
}

/// Runs a command below `s2sd pki`.
pub fn pki(arguments: &PkiArguments) -> ExitCode {
    let done = match &arguments.command {
        PkiCommand::Init(arguments) => init::init(arguments),
        PkiCommand::Issue(arguments) => issue::issue(arguments),
        PkiCommand::Csr(arguments) => csr::csr(arguments),
        PkiCommand::Show(arguments) => return show::show(arguments),
        PkiCommand::Export(arguments) => export::export(arguments),
    };
    match done {
        Ok(text) => say(text),
        Err(why) => fail(why),
    }
}

/// The option that names the directory of the certificates.
#[derive(clap::Args, Debug)]
struct Directory {
    /// The directory of the certificates and keys.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    dir: PathBuf,
}

/// The options for lifetime and key size of a new certificate.
#[derive(clap::Args, Debug)]
struct Strength {
    /// The lifetime of the certificate in months; it never outlives its issuer.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=1200))]
    months: u16,
    /// The size of the RSA key in bits.
    #[arg(long, value_name = "BITS", default_value = "2048")]
    key_size: KeySize,
}

/// The values of `--key-size`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeySize {
    #[value(name = "2048")]
    Bits2048,
    #[value(name = "3072")]
    Bits3072,
    #[value(name = "4096")]
    Bits4096,
}

impl From<KeySize> for RsaSize {
    fn from(size: KeySize) -> RsaSize {
        match size {
            KeySize::Bits2048 => RsaSize::Bits2048,
            KeySize::Bits3072 => RsaSize::Bits3072,
            KeySize::Bits4096 => RsaSize::Bits4096,
        }
    }
}
