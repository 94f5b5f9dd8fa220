//! Generates the manual pages.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod.rs` | s2sd(8) from clap's definition; s2sd.toml(5) from the schema of the file |
//! | [`json`] | s2sd-json(5) from the JSON schemas of the printed types |

pub mod json;

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::config::doc::{ChoiceValue, KeyDoc, Presence, TableDoc, ValueKind};
use crate::config::schema;

/// A section: its title, and its terms with their descriptions.
type ManualSection = (&'static str, &'static [(&'static str, &'static str)]);

/// The sections of s2sd(8) after the commands.
const SERVICE: &[ManualSection] = &[
    (
        "EXIT STATUS",
        &[
            (
                "0",
                "Success; with `status`: every connection asked for is up; with `check`: no findings.",
            ),
            (
                "1",
                "Failure; standard error has the reason and how to fix it; with `check`: warnings.",
            ),
            ("2", "The command line is wrong; with `check`: errors."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "`s2sd run` reads its configuration again, as with `s2sd reload`; a file with errors changes nothing.",
            ),
            ("SIGTERM, SIGINT", "`s2sd run` deletes its SAs at the gateways and ends."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "CREDENTIALS_DIRECTORY",
                "The directory of the files that a configuration names as `credential:NAME`; systemd sets this variable, see `LoadCredential=` in systemd.exec(5).",
            ),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "The socket and interval of systemd's watchdog. The service notifies systemd while the control loop and both threads of every tunnel run.",
            ),
            (
                "JOURNAL_STREAM",
                "When set, log lines have no time, because the journal records the time.",
            ),
            ("NO_COLOR", "When set, `s2sd status` shows no colours on a terminal."),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/s2sd/s2sd.toml", "The configuration, see s2sd.toml(5)."),
            (
                "/etc/s2sd/private/inbound.key",
                "The private key. Only root can read the file; the unit passes it to the service as `credential:inbound.key`. For each further key, add a line `LoadCredential=` with `systemctl edit s2sd`.",
            ),
            (
                "/run/s2sd/control.sock",
                "The control socket, over which the commands reach the service. Root, the user of the service and members of the group `s2sd` may connect. `control_socket` in the configuration sets another path, and `--socket` overrides both.",
            ),
            (
                "/usr/share/doc/s2sd/examples/90-s2sd.sysctl.conf",
                "Recommended settings for a router: forwarding, reverse path filter and socket buffers. To apply them, copy the file to `/etc/sysctl.d/90-s2sd.conf` and run `sysctl --system`.",
            ),
        ],
    ),
];

/// The page s2sd(8).
pub fn of_command(command: Command) -> io::Result<Vec<u8>> {
    let mut command = command.disable_help_subcommand(true).subcommand_value_name("command");
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).section("8").manual("System Manager's Manual").date("");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    roff.text(prose(concat!(
        "An ",
        env!("CARGO_PKG_DESCRIPTION"),
        ". `s2sd run` is the service, which systemd starts as `s2sd.service`; the other commands control the service, or help to set it up."
    )));
    roff.control("SH", ["COMMANDS"]);
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        describe(command.get_name(), command, &mut roff);
    }
    for (title, terms) in SERVICE {
        roff.control("SH", [*title]);
        for (term, text) in *terms {
            entry(&mut roff, vec![bold(*term)], prose(text));
        }
    }
    see_also(&mut roff, "s2sd.toml(5), s2sd-json(5), systemctl(1), journalctl(1), systemd.exec(5)");
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Writes one command: its usage, its description and its options; then the commands below it.
fn describe(name: &str, command: &Command, roff: &mut Roff) {
    roff.control("SS", [name]);
    let usage = command.clone().render_usage().to_string();
    roff.text([bold(usage.trim_start_matches("Usage: "))]);
    roff.control("PP", []);
    let about = command.get_long_about().or_else(|| command.get_about());
    roff.text(prose(&sentence(&about.map(ToString::to_string).unwrap_or_default())));
    let shown = |arg: &&Arg| !arg.is_hide_set() && arg.get_id() != "help";
    for arg in command.get_arguments().filter(shown) {
        entry(roff, term(arg), help(arg));
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        describe(&format!("{name} {}", below.get_name()), below, roff);
    }
}

fn term(arg: &Arg) -> Vec<Inline> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let value = match arg.get_num_args() {
        Some(count) if !count.takes_values() => String::new(),
        _ => arg.get_value_names().map(|names| names.join(" ").to_string()).unwrap_or_default(),
    };
    let space = if names.is_empty() || value.is_empty() { "" } else { " " };
    vec![bold(names.join(", ")), roman(space), italic(value)]
}

