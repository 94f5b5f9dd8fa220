//! The configuration: one TOML file in Azure's own words becomes a [`Config`], or a list of all
//! that is wrong with it.
//!
//! ```text
//!   text
//!    │  document                 TOML's own errors ─────────────────────┐
//!   tree                                                                │
//!    │  reader, table, value     wrong types and values, unknown keys ──┤
//!   File                                                                ├──> Diagnostic
//!    │  rules, overlap, resolve  keys that do not go together ──────────┤    file:line:column,
//!   Config                                                              │    excerpt, hint
//!    │  credentials              files missing, wrong or expired ───────┘
//!    │  peers
//!   PeerConfig, for the engine
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`schema`], `table` | the file, key by key; how a table is declared and read |
//! | [`doc`](mod@doc) | the descriptions of tables, keys and values, for messages and the manual |
//! | [`value`], [`written`], [`prefix`], [`algorithm`], `choice` | types that check themselves |
//! | `reader`, [`diagnostic`] | walking the tree; what is wrong, where, and how to mend it |
//! | `document` | TOML's own errors in an operator's words |
//! | [`encoding`], `other_format` | files that are not UTF-8; files of other programs |
//! | `nearest`, `foreign` | the key that was meant; names from Azure and from other programs |
//! | `rules`, `overlap`, `interface` | what several keys must be together |
//! | [`settings`], `resolve` | the typed configuration, and how it is made |
//! | [`file`](mod@file), `credentials` | the files that the configuration names |
//! | `facts`, [`check`](mod@check) | the report of `s2sd check` |
//! | `locate` | the line of the file that decides a key, for `s2sd explain` |
//! | `diff` | what a reload compares, and which part of the service each change touches |
//! | `peers` | from the configuration to the engine's peers and children |
//!
//! Three decisions shape the module:
//!
//! - **Everything at once.** An operator mends a file in one go, so no error hides another: after a
//!   syntax error the values are still read, and after a bad value the rules still look at the
//!   others. serde's derived readers stop at the first error, which is why `reader` exists.
//! - **Declared once.** [`schema`] declares each key with its type, its default (as TOML) and its
//!   meaning; reader, suggestions and manual page follow from that, so they cannot disagree.
//! - **Pure.** No file is opened here: text comes in, and [`file::Files`] brings the bytes of
//!   certificates. Tests therefore need neither files nor a clock.

pub mod algorithm;
pub mod check;
pub(crate) mod credentials;
pub mod diagnostic;
pub(crate) mod diff;
pub mod doc;
pub mod encoding;
pub(crate) mod facts;
pub mod file;
pub(crate) mod interface;
pub(crate) mod locate;
pub(crate) mod overlap;
pub(crate) mod peers;
pub mod prefix;
pub(crate) mod reader;
pub mod schema;
pub mod settings;
pub(crate) mod table;
pub mod value;
pub mod written;

mod choice;
mod document;
mod foreign;
mod nearest;
mod other_format;
mod resolve;
mod rules;

pub use check::{Loaded, Report, check, load};
pub use diagnostic::{Diagnostic, Severity};
pub use settings::Config;

use std::path::PathBuf;

use diagnostic::SourceText;
use reader::ConfigReader;

/// The default of `control_socket`, as in [`schema`]: for files that cannot be read at all.
const CONTROL_SOCKET: &str = "/run/s2sd/control.sock";

/// A configuration that was read, and all that is wrong with its file.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The configuration; `None` when there is an error among the findings.
    pub config: Option<Config>,
    /// The findings, in the file's order.
    pub found: Vec<Diagnostic>,
}

/// The control socket that a configuration names, even if the rest of the file has errors: commands
/// such as `s2sd status` must reach a running service whose file was broken since.
pub fn control_socket(text: &str) -> PathBuf {
    let mut reader = ConfigReader::new(SourceText::new("", text));
    let device = document::read(&mut reader, text).device;
    let socket = device.value().and_then(|device| device.control_socket.value());
    socket.map_or_else(|| CONTROL_SOCKET.into(), |socket| socket.path().to_owned())
}

/// Reads a configuration from the text of the file called `name`, without the files that it names;
/// [`load`] reads them.
pub fn parse(name: &str, text: &str) -> Parsed {
    let mut reader = ConfigReader::new(SourceText::new(name, text));
    let file = document::read(&mut reader, text);
    let config = resolve::resolve(&file, &mut reader);
    Parsed { config, found: reader.into_found() }
}
