//! The way to a root: the table of paths.

use std::collections::BTreeSet;

use rcgen::{CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, IsCa, KeyPair};

use s2sd::crypto::signature::PrivateKey;
use s2sd::der::{self, tag};
use s2sd::pki::certificate::{Certificate, Thumbprint};
use s2sd::pki::crl::Crl;
use s2sd::pki::path::{CrlDemand, Purposes, Roots, StaleCrls, Trust, ValidPath};
use s2sd::pki::{TrustReason, TrustRefusal};
use s2sd::time::UnixTime;

use super::maker::*;

/// One question: does this trust accept what the peer sent, at this time?
struct Question {
    trust: Trust,
    sent: Vec<Vec<u8>>,
    now: UnixTime,
}

/// The answer that is right.
enum Answer {
    /// A path with so many certificates between.
    Pass(usize),
    /// This variant of `PathReason`, at the certificate with this common name (none: about no
    /// certificate).
    Refuse(&'static str, &'static str),
}
use Answer::{Pass, Refuse};

fn ask(roots: &[&Authority], sent: &[&[u8]]) -> Question {
    let roots = Roots::new(roots.iter().map(|root| root.certificate())).unwrap();
    question(Trust::new(roots), sent)
}

fn question(trust: Trust, sent: &[&[u8]]) -> Question {
    Question { trust, sent: sent.iter().map(|der| der.to_vec()).collect(), now: NOW }
}

/// A question about the committed files, at a time when they are all valid.
fn ask_files(root: &[u8], sent: &[u8]) -> Question {
    let (root, leaf) = (pem(root), pem(sent));
    let now = UnixTime(leaf.not_before().0.max(root.not_before().0) + 3600);
    let trust = Trust::new(Roots::new([root]).unwrap());
    Question { trust, sent: vec![leaf.as_der().to_vec()], now }
}

impl Question {
    fn with(mut self, change: impl FnOnce(&mut Trust)) -> Question {
        change(&mut self.trust);
        self
    }

    fn answer(&self) -> Result<ValidPath, TrustRefusal> {
        let sent: Vec<&[u8]> = self.sent.iter().map(Vec::as_slice).collect();
        self.trust.validate(&sent, self.now)
    }
}

/// Root, two intermediates and a leaf.
fn deep() -> (Authority, Authority, Authority, Vec<u8>) {
    let root = root("root");
    let upper = root.authority("upper");
    let lower = upper.authority("lower");
    let leaf = lower.leaf("leaf");
    (root, upper, lower, leaf)
}

fn both(trust: &mut Trust) {
    trust.purposes = Purposes::ServerAndClient;
}

fn crls(question: Question, crls: impl IntoIterator<Item = Crl>) -> Question {
    question.with(|trust| trust.crls = crls.into_iter().collect())
}

fn revoke(question: Question, der: &[u8]) -> Question {
    question.with(|trust| trust.revoked = BTreeSet::from([Thumbprint::of(der)]))
}

fn critical(params: &mut CertificateParams) {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
}

fn distributed(params: &mut CertificateParams, url: &str) {
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![url.to_owned()] }];
}

fn eku(params: &mut CertificateParams, purposes: &[ExtendedKeyUsagePurpose]) {
    params.extended_key_usages = purposes.to_vec();
}

fn dns(params: &mut CertificateParams, name: &str) {
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
}

fn only_example_org(params: &mut CertificateParams) {
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".into())],
        excluded_subtrees: vec![],
    });
}

fn only_directory(params: &mut CertificateParams) {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Example");
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DirectoryName(name)],
        excluded_subtrees: vec![],
    });
}

const RSA_1: &[u8] = vector!("keys/rsa2048-1.p8.der");
const RSA_2: &[u8] = vector!("keys/rsa2048-2.p8.der");
const ROOT: &[u8] = vector!("root.pem");
const OUTBOUND: &[u8] = vector!("Outbound-certificate.pem");

