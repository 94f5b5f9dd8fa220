//! Certificates in the order in which they issued each other.

use super::certificate::Certificate;

/// The certificates above `start`, its issuer first, as far as `pool` has them. If `pool` has the
/// root, it is the last one.
pub fn above(start: &Certificate, pool: &[Certificate]) -> Vec<Certificate> {
    let mut path = vec![start.clone()];
    while let Some(head) = path.last()
        && !head.is_self_issued()
    {
        let issued = |c: &&Certificate| !path.contains(c) && head.is_signed_by(c);
        match pool.iter().find(issued) {
            Some(issuer) => path.push(issuer.clone()),
            None => break,
        }
    }
    path.split_off(1)
}

/// The certificates that issued none of the others: leaves, and authorities that have not issued
/// yet.
pub fn heads(pool: &[Certificate]) -> Vec<&Certificate> {
    let issued_any = |c: &Certificate| pool.iter().any(|other| other != c && other.is_signed_by(c));
    let mut heads: Vec<&Certificate> = Vec::new();
    for certificate in pool {
        if !heads.contains(&certificate) && !issued_any(certificate) {
            heads.push(certificate);
        }
    }
    heads
}

/// Whether a certificate is an authority's: by its basic constraints, or without them by having
/// issued itself.
pub fn is_authority(certificate: &Certificate) -> bool {
    let may_certify = certificate.key_usage().is_some_and(|usage| usage.certify);
    match certificate.basic_constraints() {
        Some(constraints) => constraints.ca,
        None => certificate.is_self_issued() && (may_certify || certificate.version() != 3),
    }
}
