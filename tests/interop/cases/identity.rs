//! Authentication: keys and signature schemes that are accepted, proofs that must be refused, and
//! what both ends report of each refusal.

use std::time::Duration;

use s2sd::ike::endpoint::config::DialRole;
use s2sd::ike::endpoint::event::IkeEvent;
use s2sd::pki::auth::{DigitalSignatures, RsaPadding};

use super::setup::{be_dialled, dial};
use crate::credentials::{
    Credentials, Key, with_alternative_names, with_expired, with_keys, with_other_name,
    with_stranger,
};
use crate::engine::{self, Order};
use crate::patience::{Failure, ensure, until};
use crate::place::{Ends, Place};
use crate::strongswan;
use crate::{Case, Verdict};

pub const CASES: &[Case] = &[
    Case { name: "keys: RSA 2048 here, 3072 there", run: rsa_3072_there },
    Case { name: "keys: RSA 3072 here, 4096 there", run: rsa_4096_there },
    Case { name: "keys: RSA 4096 here, 2048 there", run: rsa_4096_here },
    Case { name: "keys: ECDSA P-256 here, P-384 there", run: ecdsa },
    Case { name: "keys: ECDSA P-384 here, RSA there", run: mixed },
    Case { name: "keys: no RFC 7427 here", run: no_digital_signatures_here },
    Case { name: "keys: no RFC 7427 there", run: no_digital_signatures_there },
    Case { name: "keys: ECDSA without RFC 7427", run: ecdsa_without_digital_signatures },
    Case { name: "keys: ECDSA P-256 over the strongest hash", run: ecdsa_strongest },
    Case { name: "keys: RSASSA-PSS both ways", run: pss },
    Case { name: "keys: PKCS#1 pinned here, demanded there", run: pkcs1_pinned },
    Case { name: "refusal: PSS demanded, PKCS#1 pinned here", run: pss_demanded },
    Case { name: "identity: they are a distinguished name", run: they_are_a_dn },
    Case { name: "identity: they are a host name", run: they_are_a_host },
    Case { name: "identity: they are a mailbox", run: they_are_a_mailbox },
    Case { name: "identity: they are an address", run: they_are_an_address },
    Case { name: "identity: they are a key ID", run: they_are_a_key_id },
    Case { name: "refusal: they are not who is configured", run: somebody_else },
    Case { name: "refusal: their certificate expired", run: theirs_expired },
    Case { name: "refusal: our certificate expired", run: ours_expired },
    Case { name: "refusal: their root unknown to us", run: their_root_unknown },
    Case { name: "refusal: our root unknown to them", run: our_root_unknown },
    Case { name: "refusal: they have another CN", run: their_name },
    Case { name: "refusal: we have another CN", run: our_name },
    Case { name: "refusal: no common IKE proposal, we dial", run: no_ike_proposal_from_us },
    Case { name: "refusal: no common IKE proposal, they dial", run: no_ike_proposal_from_them },
    Case { name: "refusal: no common ESP proposal, we dial", run: no_esp_proposal_from_us },
    Case { name: "refusal: no common ESP proposal, they dial", run: no_esp_proposal_from_them },
    Case { name: "refusal: selectors do not fit, we dial", run: selectors_from_us },
    Case { name: "refusal: selectors do not fit, they dial", run: selectors_from_them },
    Case { name: "refusal: strongSwan does not know our address", run: unknown_there },
    Case { name: "refusal: we never answer a first message", run: never_answering },
];

/// Both ways round with these keys.
fn keys(place: &Place, keys: [Key; 2], ours: DigitalSignatures, theirs: &str) -> Verdict {
    both_ways(place, keys, |engine, peer| {
        engine.digital_signatures = ours;
        peer.daemon = theirs.into();
    })
}

/// Both ways round with these keys and settings.
fn both_ways(
    place: &Place,
    keys: [Key; 2],
    change: impl FnOnce(&mut engine::Settings, &mut strongswan::Settings),
) -> Verdict {
    let ends = place.ends(&with_keys(keys), change)?;
    dial(&ends)?;
    let said = [
        signed(&ends, "authentication of 'CN=Inbound-certificate' with")?,
        signed(&ends, "authentication of 'CN=Outbound-certificate' (myself) with")?,
    ];
    then_be_dialled(place, ends)?;
    Ok(said.join(" | "))
}

