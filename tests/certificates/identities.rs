//! Who a peer says that it is: the table of identities.

use std::net::IpAddr;

use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue};

use s2sd::pki::certificate::AltName;
use s2sd::pki::identity::{Binding, Expectation, Id, IdentityRule};
use s2sd::pki::name::Name;
use s2sd::pki::path::{Roots, Trust, ValidPath};
use s2sd::pki::{TrustReason, TrustRefusal};
use s2sd::wire::codes::IdType;

use super::maker::*;

/// The path of a leaf "gw" under a root.
fn path(change: Change) -> ValidPath {
    under(&root("root"), change)
}

fn under(root: &Authority, change: Change) -> ValidPath {
    let leaf = root.leaf_with("gw", change);
    Trust::new(Roots::new([root.certificate()]).unwrap()).validate(&[&leaf], NOW).unwrap()
}

fn cn(expected: &str) -> Expectation {
    Expectation::new(IdentityRule::common_name(expected))
}

fn subject(path: &ValidPath) -> Id {
    Id::parse(IdType::DerAsn1Dn, path.leaf().subject().as_der()).unwrap()
}

fn id(kind: IdType, data: &[u8]) -> Id {
    Id::parse(kind, data).unwrap()
}

fn alt(params: &mut CertificateParams, names: impl IntoIterator<Item = SanType>) {
    params.subject_alt_names = names.into_iter().collect();
}

fn host(params: &mut CertificateParams) {
    alt(params, [SanType::DnsName("gw.example.org".try_into().unwrap())]);
}

/// A subject with another common name.
fn named(params: &mut CertificateParams, values: &[(DnType, DnValue)]) {
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in values {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
}

fn told(refused: Result<Binding, TrustRefusal>) -> String {
    match refused.unwrap_err().reason {
        TrustReason::Identity(reason) => {
            format!("{reason:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
        }
        other => panic!("not about identity: {other:?}"),
    }
}

#[test]
fn azures_rule_is_the_common_name_without_its_prefix() {
    let path = path(plain);
    let id = subject(&path);
    for configured in ["gw", "CN=gw", "cn= gw ", " GW", "CN=GW"] {
        assert_eq!(cn(configured).identify(&path, &id), Ok(Binding::Subject), "{configured:?}");
    }
    for configured in ["gw2", "g", "", "CN=", "CN=CN=gw", "gw.example.org"] {
        assert_eq!(told(cn(configured).identify(&path, &id)), "CommonName", "{configured:?}");
    }
}

#[test]
fn an_alternative_name_does_not_stand_in_for_the_common_name() {
    let path = path(|p| {
        named(p, &[(DnType::CommonName, "other".into())]);
        alt(p, [SanType::DnsName("gw".try_into().unwrap())]);
    });
    assert_eq!(told(cn("gw").identify(&path, &subject(&path))), "CommonName");
}

#[test]
fn a_subject_without_common_name_never_fits_azures_rule() {
    let path = path(|p| named(p, &[(DnType::OrganizationName, "gw".into())]));
    assert_eq!(told(cn("gw").identify(&path, &subject(&path))), "CommonName");
    assert_eq!(told(cn("").identify(&path, &subject(&path))), "CommonName");
}

#[test]
fn the_most_specific_of_several_common_names_counts() {
    // Set by hand: rcgen keeps one attribute of a kind.
    let computers: &[u8] = &[
        0x30, 33, 0x31, 18, 0x30, 16, 6, 3, 0x55, 4, 3, 0x0c, 9, b'C', b'o', b'm', b'p', b'u',
        b't', b'e', b'r', b's', 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 0x0c, 2, b'g', b'w',
    ];
    assert_eq!(Name::from_der(computers).unwrap().common_name(), Some("gw"));
}

#[test]
fn a_whole_subject_or_an_alternative_name_can_be_the_rule() {
    let path = path(host);
    let id = subject(&path);
    let subject = Expectation::new(IdentityRule::Subject(path.leaf().subject().clone()));
    assert_eq!(subject.identify(&path, &id), Ok(Binding::Subject));
    let other = Expectation::new(IdentityRule::Subject(Name::from_der(&[0x30, 0]).unwrap()));
    assert_eq!(told(other.identify(&path, &id)), "Subject");
    let dns = |name: &str| Expectation::new(IdentityRule::AltName(AltName::Dns(name.into())));
    assert_eq!(dns("GW.example.org.").identify(&path, &id), Ok(Binding::Subject));
    assert_eq!(told(dns("gw.example.com").identify(&path, &id)), "AltName");
}

#[test]
fn an_id_is_bound_to_the_certificate() {
    let everything: Change = |p| {
        alt(
            p,
            [
                SanType::DnsName("gw.example.org".try_into().unwrap()),
                SanType::Rfc822Name("Ops@example.org".try_into().unwrap()),
                SanType::IpAddress("192.0.2.7".parse().unwrap()),
                SanType::IpAddress("2001:db8::7".parse().unwrap()),
                SanType::DnsName("*.wild.example.org".try_into().unwrap()),
            ],
        );
    };
    let path = path(everything);
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    let IpAddr::V6(v6) = v6 else { unreachable!() };
    for (id, bound) in [
        (id(IdType::Fqdn, b"gw.example.org"), true),
        (id(IdType::Fqdn, b"GW.EXAMPLE.ORG."), true),
        (id(IdType::Fqdn, b"example.org"), false),
        (id(IdType::Fqdn, b"a.wild.example.org"), false),
        // The common name is no host name where there are alternative names.
        (id(IdType::Fqdn, b"gw"), false),
        (id(IdType::Rfc822Addr, b"Ops@EXAMPLE.org"), true),
        (id(IdType::Rfc822Addr, b"ops@example.org"), false),
        (id(IdType::Ipv4Addr, &[192, 0, 2, 7]), true),
        (id(IdType::Ipv4Addr, &[192, 0, 2, 8]), false),
        (id(IdType::Ipv6Addr, &v6.octets()), true),
        (id(IdType::KeyId, b"gw"), false),
        (id(IdType::DerAsn1Gn, b"gw"), false),
        (id(IdType::Null, b""), false),
    ] {
        match cn("gw").identify(&path, &id) {
            Ok(binding) => assert!(bound && binding == Binding::AltName, "{id}"),
            refused => assert!(!bound && told(refused) == "NotBound", "{id}"),
        }
    }
}

#[test]
fn a_common_name_is_a_host_name_only_without_alternative_names_and_constraints() {
    let fqdn = id(IdType::Fqdn, b"GW");
    let plain_path = path(plain);
    assert_eq!(cn("gw").identify(&plain_path, &fqdn), Ok(Binding::CommonName));
    let strict = Expectation { host_in_common_name: false, ..cn("gw") };
    assert_eq!(told(strict.identify(&plain_path, &fqdn)), "NotBound");
    assert_eq!(told(cn("gw").identify(&path(host), &fqdn)), "NotBound");
    let constrained = root_with("root", key(), |p| {
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".into())],
            excluded_subtrees: vec![],
        });
    });
    let path = under(&constrained, plain);
    let strict =
        Expectation { rule: IdentityRule::Subject(path.leaf().subject().clone()), ..cn("gw") };
    assert_eq!(told(strict.identify(&path, &fqdn)), "NotBound");
}

