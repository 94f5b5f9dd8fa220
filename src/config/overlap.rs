//! Prefixes that overlap. Routing decides what enters a tunnel, so an address can lie on one side
//! only.

use toml::Spanned;

use super::prefix::Prefix;
use super::reader::ConfigReader;
use super::schema::File;

/// Reports each prefix that overlaps one before it.
pub fn check(file: &File, reader: &mut ConfigReader<'_>) {
    let local =
        file.local_network_gateway.value().map_or(&[][..], |site| site.address_prefixes.items());
    let remotes: Vec<&[Spanned<Prefix>]> = file
        .connection
        .items()
        .iter()
        .filter_map(|connection| connection.get_ref().virtual_network_gateway.value())
        .map(|gateway| gateway.address_prefixes.items())
        .collect();
    check_own_address(file, local, reader);
    for prefix in local.iter().chain(remotes.iter().copied().flatten()) {
        check_unroutable(prefix, reader);
    }
    check_within(local, reader);
    for (at, remote) in remotes.iter().enumerate() {
        check_within(remote, reader);
        for prefix in *remote {
            check_against_local(prefix, local, reader);
            let earlier = remotes.iter().take(at).flat_map(|prefixes| prefixes.iter());
            check_against_others(prefix, earlier, reader);
        }
    }
}

/// Reports prefixes of this site that hold its own public address: Azure would route the tunnel's
/// own packets into the tunnel. Azure's troubleshooting page on site-to-site connections that
/// disconnect intermittently names this cause.
fn check_own_address(file: &File, local: &[Spanned<Prefix>], reader: &mut ConfigReader<'_>) {
    let Some(site) = file.local_network_gateway.value() else { return };
    let Some(own) = site.gateway_ip_address.value() else { return };
    for prefix in local.iter().filter(|prefix| prefix.get_ref().contains(*own)) {
        reader.error(
            &prefix.span(),
            format!("{} holds this site's own public address, {own}", prefix.get_ref()),
            format!("Azure would route the tunnel's own packets into the tunnel: leave {own} out of the local network gateway's \
                     address space, in Azure and here"),
        );
    }
}

/// Reports a network whose addresses belong to no host on either side: Linux routes loopback
/// addresses to itself whatever a table says, and a tunnel carries no multicast.
fn check_unroutable(prefix: &Spanned<Prefix>, reader: &mut ConfigReader<'_>) {
    let (network, length) = (prefix.get_ref().network(), prefix.get_ref().length());
    let (multicast, shortest) = if network.is_ipv4() { (4, 8) } else { (8, 128) };
    let what = if network.is_loopback() && length >= shortest {
        "are loopback addresses, which every host has for itself"
    } else if network.is_multicast() && length >= multicast {
        "are multicast addresses, which no tunnel carries"
    } else {
        return;
    };
    let hint = "write the networks whose hosts are to be reached, as in Azure";
    reader.error(&prefix.span(), format!("the addresses of {} {what}", prefix.get_ref()), hint);
}

/// Warns of a prefix inside another of the same list, which is harmless but seldom meant.
fn check_within(prefixes: &[Spanned<Prefix>], reader: &mut ConfigReader<'_>) {
    for (at, prefix) in prefixes.iter().enumerate() {
        let Some(other) =
            prefixes.iter().take(at).find(|other| other.get_ref().overlaps(prefix.get_ref()))
        else {
            continue;
        };
        let (wide, narrow) = if other.get_ref().length() <= prefix.get_ref().length() {
            (other.get_ref(), prefix.get_ref())
        } else {
            (prefix.get_ref(), other.get_ref())
        };
        if wide.is_everything() && wide != narrow {
            continue;
        }
        let (what, hint) = if wide == narrow {
            (format!("{narrow} is given twice"), "keep one of the two".to_owned())
        } else {
            let what = format!("{narrow} lies within {wide}, which is in the same list");
            (what, format!("take {narrow} out: {wide} covers it"))
        };
        reader.warning(&prefix.span(), what, hint);
    }
}

/// Reports prefixes of the gateway that overlap this site's. All traffic may go to Azure (forced
/// tunnelling): this site's networks then stay reachable because their routes are narrower.
fn check_against_local(
    remote: &Spanned<Prefix>,
    local: &[Spanned<Prefix>],
    reader: &mut ConfigReader<'_>,
) {
    if remote.get_ref().is_everything() {
        return;
    }
    for own in local.iter().filter(|own| own.get_ref().overlaps(remote.get_ref())) {
        let line = reader.source().line(&own.span());
        reader.error(
            &remote.span(),
            format!("{} overlaps {}, a network of this site (line {line})", remote.get_ref(), own.get_ref()),
            "the virtual network and this site need different addresses: renumber one, or let NAT rules on the Azure gateway \
             translate it and write the translated prefix",
        );
    }
}

fn check_against_others<'a>(
    prefix: &Spanned<Prefix>,
    mut earlier: impl Iterator<Item = &'a Spanned<Prefix>>,
    reader: &mut ConfigReader<'_>,
) {
    let overlaps = |other: &&Spanned<Prefix>| {
        let (a, b) = (other.get_ref(), prefix.get_ref());
        a.overlaps(b) && (a == b || !(a.is_everything() || b.is_everything()))
    };
    if let Some(other) = earlier.find(overlaps) {
        let line = reader.source().line(&other.span());
        reader.error(
            &prefix.span(),
            format!("{} overlaps {}, which another connection leads to (line {line})", prefix.get_ref(), other.get_ref()),
            "one address can be reached over one connection only: narrow one of the two; two instances of one gateway are one \
             connection with two `public_ip_addresses`",
        );
    }
}