/// Ends the connection of one engine; another one is dialled by the same peer.
fn then_be_dialled(place: &Place, ends: Ends) -> Result<[String; 2], Failure> {
    ends.engine.order(Order::Down);
    ends.peer.wait_log(0, &["IKE_SA deleted"])?;
    let Ends { engine, peer, ours, theirs } = ends;
    drop(engine);
    let engine = place.engine(&ours)?;
    be_dialled(&Ends { engine, peer, ours, theirs })
}

/// The signature scheme with which strongSwan reports that an end signed.
fn signed(ends: &Ends, who: &str) -> Result<String, Failure> {
    let line = ends.peer.wait_log(0, &[who])?;
    let method = line.split(who).nth(1).unwrap_or_default();
    Ok(method.trim().trim_end_matches("successful").trim().to_owned())
}

fn speak() -> DigitalSignatures {
    DigitalSignatures::Speak
}

fn rsa_3072_there(place: &Place) -> Verdict {
    keys(place, [Key::Rsa2048, Key::Rsa3072], speak(), "")
}

fn rsa_4096_there(place: &Place) -> Verdict {
    keys(place, [Key::Rsa3072, Key::Rsa4096], speak(), "")
}

fn rsa_4096_here(place: &Place) -> Verdict {
    keys(place, [Key::Rsa4096, Key::Rsa2048], speak(), "")
}

fn ecdsa(place: &Place) -> Verdict {
    keys(place, [Key::P256, Key::P384], speak(), "")
}

fn mixed(place: &Place) -> Verdict {
    keys(place, [Key::P384, Key::Rsa2048], speak(), "")
}

const OFF: &str = "signature_authentication = no";

fn expect_legacy(verdict: Verdict, scheme: &str) -> Verdict {
    let said = verdict?;
    let legacy = said.matches(scheme).count() == 2;
    ensure(legacy, "signatures of RFC 7427 were made though one end does not speak it", &said)?;
    Ok(said)
}

fn no_digital_signatures_here(place: &Place) -> Verdict {
    let keys = keys(place, [Key::Rsa2048, Key::Rsa2048], DigitalSignatures::Refuse, "");
    expect_legacy(keys, "RSA signature")
}

fn no_digital_signatures_there(place: &Place) -> Verdict {
    expect_legacy(keys(place, [Key::Rsa2048, Key::Rsa2048], speak(), OFF), "RSA signature")
}

fn ecdsa_without_digital_signatures(place: &Place) -> Verdict {
    let keys = keys(place, [Key::P256, Key::P256], DigitalSignatures::Refuse, "");
    expect_legacy(keys, "ECDSA-256 signature")
}

/// As libreswan does: over the strongest hash that was announced, whatever the curve.
fn ecdsa_strongest(place: &Place) -> Verdict {
    both_ways(place, [Key::P256, Key::P256], |_, theirs| {
        theirs.auth[0] = "ike:ecdsa-sha512-sha384-sha256";
    })
}

fn pss(place: &Place) -> Verdict {
    let pss = "ike:rsa/pss-sha512-sha384-sha256";
    let said =
        both_ways(place, [Key::Rsa2048, Key::Rsa3072], |_, theirs| theirs.auth = [pss, pss])?;
    ensure(said.matches("PSS").count() == 2, "not both ends signed with PSS", &said)?;
    Ok(said)
}

fn pkcs1_pinned(place: &Place) -> Verdict {
    let pkcs1 = "ike:rsa-sha384-sha256";
    both_ways(place, [Key::Rsa2048, Key::Rsa2048], |ours, theirs| {
        ours.padding = RsaPadding::Pkcs1;
        theirs.auth = [pkcs1, pkcs1];
    })
}

/// The refusal says what was tried.
fn pss_demanded(place: &Place) -> Verdict {
    let change = |ours: &mut engine::Settings, theirs: &mut strongswan::Settings| {
        ours.padding = RsaPadding::Pkcs1;
        theirs.auth[1] = "ike:rsa/pss-sha256";
    };
    let ours = ["we signed with RSA PKCS#1 v1.5 with SHA-256", "signature_padding"].as_slice();
    let theirs = ["scheme RSA_EMSA_PKCS1_SHA2_256 not acceptable"].as_slice();
    let refusal = Refusal { ours, theirs };
    refused_dialling(&place.azure_ends(change)?, &refusal)
}

/// We demand this ID and ask for it; strongSwan has it and sends it, whoever dials.
fn they_are(place: &Place, here: &'static str, there: &'static str) -> Verdict {
    let ends = place.ends(&with_alternative_names(), |ours, theirs| {
        ours.identity = Some(here);
        theirs.ids[0] = Some(there);
    })?;
    dial(&ends)?;
    let proven = ends.peer.wait_log(0, &["authentication of", "(myself)"])?;
    then_be_dialled(place, ends)?;
    Ok(proven.split("authentication of").nth(1).unwrap_or_default().trim().to_owned())
}

