//! IKE messages and payloads.

use s2sd::crypto::keymat::{IkeKeys, IkeSpis, Nonces, SkeySeed};
use s2sd::crypto::{IkeSuite, OpenError, Provider, Secret, Standard};
use s2sd::rng::Rng;
use s2sd::wire::codes::{EncrId, ExchangeType, IntegId, KeId, PayloadType, PrfId};
use s2sd::wire::error::DecodeError;
use s2sd::wire::header::{Flags, HEADER_LEN, Header, IkeVersion, MessageId};
use s2sd::wire::message::Message;
use s2sd::wire::payload::Payload;
use s2sd::wire::payload::chain::Chain;
use s2sd::wire::payload::sk::{Room, Sealing};
use s2sd::wire::spi::IkeSpi;

/// Any datagram: decoding returns; what decodes encodes to the same bytes; an error points into the
/// datagram. Tried twice, as it came and with its length field set right, so that a shortened
/// message is looked into.
pub fn ike_message(data: &[u8]) {
    message(data);
    let mut fitted = data.to_vec();
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    if let Some(field) = fitted.get_mut(24..HEADER_LEN) {
        field.copy_from_slice(&length);
        message(&fitted);
    }
}

fn message(datagram: &[u8]) {
    let header = Header::decode(datagram);
    match Message::decode(datagram) {
        Ok(message) => {
            assert_eq!(header, Ok(message.header));
            assert_eq!(message.encode().as_deref(), Ok(datagram));
            message.chain.iter().for_each(look_at);
            if let Some(sealed) = &message.sealed {
                assert!(datagram.ends_with(&sealed.content));
            }
        }
        Err(error) => points_into(&error, datagram),
    }
}

/// The type of a payload, then its body: put into a chain of one. Bodies are reached without a
/// header's lengths to be guessed first. Then the rest as a chain whose first payload has that
/// type.
pub fn ike_payload(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    chain(PayloadType::from(*kind), body);
    let Ok(length) = u16::try_from(body.len() + 4) else { return };
    let [high, low] = length.to_be_bytes();
    chain(PayloadType::from(*kind), &[&[0, 0, high, low], body].concat());
}

fn chain(first: PayloadType, text: &[u8]) {
    match Chain::decode(first, text) {
        Ok(chain) => {
            let (kind, bytes) = chain.encode().expect("what was decoded fits");
            assert_eq!(kind, first);
            assert_eq!(bytes, text);
            chain.iter().for_each(look_at);
        }
        Err(error) => points_into(&error, text),
    }
}

/// A suite, a size limit, a payload type, then text: seal it, whole and in fragments, and open it
/// again.
pub fn ike_sealing(data: &[u8]) {
    let [suite, limit, kind, body @ ..] = data else { return };
    let suite = suites()[usize::from(*suite) % suites().len()];
    let limit = usize::from(*limit) * 6;
    let chain = Chain::from_iter([Payload::Unknown {
        kind: PayloadType::from(kind | 0x80),
        body: body.to_vec(),
    }]);
    let Ok((first, text)) = chain.encode() else { return };
    let layout = suite.protection.ike_layout();
    let room = Room { iv: layout.iv, block: layout.align, icv: layout.icv };

    if let Ok(sealing) = Sealing::whole(&HEADER, &chain, room) {
        let (inner, found) = sealed_and_opened(suite, sealing);
        assert_eq!(inner, first);
        assert_eq!(found, text);
        assert_eq!(Chain::decode(inner, &found), Ok(chain.clone()));
    }
    match Sealing::fragments(&HEADER, &chain, room, limit) {
        Ok(fragments) => {
            assert!(fragments.iter().all(|fragment| fragment.bytes.len() <= limit));
            let mut joined = Vec::new();
            for (nth, fragment) in fragments.into_iter().enumerate() {
                let (inner, share) = sealed_and_opened(suite, fragment);
                assert_eq!(inner, if nth == 0 { first } else { PayloadType::None });
                joined.extend(share);
            }
            assert_eq!(joined, text);
        }
        // There is no room for one byte of text, else the text would fit: it is shorter than 65,535
        // bytes.
        Err(_) => assert!(limit <= HEADER_LEN + 8 + layout.sealed_len(0)),
    }
}

/// A header for messages of our own.
const HEADER: Header = Header {
    initiator_spi: IkeSpi(0x0102_0304_0506_0708),
    responder_spi: IkeSpi(0x1112_1314_1516_1718),
    version: IkeVersion::V2,
    exchange: ExchangeType::Informational,
    flags: Flags::INITIATOR,
    message_id: MessageId(7),
};

