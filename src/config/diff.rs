//! What `reload` compares: the configuration in force with the new one, key by key, and which part
//! of the running service each change touches. A connection without changes keeps its SAs and its
//! packets flowing.
//!
//! Both configurations are compared as JSON, whose names are the file's, so no key can be forgotten
//! here. One table says which part of the service a key belongs to; a test checks that the table
//! has every key of the schema.

use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

use super::facts::ConnectionFacts;
use super::settings::{Config, Connection};
use crate::pki::crl::Crl;

/// A configuration with the contents of its certificate files: a certificate can be renewed while
/// the configuration stays the same.
#[derive(Clone, Copy, Debug)]
pub struct LoadedState<'a> {
    /// The configuration that was loaded.
    pub config: &'a Config,
    /// What is known of each connection and its certificates, as in the report of a check.
    pub facts: &'a [ConnectionFacts],
}

/// All that differs between two configurations.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ConfigChanges {
    /// The keys of `[device]` and `[local_network_gateway]` that differ.
    pub site: Vec<Edit>,
    /// Connections that are new, in the file's order.
    pub added: Vec<String>,
    /// Connections that are gone.
    pub removed: Vec<String>,
    /// Connections that are in both and differ, in the file's order.
    pub changed: Vec<Changed>,
}

/// A connection that differs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Changed {
    /// The connection's name.
    pub name: String,
    /// The connection's keys that differ.
    pub edits: Vec<Edit>,
}

/// A change, or what was done about one, as a sentence for the operator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Told {
    /// The connection that changed; `None` for what all connections have in common.
    pub connection: Option<String>,
    /// What changed or was done.
    pub what: String,
}

/// One key that differs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Edit {
    /// The key, with the tables below the connection's: `tunnel.mtu`.
    pub key: String,
    /// The value before, as JSON.
    pub was: String,
    /// The value now, as JSON.
    pub is: String,
    /// The part of the running service that the key belongs to.
    pub part: Part,
}

/// The part of the running service that a key belongs to, and so what happens when it changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Part {
    /// The sockets, which the next start of the service opens anew.
    Sockets,
    /// The list of peers: a tunnel ends or begins.
    Peers,
    /// What the engine negotiates: SAs stay, and the next rekey uses the new values. Child SAs that
    /// changed traffic selectors do not cover are deleted, and new ones asked for.
    Negotiation,
    /// Certificates and keys, which are used from the next authentication on.
    Credentials,
    /// The tunnel's interface and its lane in the data plane.
    Interface,
    /// The routes into the tunnels.
    Routes,
    /// What may be sent between which networks, which holds at once.
    Networks,
    /// Names that only people read.
    Names,
}

/// Compares the configuration in force with a new one.
pub fn diff(old: LoadedState<'_>, new: LoadedState<'_>) -> ConfigChanges {
    let named = |connections: &[Connection], name: &str| {
        connections.iter().position(|connection| connection.name.as_str() == name)
    };
    let (before, after) = (&old.config.connections, &new.config.connections);
    let mut changes = ConfigChanges {
        site: edits(&site(old.config), &site(new.config)),
        removed: before
            .iter()
            .map(|connection| connection.name.to_string())
            .filter(|name| named(after, name).is_none())
            .collect(),
        ..ConfigChanges::default()
    };
    for connection in after {
        let name = connection.name.to_string();
        let Some(was) = named(before, &name).and_then(|at| before.get(at)) else {
            changes.added.push(name);
            continue;
        };
        let mut edits = edits(&json(was), &json(connection));
        edits.extend(renewals(&name, old.facts, new.facts));
        if !edits.is_empty() {
            changes.changed.push(Changed { name, edits });
        }
    }
    changes
}

/// Whether a connection can keep running under new settings, because its peers, devices and routes
/// stay the same. `old` are the settings as JSON, perhaps written by another version of s2sd: keys
/// that the other version did not have are left out.
pub fn goes_on(old: &Json, new: &Connection) -> bool {
    let edits = edits(old, &json(new));
    edits.iter().filter(|edit| edit.was != ABSENT).all(|edit| !edit.part.ends_connection())
}

