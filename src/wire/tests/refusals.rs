//! What does not decode, and the sentence that says why.

use super::vectors::{INIT_REQUEST, SK_MESSAGE, SKF_MESSAGE, hex};
use crate::wire::codes::PayloadType;
use crate::wire::error::DecodeError;
use crate::wire::header::IkeVersion;
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::chain::{Chain, MAX_PAYLOADS};

/// One payload's body, in a chain of its own: its bytes begin at offset 4.
fn body(kind: PayloadType, body: &str) -> String {
    let body = hex(body);
    let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
    let chain = [&[0, 0], &length[..], &body].concat();
    Chain::decode(kind, &chain).expect_err("a refusal").to_string()
}

#[test]
fn bodies() {
    use PayloadType::*;
    let table = [
        (Sa, "", "SA payload, last substructure at byte 4: needs 1 bytes, 0 are left"),
        (
            Sa,
            "03000008 01030000",
            "SA payload, last substructure at byte 4: found 3, must be 0 (last) or 2 (more)",
        ),
        (
            Sa,
            "02000008 01030000",
            "SA payload, last substructure at byte 12: needs 1 bytes, 0 are left",
        ),
        (
            Sa,
            "00000003 01030000",
            "SA payload, proposal length at byte 6: found 3, must be at least the size of its fixed fields",
        ),
        (Sa, "00000009 01030000", "SA payload, proposal at byte 8: needs 5 bytes, 4 are left"),
        (Sa, "00000008 01030400", "SA payload, SPI at byte 12: needs 4 bytes, 0 are left"),
        (
            Sa,
            "00000008 01030001",
            "SA payload, last substructure at byte 12: needs 1 bytes, 0 are left",
        ),
        (
            Sa,
            "00000010 01030001 03000008 01000014",
            "SA payload, last transform at byte 12: found 3, must be what the number of transforms says",
        ),
        (
            Sa,
            "00000010 01030000 00000008 01000014",
            "SA payload, proposal at byte 12: 8 bytes too many",
        ),
        (
            Sa,
            "00000010 01030001 00000007 01000014",
            "SA payload, transform ID at byte 18: needs 2 bytes, 1 are left",
        ),
        (
            Sa,
            "00000012 01030001 0000000a 01000014 800e",
            "SA payload, attribute value at byte 22: needs 2 bytes, 0 are left",
        ),
        (
            Sa,
            "00000014 01030001 0000000c 01000014 000e0001",
            "SA payload, attribute value at byte 24: needs 1 bytes, 0 are left",
        ),
        (KeyExchange, "0014", "KE payload, reserved at byte 6: needs 2 bytes, 0 are left"),
        (
            IdInitiator,
            "01000000 0a0000",
            "IDi payload, identification data at byte 8: has 3 bytes, must have 4",
        ),
        (
            IdResponder,
            "05000000 0a000001",
            "IDr payload, identification data at byte 8: has 4 bytes, must have 16",
        ),
        (
            Certificate,
            "",
            "CERT payload, certificate encoding at byte 4: needs 1 bytes, 0 are left",
        ),
        (
            CertificateRequest,
            "",
            "CERTREQ payload, certificate encoding at byte 4: needs 1 bytes, 0 are left",
        ),
        (
            Authentication,
            "0e000000 0430",
            "AUTH payload, AlgorithmIdentifier at byte 9: needs 4 bytes, 1 are left",
        ),
        (
            Nonce,
            "000102030405060708090a0b0c0d0e",
            "Nonce payload, nonce data at byte 4: has 15 bytes, must have 16 to 256",
        ),
        (Notify, "03040009 c4a1f0", "N payload, SPI at byte 8: needs 4 bytes, 3 are left"),
        (Delete, "03040002 c4a1f00d", "D payload, SPI at byte 12: needs 4 bytes, 0 are left"),
        (Delete, "03010002 c4a1", "D payload, SPI size at byte 5: found 1, must be 0, 4 or 8"),
        (Delete, "03040000 c4a1f00d", "D payload, payload length at byte 8: 4 bytes too many"),
        (
            Delete,
            "0100ffff",
            "D payload, number of SPIs at byte 6: found 65535, must be 0 when SPIs have no bytes",
        ),
        (
            TsInitiator,
            "01000000 07000010 0000ffff 0a000001 0a000000",
            "TSi payload, starting address at byte 16: found 167772161, must be not above the ending address",
        ),
        (
            TsInitiator,
            "01000000 07060010 00500019 0a000001 0a000001",
            "TSi payload, start port at byte 12: found 80, must be not above the end port",
        ),
        (
            TsResponder,
            "01000000 07000014 0000ffff 0a000001 0a000001 00000000",
            "TSr payload, traffic selector at byte 24: 4 bytes too many",
        ),
        (
            TsResponder,
            "01000000 0800000c 0000ffff 0a000001",
            "TSr payload, starting address at byte 16: needs 16 bytes, 4 are left",
        ),
        (
            TsResponder,
            "ff000000",
            "TSr payload, traffic selector type at byte 8: needs 1 bytes, 0 are left",
        ),
        (TsResponder, "00000000 00", "TSr payload, payload length at byte 8: 1 bytes too many"),
        (
            Configuration,
            "01000000 00010004 0a0000",
            "CP payload, attribute value at byte 12: needs 4 bytes, 3 are left",
        ),
        (
            Eap,
            "01030006 01",
            "EAP payload, EAP length at byte 6: found 6, must be the length of the payload",
        ),
        (
            Encrypted,
            "0000",
            "SK payload, payload type at byte 0: found 46, must be one allowed inside an encrypted payload",
        ),
    ];
    for (kind, bytes, refusal) in table {
        assert_eq!(body(kind, bytes), refusal, "{bytes}");
    }
}