/// AES-GCM, AES-CBC with SHA-1 and with SHA-512, ChaCha20-Poly1305.
fn suites() -> [IkeSuite; 4] {
    let suite = |encr, bits, integ| {
        let (prf, group) = (PrfId::HmacSha2_256, KeId::Ecp256);
        IkeSuite::from_transforms(encr, bits, prf, integ, group).expect("a suite that we have")
    };
    [
        suite(EncrId::AesGcm16, Some(256), None),
        suite(EncrId::AesCbc, Some(256), Some(IntegId::HmacSha1_96)),
        suite(EncrId::AesCbc, Some(128), Some(IntegId::HmacSha2_512_256)),
        suite(EncrId::ChaCha20Poly1305, None, None),
    ]
}

/// Seals what was laid out, decodes and opens it. Answers the first payload's type and the text.
/// With one bit changed, wherever, it does not open.
fn sealed_and_opened(suite: IkeSuite, sealing: Sealing) -> (PayloadType, Vec<u8>) {
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = IkeSpis { initiator: [3; 8], responder: [4; 8] };
    let seed = SkeySeed::restore(Secret::new(vec![5; 32]));
    let provider = Standard::default();
    let keys = IkeKeys::derive(&provider, &suite, &seed, nonces, spis);
    let mut sealer =
        provider.message_sealer(&suite, keys.of_initiator(), &mut Fixed).expect("keys");
    let opener = provider.message_opener(&suite, keys.of_initiator()).expect("keys");

    let Sealing { bytes: mut datagram, body, text } = sealing;
    let plain = datagram.clone();
    sealer.seal(&mut datagram, body, text, &mut Fixed).expect("laid out for this suite");
    assert_eq!(datagram[..body], plain[..body]);
    let message = Message::decode(&datagram).expect("what was laid out decodes");
    assert_eq!(message.header, HEADER);
    let sealed = message.sealed.expect("an encrypted payload");
    assert_eq!(sealed.content, datagram[body..]);

    let mut changed = datagram.clone();
    let place = plain.iter().map(|byte| usize::from(*byte)).sum::<usize>() % changed.len();
    changed[place] ^= 1;
    assert_eq!(opener.open(&mut changed, body), Err(OpenError::Authentication));
    let found = opener.open(&mut datagram, body).expect("our own message");
    assert_eq!(found.len(), text);
    (sealed.first, datagram[found].to_vec())
}

/// Randomness for ciphers that are not in question here.
struct Fixed;

impl Rng for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0x5c);
    }
}

/// Calls what reads a payload more closely, and what prints it.
fn look_at(payload: &Payload) {
    match payload {
        Payload::Sa(sa) => {
            for proposal in &sa.proposals {
                let _ = proposal.to_string();
                let lengths = proposal.transforms.iter().filter_map(|t| t.key_length());
                assert!(lengths.count() <= proposal.transforms.len());
            }
        }
        Payload::IdInitiator(id) | Payload::IdResponder(id) => {
            assert_eq!(id.signed_body().len(), id.data.len() + 4);
            assert!(!id.to_string().contains('\n'));
        }
        Payload::CertificateRequest(request) => {
            assert!(request.authorities().as_flattened().len() <= request.data.len());
        }
        Payload::Authentication(auth) => {
            if let Some((algorithm, signature)) = auth.digital_parts() {
                assert_eq!(algorithm.len() + signature.len() + 1, auth.data.len());
            }
        }
        Payload::Notify(notify) => {
            let typed = [
                notify.cookie_data().is_some(),
                notify.invalid_ke_group().is_some(),
                notify.unsupported_critical_type().is_some(),
                notify.rekey_spi().is_some(),
                notify.nat_hash().is_some(),
                notify.signature_hash_ids().next().is_some(),
            ];
            assert!(typed.into_iter().filter(|t| *t).count() <= 1);
        }
        Payload::Delete(delete) => assert!(delete.esp_spis().count() <= delete.spis.len()),
        Payload::VendorId(vendor) => {
            let known = vendor.known().map(s2sd::wire::payload::vendor::VendorId::from);
            assert!(known.is_none_or(|known| known == *vendor));
        }
        Payload::TsInitiator(ts) | Payload::TsResponder(ts) => {
            for selector in ts.selectors() {
                assert_eq!(selector.to_string().parse().as_ref(), Ok(selector));
            }
        }
        Payload::KeyExchange(_)
        | Payload::Certificate(_)
        | Payload::Nonce(_)
        | Payload::Configuration(_)
        | Payload::Eap(_) => {}
        Payload::Unknown { kind, .. } => {
            assert!(!kind.is_understood());
        }
    }
}

/// An error names a byte of the input, or the one after its last.
fn points_into(error: &DecodeError, bytes: &[u8]) {
    assert!(!error.to_string().is_empty());
    match error {
        DecodeError::Malformed(malformed) => assert!(malformed.offset <= bytes.len()),
        DecodeError::UnsupportedCritical { payload, offset } => {
            assert!(!payload.is_understood());
            assert!(*offset < bytes.len());
        }
        DecodeError::MajorVersion(version) => assert_ne!(version.major, 2),
    }
}