fn they_are_a_dn(place: &Place) -> Verdict {
    they_are(place, "CN=Outbound-certificate", "CN=Outbound-certificate")
}

fn they_are_a_host(place: &Place) -> Verdict {
    they_are(place, "gw.example.com", "gw.example.com")
}

fn they_are_a_mailbox(place: &Place) -> Verdict {
    they_are(place, "ops@gw.example.com", "ops@gw.example.com")
}

fn they_are_an_address(place: &Place) -> Verdict {
    they_are(place, "203.0.113.2", "203.0.113.2")
}

/// A key ID says nothing about a certificate: the rule stays the common name.
fn they_are_a_key_id(place: &Place) -> Verdict {
    they_are(place, "keyid:azure", "keyid:azure")
}

/// The refusal says what to write.
fn somebody_else(place: &Place) -> Verdict {
    let ends = place.ends(&with_alternative_names(), |ours, theirs| {
        ours.identity = Some("other.example.com");
        theirs.ids[0] = Some("gw.example.com");
    })?;
    let ours = ["DNS:other.example.com"].as_slice();
    let theirs = ["received AUTHENTICATION_FAILED notify error"].as_slice();
    refused_answering(&ends, &Refusal { ours, theirs })
}

/// What a refusal has to look like at both ends.
struct Refusal<'a> {
    /// Parts of our sentence.
    ours: &'a [&'a str],
    /// Parts of one line of strongSwan's log.
    theirs: &'a [&'a str],
}

/// We dial and come to nothing.
fn refused_dialling(ends: &Ends, refusal: &Refusal<'_>) -> Verdict {
    let mark = ends.engine.mark();
    ends.engine.order(Order::Up);
    check(ends, mark, refusal)
}

/// strongSwan dials and comes to nothing.
fn refused_answering(ends: &Ends, refusal: &Refusal<'_>) -> Verdict {
    let mark = ends.engine.mark();
    let (succeeded, text) = ends.peer.initiate()?;
    ensure(!succeeded, "strongSwan's initiation succeeded", text)?;
    check(ends, mark, refusal)
}

fn check(ends: &Ends, mark: usize, refusal: &Refusal<'_>) -> Verdict {
    let said = ends
        .engine
        .wait_refused(mark)
        .map_err(|failure| failure.with("strongSwan's log", &ends.peer.tail()))?;
    for part in refusal.ours {
        let evidence = format!("{said}\n{}", ends.peer.tail());
        ensure(said.contains(part), &format!("our refusal lacks \"{part}\""), evidence)?;
    }
    ends.peer.wait_log(0, refusal.theirs)?;
    until("strongSwan to have no child SA", Duration::from_secs(10), || {
        (ends.peer.count_child_sas().ok()? == 0).then_some(())
    })?;
    let story = ends.engine.story(mark);
    let left = story.matches("ChildUp").count() > story.matches("ChildDown").count();
    ensure(!left, "a child of ours is left", story)?;
    Ok(said)
}