#[test]
fn under_name_constraints_a_common_name_counts_only_as_alternative_name_too() {
    let constrained = root_with("root", key(), |p| {
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".into())],
            excluded_subtrees: vec![],
        });
    });
    let alone = under(&constrained, |p| named(p, &[(DnType::CommonName, "gw.other.net".into())]));
    let refused = cn("gw.other.net").identify(&alone, &subject(&alone));
    assert_eq!(told(refused), "CommonNameConstrained");
    let beside = under(&constrained, |p| {
        named(p, &[(DnType::CommonName, "gw.other.net".into())]);
        host(p);
    });
    let refused = cn("gw.other.net").identify(&beside, &subject(&beside));
    assert_eq!(told(refused), "CommonNameConstrained");
    let both = under(&constrained, |p| {
        named(p, &[(DnType::CommonName, "GW.example.org".into())]);
        host(p);
    });
    let accepted = cn("gw.example.org").identify(&both, &subject(&both));
    assert_eq!(accepted, Ok(Binding::Subject));
}

#[test]
fn a_configured_address_or_id_is_bound_to_the_connection() {
    let path = path(plain);
    let address = id(IdType::Ipv4Addr, &[20, 30, 40, 50]);
    assert_eq!(told(cn("gw").identify(&path, &address)), "NotBound");
    let addressed = Expectation { addresses: vec!["20.30.40.50".parse().unwrap()], ..cn("gw") };
    assert_eq!(addressed.identify(&path, &address), Ok(Binding::PeerAddress));
    let key_id = id(IdType::KeyId, b"azure");
    let listed = Expectation { id: Some(key_id.clone()), ..cn("gw") };
    assert_eq!(listed.identify(&path, &key_id), Ok(Binding::ConfiguredId));
    assert_eq!(told(listed.identify(&path, &id(IdType::KeyId, b"Azure"))), "OtherId");
    assert_eq!(told(listed.identify(&path, &subject(&path))), "OtherId", "the one ID and no other");
    // A name other than the certificate's, in the peer's own letter case; an empty one is nobody's.
    let name = |common: &[u8; 2]| {
        let mut der = vec![0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 0x0c, 2];
        der.extend(common);
        id(IdType::DerAsn1Dn, &der)
    };
    let empty = id(IdType::DerAsn1Dn, &[0x30, 0]);
    let named = Expectation { id: Some(name(b"az")), ..cn("gw") };
    for common in [b"az", b"AZ"] {
        assert_eq!(named.identify(&path, &name(common)), Ok(Binding::ConfiguredId));
    }
    for other in [name(b"ax"), empty.clone()] {
        assert_eq!(told(named.identify(&path, &other)), "OtherId");
    }
    let nobody = Expectation { id: Some(empty.clone()), ..cn("gw") };
    assert_eq!(told(nobody.identify(&path, &empty)), "OtherId");
    // The certificate rule holds whatever the ID.
    let wrong = Expectation { id: Some(key_id.clone()), ..cn("other") };
    assert_eq!(told(wrong.identify(&path, &key_id)), "CommonName");
}

