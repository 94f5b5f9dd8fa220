//! `s2sd azure import`: makes a configuration from the JSON of the Azure CLI.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::azure::choices::ImportChoices;
use crate::azure::fault::AzureFault;
use crate::azure::import::Imported;
use crate::azure::note::NoteKind;
use crate::azure::resource::Resources;
use crate::azure::{self, json};
use crate::cli::complain;
use crate::config::{self, Severity};

/// The most octets that are read from a file: enough for the JSON of a whole subscription.
const MOST: u64 = 64 << 20;

/// The arguments of `s2sd azure import`.
#[derive(clap::Args, Debug)]
pub struct AzureImportArguments {
    /// Files with the output of `az network vpn-connection show`, `local-gateway show`,
    /// `vnet-gateway show` and `vnet show` in any order, or lists of these, or ARM templates; `-`
    /// is standard input.
    #[arg(value_name = "JSON", required = true)]
    files: Vec<PathBuf>,
    /// Write the configuration to a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite an existing output file.
    #[arg(long, requires = "output")]
    force: bool,
    /// Import this connection only; may be repeated.
    #[arg(long, value_name = "NAME")]
    connection: Vec<String>,
    /// The path of this device's certificate, for the configuration.
    #[arg(long, value_name = "FILE")]
    inbound_certificate: Option<String>,
    /// The path of this device's private key, for the configuration.
    #[arg(long, value_name = "FILE")]
    inbound_private_key: Option<String>,
    /// The path of the root of Azure's certificate, for the configuration.
    #[arg(long, value_name = "FILE")]
    outbound_root: Option<String>,
    /// The common name (CN) of Azure's certificate; the JSON has only its name in Key Vault.
    #[arg(long, value_name = "CN")]
    outbound_subject: Option<String>,
}

/// Runs `s2sd azure import`. The exit code is 0 when the configuration is complete, 1 when it needs
/// corrections, 2 when there is none.
pub fn import(arguments: &AzureImportArguments) -> ExitCode {
    let resources = match read(&arguments.files) {
        Ok(resources) => resources,
        Err(faults) => return refuse(&faults),
    };
    let imported = match azure::import(&resources, &arguments.choices()) {
        Ok(imported) => imported,
        Err(faults) => return refuse(&faults),
    };
    let shown = arguments.output.as_deref().unwrap_or(Path::new("(the configuration)"));
    if let Err(error) = arguments.write(&imported.toml) {
        return refuse(&[cannot_write(shown, &error)]);
    }
    print_notes(&imported);
    let found = config::parse(&shown.display().to_string(), &imported.toml).found;
    for finding in &found {
        complain(finding);
    }
    match found.iter().any(|finding| finding.severity == Severity::Error) {
        true => ExitCode::from(1),
        false => ExitCode::SUCCESS,
    }
}

impl AzureImportArguments {
    fn choices(&self) -> ImportChoices {
        let usual = ImportChoices::default();
        ImportChoices {
            connections: self.connection.clone(),
            inbound_certificate: self
                .inbound_certificate
                .clone()
                .unwrap_or(usual.inbound_certificate),
            inbound_private_key: self
                .inbound_private_key
                .clone()
                .unwrap_or(usual.inbound_private_key),
            outbound_root: self.outbound_root.clone().unwrap_or(usual.outbound_root),
            outbound_subject: self.outbound_subject.clone(),
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let Some(path) = &self.output else { return io::stdout().write_all(text.as_bytes()) };
        let mut options = OpenOptions::new();
        // Without --force an existing file is kept, even one created at the last moment.
        match self.force {
            true => options.write(true).create(true).truncate(true),
            false => options.write(true).create_new(true),
        };
        options.open(path)?.write_all(text.as_bytes())
    }
}

/// The resources in the files, or everything that is wrong with the files.
fn read(files: &[PathBuf]) -> Result<Resources, Vec<AzureFault>> {
    let mut resources = Resources::default();
    let mut faults = Vec::new();
    for file in files {
        let read = text(file).and_then(|(name, text)| resources.read(&name, &text));
        faults.extend(read.err());
    }
    if faults.is_empty() { Ok(resources) } else { Err(faults) }
}

fn text(file: &Path) -> Result<(String, String), AzureFault> {
    let name = if file == Path::new("-") {
        "(standard input)".to_owned()
    } else {
        file.display().to_string()
    };
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => io::stdin().take(MOST).read_to_end(&mut bytes),
        false => std::fs::File::open(file).and_then(|file| file.take(MOST).read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        AzureFault::new(
            format_args!("{name} cannot be read: {error}"),
            "name a file with the JSON of az, or `-` for standard input",
        )
    })?;
    let text = json::text(&name, &bytes)?;
    Ok((name, text))
}

fn cannot_write(path: &Path, error: &io::Error) -> AzureFault {
    let name = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => AzureFault::new(
            format_args!("{name} exists and was not changed"),
            "name another file, or overwrite it with --force",
        ),
        _ => AzureFault::new(
            format_args!("{name} cannot be written: {error}"),
            "name a file in a directory that you may write to",
        ),
    }
}

/// Prints the notes on standard error.
fn print_notes(imported: &Imported) {
    for kind in NoteKind::ALL {
        let notes: Vec<String> = imported
            .notes
            .iter()
            .filter(|note| note.kind == kind)
            .map(|note| format!("\n  - {note}"))
            .collect();
        if !notes.is_empty() {
            complain(format_args!("{}:{}", kind.title().to_lowercase(), notes.concat()));
        }
    }
}

fn refuse(faults: &[AzureFault]) -> ExitCode {
    faults.iter().for_each(complain);
    ExitCode::from(2)
}
