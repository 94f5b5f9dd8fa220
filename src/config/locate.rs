//! The line of the file that decides a key of a connection, for `s2sd explain`.
//!
//! The tree of the file is asked, not its lines: a comment behind a head, a dotted key, an inline
//! table and a table that is left out all have a place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{SourceText, TextSpan};
use super::doc::TableDoc;
use super::schema::Connection;
use super::table::ConfigTable;

/// The place of a key of a connection, as `file:line: key = value`; the head of the table for a key
/// that is left to its default.
pub(crate) fn place(file: &str, text: &str, connection: &str, key: &str) -> Option<String> {
    const CONNECTION: &TableDoc = &Connection::DOC;
    let source = SourceText::new(file, text);
    let (tree, _) = DeTable::parse_recoverable(text);
    let all = tree.get_ref().get("connection")?.get_ref().as_array()?;
    let named = all.iter().find(|table| {
        let table = table.get_ref().as_table();
        let name = table.and_then(|table| table.get("name"));
        name.and_then(|name| name.get_ref().as_str()) == Some(connection)
    })?;
    let Place { at, left_out } = find(CONNECTION, named, key)?;
    let line = source.line(&(at.start..at.start));
    let said = shown(source, &at);
    Some(match left_out {
        None => format!("{file}:{line}: {said}"),
        Some(left_out) => format!("{file}:{line}: {said} leaves {left_out} to its default"),
    })
}

/// Where a key is decided.
struct Place {
    /// The key with its value, or the head of the table.
    at: TextSpan,
    /// The key or the table that the table at this place leaves out.
    left_out: Option<&'static str>,
}

/// Finds a key in a table or in one of the tables below it.
fn find(doc: &'static TableDoc, value: &Spanned<DeValue<'_>>, key: &str) -> Option<Place> {
    let table = value.get_ref().as_table()?;
    let has = |doc: &TableDoc| doc.names().any(|name| name == key);
    let below = |doc: &'static TableDoc| doc.tree().into_iter().any(has);
    let own = doc.keys.iter().find(|own| own.name == key);
    let known = own.or_else(|| doc.keys.iter().find(|own| own.kind.table().is_some_and(below)))?;
    let Some((name, given)) = table.get_key_value(known.name) else {
        return Some(Place { at: value.span(), left_out: Some(known.name) });
    };
    let (start, end) = (name.span().start, given.span().end);
    match known.kind.table() {
        Some(doc) if own.is_none() && given.get_ref().is_table() => find(doc, given, key),
        _ => Some(Place { at: start..end.max(name.span().end), left_out: None }),
    }
}

/// What stands at a place, as far as it is on the first line. The comment behind it is left out.
fn shown<'a>(source: SourceText<'a>, at: &TextSpan) -> &'a str {
    let line = source.line_text(&(at.start..at.start));
    if line.trim_start().starts_with('[') {
        return line.split('#').next().unwrap_or_default().trim();
    }
    let (before, _) = source.around(&(at.start..at.start));
    let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
    line.get(..column + at.len()).unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[local_network_gateway]
address_prefixes = ["10.1.0.0/24"]

[[connection]] # the first
name = "one"
connection_mode = "Default" # as at Azure

[connection.ipsec_policy] # as at Azure
dh_group = "ECP384" # not the default

[connection.virtual_network_gateway]
name = "two"
public_ip_addresses = [ # both
  "203.0.113.2",
]

[[connection]] # the second
name = "two"
ipsec_policy = "Default"
dpd_timeout_seconds = 45
virtual_network_gateway.public_ip_addresses = ["203.0.113.9"]
certificate_authentication = { remote_identity = "gw", inbound_certificate = "x" }

[[connection]]
name = "three"
"#;

    #[test]
    fn a_key_has_the_line_that_decides_it() {
        for (connection, key, expected) in [
            ("one", "connection_mode", "6: connection_mode = \"Default\""),
            ("one", "dh_group", "9: dh_group = \"ECP384\""),
            ("one", "ipsec_policy", "8: [connection.ipsec_policy]"),
            ("one", "pfs_group", "8: [connection.ipsec_policy] leaves pfs_group to its default"),
            ("one", "public_ip_addresses", "13: public_ip_addresses = [ # both"),
            (
                "one",
                "dpd_timeout_seconds",
                "4: [[connection]] leaves dpd_timeout_seconds to its default",
            ),
            ("two", "dh_group", "19: ipsec_policy = \"Default\""),
            ("two", "dpd_timeout_seconds", "20: dpd_timeout_seconds = 45"),
            (
                "two",
                "public_ip_addresses",
                "21: virtual_network_gateway.public_ip_addresses = [\"203.0.113.9\"]",
            ),
            (
                "two",
                "remote_identity",
                "22: certificate_authentication = { remote_identity = \"gw\"",
            ),
            ("three", "dh_group", "24: [[connection]] leaves ipsec_policy to its default"),
        ] {
            let place = place("f", FILE, connection, key);
            assert_eq!(place.as_deref(), Some(&*format!("f:{expected}")), "{connection} {key}");
        }
        assert_eq!(place("f", FILE, "four", "dh_group"), None);
    }
}
