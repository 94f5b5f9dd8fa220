//! Trust that ends while a tunnel is up: a revocation list that names the gateway's certificate.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use s2sd::pki::certificate::Certificate;

use super::lab::pair::{PATIENCE, Pair};
use super::lab::traffic::clock;

/// Writes the CRL of the root of side 1, with or without the certificate of side 1.
fn publish(pair: &Pair, is_revoked: bool) {
    let mut root = CertificateParams::default();
    root.distinguished_name = DistinguishedName::new();
    root.distinguished_name.push(DnType::CommonName, "azure root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = PrivatePkcs8KeyDer::from(fs::read(pair.directory.join("azure-root.key")).unwrap());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf = Certificate::from_der(&fs::read(pair.file(1, "cer")).unwrap()).unwrap();
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from_slice(leaf.serial()),
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2096, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::from_iter(is_revoked.then_some(revoked)),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl = params.signed_by(&Issuer::new(root, key)).unwrap();
    // As an operator's tool does: the file is never half a list.
    let (new, file) = (pair.directory.join("new.crl"), pair.directory.join("azure.crl"));
    fs::write(&new, crl.der()).unwrap();
    fs::rename(new, file).unwrap();
}

/// Waits until a line with this is in the log of a side for the `nth` time.
fn wait_for_line(pair: &Pair, side: usize, part: &str, nth: usize) {
    let began = clock();
    while pair.log(side).matches(part).count() < nth {
        assert!(began.elapsed() < PATIENCE, "no {part:?} in {}", pair.log(side));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_new_revocation_list_counts_after_a_reload_and_without_one() {
    let Some(pair) = Pair::start("crl") else { return };
    publish(&pair, false);
    let name = "outbound_certificate_subject_name";
    let crls = format!("crls = [\"{}\"]\n{name}", pair.directory.join("azure.crl").display());
    pair.edit(0, name, &crls);
    pair.obey(0, &["reload"]);
    // The service has had its first look.
    publish(&pair, true);
    let said = pair.order(0, &["reload"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("crls (its content)") && said.contains("1 revoked"), "{said}");
    wait_for_line(&pair, 0, "the peer's certificate is no longer acceptable", 1);
    wait_for_line(&pair, 1, "the peer deleted the SA", 1);
    wait_for_line(&pair, 0, "revoked it on", 1);

    publish(&pair, false);
    wait_for_line(&pair, 0, "the files of `crls` changed and are used", 1);
    pair.wait(0, "up");
    publish(&pair, true);
    wait_for_line(&pair, 0, "the files of `crls` changed and are used", 2);
    wait_for_line(&pair, 0, "the peer's certificate is no longer acceptable", 2);
    publish(&pair, false);
    wait_for_line(&pair, 0, "the files of `crls` changed and are used", 3);
    pair.wait(0, "up");
    fs::write(pair.directory.join("azure.crl"), "no list").unwrap();
    wait_for_line(&pair, 0, "the revocation lists stay the former ones", 1);
    assert_eq!(pair.status(0)["connections"][0]["state"], "up");
}