#[test]
fn fragments_count_from_one_to_the_total() {
    for (place, refusal) in [("0000 0003", 0), ("0004 0003", 4), ("0001 0000", 1)] {
        let mut bytes = hex(SKF_MESSAGE);
        bytes[32..36].copy_from_slice(&hex(place));
        assert_eq!(
            Message::decode(&bytes).unwrap_err().to_string(),
            format!(
                "SKF payload, fragment number at byte 32: found {refusal}, must be from 1 to the total"
            )
        );
    }
}

#[test]
fn headers() {
    let refusal = |bytes: &[u8]| Message::decode(bytes).unwrap_err().to_string();
    let mut bytes = hex(INIT_REQUEST);
    assert_eq!(refusal(&bytes[..27]), "IKE header, length at byte 24: needs 4 bytes, 3 are left");
    assert_eq!(
        refusal(&bytes[..619]),
        "IKE header, length at byte 24: found 620, must be the datagram's length"
    );
    bytes.push(0);
    assert_eq!(
        refusal(&bytes),
        "IKE header, length at byte 24: found 620, must be the datagram's length"
    );
    bytes[26..28].copy_from_slice(&621u16.to_be_bytes());
    assert_eq!(
        refusal(&bytes),
        "V payload, bytes after the last payload at byte 620: 1 bytes too many"
    );
    let mut bytes = hex(SK_MESSAGE);
    bytes.push(0);
    bytes[27] += 1;
    assert_eq!(
        refusal(&bytes),
        "SK payload, bytes after the encrypted payload at byte 80: 1 bytes too many"
    );
}

#[test]
fn another_major_version_is_not_looked_into() {
    let mut bytes = hex(INIT_REQUEST);
    bytes[17] = 0x10;
    bytes[28..].fill(0xff);
    let version = IkeVersion { major: 1, minor: 0 };
    assert_eq!(Message::decode(&bytes), Err(DecodeError::MajorVersion(version)));
    bytes[17] = 0x3a;
    let refusal = Message::decode(&bytes).unwrap_err().to_string();
    assert_eq!(refusal, "IKE version 3.10: s2sd speaks major version 2 only");
}

#[test]
fn a_minor_version_is_kept_and_ignored() {
    let mut bytes = hex(INIT_REQUEST);
    bytes[17] = 0x21;
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.header.version, IkeVersion { major: 2, minor: 1 });
    assert_eq!(message.encode().unwrap(), bytes);
}

/// RFC 7296 §2.5: unknown and critical is refused with its type, unknown and not critical is
/// skipped, and the critical bit of a known payload means nothing.
#[test]
fn critical_payloads() {
    let chain = hex("63 00 0008 01020304  00 80 0006 abcd");
    let unknown = PayloadType::Unknown(99);
    assert_eq!(
        Chain::decode(PayloadType::VendorId, &chain),
        Err(DecodeError::UnsupportedCritical { payload: unknown, offset: 8 })
    );
    // A type that has a name is as strange as one that has none, as long as nobody here understands
    // it.
    let chain = hex("36 00 0008 01020304  00 80 0006 abcd");
    assert_eq!(
        Chain::decode(PayloadType::VendorId, &chain),
        Err(DecodeError::UnsupportedCritical { payload: PayloadType::PuzzleSolution, offset: 8 })
    );
    let chain = hex("63 80 0008 01020304  00 7f 0006 abcd");
    let decoded = Chain::decode(PayloadType::VendorId, &chain).unwrap();
    assert_eq!(decoded.count(unknown), 1);
    assert_eq!(decoded.encode().unwrap(), (PayloadType::VendorId, chain));
}

/// What is not understood is kept as it came; what is understood is never kept so.
#[test]
fn understood_payloads_are_read() {
    for kind in (1..=u8::MAX).map(PayloadType::from) {
        let decoded = Chain::decode(kind, &hex("00 00 0005 01"));
        let kept = decoded.is_ok_and(|chain| {
            chain.iter().any(|payload| matches!(payload, Payload::Unknown { .. }))
        });
        assert_eq!(kept, !kind.is_understood(), "{kind}");
    }
}

#[test]
fn chains_have_a_cap() {
    let link = [43, 0, 0, 4];
    let last = [0, 0, 0, 4];
    let chain = |links: usize| [&link.repeat(links - 1)[..], &last].concat();
    let decode = |links| Chain::decode(PayloadType::VendorId, &chain(links));
    assert_eq!(decode(MAX_PAYLOADS).unwrap().len(), MAX_PAYLOADS);
    assert_eq!(
        decode(MAX_PAYLOADS + 1).unwrap_err().to_string(),
        "V payload, payloads at byte 512: more than 128"
    );
}

/// Every prefix of a chain is refused: the last payload in it is cut, or one that was announced is
/// not there.
#[test]
fn no_prefix_of_a_chain_decodes() {
    let bytes = hex(INIT_REQUEST);
    let chain = &bytes[28..];
    for end in 0..chain.len() {
        assert!(Chain::decode(PayloadType::Sa, &chain[..end]).is_err(), "{end}");
    }
    assert!(Chain::decode(PayloadType::Sa, chain).is_ok());
}