fn help(arg: &Arg) -> Vec<Inline> {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut text = sentence(&help.map(ToString::to_string).unwrap_or_default());
    for value in arg
        .get_possible_values()
        .iter()
        .filter(|_| arg.get_num_args().is_some_and(|n| n.takes_values()))
    {
        let meaning = value.get_help().map(ToString::to_string).unwrap_or_default();
        let after = if meaning.is_empty() { "." } else { ": " };
        text += &format!(" `{}`{after}{}", value.get_name(), sentence(&meaning));
    }
    if let [default] = arg.get_default_values()
        && arg.get_num_args().is_some_and(|n| n.takes_values())
    {
        let default = default.to_string_lossy();
        let default = if default == "." { "this directory".into() } else { format!("`{default}`") };
        text += &format!(" Default: {default}.");
    }
    prose(&text)
}

/// The page s2sd.toml(5).
pub fn of_file() -> Vec<u8> {
    let mut roff = Roff::new();
    let source = concat!("s2sd ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["s2sd.toml", "5", "", source, "File Formats Manual"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("s2sd.toml - configuration of s2sd(8)")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text(prose(
        "A file in TOML (https://toml.io), read from `/etc/s2sd/s2sd.toml` unless another is named. `s2sd check` prints every error \
         and warning with line, column and a hint; `s2sd reload` applies a changed file.",
    ));
    let (file, tables) = match schema::tables() {
        all if all.is_empty() => return roff.to_roff().into_bytes(),
        mut all => (all.remove(0), all),
    };
    roff.control("PP", []);
    roff.text(prose(&paragraph(file.doc)));
    roff.control("SH", ["TABLES"]);
    for table in tables {
        of_table(table, &mut roff);
    }
    roff.control("SH", ["EXAMPLE"]);
    roff.control("EX", []);
    for line in include_str!("../../../conf/azure-single.toml").lines() {
        roff.text([roman(line)]);
    }
    roff.control("EE", []);
    see_also(&mut roff, "s2sd(8), systemd.exec(5)");
    roff.to_roff().into_bytes()
}

fn of_table(table: &TableDoc, roff: &mut Roff) {
    roff.control("SS", [table.title().as_str()]);
    roff.text(prose(&paragraph(table.doc)));
    for key in table.keys {
        let term = match key.kind.table() {
            // The key is a table, which has a section of its own.
            Some(_) if !matches!(key.kind, ValueKind::Or(..)) => continue,
            _ => vec![bold(key.name)],
        };
        entry(roff, term, of_key(key));
    }
}

fn of_key(key: &KeyDoc) -> Vec<Inline> {
    let mut text = paragraph(key.doc);
    text += &format!(" Write {}", key.kind);
    text += &match key.presence {
        Presence::Required => "; required.".to_owned(),
        Presence::Optional => "; may be left out.".to_owned(),
        Presence::Default(toml) => format!("; default `{toml}`."),
    };
    for ChoiceValue { name, doc } in key.kind.choices() {
        text += &format!(" `{name}`: {}", paragraph(doc));
    }
    prose(&text)
}

fn entry(roff: &mut Roff, term: Vec<Inline>, text: Vec<Inline>) {
    roff.control("TP", []);
    roff.text(term);
    roff.text(text);
}

fn see_also(roff: &mut Roff, pages: &str) {
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages)]);
}

/// Joins the lines of a doc comment.
fn paragraph(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds the full stop that clap removes from a help text.
fn sentence(text: &str) -> String {
    let text = paragraph(text);
    let ended = text.is_empty() || text.ends_with(['.', '!', '?']);
    if ended { text } else { text + "." }
}

/// Formats `literal` and *emphasized* words of a doc comment.
fn prose(text: &str) -> Vec<Inline> {
    let mut inlines = Vec::new();
    for (at, piece) in text.split('`').enumerate() {
        if at % 2 == 1 {
            inlines.push(bold(piece));
            continue;
        }
        let stressed = piece.split('*').enumerate();
        inlines.extend(
            stressed.map(|(at, piece)| if at % 2 == 1 { italic(piece) } else { roman(piece) }),
        );
    }
    inlines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_and_emphasized_words_stand_out() {
        let expected = vec![roman("a "), bold("b*c"), roman(" "), italic("d"), roman(".")];
        assert_eq!(prose("a `b*c` *d*."), expected);
    }
}
