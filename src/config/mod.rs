//! The configuration: one TOML file in Azure's own words becomes a [`Config`], or a list of all
//! that is wrong with it.
//!
//! ```text
//!   text ── document ──> tree ── reader, table, value ──> File ── rules, overlap, resolve ──> Config ── peers ──> engine
//!               │                         │                               │
//!               │                         │                 credentials <── the files it names, and the time
//!               └─────────────────────────┴────── Diagnostic ─────────────┘   file:line:column, excerpt, hint
//! ```
//!
//! | file | noun |
//! |---|---|
//! | [`schema`], [`table`] | the file, key by key; how a table is declared and read |
//! | [`value`], [`prefix`], [`algorithm`] | what stands for a key: each checks itself |
//! | [`reader`], [`diagnostic`] | walking the tree; what is wrong, where, and what mends it |
//! | `document`, `nearest`, `foreign` | TOML's own errors; the name that was meant; names from elsewhere |
//! | `rules`, [`overlap`], [`interface`] | what several keys must be together |
//! | [`settings`], `resolve` | the typed configuration, and how it is made |
//! | [`file`](mod@file), [`credentials`], [`facts`], [`check`](mod@check) | the files it names; the report of `s2sd check` |
//! | [`diff`] | what a reload changes |
//! | [`peers`] | what the engine takes |
//!
//! Three decisions carry it:
//!
//! - **Everything at once.** An operator mends a file in one go, so no error hides another: a
//!   syntax error does not stop the values from being read, a bad value does not stop the rules
//!   that look at others. serde's derived readers stop at the first error; see [`reader`] for what
//!   stands in their place.
//! - **Declared once.** [`schema`] declares each key with its type, its default (as TOML) and its
//!   meaning; reader, suggestions and manual page follow from that, so they cannot disagree.
//! - **Pure.** No file is opened here: text comes in, and [`file::Files`] brings the bytes of
//!   certificates. So all of it, dates included, is tested as values.

pub mod algorithm;
pub mod check;
pub mod credentials;
pub mod diagnostic;
pub mod diff;
pub mod doc;
pub mod facts;
pub mod file;
pub mod interface;
pub mod overlap;
pub mod peers;
pub mod prefix;
pub mod reader;
pub mod schema;
pub mod settings;
pub mod table;
pub mod value;

mod choice;
mod document;
mod foreign;
mod nearest;
mod resolve;
mod rules;

pub use check::{Loaded, Report, check, load};
pub use diagnostic::{Diagnostic, Severity};
pub use settings::Config;

use std::path::PathBuf;

use diagnostic::SourceText;
use reader::ConfigReader;

/// Where the service listens unless its configuration says otherwise, as the schema has it.
const CONTROL_SOCKET: &str = "/run/s2sd/control.sock";

/// What a file says, and all that is wrong with it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The configuration; `None` when there is an error among the findings.
    pub config: Option<Config>,
    /// The findings, in the file's order.
    pub found: Vec<Diagnostic>,
}

/// Where the service of a configuration listens, whatever else may be wrong with the file: who asks
/// wants to be told just that.
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
