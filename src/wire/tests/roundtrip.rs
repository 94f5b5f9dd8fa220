//! Every value comes back from its bytes, and the bytes from the value.

use proptest::prelude::*;

use super::values;
use crate::wire::codes::{AttributeType, EncrId, NotifyType, PayloadType, ProtocolId};
use crate::wire::error::Unencodable;
use crate::wire::header::Header;
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::auth::AuthPayload;
use crate::wire::payload::chain::{Chain, GenericFlags, MAX_PAYLOADS};
use crate::wire::payload::delete::Delete;
use crate::wire::payload::notify::Notify;
use crate::wire::payload::sa::{
    AttributeValue, MAX_ATTRIBUTES, MAX_PROPOSALS, Proposal, SecurityAssociation, Transform,
    TransformAttribute, TransformId,
};
use crate::wire::payload::ts::TrafficSelectors;
use crate::wire::payload::vendor::VendorId;
use crate::wire::selector::Selector;
use crate::wire::spi::{EspSpi, IkeSpi, Spi};

proptest! {
    #[test]
    fn messages(message in values::message()) {
        let bytes = message.encode().unwrap();
        let back = Message::decode(&bytes).unwrap();
        prop_assert_eq!(&back, &message);
        // Reserved bits are invisible to `==`; the bytes show that they are there.
        prop_assert_eq!(back.encode().unwrap(), bytes.clone());
        prop_assert_eq!(Header::decode(&bytes), Ok(message.header));
        if let Some(sealed) = back.sealed {
            prop_assert!(bytes.ends_with(&sealed.content));
        }
    }

    #[test]
    fn chains(chain in values::chain()) {
        let (first, bytes) = chain.encode().unwrap();
        let back = Chain::decode(first, &bytes).unwrap();
        prop_assert_eq!(&back, &chain);
        prop_assert_eq!(back.encode().unwrap(), (first, bytes));
    }

    #[test]
    fn cut_and_flipped_messages_return(
        message in values::message(),
        place: prop::sample::Index,
        flip in 1u8..,
        cut: bool,
    ) {
        let mut bytes = message.encode().unwrap();
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] ^= flip;
        }
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        if let Some(field) = bytes.get_mut(24..28) {
            field.copy_from_slice(&length);
        }
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode().unwrap(), bytes);
        }
    }
}

#[test]
fn reserved_bits_are_kept_and_not_compared() {
    let mut chain = Chain::new();
    chain.push(Payload::TsInitiator(TrafficSelectors::from_iter([Selector::ANY_V4])));
    let (first, clean) = chain.encode().unwrap();
    let mut dirty = clean.clone();
    dirty[5..8].copy_from_slice(&[1, 2, 3]);
    let (from_clean, from_dirty) =
        (Chain::decode(first, &clean).unwrap(), Chain::decode(first, &dirty).unwrap());
    assert_eq!(from_clean, from_dirty);
    assert_eq!(from_dirty.encode().unwrap().1, dirty);
}

#[test]
fn spis_are_what_their_size_says() {
    assert_eq!(Spi::from(&[][..]), Spi::None);
    assert_eq!(Spi::from(&[1, 2, 3, 4][..]), Spi::Esp(EspSpi(0x0102_0304)));
    assert_eq!(Spi::from(&[0, 0, 0, 0, 1, 2, 3, 4][..]), Spi::Ike(IkeSpi(0x0102_0304)));
    assert_eq!(Spi::from(&[1, 2][..]), Spi::Other(vec![1, 2]));
    let texts = [Spi::None, EspSpi(0xab).into(), IkeSpi(0xcd).into(), Spi::Other(vec![1, 2])];
    let texts = texts.map(|spi| spi.to_string());
    assert_eq!(texts, ["no SPI", "000000ab", "00000000000000cd", "0102"]);
}

#[test]
fn typed_notifies_want_their_own_type_and_length() {
    let cookie = Notify::cookie(&[1; 64]);
    assert_eq!(cookie.cookie_data(), Some(&[1; 64][..]));
    assert_eq!(Notify::cookie(&[1; 65]).cookie_data(), None);
    assert_eq!(Notify::cookie(&[]).cookie_data(), None);
    assert_eq!(cookie.invalid_ke_group(), None);
    let group = Notify::with_data(NotifyType::InvalidKePayload, [0, 14, 0]);
    assert_eq!(group.invalid_ke_group(), None);
    let critical = Notify::unsupported_critical(PayloadType::Unknown(99));
    assert_eq!(critical.unsupported_critical_type(), Some(PayloadType::Unknown(99)));
    let rekey = Notify::rekey(EspSpi(7));
    assert_eq!(rekey.rekey_spi(), Some(EspSpi(7)));
    assert_eq!(Notify { protocol: ProtocolId::Ike, ..rekey }.rekey_spi(), None);
    let hash = Notify::with_data(NotifyType::NatDetectionDestinationIp, [3; 20]);
    assert_eq!(hash.nat_hash(), Some([3; 20]));
    let short = Notify::with_data(NotifyType::NatDetectionSourceIp, [3; 19]);
    assert_eq!(short.nat_hash(), None);
    let hashes = Notify::with_data(NotifyType::SignatureHashAlgorithms, [0, 2, 0]);
    assert_eq!(hashes.signature_hash_ids().count(), 1);
}