fn both(
    place: &Place,
    credentials: &[Credentials; 2],
    [dialling, answering]: [Refusal<'_>; 2],
) -> Verdict {
    let ends = place.ends(credentials, |_, _| {})?;
    let first = refused_dialling(&ends, &dialling)?;
    ends.engine.order(Order::Down);
    let Ends { engine, mut peer, ours, theirs } = ends;
    drop(engine);
    peer.kill();
    drop(peer);
    let peer = place.strongswan(&theirs)?;
    let engine = place.engine(&ours)?;
    refused_answering(&Ends { engine, peer, ours, theirs }, &answering)?;
    Ok(first)
}

/// We refuse strongSwan's proof: as the one who dials we say so on the IKE SA that it takes for
/// made, else in our answer.
fn disbelieved<'a>(ours: &'a [&'a str]) -> [Refusal<'a>; 2] {
    [
        Refusal { ours, theirs: &["parsed INFORMATIONAL request", "N(AUTH_FAILED) D"] },
        Refusal { ours, theirs: &["received AUTHENTICATION_FAILED notify error"] },
    ]
}

fn theirs_expired(place: &Place) -> Verdict {
    let ours = ["Outbound-certificate", "expired on 2021", "To mend it: renew it"].as_slice();
    both(place, &with_expired(1), disbelieved(ours))
}

fn ours_expired(place: &Place) -> Verdict {
    let ours = ["the certificate of this end expired on 2", "renew inbound_certificate"].as_slice();
    let theirs = ["subject certificate invalid"].as_slice();
    both(place, &with_expired(0), [(); 2].map(|()| Refusal { ours, theirs }))
}

fn their_root_unknown(place: &Place) -> Verdict {
    let ours = ["Another-Root", "or add it to outbound_certificate_roots"].as_slice();
    both(place, &with_stranger(1), disbelieved(ours))
}

fn our_root_unknown(place: &Place) -> Verdict {
    let ours = ["did not accept our credentials"].as_slice();
    let theirs = ["no issuer certificate found"].as_slice();
    both(place, &with_stranger(0), [(); 2].map(|()| Refusal { ours, theirs }))
}

fn their_name(place: &Place) -> Verdict {
    let ours = ["Somebody-else", "outbound_certificate_subject_name = \"Outbound-certificate\""]
        .as_slice();
    both(place, &with_other_name(1), disbelieved(ours))
}

fn our_name(place: &Place) -> Verdict {
    let ours = ["did not accept our credentials"].as_slice();
    let dialling = Refusal { ours, theirs: &["no matching peer config found"] };
    let answering = Refusal {
        ours,
        theirs: &["constraint check failed: identity 'CN=Somebody-else' required"],
    };
    both(place, &with_other_name(0), [dialling, answering])
}

fn no_ike_proposal_from_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.ike = "aes128-sha256-modp2048".into())?;
    let ours = ["NO_PROPOSAL_CHOSEN", "13868"].as_slice();
    refused_dialling(&ends, &Refusal { ours, theirs: &["received proposals unacceptable"] })
}

fn no_ike_proposal_from_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.ike = "aes128-sha256-ecp384".into())?;
    let ours = ["ike_encryption = \"AES128\"", "13868"].as_slice();
    let theirs = ["received NO_PROPOSAL_CHOSEN notify error"].as_slice();
    refused_answering(&ends, &Refusal { ours, theirs })
}

fn no_esp_proposal_from_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.esp = "aes128-sha256".into())?;
    let ours = ["NO_PROPOSAL_CHOSEN"].as_slice();
    refused_dialling(&ends, &Refusal { ours, theirs: &["no acceptable proposal found"] })
}

fn no_esp_proposal_from_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.esp = "aes128-sha256".into())?;
    let ours = ["ipsec_encryption = \"AES128\""].as_slice();
    let theirs = ["received NO_PROPOSAL_CHOSEN notify"].as_slice();
    refused_answering(&ends, &Refusal { ours, theirs })
}

fn selectors_from_us(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.local_ts = "10.99.0.0/24".into())?;
    let ours = ["TS_UNACCEPTABLE", "10.2.0.0/24"].as_slice();
    refused_dialling(&ends, &Refusal { ours, theirs: &["traffic selectors", "unacceptable"] })
}

fn selectors_from_them(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.local_ts = "10.99.0.0/24".into())?;
    let ours = ["10.99.0.0/24", "10.2.0.0/24"].as_slice();
    let theirs = ["received TS_UNACCEPTABLE notify"].as_slice();
    refused_answering(&ends, &Refusal { ours, theirs })
}

fn unknown_there(place: &Place) -> Verdict {
    let ends = place.azure_ends(|_, theirs| theirs.there = "203.0.113.77".into())?;
    let ours = ["NO_PROPOSAL_CHOSEN", "may not be our public address"].as_slice();
    refused_dialling(&ends, &Refusal { ours, theirs: &["no IKE config found"] })
}

/// Azure's ResponderOnly: its own dialling meets silence, ours works.
fn never_answering(place: &Place) -> Verdict {
    let ends = place.azure_ends(|ours, theirs| {
        ours.role = DialRole::Dial;
        theirs.daemon = "retransmit_tries = 1\nretransmit_timeout = 0.5".into();
    })?;
    let mark = ends.engine.mark();
    let (succeeded, text) = ends.peer.initiate()?;
    ensure(!succeeded, "strongSwan's initiation succeeded", text)?;
    ends.peer.wait_log(0, &["giving up after 1 retransmits"])?;
    let ignored = ends.engine.wait(mark, "the datagram is ignored", |event| match event {
        IkeEvent::Ignored(_, why) => Some(*why),
        _ => None,
    })?;
    dial(&ends)?;
    Ok(ignored.into())
}
