//! From a connection of the configuration to the peers that the engine knows: one for each instance of the gateway.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::files;
use crate::config::algorithm::{ConnectionMode, Encapsulation, InboundIdentity, SignatureHash};
use crate::config::settings::{Authentication, Connection, Policy, SelectorPair, Selectors, Site};
use crate::config::value::{FileRef, Host};
use crate::ike::azure::{self, Names};
use crate::ike::certificates::Certificates;
use crate::ike::config::{self as engine, ChildConfig, PeerConfig, Role};
use crate::ike::lifetime::IKE_HARD;
use crate::ike::liveness::DpdTimeout;
use crate::ike::profile::Profile;
use crate::ike::proposal;
use crate::pki::auth::{AuthPolicy, Method1Hash};
use crate::pki::certificate::Thumbprint;
use crate::pki::identity::{Expectation, Id, Rule};
use crate::pki::load::Bundle;
use crate::pki::own::OwnIdentity;
use crate::pki::path::{Roots, Trust};
use crate::wire::address::AddressRange;
use crate::wire::narrow::SelectorPair as WirePair;
use crate::wire::selector::Selector;
use crate::wire::selector_set::SelectorSet;

/// Why a connection cannot be put to work: a sentence with its remedy.
pub type Obstacle = String;

/// The credentials of a connection, from its files.
pub fn credentials(
    connection: &Connection,
    site: &Site,
    remote: IpAddr,
) -> Result<Certificates, Obstacle> {
    let settings = &connection.certificate_authentication;
    let own = own(settings)?;
    let mut roots = Vec::new();
    for file in &settings.outbound_certificate_roots {
        roots.extend(bundle(file, None)?.certificates);
    }
    let mut trust = Trust::new(Roots::new(roots).map_err(|refusal| refusal.to_string())?);
    for file in &settings.crls {
        trust.crls.extend(bundle(file, None)?.crls);
    }
    let revoked = settings.revoked_thumbprints.iter();
    trust.revoked = revoked.filter_map(|t| t.to_string().parse::<Thumbprint>().ok()).collect();
    let name = settings.outbound_certificate_subject_name.as_str();
    let mut expected = Expectation::new(Rule::common_name(name));
    expected.addresses = vec![remote];
    let id = match (settings.inbound_identity, &site.address) {
        (InboundIdentity::Subject, _) => own.id(),
        (InboundIdentity::Address, Host::Address(IpAddr::V4(address))) => Id::Ipv4(*address),
        (InboundIdentity::Address, Host::Address(IpAddr::V6(address))) => Id::Ipv6(*address),
        (InboundIdentity::Fqdn, Host::Name(name)) => Id::Fqdn(name.as_str().to_owned()),
        (InboundIdentity::Address | InboundIdentity::Fqdn, _) => {
            own.host_id().unwrap_or_else(|| own.id())
        }
    };
    let method1_hash = match settings.rsa_signature_hash {
        SignatureHash::Sha1 => Method1Hash::Sha1,
        SignatureHash::Sha256 => Method1Hash::Sha256,
        SignatureHash::Sha384 => Method1Hash::Sha384,
        SignatureHash::Sha512 => Method1Hash::Sha512,
    };
    let policy = AuthPolicy { method1_hash, ..AuthPolicy::default() };
    Ok(Certificates { own, id, trust, expected, policy })
}

fn own(settings: &Authentication) -> Result<OwnIdentity, Obstacle> {
    let password = match &settings.inbound_password_file {
        Some(file) => Some(files::read(file).map_err(|error| unreadable(file, &error))?),
        None => None,
    };
    let password = password.as_ref().map(|bytes| bytes.as_slice());
    let mut all = bundle(&settings.inbound_certificate, password)?;
    if let Some(file) = &settings.inbound_private_key {
        let more = bundle(file, password)?;
        all.keys.extend(more.keys);
        all.certificates.extend(more.certificates);
    }
    OwnIdentity::from_bundle(all).map_err(|error| format!("{error}; {}", error.remedy()))
}

fn bundle(file: &FileRef, password: Option<&[u8]>) -> Result<Bundle, Obstacle> {
    let bytes = files::read(file).map_err(|error| unreadable(file, &error))?;
    Bundle::read(&bytes, password, &file.to_string()).map_err(|error| error.to_string())
}

