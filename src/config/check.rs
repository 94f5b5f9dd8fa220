//! Everything that can be checked before a gateway is dialled: the configuration with the files
//! that it names. [`load`] is for the service, [`check`] for `s2sd check`.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::credentials::{Credentials, Loader};
use super::diagnostic::{Diagnostic, Severity, SourceText};
use super::facts::{ConnectionFacts, CredentialFacts};
use super::file::Files;
use super::reader::ConfigReader;
use super::settings::Config;
use super::{document, resolve, schema};
use crate::crypto::signature::KeyStore;
use crate::time::Now;

/// A configuration with the credentials of its connections.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; `None` when the configuration file has an error. A certificate file with
    /// an error does not make it `None`: the other connections can run.
    pub config: Option<Config>,
    /// The credentials of each connection, in the file's order; `None` for a connection whose
    /// certificate or key files have an error.
    pub credentials: Vec<Option<Credentials>>,
    /// What to tell the operator.
    pub report: Report,
}

/// What `s2sd check` says of a configuration file.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Report {
    /// The configuration file, as it was named.
    pub file: String,
    /// Errors and warnings, in the file's order.
    pub found: Vec<Diagnostic>,
    /// What is known of each connection; empty when the configuration file has an error.
    pub connections: Vec<ConnectionFacts>,
}

/// Reads a configuration and the files that it names. Private keys go into `key_store`.
pub fn load(name: &str, text: &str, files: &dyn Files, key_store: &KeyStore, now: Now) -> Loaded {
    let mut reader = ConfigReader::new(SourceText::new(name, text));
    let file = document::read(&mut reader, text);
    let config = resolve::resolve(&file, &mut reader);
    let (credentials, facts): (Vec<_>, Vec<_>) = file
        .connection
        .items()
        .iter()
        .map(|connection| credentials_of(connection.get_ref(), files, key_store, now, &mut reader))
        .unzip();
    let connections = config.iter().flat_map(|config| &config.connections);
    let connections = connections
        .zip(facts)
        .map(|(connection, facts)| ConnectionFacts::of(connection, facts))
        .collect();
    let report = Report { file: name.to_owned(), found: reader.into_found(), connections };
    Loaded { config, credentials, report }
}

/// Checks a configuration and the files that it names.
pub fn check(name: &str, text: &str, files: &dyn Files, now: Now) -> Report {
    load(name, text, files, &KeyStore::in_process(), now).report
}

fn credentials_of(
    connection: &schema::Connection,
    files: &dyn Files,
    key_store: &KeyStore,
    now: Now,
    reader: &mut ConfigReader<'_>,
) -> (Option<Credentials>, CredentialFacts) {
    let Some(file) = connection.certificate_authentication.value() else {
        return (None, CredentialFacts::default());
    };
    let gateway = connection.virtual_network_gateway.value();
    let hosts = gateway.map_or(&[][..], |gateway| gateway.public_ip_addresses.items());
    let addresses = hosts.iter().filter_map(|host| host.get_ref().address()).collect();
    Loader::new(files, key_store, now.unix, reader).load(file, addresses)
}

impl Report {
    /// The gravest severity among the findings; `None` without findings.
    pub fn severity(&self) -> Option<Severity> {
        self.found.iter().map(|found| found.severity).min()
    }

    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.found.iter().filter(|found| found.severity == severity).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.found {
            writeln!(f, "{found}")?;
        }
        for connection in &self.connections {
            writeln!(f, "{connection}")?;
        }
        let many = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let errors = many(self.count(Severity::Error), "error");
        let warnings = many(self.count(Severity::Warning), "warning");
        writeln!(f, "{}: {errors}, {warnings}", self.file)
    }
}