type Case = (&'static str, fn() -> Question, Answer);

const GOOD: &[Case] = &[
    ("as Azure's OpenSSL page makes them", || ask_files(ROOT, OUTBOUND), Pass(0)),
    ("the same with both purposes demanded", || ask_files(ROOT, OUTBOUND).with(both), Pass(0)),
    (
        "a root as PowerShell makes it: keyCertSign alone, path length 4",
        || ask_files(vector!("root-powershell.pem"), OUTBOUND),
        Pass(0),
    ),
    (
        "a point-to-site root: keyCertSign and no basic constraints",
        || {
            let mut question = ask_files(ROOT, OUTBOUND);
            let p2s = root_with("r", rsa_key(RSA_1), |p| {
                p.is_ca = IsCa::NoCa;
                only_cert_sign(p);
            });
            let roots = Roots::new([pem(vector!("root-p2s.pem")), p2s.certificate()]).unwrap();
            question.sent = vec![p2s.leaf("leaf")];
            question.now = NOW;
            question.trust = Trust::new(roots);
            question
        },
        Pass(0),
    ),
    ("a version 1 root", || ask_files(vector!("v1-root.pem"), vector!("under-v1.pem")), Pass(0)),
    ("signed with PSS", || ask_files(ROOT, vector!("pss-leaf.pem")), Pass(0)),
    (
        "RSA 4096 under RSA 2048",
        || {
            let root = root_with("root", rsa_key(RSA_1), plain);
            let leaf = root.leaf_for(&rsa_key(vector!("keys/rsa4096.p8.der")), "leaf", plain);
            ask(&[&root], &[&leaf])
        },
        Pass(0),
    ),
    (
        "ECDSA P-384 under Ed25519",
        || {
            let root = root_with("root", key_of(&rcgen::PKCS_ED25519), plain);
            let leaf = root.leaf_for(&key_of(&rcgen::PKCS_ECDSA_P384_SHA384), "leaf", plain);
            ask(&[&root], &[&leaf])
        },
        Pass(0),
    ),
    (
        "two intermediates in order",
        || {
            let (root, upper, lower, leaf) = deep();
            ask(&[&root], &[&leaf, &lower.der, &upper.der])
        },
        Pass(2),
    ),
    (
        "intermediates shuffled, leaf last",
        || {
            let (root, upper, lower, leaf) = deep();
            ask(&[&root], &[&upper.der, &lower.der, &leaf])
        },
        Pass(2),
    ),
    (
        "the peer sends its root and others, the root first",
        || {
            let (a, upper, lower, leaf) = deep();
            let (b, c) = (root("other"), root("another"));
            ask(&[&a], &[&a.der, &leaf, &b.der, &lower.der, &c.der, &upper.der])
        },
        Pass(2),
    ),
    (
        "intermediates known from configuration",
        || {
            let (root, upper, lower, leaf) = deep();
            ask(&[&root], &[&leaf]).with(|trust| {
                trust.intermediates = vec![upper.certificate(), lower.certificate()];
            })
        },
        Pass(2),
    ),
    (
        "twenty roots configured, the last one it is",
        || {
            let roots: Vec<Authority> = (0..20).map(|i| root(&format!("root {i}"))).collect();
            let leaf = roots[19].leaf("leaf");
            ask(&roots.iter().collect::<Vec<_>>(), &[&leaf])
        },
        Pass(0),
    ),
    (
        "twenty strange roots sent along",
        || {
            let (root_, upper, lower, leaf) = deep();
            let strange: Vec<Authority> = (0..20).map(|i| root(&format!("root {i}"))).collect();
            let mut sent: Vec<&[u8]> = strange.iter().map(|root| root.der.as_slice()).collect();
            sent.extend([&leaf[..], &upper.der, &lower.der]);
            ask(&[&root_], &sent)
        },
        Pass(2),
    ),
    (
        "two roots of one name with different keys",
        || {
            let (old, new) = (root("root"), root("root"));
            ask(&[&old, &new], &[&new.leaf("leaf")])
        },
        Pass(0),
    ),
    (
        "a renewed root with the same key, the expired one first",
        || {
            let old = root_with("root", rsa_key(RSA_1), expired);
            let new = root_with("root", rsa_key(RSA_1), plain);
            ask(&[&old, &new], &[&new.leaf("leaf")])
        },
        Pass(0),
    ),
    (
        "an expired intermediate beside its renewal with the same key",
        || {
            let root = root("root");
            let old = root.authority_with("ca", rsa_key(RSA_1), expired);
            let new = root.authority_with("ca", rsa_key(RSA_1), plain);
            ask(&[&root], &[&new.leaf("leaf"), &old.der, &new.der])
        },
        Pass(1),
    ),
    (
        "an intermediate under two roots of which one is trusted",
        || {
            let (strange, ours) = (root("strange"), root("ours"));
            let a = strange.authority_with("ca", rsa_key(RSA_1), plain);
            let b = ours.authority_with("ca", rsa_key(RSA_1), plain);
            ask(&[&ours], &[&a.leaf("leaf"), &a.der, &b.der, &strange.der])
        },
        Pass(1),
    ),
    (
        "no extended key usage",
        || {
            let root = root("root");
            ask(&[&root], &[&root.leaf_with("leaf", |p| eku(p, &[]))])
        },
        Pass(0),
    ),
    (
        "clientAuth alone",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| eku(p, &[ExtendedKeyUsagePurpose::ClientAuth]));
            ask(&[&root], &[&leaf])
        },
        Pass(0),
    ),
    (
        "ipsecIKE alone",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| {
                eku(p, &[ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17])]);
            });
            ask(&[&root], &[&leaf])
        },
        Pass(0),
    ),
    (
        "iKEIntermediate alone, on the leaf and on an authority",
        || {
            let ike_intermediate: Change = |p| {
                eku(p, &[ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 8, 2, 2])]);
            };
            let root = root("root");
            let ca = root.authority_with("ca", key(), ike_intermediate);
            let leaf = ca.leaf_with("leaf", ike_intermediate);
            ask(&[&root], &[&leaf, &ca.der])
        },
        Pass(1),
    ),
    (
        "anyExtendedKeyUsage alone",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| eku(p, &[ExtendedKeyUsagePurpose::Any]));
            ask(&[&root], &[&leaf])
        },
        Pass(0),
    ),
    (
        "key usage digitalSignature",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| p.key_usages = vec![Usage::DigitalSignature]);
            ask(&[&root], &[&leaf])
        },
        Pass(0),
    ),
    (
        "path length 0 with nothing between",
        || {
            let root = root_with("root", key(), path_len::<0>);
            ask(&[&root], &[&root.leaf("leaf")])
        },
        Pass(0),
    ),
    (
        "the leaf has its issuer's own name",
        || {
            let root = root("gateway");
            ask(&[&root], &[&root.leaf("gateway")])
        },
        Pass(0),
    ),
    (
        "a permitted name under name constraints",
        || {
            let root = root_with("root", key(), only_example_org);
            ask(&[&root], &[&root.leaf_with("leaf", |p| dns(p, "gw.example.org"))])
        },
        Pass(0),
    ),
    (
        "garbage among the intermediates",
        || {
            let (root, upper, lower, leaf) = deep();
            ask(&[&root], &[&leaf, b"garbage", &lower.der, &[], &upper.der])
        },
        Pass(2),
    ),
    (
        "the last second of its life",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            let now = certificate(&leaf).not_after();
            Question { now, ..ask(&[&root], &[&leaf]) }
        },
        Pass(0),
    ),
    (
        "the first second of its life",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            let now = certificate(&leaf).not_before();
            Question { now, ..ask(&[&root], &[&leaf]) }
        },
        Pass(0),
    ),
    (
        "a CRL that does not list it",
        || {
            let root = root("root");
            let (leaf, other) = (root.leaf("leaf"), root.leaf("other"));
            crls(ask(&[&root], &[&leaf]), [root.crl(2029, 12, &[&other])])
        },
        Pass(0),
    ),
    (
        "a CRL of somebody else",
        || {
            let (root, other) = (root("root"), root("other"));
            let leaf = root.leaf("leaf");
            crls(ask(&[&root], &[&leaf]), [other.crl(2029, 12, &[&leaf])])
        },
        Pass(0),
    ),
    (
        "an old CRL where stale ones will do",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            crls(ask(&[&root], &[&leaf]), [root.crl(2025, 1, &[])])
                .with(|trust| trust.stale_crls = StaleCrls::Accept)
        },
        Pass(0),
    ),
    (
        "an old CRL beside a current one, whatever their order",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            let (old, new) = (root.crl(2025, 1, &[&leaf]), root.crl(2029, 12, &[]));
            crls(ask(&[&root], &[&leaf]), [old, new])
        },
        Pass(0),
    ),
    (
        "CRLs of both keys of an authority that renewed its own",
        || {
            let (old, new) = (root("root"), root("root"));
            let leaf = new.leaf("leaf");
            let lists = [old.crl(2029, 12, &[]), new.crl(2029, 12, &[])];
            crls(ask(&[&old, &new], &[&leaf]), lists)
        },
        Pass(0),
    ),
    (
        "a path that holds both keys of an authority, with both CRLs",
        || {
            let old = root("root");
            let new = old.authority("root");
            let leaf = new.leaf("leaf");
            let lists = [old.crl(2029, 12, &[]), new.crl(2029, 12, &[])];
            crls(ask(&[&old], &[&leaf, &new.der]), lists)
                .with(|trust| trust.crl_demand = CrlDemand::Always)
        },
        Pass(1),
    ),
    (
        "the CRL of an authority's other key alone",
        || {
            let (old, new) = (root("root"), root("root"));
            crls(ask(&[&old, &new], &[&old.leaf("leaf")]), [new.crl(2029, 12, &[])])
        },
        Pass(0),
    ),
    (
        "a CRL of another distribution point that does not list it, where none is demanded",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| distributed(p, "http://old.example/ca.crl"));
            let list = root.crl_at(Some("http://new.example/ca.crl"), 2029, 12, &[]);
            crls(ask(&[&root], &[&leaf]), [list])
        },
        Pass(0),
    ),
    (
        "CRLs demanded and there, the leaf's for its own distribution point",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| distributed(p, "http://old.example/ca.crl"));
            let list = root.crl_at(Some("http://old.example/ca.crl"), 2029, 12, &[]);
            crls(ask(&[&root], &[&leaf]), [list]).with(|trust| trust.crl_demand = CrlDemand::Always)
        },
        Pass(0),
    ),
    (
        "CRLs demanded and there for every issuer",
        || {
            let (root, upper, lower, leaf) = deep();
            let lists =
                [root.crl(2029, 12, &[]), upper.crl(2029, 12, &[]), lower.crl(2029, 12, &[])];
            crls(ask(&[&root], &[&leaf, &lower.der, &upper.der]), lists)
                .with(|trust| trust.crl_demand = CrlDemand::Always)
        },
        Pass(2),
    ),
];

