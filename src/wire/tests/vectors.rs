//! Messages written by hand, byte by byte as the RFCs draw them, against what they mean. The
//! encoder had no part in them.

use crate::wire::codes::{
    EncrId, EsnId, ExchangeType, HashId, IntegId, KeId, NotifyType, PayloadType, PrfId, ProtocolId,
    TransformType,
};
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::cert::AUTHORITY_LEN;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::notify::Notify;
use crate::wire::payload::sa::{Proposal, Transform};
use crate::wire::payload::sk::FragmentNumber;
use crate::wire::payload::vendor::{KnownVendor, VendorId};
use crate::wire::spi::{EspSpi, IkeSpi, Spi};

pub(crate) const INIT_REQUEST: &str =
    include_str!("../../../tests/vectors/ike/azure-init-request.hex");
pub(crate) const INIT_RESPONSE: &str =
    include_str!("../../../tests/vectors/ike/strongswan-init-response.hex");
pub(crate) const INVALID_KE: &str = include_str!("../../../tests/vectors/ike/azure-invalid-ke.hex");
pub(crate) const REKEY_CHAIN: &str =
    include_str!("../../../tests/vectors/ike/azure-rekey-chain.hex");
pub(crate) const SK_MESSAGE: &str = include_str!("../../../tests/vectors/ike/sk-message.hex");
pub(crate) const SKF_MESSAGE: &str = include_str!("../../../tests/vectors/ike/skf-message.hex");

const INITIATOR: IkeSpi = IkeSpi(0x9f3c_1d22_a07b_5e61);
const RESPONDER: IkeSpi = IkeSpi(0x51e7_c0aa_13d4_9b08);

/// Hexadecimal with comments: `#` to the end of the line.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: Vec<u8> = code.flat_map(|c| c.bytes().filter(u8::is_ascii_hexdigit)).collect();
    let pairs = digits.as_chunks::<2>().0.iter().map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Decodes, and checks the way back.
fn message(text: &str) -> Message {
    let bytes = hex(text);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.encode().unwrap(), bytes);
    message
}

#[test]
fn azure_init_request() {
    let Message { header, chain, sealed } = message(INIT_REQUEST);
    assert_eq!(
        header,
        Header {
            initiator_spi: INITIATOR,
            responder_spi: IkeSpi::ZERO,
            version: IkeVersion::V2,
            exchange: ExchangeType::IkeSaInit,
            flags: Flags::INITIATOR,
            message_id: MessageId(0),
        }
    );
    assert!(header.is_from_initiator() && !header.is_response());
    assert_eq!(sealed, None);

    let offers: Vec<String> =
        chain.sa().unwrap().proposals.iter().map(ToString::to_string).collect();
    assert_eq!(
        offers,
        [
            "IKE:AES_CBC_256/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024",
            "IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_1024",
            "IKE:AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024",
            "IKE:AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_1024",
            "IKE:3DES/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024",
            "IKE:3DES/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_1024",
        ]
    );
    let second = Proposal::new(
        2,
        ProtocolId::Ike,
        Spi::None,
        [
            Transform::with_key_length(EncrId::AesCbc, 256),
            Transform::new(IntegId::HmacSha2_256_128),
            Transform::new(PrfId::HmacSha2_256),
            Transform::new(KeId::Modp1024),
        ],
    );
    assert_eq!(chain.sa().unwrap().proposals[1], second);

    let ke = chain.key_exchange().unwrap();
    assert_eq!((ke.group, ke.public.len()), (KeId::Modp1024, 128));
    assert_eq!(chain.nonce().unwrap().bytes().len(), 48);
    let kinds: Vec<NotifyType> = chain.notifies().map(|n| n.kind).collect();
    assert_eq!(kinds, [NotifyType::NatDetectionSourceIp, NotifyType::NatDetectionDestinationIp]);
    assert!(chain.notifies().all(|n| n.nat_hash().is_some()));
    let vendors: Vec<_> = chain.vendor_ids().map(|v| v.known()).collect();
    assert_eq!(
        vendors,
        [
            Some(KnownVendor::MsNt5 { version: 9 }),
            Some(KnownVendor::MsNegotiationDiscovery),
            Some(KnownVendor::MsInitialContact),
            Some(KnownVendor::MsUnnamed { version: 2 }),
        ]
    );
}