#[test]
fn deletes_name_their_spis() {
    let spis = [EspSpi(1), EspSpi(2)];
    assert_eq!(Delete::esp(spis).esp_spis().collect::<Vec<_>>(), spis);
    assert_eq!(Delete::ike_sa().esp_spis().count(), 0);
    let ah = Delete { protocol: ProtocolId::Ah, ..Delete::esp(spis) };
    assert_eq!(ah.esp_spis().count(), 0);
}

#[test]
fn signatures_name_their_algorithm() {
    let auth = AuthPayload::digital(&[0x30, 0], &[9; 5]).unwrap();
    assert_eq!(auth.data[..3], [2, 0x30, 0]);
    assert_eq!(auth.digital_parts(), Some((&[0x30, 0][..], &[9; 5][..])));
    assert!(AuthPayload::digital(&[0; 256], &[]).is_err());
}

#[test]
fn a_transform_with_more_than_a_key_length_is_unknown() {
    let plain = Transform::with_key_length(EncrId::AesGcm16, 256);
    assert!(!plain.has_unknown_attributes());
    let mut twice = plain.clone();
    twice.attributes.extend(plain.attributes);
    assert!(twice.has_unknown_attributes());
    let long =
        TransformAttribute { kind: AttributeType::KeyLength, value: AttributeValue::Long(vec![1]) };
    let long = Transform { attributes: vec![long], ..twice };
    assert_eq!(long.key_length(), None);
    assert!(long.has_unknown_attributes());
}

#[test]
fn transforms_print_like_algorithms() {
    let text = |kind: u8, number| TransformId::new(kind.into(), number).to_string();
    assert_eq!(text(1, 20), "AES_GCM_16");
    assert_eq!(text(1, 999), "ENCR_999");
    assert_eq!(text(2, 5), "PRF_HMAC_SHA2_256");
    assert_eq!(text(2, 999), "PRF_999");
    assert_eq!(text(3, 0), "INTEG_NONE");
    assert_eq!(text(3, 12), "HMAC_SHA2_256_128");
    assert_eq!(text(4, 0), "KE_NONE");
    assert_eq!(text(4, 31), "CURVE25519");
    assert_eq!(text(5, 0), "NO_ESN");
    assert_eq!(text(5, 1), "ESN");
    assert_eq!(text(5, 2), "ESN_2");
    assert_eq!(text(6, 36), "ADDKE1_36");
    assert_eq!(text(99, 36), "TYPE_99_36");
}

/// What exceeds a length field or a cap is refused by name, not cut.
#[test]
fn too_large_to_encode() {
    let refusal = |payload: Payload| Chain::from(vec![payload]).encode().unwrap_err();
    let transform = Transform::new(EncrId::Null);
    let proposal =
        |transforms: Vec<Transform>| Proposal::new(1, ProtocolId::Esp, Spi::None, transforms);
    let sa = |proposals: Vec<Proposal>| SecurityAssociation { proposals };

    let many = sa(vec![proposal(vec![transform.clone(); 256])]);
    assert_eq!(
        refusal(many.into()),
        Unencodable { field: "number of transforms", length: 256, limit: 255 }
    );
    let many = sa(vec![proposal(vec![]); MAX_PROPOSALS + 1]);
    assert_eq!(refusal(many.into()), Unencodable { field: "proposals", length: 256, limit: 255 });
    let attribute =
        TransformAttribute { kind: AttributeType::KeyLength, value: AttributeValue::Short(1) };
    let many = Transform { attributes: vec![attribute; MAX_ATTRIBUTES + 1], ..transform };
    assert_eq!(refusal(sa(vec![proposal(vec![many])]).into()).field, "attributes");
    let many = TrafficSelectors::from_iter(vec![Selector::ANY_V4; 256]);
    assert_eq!(refusal(Payload::TsResponder(many)).field, "number of traffic selectors");
    let long = VendorId { data: vec![0; 65_532] };
    assert_eq!(
        refusal(long.into()),
        Unencodable { field: "payload", length: 65_536, limit: 65_535 }
    );
    let uneven = Delete { spi_size: 8, ..Delete::esp([EspSpi(1)]) };
    assert_eq!(
        refusal(uneven.into()),
        Unencodable { field: "SPI in a delete", length: 4, limit: 8 }
    );
    let chain = Chain::from(vec![VendorId { data: vec![] }.into(); MAX_PAYLOADS + 1]);
    assert_eq!(chain.encode().unwrap_err().field, "payloads");
}

#[test]
fn chains_find_their_payloads() {
    let mut chain = Chain::new();
    assert!(chain.is_empty() && chain.sa().is_none());
    chain.push(Notify::new(NotifyType::InitialContact));
    chain.push_with(VendorId { data: vec![1] }, GenericFlags(0x80));
    chain.extend([Notify::cookie(&[1]).into()]);
    assert_eq!(chain.len(), 3);
    assert_eq!(chain.notifies().count(), 2);
    assert_eq!(chain.notify(NotifyType::Cookie).unwrap().cookie_data(), Some(&[1][..]));
    assert_eq!(chain.vendor_ids().next().unwrap().data, [1]);
    assert_eq!(chain.iter().next_back().unwrap().kind(), PayloadType::Notify);
    assert!(chain.nonce().is_none() && chain.certificates().next().is_none());
}
