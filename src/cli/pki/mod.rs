//! `s2sd pki`: the certificates of Azure's article without PowerShell, and any other ones
//! explained.
//!
//! | file | what it does |
//! |---|---|
//! | `init.rs` | makes a root |
//! | `issue.rs` | makes leaves and intermediates, and renews them |
//! | `export.rs` | prints Azure's inbound chain, writes Key Vault's PKCS#12 |
//! | `show.rs` | explains certificates |
//! | `folder.rs` | the directory: found authorities, files written once |
//! | `input.rs` | files that an operator names |
//! | `password.rs` | passwords: from a file, from the terminal, or new |
//!
//! A certificate NAME has three files: `NAME.key`, its private key; `NAME.pem`, it and what issued
//! it up to the root; `NAME.cer`, it alone with its Base64 on one line. Nothing is ever
//! overwritten: a renewal is `NAME-2`, then `NAME-3`, with the same subject and a new key, and the
//! old one works until its end.

mod export;
mod folder;
mod init;
mod input;
mod issue;
mod password;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::{fail, say};
use crate::crypto::signature::rsa_key::RsaSize;

/// What `s2sd pki` takes.
#[derive(clap::Args, Debug)]
pub struct PkiArguments {
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Make a root like that of Azure's article: NAME.key, NAME.pem, NAME.cer.
    Init(init::PkiInitArguments),
    /// Make a certificate for one side of a tunnel, or an intermediate authority; or renew one.
    Issue(issue::PkiIssueArguments),
    /// Explain certificates by the rules of Azure's article: exit code 0 fit, 1 warnings, 2
    /// failures.
    Show(show::PkiShowArguments),
    /// Print the inbound chain as Azure takes it, or write a PKCS#12 file for Key Vault.
    Export(export::PkiExportArguments),
}

/// Does what the command line says.
pub fn pki(arguments: &PkiArguments) -> ExitCode {
    let done = match &arguments.command {
        PkiCommand::Init(arguments) => init::init(arguments),
        PkiCommand::Issue(arguments) => issue::issue(arguments),
        PkiCommand::Show(arguments) => return show::show(arguments),
        PkiCommand::Export(arguments) => export::export(arguments),
    };
    match done {
        Ok(told) => say(told),
        Err(why) => fail(why),
    }
}

/// Where certificates are made and found.
#[derive(clap::Args, Debug)]
struct Directory {
    /// The directory of the certificates and keys.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    dir: PathBuf,
}

/// How long and how strong.
#[derive(clap::Args, Debug)]
struct Strength {
    /// How many months it lives; never longer than what issued it.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=1200))]
    months: u16,
    /// The bits of its RSA key.
    #[arg(long, value_name = "BITS", default_value = "2048")]
    key_size: KeySize,
}

/// The sizes of RSA keys, as they are written.
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