/// Certificates and revocation lists that were renewed in the same files. The private key is the
/// one of our certificate, or the files have an error; so a key changes with its certificate only.
fn renewals(name: &str, old: &[ConnectionFacts], new: &[ConnectionFacts]) -> Vec<Edit> {
    let of = |facts: &[ConnectionFacts]| {
        let own = facts.iter().find(|facts| facts.name == name);
        own.map(|facts| facts.credentials.clone()).unwrap_or_default()
    };
    let (old, new) = (of(old), of(new));
    let edit = |key: &str, was: String, is: String| Edit {
        key: format!("{key} (its content)"),
        was,
        is,
        part: Part::Credentials,
    };
    let mut edits: Vec<Edit> = [
        ("inbound_certificate", old.inbound, new.inbound),
        ("outbound_certificate_roots", old.roots, new.roots),
        ("outbound_certificate_pinned", old.pinned, new.pinned),
        ("outbound_certificate_intermediates", old.intermediates, new.intermediates),
    ]
    .into_iter()
    .map(|(key, was, is)| {
        let shown = |certificates: &[super::facts::CertificateFacts]| {
            let each = certificates.iter().map(|c| format!("{} {}", c.subject, c.thumbprint));
            each.collect::<Vec<_>>().join(", ")
        };
        edit(key, shown(&was), shown(&is))
    })
    .filter(|edit| edit.was != edit.is)
    .collect();
    // Two lists can have the same issuer, dates and length, and name different certificates.
    if old.lists != new.lists {
        edits.push(edit("crls", shown_lists(&old.lists), shown_lists(&new.lists)));
    }
    edits
}

/// Revocation lists, as the operator tells them apart.
pub fn shown_lists(lists: &[Crl]) -> String {
    if lists.is_empty() {
        return ABSENT.to_owned();
    }
    lists.iter().map(Crl::to_string).collect::<Vec<_>>().join(", ")
}

/// The value of a key that is not there.
const ABSENT: &str = "nothing";

/// The part of the service that a key belongs to; `None` for a key that the table lacks.
fn part(key: &str) -> Option<Part> {
    Some(match key {
        "device.listen_addresses" | "device.control_socket" => Part::Sockets,
        "device.name" | "local_network_gateway.name" | "name" | "virtual_network_gateway.name" => {
            Part::Names
        }
        "tunnels" => Part::Peers,
        "connection_mode"
        | "dpd_timeout_seconds"
        | "local_network_gateway.gateway_ip_address"
        | "traffic_selectors"
        | "tunnel.encapsulation"
        | "tunnel.ike_rekey_seconds"
        | "tunnel.reauthenticate_seconds"
        | "tunnel.child_rekey_seconds" => Part::Negotiation,
        "tunnel.accept_destinations" | "tunnel.accept_sources" | "tunnel.unreachable_routes" => {
            Part::Networks
        }
        "tunnel.addresses"
        | "tunnel.copy_dscp"
        | "tunnel.mtu"
        | "tunnel.offload"
        | "tunnel.replay_window"
        | "tunnel.tcp_mss" => Part::Interface,
        "local_network_gateway.address_prefixes"
        | "tunnel.route_metric"
        | "tunnel.route_table"
        | "tunnel.routes"
        | "virtual_network_gateway.address_prefixes" => Part::Routes,
        _ if key == "ipsec_policy" || key.starts_with("ipsec_policy.") => Part::Negotiation,
        _ if key.starts_with("certificate_authentication.") => Part::Credentials,
        _ => return None,
    })
}

/// The configuration without its connections.
fn site(config: &Config) -> Json {
    let mut all = json(config);
    if let Some(tables) = all.as_object_mut() {
        tables.remove("connection");
    }
    all
}

/// Settings as JSON, as [`goes_on`] takes them.
pub fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).expect("names and values of a configuration are strings")
}