#[test]
fn a_vendor_id_is_known_whole_or_not_at_all() {
    let vendors = [
        KnownVendor::MsNt5 { version: 9 },
        KnownVendor::MsNegotiationDiscovery,
        KnownVendor::MsInitialContact,
        KnownVendor::IkeCga,
        KnownVendor::MsUnnamed { version: 2 },
    ];
    for known in vendors {
        let vendor = VendorId::from(known);
        assert_eq!(vendor.known(), Some(known));
        let longer = VendorId { data: [&vendor.data[..], &[0]].concat() };
        assert_eq!(longer.known(), None);
        let shorter = VendorId { data: vendor.data[1..].to_vec() };
        assert_eq!(shorter.known(), None);
    }
    assert_eq!(VendorId::from(vendors[0]).to_string(), "MS NT5 ISAKMPOAKLEY v9");
    assert_eq!(VendorId { data: vec![0xab, 1] }.to_string(), "ab01");
}

#[test]
fn strongswan_init_response() {
    let Message { header, chain, .. } = message(INIT_RESPONSE);
    assert_eq!((header.initiator_spi, header.responder_spi), (INITIATOR, RESPONDER));
    assert!(header.is_response() && !header.is_from_initiator());
    let chosen = &chain.sa().unwrap().proposals[0];
    assert_eq!(chosen.to_string(), "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384");
    assert_eq!(chosen.of_type(TransformType::Integrity).count(), 0);
    let cipher = chosen.of_type(TransformType::Encryption).next().unwrap();
    assert_eq!(cipher.key_length(), Some(256));

    let request = chain.certificate_requests().next().unwrap();
    assert_eq!(request.authorities().len(), 2);
    assert_eq!(request.authorities()[1], request.data[AUTHORITY_LEN..]);
    let hashes: Vec<HashId> =
        chain.notify(NotifyType::SignatureHashAlgorithms).unwrap().signature_hash_ids().collect();
    let sent = [HashId::Sha2_256, HashId::Sha2_384, HashId::Sha2_512, HashId::Identity];
    assert_eq!(hashes, sent);
    assert!(chain.notify(NotifyType::FragmentationSupported).is_some());
    assert!(chain.notify(NotifyType::Cookie).is_none());
    assert_eq!(chain.count(PayloadType::Notify), 6);
}

#[test]
fn azure_invalid_ke() {
    let Message { header, chain, .. } = message(INVALID_KE);
    assert_eq!(header.responder_spi, IkeSpi::ZERO);
    assert_eq!(chain.len(), 1);
    let notify = chain.notify(NotifyType::InvalidKePayload).unwrap();
    assert_eq!(notify.invalid_ke_group(), Some(KeId::Modp2048));
    assert_eq!(*notify, Notify::invalid_ke(KeId::Modp2048));
    assert!(notify.kind.is_error());
}

#[test]
fn azure_child_rekey() {
    let bytes = hex(REKEY_CHAIN);
    let chain = Chain::decode(PayloadType::Notify, &bytes).unwrap();
    assert_eq!(chain.encode().unwrap(), (PayloadType::Notify, bytes));

    let rekey = chain.notify(NotifyType::RekeySa).unwrap();
    assert_eq!(rekey.rekey_spi(), Some(EspSpi(0x0bad_cafe)));
    let offers = &chain.sa().unwrap().proposals;
    assert!(offers.iter().all(|o| o.spi == Spi::Esp(EspSpi(0xc4a1_f00d))));
    let texts: Vec<String> = offers.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "ESP:AES_GCM_16_256/NO_ESN",
            "ESP:AES_CBC_256/HMAC_SHA1_96/NO_ESN",
            "ESP:3DES/HMAC_SHA1_96/NO_ESN",
            "ESP:AES_CBC_256/HMAC_SHA2_256_128/NO_ESN",
            "ESP:AES_CBC_128/HMAC_SHA1_96/NO_ESN",
            "ESP:3DES/HMAC_SHA2_256_128/NO_ESN",
        ]
    );
    assert_eq!(offers[0].transforms[1], Transform::new(EsnId::Sequence32));
    assert!(chain.key_exchange().is_none());
    let initiator: Vec<String> =
        chain.ts_initiator().unwrap().selectors().map(ToString::to_string).collect();
    assert_eq!(initiator, ["10.1.0.5/32[tcp/51234]", "10.1.0.0/16"]);
    let responder: Vec<String> =
        chain.ts_responder().unwrap().selectors().map(ToString::to_string).collect();
    assert_eq!(responder, ["0.0.0.0/0"]);
}

#[test]
fn sealed_messages() {
    let bytes = hex(SK_MESSAGE);
    let sealed = message(SK_MESSAGE).sealed.unwrap();
    assert_eq!((sealed.kind(), sealed.first), (PayloadType::Encrypted, PayloadType::IdInitiator));
    assert_eq!(sealed.content, bytes[32..]);

    let bytes = hex(SKF_MESSAGE);
    let sealed = message(SKF_MESSAGE).sealed.unwrap();
    assert_eq!(sealed.kind(), PayloadType::EncryptedFragment);
    assert_eq!(sealed.fragment, FragmentNumber::new(1, 3));
    assert_eq!(sealed.content, bytes[36..]);
}
