//! Which interface each tunnel gets. Names are unique over all connections.

use toml::Spanned;

use super::diagnostic::TextSpan;
use super::reader::ConfigReader;
use super::schema::{self, Connection};
use super::value::{Host, InterfaceName, OrAuto};

/// The interfaces of each connection, one for each address of the gateway. A name that is given
/// twice is reported.
pub fn assign(file: &schema::File, reader: &mut ConfigReader<'_>) -> Vec<Vec<InterfaceName>> {
    let connections: Vec<&Connection> =
        file.connection.items().iter().map(Spanned::get_ref).collect();
    let mut taken: Vec<(InterfaceName, TextSpan)> = Vec::new();
    let mut assigned: Vec<Option<Vec<InterfaceName>>> = Vec::new();
    for connection in &connections {
        assigned.push(named(connection).map(|(name, span)| {
            let names = names_from(name, tunnels(connection));
            for name in &names {
                report_taken(name, &span, &taken, reader);
                taken.push((name.clone(), span.clone()));
            }
            names
        }));
    }
    let mut free =
        std::iter::successors(Some(InterfaceName::first()), |name| Some(name.successor()))
            .filter(|name| !taken.iter().any(|(other, _)| other == name));
    let mut automatic = |connection| free.by_ref().take(tunnels(connection)).collect();
    connections
        .into_iter()
        .zip(assigned)
        .map(|(connection, names)| names.unwrap_or_else(|| automatic(connection)))
        .collect()
}

fn report_taken(
    name: &InterfaceName,
    span: &TextSpan,
    taken: &[(InterfaceName, TextSpan)],
    reader: &mut ConfigReader<'_>,
) {
    let Some((_, first)) = taken.iter().find(|(other, _)| other == name) else { return };
    let line = reader.source().line(first);
    let what = format!("the interface {name} already belongs to the connection on line {line}");
    reader.error(span, what, "give each tunnel its own name; the second tunnel of an active-active gateway takes the next number");
}

/// The interface name that the file gives, and where.
fn named(connection: &Connection) -> Option<(&InterfaceName, TextSpan)> {
    let interface = connection.tunnel.value()?.interface.spanned()?;
    match interface.get_ref() {
        OrAuto::Set(name) => Some((name, interface.span())),
        OrAuto::Auto => None,
    }
}

fn names_from(first: &InterfaceName, count: usize) -> Vec<InterfaceName> {
    std::iter::successors(Some(first.clone()), |name| Some(name.successor())).take(count).collect()
}

fn tunnels(connection: &Connection) -> usize {
    let hosts = |gateway: &schema::VirtualNetworkGateway| -> usize {
        let hosts: &[Spanned<Host>] = gateway.public_ip_addresses.items();
        hosts.len()
    };
    connection.virtual_network_gateway.value().map_or(0, hosts)
}