const BAD: &[Case] = &[
    ("nothing sent", || ask(&[&root("root")], &[]), Refuse("NoCertificate", "")),
    (
        "more than are looked at",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            ask(&[&root], &[leaf.as_slice(); 33])
        },
        Refuse("TooMany", ""),
    ),
    ("no root configured", || ask(&[], &[&root("root").leaf("leaf")]), Refuse("NoRoots", "")),
    ("garbage", || ask(&[&root("root")], &[b"garbage DER"]), Refuse("Unreadable", "")),
    (
        "cut off",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            ask(&[&root], &[&leaf[..leaf.len() - 1]])
        },
        Refuse("Unreadable", ""),
    ),
    (
        "a byte too many",
        || {
            let root = root("root");
            ask(&[&root], &[&[root.leaf("leaf"), vec![0]].concat()])
        },
        Refuse("Unreadable", ""),
    ),
    (
        "too big",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| {
                let filler = CustomExtension::from_oid_content(&[1, 2, 3], vec![4; 17_000]);
                p.custom_extensions.push(filler);
            });
            ask(&[&root], &[&leaf])
        },
        Refuse("Unreadable", ""),
    ),
    (
        "one extension twice",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| {
                let extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], vec![0x30, 0]);
                p.custom_extensions.push(extension);
            });
            ask(&[&root], &[&leaf])
        },
        Refuse("Unreadable", ""),
    ),
    ("a version 1 leaf", || ask_files(ROOT, vector!("v1-leaf.pem")), Refuse("Version", "v1-leaf")),
    (
        "expired",
        || {
            let root = root("root");
            ask(&[&root], &[&root.leaf_with("leaf", expired)])
        },
        Refuse("Expired", "leaf"),
    ),
    (
        "the second after its life",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", expired);
            let now = UnixTime(certificate(&leaf).not_after().0 + 1);
            Question { now, ..ask(&[&root], &[&leaf]) }
        },
        Refuse("Expired", "leaf"),
    ),
    (
        "not yet valid",
        || {
            let root = root("root");
            ask(&[&root], &[&root.leaf_with("leaf", not_yet)])
        },
        Refuse("NotYetValid", "leaf"),
    ),
    (
        "an expired intermediate",
        || {
            let root = root("root");
            let ca = root.authority_with("ca", key(), expired);
            ask(&[&root], &[&ca.leaf("leaf"), &ca.der])
        },
        Refuse("Expired", "ca"),
    ),
    (
        "an intermediate that is not yet valid",
        || {
            let root = root("root");
            let ca = root.authority_with("ca", key(), not_yet);
            ask(&[&root], &[&ca.leaf("leaf"), &ca.der])
        },
        Refuse("NotYetValid", "ca"),
    ),
    (
        "an expired root",
        || {
            let root = root_with("root", key(), expired);
            ask(&[&root], &[&root.leaf("leaf")])
        },
        Refuse("RootExpired", "root"),
    ),
    (
        "a root that is not yet valid",
        || {
            let root = root_with("root", key(), not_yet);
            ask(&[&root], &[&root.leaf("leaf")])
        },
        Refuse("RootNotYetValid", "root"),
    ),
    (
        "another root",
        || ask(&[&root("ours")], &[&root("theirs").leaf("leaf")]),
        Refuse("MissingIssuer", "leaf"),
    ),
    (
        "another root, which the peer sends",
        || {
            let theirs = root("theirs");
            ask(&[&root("ours")], &[&theirs.leaf("leaf"), &theirs.der])
        },
        Refuse("UnknownRoot", "leaf"),
    ),
    (
        "another root of the same name",
        || ask(&[&root("root")], &[&root("root").leaf("leaf")]),
        Refuse("WrongIssuerKey", "leaf"),
    ),
    (
        "a missing intermediate",
        || {
            let (root, upper, _, leaf) = deep();
            ask(&[&root], &[&leaf, &upper.der])
        },
        Refuse("MissingIssuer", "leaf"),
    ),
    (
        "a missing upper intermediate",
        || {
            let (root, _, lower, leaf) = deep();
            ask(&[&root], &[&leaf, &lower.der])
        },
        Refuse("MissingIssuer", "lower"),
    ),
    (
        "a changed leaf",
        || {
            let root = root("root");
            let mut leaf = root.leaf("leaf");
            // The common name, inside what is signed.
            let place = leaf.windows(4).position(|window| window == b"leaf").unwrap();
            leaf[place] = b'L';
            ask(&[&root], &[&leaf])
        },
        Refuse("WrongIssuerKey", "Leaf"),
    ),
    (
        "a self-signed leaf",
        || ask(&[&root("root")], &[&self_signed_leaf("leaf")]),
        Refuse("SelfSignedLeaf", "leaf"),
    ),
    (
        "a self-signed leaf that is configured as root",
        || {
            let leaf = self_signed_leaf("leaf");
            question(Trust::new(Roots::new([certificate(&leaf)]).unwrap()), &[&leaf])
        },
        Refuse("SelfSignedLeaf", "leaf"),
    ),
    (
        "an authority's certificate as the peer's own",
        || {
            let root = root("root");
            ask(&[&root], &[&root.authority("ca").der])
        },
        Refuse("CaAsLeaf", "ca"),
    ),
    (
        "the root itself as the peer's own",
        || {
            let root = root("root");
            ask(&[&root], &[&root.der])
        },
        Refuse("CaAsLeaf", "root"),
    ),
    (
        "issued by a leaf",
        || {
            let root = root("root");
            let middle = root.issuing_leaf("middle");
            ask(&[&root], &[&middle.leaf("leaf"), &middle.der])
        },
        Refuse("NotAnAuthority", "middle"),
    ),
    (
        "issued against the authority's key usage",
        || {
            let root = root("root");
            let ca = root.authority_with("ca", key(), |p| p.key_usages = vec![Usage::CrlSign]);
            ask(&[&root], &[&ca.leaf("leaf"), &ca.der])
        },
        Refuse("KeyUsageCertify", "ca"),
    ),
    (
        "a leaf that may only encipher keys",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| p.key_usages = vec![Usage::KeyEncipherment]);
            ask(&[&root], &[&leaf])
        },
        Refuse("KeyUsageSign", "leaf"),
    ),
    (
        "extended key usage for something else",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| eku(p, &[ExtendedKeyUsagePurpose::CodeSigning]));
            ask(&[&root], &[&leaf])
        },
        Refuse("Purpose", "leaf"),
    ),
    (
        "one of two demanded purposes",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| eku(p, &[ExtendedKeyUsagePurpose::ServerAuth]));
            ask(&[&root], &[&leaf]).with(both)
        },
        Refuse("Purpose", "leaf"),
    ),
    (
        "no extended key usage though both are demanded",
        || {
            let root = root("root");
            ask(&[&root], &[&root.leaf_with("leaf", |p| eku(p, &[]))]).with(both)
        },
        Refuse("Purpose", "leaf"),
    ),
    (
        "an intermediate for something else",
        || {
            let root = root("root");
            let ca = root
                .authority_with("ca", key(), |p| eku(p, &[ExtendedKeyUsagePurpose::CodeSigning]));
            ask(&[&root], &[&ca.leaf("leaf"), &ca.der])
        },
        Refuse("Purpose", "ca"),
    ),
    (
        "an RSA key of 1024 bits",
        || ask_files(ROOT, vector!("rsa1024-leaf.pem")),
        Refuse("Key", "rsa1024-leaf"),
    ),
    (
        "an intermediate with an RSA key of 1024 bits",
        || {
            let root = root("root");
            // An RSAPublicKey of 1024 bits, and an issuer that signs with nothing.
            let modulus = [vec![0x30, 0x81, 0x89, 2, 0x81, 0x81, 0], vec![0xc5; 128]].concat();
            let small = BarePublicKey([modulus, vec![2, 3, 1, 0, 1]].concat());
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "ca");
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let ca = params.signed_by(&small, &root.issuer).unwrap().der().to_vec();
            let issuer = rcgen::Issuer::new(params, small);
            let mut leaf = CertificateParams::default();
            leaf.distinguished_name.push(DnType::CommonName, "leaf");
            let leaf = leaf.signed_by(&key(), &issuer).unwrap().der().to_vec();
            ask(&[&root], &[&leaf, &ca])
        },
        Refuse("Key", "ca"),
    ),
    ("a key on P-521", || ask_files(ROOT, vector!("p521-leaf.pem")), Refuse("Key", "p521-leaf")),
    ("a key of Ed448", || ask_files(ROOT, vector!("ed448-leaf.pem")), Refuse("Key", "ed448-leaf")),
    (
        "signed over SHA-1",
        || {
            let root = root_with("root", rsa_key(RSA_1), plain);
            ask(&[&root], &[&resigned(&root.leaf("leaf"), 5, RSA_1)])
        },
        Refuse("WeakSignature", "leaf"),
    ),
    (
        "an intermediate signed over SHA-1",
        || {
            let root = root_with("root", rsa_key(RSA_1), plain);
            let ca = root.authority_with("ca", rsa_key(RSA_2), plain);
            ask(&[&root], &[&ca.leaf("leaf"), &resigned(&ca.der, 5, RSA_1)])
        },
        Refuse("WeakSignature", "ca"),
    ),
    (
        "signed over MD5",
        || {
            let root = root_with("root", rsa_key(RSA_1), plain);
            ask(&[&root], &[&resigned(&root.leaf("leaf"), 4, RSA_1)])
        },
        Refuse("SignatureAlgorithm", "leaf"),
    ),
    (
        "a critical extension that nobody knows",
        || {
            let root = root("root");
            ask(&[&root], &[&root.leaf_with("leaf", critical)])
        },
        Refuse("CriticalExtension", "leaf"),
    ),
    (
        "more authorities than an intermediate allows",
        || {
            let root = root("root");
            let upper = root.authority_with("upper", key(), path_len::<0>);
            let lower = upper.authority("lower");
            ask(&[&root], &[&lower.leaf("leaf"), &lower.der, &upper.der])
        },
        Refuse("PathTooLong", "upper"),
    ),
    (
        "more authorities than the root allows",
        || {
            let root = root_with("root", key(), path_len::<0>);
            let ca = root.authority("ca");
            ask(&[&root], &[&ca.leaf("leaf"), &ca.der])
        },
        Refuse("PathTooLong", "root"),
    ),
    (
        "more authorities than anybody has",
        || {
            let root = root("root");
            let mut chain = vec![root.authority("ca 0")];
            for i in 1..8 {
                chain.push(chain[i - 1].authority(&format!("ca {i}")));
            }
            let leaf = chain[7].leaf("leaf");
            let mut sent = vec![leaf.as_slice()];
            sent.extend(chain.iter().map(|ca| ca.der.as_slice()));
            ask(&[&root], &sent)
        },
        Refuse("TooComplex", "leaf"),
    ),
    (
        "a name outside the constraints of an intermediate",
        || {
            let root = root("root");
            let ca = root.authority_with("ca", key(), only_example_org);
            ask(&[&root], &[&ca.leaf_with("leaf", |p| dns(p, "gw.example.com")), &ca.der])
        },
        Refuse("NameConstraint", "leaf"),
    ),
    (
        "any name under constraints on directory names",
        || {
            let root = root_with("root", key(), only_directory);
            ask(&[&root], &[&root.leaf("leaf")])
        },
        Refuse("NameConstraint", "leaf"),
    ),
    (
        "revoked by the root's CRL",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            crls(ask(&[&root], &[&leaf]), [root.crl(2029, 12, &[&leaf])])
        },
        Refuse("Revoked", "leaf"),
    ),
    (
        "revoked by a CRL that OpenSSL made",
        || {
            let question = ask_files(ROOT, OUTBOUND);
            let bundle =
                s2sd::pki::load::Bundle::read(vector!("root.crl.pem"), None, "crl").unwrap();
            crls(question, bundle.crls)
        },
        Refuse("Revoked", "Outbound-certificate"),
    ),
    (
        "revoked by an old CRL where stale ones will do",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            crls(ask(&[&root], &[&leaf]), [root.crl(2025, 1, &[&leaf])])
                .with(|trust| trust.stale_crls = StaleCrls::Accept)
        },
        Refuse("Revoked", "leaf"),
    ),
    (
        "revoked by the newer of two CRLs",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            let (old, new) = (root.crl(2029, 11, &[]), root.crl(2029, 12, &[&leaf]));
            crls(ask(&[&root], &[&leaf]), [old, new])
        },
        Refuse("Revoked", "leaf"),
    ),
    (
        "revoked by a CRL of a distribution point that it does not name",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| distributed(p, "http://old.example/ca.crl"));
            let list = root.crl_at(Some("http://new.example/ca.crl"), 2029, 12, &[&leaf]);
            crls(ask(&[&root], &[&leaf]), [list])
        },
        Refuse("Revoked", "leaf"),
    ),
    (
        "revoked by the CRL of its authority's new key, beside the older one of the old key",
        || {
            let (old, new) = (root("root"), root("root"));
            let leaf = old.leaf("leaf");
            let lists = [old.crl(2029, 12, &[]), new.crl(2029, 12, &[&leaf])];
            crls(ask(&[&old, &new], &[&leaf]), lists)
        },
        Refuse("Revoked", "leaf"),
    ),
    (
        "revoked by the CRL of its authority's old key, older than that of the new key",
        || {
            let (old, new) = (root("root"), root("root"));
            let leaf = old.leaf("leaf");
            let lists = [old.crl(2029, 11, &[&leaf]), new.crl(2029, 12, &[])];
            crls(ask(&[&old, &new], &[&leaf]), lists)
                .with(|trust| trust.stale_crls = StaleCrls::Accept)
        },
        Refuse("Revoked", "leaf"),
    ),
    (
        "revoked by the new key, whose certificate is a configured intermediate",
        || {
            let (root, old) = (root("root"), root("ca"));
            let new = root.authority("ca");
            let leaf = old.leaf("leaf");
            let lists = [old.crl(2029, 12, &[]), new.crl(2029, 12, &[&leaf])];
            crls(ask(&[&old], &[&leaf]), lists)
                .with(|trust| trust.intermediates = vec![new.certificate()])
        },
        Refuse("Revoked", "leaf"),
    ),
    (
        "an old CRL of the issuer's key beside a current one of its authority's other key",
        || {
            let (old, new) = (root("root"), root("root"));
            let lists = [old.crl(2025, 1, &[]), new.crl(2029, 12, &[])];
            crls(ask(&[&old, &new], &[&old.leaf("leaf")]), lists)
        },
        Refuse("StaleCrl", "leaf"),
    ),
    (
        "a CRL of a root with keyCertSign alone",
        || {
            let root = root_with("root", rsa_key(RSA_1), only_cert_sign);
            let signer = root_with("root", rsa_key(RSA_1), plain);
            let (leaf, other) = (root.leaf("leaf"), root.leaf("other"));
            crls(ask(&[&root], &[&leaf]), [signer.crl(2029, 12, &[&other])])
        },
        Refuse("UnusableCrl", "leaf"),
    ),
    (
        "an intermediate revoked by the root's CRL",
        || {
            let (root, upper, lower, leaf) = deep();
            let list = root.crl(2029, 12, &[&upper.der]);
            crls(ask(&[&root], &[&leaf, &lower.der, &upper.der]), [list])
        },
        Refuse("Revoked", "upper"),
    ),
    (
        "the leaf's thumbprint is listed",
        || {
            let (root, upper, lower, leaf) = deep();
            revoke(ask(&[&root], &[&leaf, &lower.der, &upper.der]), &leaf)
        },
        Refuse("RevokedThumbprint", "leaf"),
    ),
    (
        "an intermediate's thumbprint is listed",
        || {
            let (root, upper, lower, leaf) = deep();
            revoke(ask(&[&root], &[&leaf, &lower.der, &upper.der]), &upper.der)
        },
        Refuse("RevokedThumbprint", "upper"),
    ),
    (
        "the root's thumbprint is listed",
        || {
            let root = root("root");
            revoke(ask(&[&root], &[&root.leaf("leaf")]), &root.der)
        },
        Refuse("RevokedThumbprint", "root"),
    ),
    (
        "an old CRL",
        || {
            let root = root("root");
            let leaf = root.leaf("leaf");
            crls(ask(&[&root], &[&leaf]), [root.crl(2025, 1, &[])])
        },
        Refuse("StaleCrl", "leaf"),
    ),
    (
        "a CRL of the right name by another key",
        || {
            let root_ = root("root");
            let leaf = root_.leaf("leaf");
            crls(ask(&[&root_], &[&leaf]), [root("root").crl(2029, 12, &[])])
        },
        Refuse("UnusableCrl", "leaf"),
    ),
    (
        "a CRL of an intermediate that may not sign one",
        || {
            let root = root("root");
            let ca = root.authority_with("ca", rsa_key(RSA_1), only_cert_sign);
            let signer = root.authority_with("ca", rsa_key(RSA_1), plain);
            let leaf = ca.leaf("leaf");
            crls(ask(&[&root], &[&leaf, &ca.der]), [signer.crl(2029, 12, &[])])
        },
        Refuse("UnusableCrl", "leaf"),
    ),
    (
        "a CRL demanded and not there",
        || {
            let root = root("root");
            ask(&[&root], &[&root.leaf("leaf")]).with(|trust| trust.crl_demand = CrlDemand::Always)
        },
        Refuse("NoCrl", "leaf"),
    ),
    (
        "a CRL demanded and there for another distribution point alone",
        || {
            let root = root("root");
            let leaf = root.leaf_with("leaf", |p| distributed(p, "http://old.example/ca.crl"));
            let list = root.crl_at(Some("http://new.example/ca.crl"), 2029, 12, &[]);
            crls(ask(&[&root], &[&leaf]), [list]).with(|trust| trust.crl_demand = CrlDemand::Always)
        },
        Refuse("CrlOutOfScope", "leaf"),
    ),
    (
        "a CRL demanded and there for another distribution point than the intermediate's",
        || {
            let root = root("root");
            let ca =
                root.authority_with("ca", key(), |p| distributed(p, "http://old.example/ca.crl"));
            let leaf = ca.leaf_with("leaf", |p| distributed(p, "http://leaf.example/ca.crl"));
            let lists = [
                root.crl_at(Some("http://new.example/ca.crl"), 2029, 12, &[]),
                ca.crl_at(Some("http://leaf.example/ca.crl"), 2029, 12, &[]),
            ];
            crls(ask(&[&root], &[&leaf, &ca.der]), lists)
                .with(|trust| trust.crl_demand = CrlDemand::Always)
        },
        Refuse("CrlOutOfScope", "ca"),
    ),
    (
        "two authorities that certify each other, and no root",
        || {
            let (a, b) =
                (root_with("a", rsa_key(RSA_1), plain), root_with("b", rsa_key(RSA_2), plain));
            let a_by_b = b.authority_with("a", rsa_key(RSA_1), plain);
            let b_by_a = a.authority_with("b", rsa_key(RSA_2), plain);
            ask(&[&root("root")], &[&a.leaf("leaf"), &a_by_b.der, &b_by_a.der])
        },
        Refuse("MissingIssuer", "b"),
    ),
];