fn unreadable(file: &FileRef, error: &std::io::Error) -> Obstacle {
    format!("{file} cannot be read ({error}); put the file there and `s2sd reload`")
}

/// The peer of one tunnel.
pub fn peer(
    connection: &Connection,
    profile: Profile,
    local: IpAddr,
    remote: IpAddr,
    credentials: Rc<Certificates>,
) -> Result<PeerConfig, Obstacle> {
    let (ike, esp) = policies(&connection.ipsec_policy, profile)?;
    let lifetime_bytes = connection.ipsec_policy.kilobytes().saturating_mul(1024);
    let child = |(index, selectors): (usize, WirePair)| ChildConfig {
        name: format!("{}[{index}]", connection.name).into(),
        esp: esp.clone(),
        selectors,
        lifetime_time: connection.ipsec_policy.life_time(),
        lifetime_bytes,
        keep_up: true,
    };
    Ok(PeerConfig {
        name: connection.name.to_string().into(),
        role: match connection.connection_mode {
            ConnectionMode::Default => Role::Both,
            ConnectionMode::InitiatorOnly => Role::Answer,
            ConnectionMode::ResponderOnly => Role::Dial,
        },
        local,
        remotes: vec![remote],
        encapsulation: match connection.tunnel.encapsulation {
            Encapsulation::Udp => engine::Encapsulation::Udp,
            Encapsulation::Auto => engine::Encapsulation::Auto,
            Encapsulation::Esp => engine::Encapsulation::Esp,
        },
        start_on_4500: false,
        ike,
        children: selectors(connection).into_iter().enumerate().map(child).collect(),
        credentials,
        ask_for: None,
        ike_lifetime: connection.tunnel.ike_rekey.map_or(IKE_HARD, |age| age + age / 4),
        reauthenticate: None,
        dpd_timeout: DpdTimeout::from_seconds(connection.dpd_timeout.as_secs()).unwrap_or_default(),
        childless: false,
        profile,
    })
}

fn policies(
    policy: &Policy,
    profile: Profile,
) -> Result<(proposal::Policy, proposal::Policy), Obstacle> {
    let Policy::Custom(policy) = policy else {
        return Ok((profile.ike_policy(), profile.esp_policy()));
    };
    let names = Names {
        ike_encryption: policy.ike_encryption.word(),
        ike_integrity: policy.ike_integrity.word(),
        dh_group: policy.dh_group.word(),
        ipsec_encryption: policy.ipsec_encryption.word(),
        ipsec_integrity: policy.ipsec_integrity.word(),
        pfs_group: policy.pfs_group.word(),
    };
    let lines = azure::ike_lines(&names).map_err(|error| error.to_string())?;
    let line = azure::esp_line(&names).map_err(|error| error.to_string())?;
    let (ike, esp) = (proposal::Policy::new(&lines), proposal::Policy::new(&[line]));
    match ike.1.first().or(esp.1.first()) {
        Some(unsupported) if ike.0.offered().is_empty() || esp.0.offered().is_empty() => {
            Err(format!("s2sd cannot run this ipsec_policy: {unsupported}"))
        }
        _ => Ok((ike.0, esp.0)),
    }
}

fn selectors(connection: &Connection) -> Vec<WirePair> {
    match &connection.selectors {
        Selectors::AnyToAny => {
            let any = || [Selector::ANY_V4].into_iter().collect::<SelectorSet>();
            vec![WirePair { local: any(), remote: any() }]
        }
        Selectors::Pairs(pairs) => pairs.iter().map(pair).collect(),
    }
}

fn pair(pair: &SelectorPair) -> WirePair {
    let set = |prefixes: &[crate::config::prefix::Prefix]| {
        let ranges = prefixes.iter().filter_map(|prefix| {
            AddressRange::prefix(prefix.network(), prefix.length()).ok().map(Selector::addresses)
        });
        ranges.collect::<SelectorSet>()
    };
    WirePair { local: set(&pair.local), remote: set(&pair.remote) }
}

/// How long to wait before an obstacle is looked at again: a name that did not resolve, a network that was not there.
pub const RETRY: Duration = Duration::from_secs(10);
