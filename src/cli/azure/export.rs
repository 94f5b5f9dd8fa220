//! `s2sd azure export`: prints Azure's side of a configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::azure::chain::InboundChain;
use crate::azure::fault::AzureFault;
use crate::azure::side::{AzureSide, ExportChoices};
use crate::azure::template::Template;
use crate::azure::{arm, az, bicep, portal, powershell, terraform};
use crate::cli::{CONFIG, complain, fail, say};
use crate::config::{self, Config, Severity};
use crate::daemon::files::{self, System};
use crate::pki::certificate::Certificate;
use crate::pki::load::Bundle;
use crate::sys::clock;

/// The arguments of `s2sd azure export`.
#[derive(clap::Args, Debug)]
pub struct AzureExportArguments {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = CONFIG)]
    file: PathBuf,
    #[command(flatten)]
    form: ExportForm,
    /// Export this connection only; may be repeated.
    #[arg(long, value_name = "NAME")]
    connection: Vec<String>,
    /// The resource group of the gateway.
    #[arg(long, value_name = "NAME")]
    resource_group: Option<String>,
    /// The region of the gateway.
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
    /// The name of the virtual network gateway, if other than in the configuration.
    #[arg(long, value_name = "NAME")]
    gateway_name: Option<String>,
    /// The certificate identifier of Azure's certificate in Key Vault: once for all connections, or
    /// once for each.
    #[arg(long, value_name = "URL")]
    outbound_certificate_url: Vec<String>,
    /// The file of the root of this device's certificate, or of an intermediate that its file
    /// lacks; may be repeated.
    #[arg(long, value_name = "FILE")]
    inbound_root: Vec<PathBuf>,
}

/// The form of the output.
#[derive(clap::Args, Debug)]
#[group(multiple = false)]
struct ExportForm {
    /// Commands of the Azure command line, for sh; the default.
    #[arg(long)]
    az: bool,
    /// Commands of Azure PowerShell.
    #[arg(long)]
    powershell: bool,
    /// A Bicep file.
    #[arg(long)]
    bicep: bool,
    /// An ARM template.
    #[arg(long)]
    arm: bool,
    /// A Terraform configuration, with the azapi provider.
    #[arg(long)]
    terraform: bool,
    /// The fields of the portal's pages, in their order.
    #[arg(long)]
    portal: bool,
}

/// Runs `s2sd azure export`. An unknown value becomes a placeholder, which standard error names.
pub fn export(arguments: &AzureExportArguments) -> ExitCode {
    match arguments.configuration().and_then(|config| arguments.text(&config)) {
        Ok(text) => say(text.trim_end()),
        Err(fault) => fail(fault),
    }
}

impl AzureExportArguments {
    fn configuration(&self) -> Result<Config, AzureFault> {
        let name = self.file.display().to_string();
        let text = files::configuration(&self.file).map_err(|error| {
            AzureFault::new(
                format_args!("{name} cannot be read: {error}"),
                "name the configuration file",
            )
        })?;
        let parsed = config::parse(&name, &text);
        for finding in parsed.found.iter().filter(|finding| finding.severity == Severity::Error) {
            complain(finding);
        }
        parsed.config.ok_or_else(|| {
            AzureFault::new(format_args!("{name} has errors"), "correct the errors above first")
        })
    }

    fn text(&self, config: &Config) -> Result<String, AzureFault> {
        let choices = ExportChoices {
            connections: self.connection.clone(),
            group: self.resource_group.clone(),
            location: self.location.clone(),
            gateway: self.gateway_name.clone(),
            outbound: self.outbound_certificate_url.clone(),
        };
        let roots = self.roots()?;
        let now = clock::now().unix;
        let mut connections = Vec::new();
        for connection in choices.of(config)? {
            let authentication = &connection.certificate_authentication;
            let (inbound, missing) = InboundChain::read(authentication, &roots, &System, now);
            if let Some(fault) = missing {
                complain(format_args!(
                    "{}: the output has placeholders for the certificate: {fault}",
                    connection.name
                ));
            }
            connections.push((connection, inbound));
        }
        let side = AzureSide::of(config, &connections, &choices)?;
        Ok(match &self.form {
            ExportForm { powershell: true, .. } => powershell::powershell(&side),
            ExportForm { bicep: true, .. } => bicep::bicep(&Template::of(&side)),
            ExportForm { arm: true, .. } => arm::arm(&Template::of(&side)),
            ExportForm { terraform: true, .. } => {
                terraform::terraform(&Template::of(&side), side.group.as_deref())
            }
            ExportForm { portal: true, .. } => portal::portal(&side),
            _ => az::az(&side),
        })
    }

    fn roots(&self) -> Result<Vec<Certificate>, AzureFault> {
        let mut roots = Vec::new();
        for file in &self.inbound_root {
            let name = file.display().to_string();
            let bytes = std::fs::read(file).map_err(|error| {
                AzureFault::new(
                    format_args!("{name} cannot be read: {error}"),
                    "name the file with the root",
                )
            })?;
            let bundle = Bundle::read(&bytes, None, &name).map_err(|error| {
                AzureFault::new(format_args!("{}: {}", error.file, error.fault), error.remedy())
            })?;
            roots.extend(bundle.certificates);
        }
        Ok(roots)
    }
}