/// The name of a `PathReason` and the common name of the certificate it is about.
fn told(refusal: &TrustRefusal) -> (String, String) {
    let TrustReason::Path(reason) = &refusal.reason else {
        panic!("not about the path: {refusal}");
    };
    let name = format!("{reason:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
    let subject = refusal.certificate.as_ref().map(Certificate::subject);
    let blamed = subject.and_then(|name| name.common_name()).unwrap_or_default().to_owned();
    (name, blamed)
}

#[test]
fn every_path_is_judged_right() {
    let mut wrong = Vec::new();
    for (name, question, answer) in GOOD.iter().chain(BAD) {
        let got = question().answer();
        let right = match (answer, &got) {
            (Pass(between), Ok(path)) => path.intermediates().len() == *between,
            (Refuse(reason, blamed), Err(refusal)) => {
                println!("{name}: {refusal}");
                told(refusal) == ((*reason).to_owned(), (*blamed).to_owned())
            }
            _ => false,
        };
        if !right {
            let got = got.map(|path| path.intermediates().len()).map_err(|e| e.to_string());
            wrong.push(format!("{name}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(GOOD.len() >= 30 && BAD.len() >= 50, "{} good, {} bad", GOOD.len(), BAD.len());
}

/// Every refusal names certificate, rule and remedy in one line.
#[test]
fn every_refusal_can_be_acted_on() {
    for (name, question, answer) in BAD {
        let refusal = question().answer().unwrap_err();
        let text = refusal.to_string();
        assert!(refusal.remedy().len() > 10, "{name}");
        assert!(text.ends_with(&refusal.remedy()) && !text.contains('\n'), "{name}: {text}");
        if let (Some(certificate), Refuse(_, blamed)) = (&refusal.certificate, answer) {
            assert!(text.contains(blamed), "{name}: {text}");
            assert!(text.contains(&certificate.thumbprint().to_string()), "{name}: {text}");
            assert!(text.contains("(serial "), "{name}: {text}");
        }
    }
}

#[test]
fn what_says_that_it_is_no_authority_is_no_root() {
    let root = root("root");
    let refused = Roots::new([certificate(&root.leaf("leaf"))]).unwrap_err();
    assert_eq!(told(&refused), ("RootNotAuthority".into(), "leaf".into()));
    let refused = Roots::new([pem(vector!("rsa1024-root.pem"))]).unwrap_err();
    assert_eq!(told(&refused), ("Key".into(), "rsa1024-root".into()));
}

#[test]
fn certreq_holds_the_hash_of_each_roots_key_once() {
    let (a, b) = (root("a"), root("b"));
    let roots = Roots::new([a.certificate(), b.certificate(), a.certificate()]).unwrap();
    let hashes = roots.authority_hashes();
    assert_eq!(hashes.len(), 40);
    assert_eq!(hashes[..20], a.certificate().authority_hash());
    // SHA-1 of the public key of rsa2048-1 in its SubjectPublicKeyInfo, by
    // `openssl dgst -sha1 rsa2048-1.spki.der`.
    let root = pem(ROOT);
    assert_eq!(root.authority_hash()[..], sha1(vector!("rsa2048-1.spki.der")));
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    hash.as_ref().try_into().unwrap()
}

/// Each byte of a leaf changed: never accepted, never a panic.
#[test]
fn no_changed_byte_is_accepted() {
    let (root, upper, lower, leaf) = deep();
    let good = ask(&[&root], &[&leaf, &lower.der, &upper.der]);
    assert!(good.answer().is_ok());
    for at in 0..leaf.len() {
        let mut bad = leaf.clone();
        bad[at] ^= 0x01;
        let question = ask(&[&root], &[&bad, &lower.der, &upper.der]);
        assert!(question.answer().is_err(), "byte {at}");
    }
}

/// CRLs that rustls-webpki does not read: of version 1, as `openssl ca -gencrl` makes them, and
/// about users or authorities alone without a distribution point.
#[test]
fn crls_in_the_wild_count() {
    let key = PrivateKey::from_der(vector!("keys/ec256.p8.der")).unwrap();
    let pair = rustls_pki_types::PrivatePkcs8KeyDer::from(vector!("keys/ec256.p8.der").to_vec());
    let pair =
        KeyPair::from_pkcs8_der_and_sign_algo(&pair, &rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let root = root_with("root", pair, plain);
    let leaf = root.leaf("gw");
    let serial = certificate(&leaf).serial().to_vec();
    // Critical, the fields [1] or [2] TRUE (RFC 5280 §5.2.5).
    let point = |field: u8, more: &[u8]| {
        let value =
            [&[0x30, 3 + more.len().to_le_bytes()[0], 0x80 | field, 1, 0xff][..], more].concat();
        let fields = [
            der::encode(tag::OID, &[0x55, 0x1d, 0x1c]),
            vec![1, 1, 0xff],
            der::encode(tag::OCTET_STRING, &value),
        ];
        der::encode(tag::SEQUENCE, &fields.concat())
    };
    let judge = |extensions: Option<&[u8]>, serials: &[&[u8]]| {
        let list = plain_crl(&root.certificate(), &key, serials, extensions);
        let mut trust = Trust::new(Roots::new([root.certificate()]).unwrap());
        trust.crls = vec![Crl::from_der(&list).unwrap()];
        trust.crl_demand = CrlDemand::Always;
        trust.validate(&[&leaf], NOW).map(|_| ()).map_err(|refusal| refusal.to_string())
    };
    for extensions in [None, Some(&point(1, &[])[..])] {
        assert_eq!(judge(extensions, &[]), Ok(()));
        assert!(judge(extensions, &[&serial]).unwrap_err().contains("revoked"));
    }
    // A list of authorities alone says nothing about a gateway, unless it lists it all the same.
    let authorities = point(2, &[]);
    assert!(judge(Some(&authorities), &[]).is_err());
    assert!(judge(Some(&authorities), &[&serial]).unwrap_err().contains("revoked"));
    // What would say something else than it seems to is not read: indirect lists, both kinds at
    // once, critical extensions that nobody knows.
    for odd in [point(4, &[]), point(1, &[0x82, 1, 0xff]), point(5, &[])] {
        assert!(Crl::from_der(&plain_crl(&root.certificate(), &key, &[], Some(&odd))).is_err());
    }
}
