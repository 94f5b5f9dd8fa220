//! Strategies that make every kind of value, odd ones and unknown codes included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::wire::codes::{AuthMethod, IdType, PayloadType, TransformType, TsType};
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::auth::AuthPayload;
use crate::wire::payload::cert::{CertPayload, CertificateRequest};
use crate::wire::payload::chain::{Chain, GenericFlags};
use crate::wire::payload::cp::{CfgAttribute, Configuration};
use crate::wire::payload::delete::Delete;
use crate::wire::payload::eap::Eap;
use crate::wire::payload::id::Identity;
use crate::wire::payload::ke::KeyExchange;
use crate::wire::payload::nonce::Nonce;
use crate::wire::payload::notify::Notify;
use crate::wire::payload::sa::{
    AttributeValue, Proposal, SecurityAssociation, Transform, TransformAttribute, TransformId,
};
use crate::wire::payload::sk::{FragmentNumber, Sealed};
use crate::wire::payload::ts::{TrafficSelector, TrafficSelectors};
use crate::wire::payload::vendor::VendorId;
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::ports::Ports;
use crate::wire::spi::{IkeSpi, Spi};

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

fn spi() -> impl Strategy<Value = Spi> {
    prop_oneof![Just(0), Just(4), Just(8), 0usize..=255]
        .prop_flat_map(|size| vec(any::<u8>(), size))
        .prop_map(|bytes| Spi::from(&*bytes))
}

fn attribute() -> impl Strategy<Value = TransformAttribute> {
    let value = prop_oneof![
        any::<u16>().prop_map(AttributeValue::Short),
        bytes(9).prop_map(AttributeValue::Long),
    ];
    let kind = prop_oneof![Just(14u16), 0u16..0x8000];
    (kind, value).prop_map(|(kind, value)| TransformAttribute { kind: kind.into(), value })
}

fn transform() -> impl Strategy<Value = Transform> {
    let kind = prop_oneof![4 => 1u8..=5, 1 => any::<u8>()];
    let number = prop_oneof![4 => 0u16..40, 1 => any::<u16>()];
    (kind, number, vec(attribute(), 0..3), any::<[u8; 2]>()).prop_map(
        |(kind, number, attributes, [before, after])| Transform {
            id: TransformId::new(TransformType::from(kind), number),
            attributes,
            reserved: [[before].into(), [after].into()],
        },
    )
}

fn proposal() -> impl Strategy<Value = Proposal> {
    let protocol = prop_oneof![4 => 0u8..4, 1 => any::<u8>()];
    (any::<u8>(), protocol, spi(), vec(transform(), 0..6), any::<[u8; 1]>()).prop_map(
        |(number, protocol, spi, transforms, reserved)| Proposal {
            number,
            protocol: protocol.into(),
            spi,
            transforms,
            reserved: reserved.into(),
        },
    )
}

fn identity() -> impl Strategy<Value = Identity> {
    let addresses = any::<IpAddr>().prop_map(Identity::from);
    let others = (any::<u8>(), bytes(40), any::<[u8; 3]>()).prop_map(|(kind, data, reserved)| {
        let kind = match IdType::from(kind) {
            IdType::Ipv4Addr | IdType::Ipv6Addr => IdType::Fqdn,
            other => other,
        };
        Identity { kind, data, reserved: reserved.into() }
    });
    prop_oneof![addresses, others]
}

fn authentication() -> impl Strategy<Value = AuthPayload> {
    let digital = (bytes(255), bytes(64))
        .prop_map(|(algorithm, signature)| AuthPayload::digital(&algorithm, &signature).unwrap());
    let others = (any::<u8>(), bytes(64)).prop_map(|(method, data)| {
        let method = match AuthMethod::from(method) {
            AuthMethod::DigitalSignature => AuthMethod::RsaSignature,
            other => other,
        };
        AuthPayload::new(method, data)
    });
    prop_oneof![digital, others]
}

