//! IKE messages and payloads.

use s2sd::wire::chain::Chain;
use s2sd::wire::codes::{ExchangeType, PayloadType};
use s2sd::wire::error::DecodeError;
use s2sd::wire::header::{Flags, HEADER_LEN, Header, MessageId, Version};
use s2sd::wire::message::Message;
use s2sd::wire::payload::Payload;
use s2sd::wire::sk::{Parts, Room, Sealing, fragment_share, strip_padding};
use s2sd::wire::spi::IkeSpi;

/// Any datagram: decoding returns; what decodes encodes to the same bytes; an error points into the datagram.
/// Tried twice, as it came and with its length field set right, so that a shortened message is looked into.
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
        Ok(mut message) => {
            assert_eq!(header, Ok(message.header));
            assert_eq!(message.encode().as_deref(), Ok(datagram));
            message.chain.iter().for_each(look_at);
            if let Some(sealed) = &mut message.sealed {
                assert_eq!([sealed.aad(datagram), &sealed.content].concat(), datagram);
                for room in rooms() {
                    let length = sealed.content.len();
                    if let Ok(Parts { iv, text, icv }) = sealed.parts(room) {
                        assert_eq!((iv.len(), icv.len()), (room.iv, room.icv));
                        assert_eq!(iv.len() + text.len() + icv.len(), length);
                        assert_eq!(text.len() % room.block, 0);
                        assert!(
                            strip_padding(text).is_ok_and(|t| t.len() < text.len())
                                || text.len() <= 255
                        );
                    }
                }
            }
        }
        Err(error) => points_into(&error, datagram),
    }
}

/// The type of a payload, then its body: put into a chain of one. Bodies are reached without a header's lengths to be
/// guessed first. Then the rest as a chain whose first payload has that type.
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

/// A cipher's room, a size limit, then text: lay it out sealed, whole and in fragments, and find it again.
pub fn ike_sealing(data: &[u8]) {
    let [room, limit, kind, body @ ..] = data else { return };
    let room = rooms()[usize::from(*room) % rooms().len()];
    let limit = usize::from(*limit) * 6;
    let chain = Chain::from_iter([Payload::Unknown {
        kind: PayloadType::from(kind | 0x80),
        body: body.to_vec(),
    }]);
    let Ok((first, text)) = chain.encode() else { return };

    if let Ok(sealing) = Sealing::whole(&HEADER, &chain, room) {
        let (inner, found) = unsealed(sealing, room);
        assert_eq!(inner, first);
        assert_eq!(found, text);
        assert_eq!(Chain::decode(inner, &found), Ok(chain.clone()));
    }
    match Sealing::fragments(&HEADER, &chain, room, limit) {
        Ok(fragments) => {
            assert!(fragments.iter().all(|fragment| fragment.len() <= limit));
            let mut joined = Vec::new();
            for (nth, fragment) in fragments.into_iter().enumerate() {
                let (inner, share) = unsealed(fragment, room);
                assert_eq!(inner, if nth == 0 { first } else { PayloadType::None });
                joined.extend(share);
            }
            assert_eq!(joined, text);
        }
        Err(_) => {
            assert!(fragment_share(room, limit).is_none_or(|s| text.len().div_ceil(s) > 65_535))
        }
    }
}

/// A header for messages of our own.
const HEADER: Header = Header {
    initiator_spi: IkeSpi(0x0102_0304_0506_0708),
    responder_spi: IkeSpi(0x1112_1314_1516_1718),
    version: Version::V2,
    exchange: ExchangeType::Informational,
    flags: Flags::INITIATOR,
    message_id: MessageId(7),
};

/// AES-GCM or ChaCha20-Poly1305, AES-CBC with SHA-1 and with SHA-512, and 3DES with SHA-1.
fn rooms() -> [Room; 4] {
    [
        Room { iv: 8, block: 1, icv: 16 },
        Room { iv: 16, block: 16, icv: 12 },
        Room { iv: 16, block: 16, icv: 32 },
        Room { iv: 8, block: 8, icv: 12 },
    ]
}

/// Decodes what was laid out. Answers the first payload's type and the text without its padding.
fn unsealed(mut sealing: Sealing, room: Room) -> (PayloadType, Vec<u8>) {
    let authenticated = sealing.authenticated().0.len();
    assert_eq!(authenticated + room.icv, sealing.len());
    let (aad, Parts { iv, text, icv }) = sealing.parts();
    iv.fill(0x1f);
    icv.fill(0x1c);
    assert_eq!((iv.len(), icv.len(), text.len() % room.block), (room.iv, room.icv, 0));
    let (aad, text) = (aad.to_vec(), text.to_vec());

    let datagram = sealing.finish();
    let message = Message::decode(&datagram).expect("what was laid out decodes");
    assert_eq!(message.header, HEADER);
    let mut sealed = message.sealed.expect("an encrypted payload");
    assert_eq!(sealed.aad(&datagram), aad);
    let parts = sealed.parts(room).expect("the same room");
    assert!(parts.iv.iter().all(|byte| *byte == 0x1f));
    assert!(parts.icv.iter().all(|byte| *byte == 0x1c));
    assert_eq!(parts.text, text);
    let text = strip_padding(parts.text).expect("our own padding").to_vec();
    (sealed.first, text)
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
            let known = vendor.known().map(s2sd::wire::vendor::VendorId::from);
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
            assert!(matches!(kind, PayloadType::Unknown(_)));
        }
    }
}

/// An error names a byte of the input, or the one after its last.
fn points_into(error: &DecodeError, bytes: &[u8]) {
    assert!(!error.to_string().is_empty());
    match error {
        DecodeError::Malformed(malformed) => assert!(malformed.offset <= bytes.len()),
        DecodeError::UnsupportedCritical { payload, offset } => {
            assert!(matches!(payload, PayloadType::Unknown(_)));
            assert!(*offset < bytes.len());
        }
        DecodeError::MajorVersion(version) => assert_ne!(version.major, 2),
    }
}