/// What an operator writes as `remote_identity` is what the peer sends, of each kind; a refusal
/// names the line to write.
#[test]
fn an_id_is_configured_as_text() {
    let path = path(plain);
    for (text, kind, data) in [
        ("10.0.0.4", IdType::Ipv4Addr, &[10, 0, 0, 4][..]),
        (
            "2001:db8::1",
            IdType::Ipv6Addr,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        ("GW.example.org", IdType::Fqdn, b"gw.example.org."),
        ("ops@gw.example.org", IdType::Rfc822Addr, b"ops@GW.example.org"),
        ("keyid:azure", IdType::KeyId, b"azure"),
        ("keyid:0x00fF", IdType::KeyId, &[0, 255]),
        ("cn=gw", IdType::DerAsn1Dn, subject(&path).data().as_slice()),
    ] {
        let theirs = id(kind, data);
        let configured = Id::from_text(text).unwrap();
        let expected = Expectation { id: Some(configured), ..cn("gw") };
        assert!(expected.identify(&path, &theirs).is_ok(), "{text}");
        if kind != IdType::DerAsn1Dn {
            let refused = cn("gw").identify(&path, &theirs).unwrap_err();
            let line = format!("remote_identity = \"{}\"", theirs.to_text());
            assert!(refused.to_string().contains(&line), "{refused}");
        }
        assert_eq!(Id::from_text(&theirs.to_text()), Ok(theirs), "{text}");
    }
    for bad in ["", "keyid:", "keyid:0x123", "keyid:0xzz", "g\u{e4}teway", "XY=gw"] {
        assert!(Id::from_text(bad).is_err(), "{bad}");
    }
}

#[test]
fn pinned_certificates_are_the_only_ones() {
    let root = root("root");
    let (path, other) = (under(&root, plain), under(&root, plain));
    let pinned = Expectation { pinned: vec![path.leaf().clone()], ..cn("gw") };
    assert_eq!(pinned.identify(&path, &subject(&path)), Ok(Binding::Subject));
    assert_eq!(told(pinned.identify(&other, &subject(&other))), "NotPinned");
}

#[test]
fn a_name_matches_but_for_case_space_and_string_type() {
    let path = path(|p| named(p, &[(DnType::CommonName, DnValue::Utf8String("gw".into()))]));
    let printable: &[u8] = &[0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 0x13, 2, b'G', b'W'];
    let folded = id(IdType::DerAsn1Dn, printable);
    assert_eq!(cn("gw").identify(&path, &folded), Ok(Binding::SubjectFolded));
    let mut other = printable.to_vec();
    other[14] = b'X';
    assert_eq!(told(cn("gw").identify(&path, &id(IdType::DerAsn1Dn, &other))), "NotBound");
    assert_eq!(told(cn("gw").identify(&path, &id(IdType::DerAsn1Dn, &[0x30, 0]))), "NotBound");
}

#[test]
fn an_id_that_does_not_fit_its_type_is_refused() {
    for (kind, data) in [
        (IdType::Ipv4Addr, &[1, 2, 3][..]),
        (IdType::Ipv6Addr, &[0; 4]),
        (IdType::Fqdn, b""),
        (IdType::Fqdn, b"gw\0"),
        (IdType::Fqdn, b"gw\x1b[2J"),
        (IdType::Rfc822Addr, "ops@ex\u{e4}mple".as_bytes()),
        (IdType::DerAsn1Dn, b"CN=gw"),
        (IdType::DerAsn1Dn, &[0x30, 0, 0]),
    ] {
        let refused = Id::parse(kind, data).unwrap_err();
        assert!(matches!(refused.reason, TrustReason::Identity(_)), "{refused}");
        assert!(refused.to_string().contains(&kind.to_string()));
    }
}

#[test]
fn an_id_reads_back_as_it_was_sent() {
    for (kind, data) in [
        (IdType::Ipv4Addr, &[1, 2, 3, 4][..]),
        (IdType::Fqdn, b"gw.example.org"),
        (IdType::Rfc822Addr, b"a@b"),
        (IdType::Ipv6Addr, &[7; 16]),
        (IdType::DerAsn1Dn, &[0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 0x0c, 2, b'g', b'w']),
        (IdType::KeyId, &[0, 1]),
    ] {
        let id = id(kind, data);
        assert_eq!((id.kind(), &id.data()[..]), (kind, data));
    }
}