fn notify() -> impl Strategy<Value = Notify> {
    let kind = prop_oneof![1u16..48, 16384u16..16445, any::<u16>()];
    (any::<u8>(), spi(), kind, bytes(40)).prop_map(|(protocol, spi, kind, data)| Notify {
        protocol: protocol.into(),
        spi,
        kind: kind.into(),
        data,
    })
}

fn delete() -> impl Strategy<Value = Delete> {
    let spi_size = prop_oneof![Just(0u8), Just(4), Just(8)];
    (any::<u8>(), spi_size, 0usize..5).prop_flat_map(|(protocol, spi_size, count)| {
        let count = if spi_size == 0 { 0 } else { count };
        vec(vec(any::<u8>(), usize::from(spi_size)), count).prop_map(move |spis| Delete {
            protocol: protocol.into(),
            spi_size,
            spis: spis.iter().map(|spi| Spi::from(&**spi)).collect(),
        })
    })
}

/// Any range of either family: hosts, prefixes, and ends anywhere.
pub(crate) fn range() -> impl Strategy<Value = AddressRange> {
    let v4 = (any::<u32>(), any::<u32>(), 0u32..=32).prop_map(|(a, b, bits)| {
        let b = b.checked_shr(bits).unwrap_or(0) ^ a;
        let (a, b) = (Ipv4Addr::from_bits(a.min(b)), Ipv4Addr::from_bits(a.max(b)));
        AddressRange::new(a.into(), b.into()).unwrap()
    });
    let v6 = (any::<u128>(), any::<u128>(), 0u32..=128).prop_map(|(a, b, bits)| {
        let b = b.checked_shr(bits).unwrap_or(0) ^ a;
        let (a, b) = (Ipv6Addr::from_bits(a.min(b)), Ipv6Addr::from_bits(a.max(b)));
        AddressRange::new(a.into(), b.into()).unwrap()
    });
    let prefix = (any::<IpAddr>(), 0u8..=128).prop_map(|(address, length)| {
        match (AddressRange::prefix(address, length), address) {
            (Ok(range), _) => range,
            (Err(crate::wire::selector::address::RangeError::HostBits { network, .. }), _) => {
                AddressRange::prefix(network, length).unwrap()
            }
            (Err(_), address) => AddressRange::host(address),
        }
    });
    prop_oneof![v4, v6, prefix, Just(AddressRange::ANY_V4), Just(AddressRange::ANY_V6)]
}

fn ports() -> impl Strategy<Value = Ports> {
    let range =
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Ports::new(a.min(b), a.max(b)).unwrap());
    let icmp =
        (any::<u8>(), option::of(any::<u8>())).prop_map(|(kind, code)| Ports::icmp(kind, code));
    prop_oneof![
        Just(Ports::ANY),
        Just(Ports::OPAQUE),
        any::<u16>().prop_map(Ports::one),
        range,
        icmp
    ]
}

/// Any selector.
pub(crate) fn selector() -> impl Strategy<Value = Selector> {
    let protocol = prop_oneof![Just(0), Just(1), Just(6), Just(58), any::<u8>()];
    (range(), protocol, ports()).prop_map(|(addresses, protocol, ports)| Selector {
        addresses,
        protocol,
        ports,
    })
}

fn traffic_selectors() -> impl Strategy<Value = TrafficSelectors> {
    let unknown = (any::<u8>(), any::<u8>(), bytes(20)).prop_map(|(kind, second, body)| {
        let kind = match TsType::from(kind) {
            TsType::Ipv4AddrRange | TsType::Ipv6AddrRange => TsType::SecLabel,
            other => other,
        };
        TrafficSelector::Unknown { kind, second, body }
    });
    let entry = prop_oneof![4 => selector().prop_map(TrafficSelector::Ip), 1 => unknown];
    (vec(entry, 0..8), any::<[u8; 3]>())
        .prop_map(|(entries, reserved)| TrafficSelectors { entries, reserved: reserved.into() })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let attribute = (0u16..0x8000, bytes(20), any::<bool>()).prop_map(|(kind, value, bit)| {
        CfgAttribute { kind: kind.into(), value, reserved: [u8::from(bit) << 7].into() }
    });
    (any::<u8>(), vec(attribute, 0..6))
        .prop_map(|(kind, attributes)| Configuration::new(kind.into(), attributes))
}