/// The keys in which two tables differ.
fn edits(old: &Json, new: &Json) -> Vec<Edit> {
    let (old, new) = (leaves(old), leaves(new));
    let value = |leaves: &[(String, String)], key: &str| {
        let found = leaves.iter().find(|(other, _)| other == key);
        found.map_or_else(|| ABSENT.to_owned(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = old.iter().chain(&new).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| Edit {
            key: key.clone(),
            was: value(&old, key),
            is: value(&new, key),
            part: part(key).unwrap_or(Part::Peers),
        })
        .filter(|edit| edit.was != edit.is)
        .collect()
}

/// Every key below a table with its value; lists are one value.
fn leaves(table: &Json) -> Vec<(String, String)> {
    let Some(table) = table.as_object() else { return Vec::new() };
    let below = |(key, value): (&String, &Json)| match value {
        Json::Object(_) => leaves(value)
            .into_iter()
            .map(|(below, value)| (format!("{key}.{below}"), value))
            .collect(),
        Json::Null => vec![(key.clone(), "\"auto\"".to_owned())],
        _ => vec![(key.clone(), value.to_string())],
    };
    table.iter().flat_map(below).collect()
}

impl Part {
    /// Whether a connection is torn down and set up again when a key of this part changes, because
    /// devices, routes or peers are made from it.
    pub fn ends_connection(self) -> bool {
        matches!(self, Part::Peers | Part::Interface | Part::Routes)
    }
}

impl ConfigChanges {
    /// Whether nothing differs.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        *self == ConfigChanges::default()
    }

    /// Each change as a sentence.
    pub fn told(&self) -> Vec<Told> {
        let site = self.site.iter().map(|edit| Told { connection: None, what: edit.to_string() });
        let removed = self.removed.iter().map(|name| Told::of(name, "removed"));
        let added = self.added.iter().map(|name| Told::of(name, "added"));
        let edits = |changed: &Changed| -> Vec<Told> {
            changed.edits.iter().map(|edit| Told::of(&changed.name, edit)).collect()
        };
        site.chain(removed).chain(added).chain(self.changed.iter().flat_map(edits)).collect()
    }
}

impl Told {
    /// A change of one connection.
    pub fn of(connection: &str, what: impl fmt::Display) -> Told {
        Told { connection: Some(connection.to_owned()), what: what.to_string() }
    }
}

impl Changed {
    /// Whether a key of this part differs.
    #[cfg(test)]
    fn touches(&self, part: Part) -> bool {
        self.edits.iter().any(|edit| edit.part == part)
    }

    /// Whether the connection is torn down and set up again.
    pub fn ends_connection(&self) -> bool {
        self.edits.iter().any(|edit| edit.part.ends_connection())
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.key, self.was, self.is)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(connection) = &self.connection {
            write!(f, "{connection}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl fmt::Display for ConfigChanges {
    /// One line for each thing that changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told().iter().try_for_each(|told| writeln!(f, "{told}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::facts::CredentialFacts;

    const FULL: &str = include_str!("../../conf/s2sd.toml");
    const PAIR: &str = include_str!("../../conf/azure-active-active.toml");

    fn config(text: &str) -> Config {
        let parsed = crate::config::parse("test", text);
        parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.found))
    }

    fn changes(old: &str, new: &str) -> ConfigChanges {
        let (old, new) = (config(old), config(new));
        diff(LoadedState { config: &old, facts: &[] }, LoadedState { config: &new, facts: &[] })
    }

    /// The text with one thing in it replaced.
    fn with(text: &str, what: &str, by: &str) -> String {
        assert!(text.contains(what), "{what}");
        text.replacen(what, by, 1)
    }

    #[test]
    fn equal_files_change_nothing() {
        assert!(changes(FULL, FULL).is_empty());
        assert!(
            changes(FULL, &with(FULL, "#dpd_timeout_seconds = 45", "dpd_timeout_seconds = 45"))
                .is_empty()
        );
    }

    #[test]
    fn every_key_belongs_somewhere() {
        for text in [
            FULL,
            PAIR,
            &with(
                FULL,
                "#use_policy_based_traffic_selectors = false",
                "use_policy_based_traffic_selectors = true",
            ),
        ] {
            let config = config(text);
            let connection = config.connections.first().map(json).unwrap();
            for (key, _) in leaves(&site(&config)).iter().chain(&leaves(&connection)) {
                assert!(part(key).is_some(), "`{key}` has no part");
            }
        }
    }

    #[test]
    fn a_change_is_told_in_the_files_words() {
        let new = with(FULL, "#dpd_timeout_seconds = 45", "dpd_timeout_seconds = 30");
        let new = with(&new, "#mtu = \"auto\"", "mtu = 1300");
        let new = with(&new, "\"10.2.0.0/24\"]", "\"10.2.0.0/24\", \"10.3.0.0/24\"]");
        let changes = changes(FULL, &new);
        assert_eq!(
            changes.to_string(),
            "VNet1-to-Site1: dpd_timeout_seconds: 45 -> 30\n\
             VNet1-to-Site1: tunnel.mtu: \"auto\" -> 1300\n\
             VNet1-to-Site1: virtual_network_gateway.address_prefixes: \
             [\"10.2.0.0/24\"] -> [\"10.2.0.0/24\",\"10.3.0.0/24\"]\n"
        );
        let [changed] = changes.changed.as_slice() else { panic!("{changes:?}") };
        assert!(changed.touches(Part::Negotiation) && changed.touches(Part::Interface));
        assert!(changed.touches(Part::Routes) && !changed.touches(Part::Peers));
        assert!(!changed.touches(Part::Credentials));
    }

    #[test]
    fn a_policy_that_was_default_is_told_key_by_key() {
        let custom = FULL.find("[connection.ipsec_policy]").unwrap();
        let end = FULL.find("[connection.virtual_network_gateway]").unwrap();
        let default = format!("{}{}", &FULL[..custom], &FULL[end..]);
        let changes = changes(&default, FULL);
        let text = changes.to_string();
        assert!(text.contains("ipsec_policy: \"Default\" -> nothing\n"), "{text}");
        assert!(text.contains("ipsec_policy.dh_group: nothing -> \"ECP384\"\n"), "{text}");
        assert!(changes.changed[0].edits.iter().all(|edit| edit.part == Part::Negotiation));
    }

    /// The private key needs no comparison of its own: see `renewals`.
    #[test]
    fn a_renewed_revocation_list_is_a_change_of_credentials() {
        let config = config(FULL);
        let list = |bytes| {
            let lists = crate::pki::load::Bundle::read(bytes, None, "test").unwrap().crls;
            let credentials = CredentialFacts { crls: lists.len(), lists, ..Default::default() };
            vec![ConnectionFacts::of(&config.connections[0], credentials)]
        };
        let one = list(include_bytes!("../../tests/vectors/pki/root.crl.pem"));
        let other = list(include_bytes!("../../tests/vectors/pki/small.crl.der"));
        let state = |facts| LoadedState { config: &config, facts };
        assert!(diff(state(&one), state(&one)).is_empty());
        let changes = diff(state(&one), state(&other));
        let text = changes.to_string();
        assert!(text.starts_with("VNet1-to-Site1: crls (its content): "), "{text}");
        assert!(changes.changed[0].touches(Part::Credentials));
        assert!(!changes.changed[0].ends_connection());
    }

    #[test]
    fn connections_and_instances_come_and_go() {
        let renamed = with(FULL, "\"VNet1-to-Site1\"", "\"Other\"");
        let changed = changes(FULL, &renamed);
        assert_eq!(changed.to_string(), "VNet1-to-Site1: removed\nOther: added\n");
        let more = with(FULL, "[\"203.0.113.2\"]", "[\"203.0.113.2\", \"203.0.113.3\"]");
        let changed = changes(FULL, &more);
        assert!(changed.changed[0].touches(Part::Peers));
        let site = with(FULL, "\"site1\"", "\"site2\"");
        assert_eq!(changes(FULL, &site).to_string(), "device.name: \"site1\" -> \"site2\"\n");
    }
}