fn unknown() -> impl Strategy<Value = Payload> {
    let strange = |kind: &u8| !PayloadType::from(*kind).is_understood();
    (any::<u8>().prop_filter("a type that is not understood", strange), bytes(40))
        .prop_map(|(kind, body)| Payload::Unknown { kind: kind.into(), body })
}

/// Any payload, each kind as often as another.
pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    let sa = vec(proposal(), 1..5).prop_map(|proposals| SecurityAssociation { proposals });
    let ke = (any::<u16>(), bytes(80), any::<[u8; 2]>()).prop_map(|(group, public, reserved)| {
        KeyExchange { group: group.into(), public, reserved: reserved.into() }
    });
    let cert = (any::<u8>(), bytes(80))
        .prop_map(|(encoding, data)| CertPayload { encoding: encoding.into(), data });
    let request = (any::<u8>(), bytes(80))
        .prop_map(|(encoding, data)| CertificateRequest { encoding: encoding.into(), data });
    let nonce = vec(any::<u8>(), Nonce::MIN..=Nonce::MAX).prop_map(|n| Nonce::new(n).unwrap());
    let eap = (any::<u8>(), any::<u8>(), bytes(40)).prop_map(|(code, identifier, data)| Eap {
        code: code.into(),
        identifier,
        data,
    });
    prop_oneof![
        prop_oneof![
            sa.prop_map(Payload::from),
            ke.prop_map(Payload::from),
            identity().prop_map(Payload::IdInitiator),
            identity().prop_map(Payload::IdResponder),
            cert.prop_map(Payload::from),
            request.prop_map(Payload::from),
            authentication().prop_map(Payload::from),
            nonce.prop_map(Payload::from),
        ],
        prop_oneof![
            notify().prop_map(Payload::from),
            delete().prop_map(Payload::from),
            bytes(40).prop_map(|data| VendorId { data }.into()),
            traffic_selectors().prop_map(Payload::TsInitiator),
            traffic_selectors().prop_map(Payload::TsResponder),
            configuration().prop_map(Payload::from),
            eap.prop_map(Payload::from),
            unknown(),
        ],
    ]
}

/// Any chain, critical and reserved bits set at random.
pub(crate) fn chain() -> impl Strategy<Value = Chain> {
    vec((payload(), any::<u8>()), 0..8).prop_map(|payloads| {
        let mut chain = Chain::new();
        for (payload, flags) in payloads {
            let unknown = matches!(payload, Payload::Unknown { .. });
            chain.push_with(payload, GenericFlags(if unknown { flags & 0x7f } else { flags }));
        }
        chain
    })
}

/// Any header of version 2.
pub(crate) fn header() -> impl Strategy<Value = Header> {
    (any::<[u64; 2]>(), 0u8..16, any::<u8>(), any::<u8>(), any::<u32>()).prop_map(
        |([initiator, responder], minor, exchange, flags, message_id)| Header {
            initiator_spi: IkeSpi(initiator),
            responder_spi: IkeSpi(responder),
            version: IkeVersion { major: 2, minor },
            exchange: exchange.into(),
            flags: Flags(flags),
            message_id: MessageId(message_id),
        },
    )
}

/// Any message, sealed or not.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    let fragment =
        (1u16.., 1u16..).prop_map(|(a, b)| FragmentNumber::new(a.min(b), a.max(b)).unwrap());
    let sealed = (option::of(fragment), any::<u8>(), any::<u8>(), bytes(99)).prop_map(
        |(fragment, first, flags, content)| Sealed {
            fragment,
            first: first.into(),
            flags: GenericFlags(flags),
            content,
        },
    );
    (header(), chain(), option::of(sealed)).prop_map(|(header, chain, sealed)| Message {
        header,
        chain,
        sealed,
    })
}
