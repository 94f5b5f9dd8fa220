//! Traffic Selector payloads, TSi and TSr (RFC 7296 §3.13): [`Selector`]s on the wire.
//!
//! ```text
//! payload:  | count | reserved (3) | selector ... |
//! selector: | type | protocol | length | ports (4) | addresses (8 or 32) |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::codes::TsType;
use crate::wire::error::{FieldFault, Malformed};
use crate::wire::reader::FieldReader;
use crate::wire::reserved::ReservedBits;
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::ports::Ports;
use crate::wire::selector::set::SelectorSet;
use crate::wire::writer::Writer;

/// The most selectors of a payload: the count is one byte.
pub const MAX_SELECTORS: usize = 255;

/// The body of a TSi or TSr payload.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct TrafficSelectors {
    /// The selectors in the order sent: the first may describe the packet that triggered the SA
    /// (§2.9).
    pub entries: Vec<TrafficSelector>,
    /// The three reserved bytes.
    pub reserved: ReservedBits<3>,
}

/// One selector of a TSi or TSr payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum TrafficSelector {
    /// A selector of IP packets: TS_IPV4_ADDR_RANGE or TS_IPV6_ADDR_RANGE.
    Ip(Selector),
    /// A selector of another type, such as TS_SECLABEL (RFC 9478).
    Unknown {
        /// The selector's type.
        kind: TsType,
        /// The second byte, which holds the IP protocol in the known types.
        second: u8,
        /// The bytes after the length.
        body: Vec<u8>,
    },
}

impl TrafficSelectors {
    /// The selectors of IP packets.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.entries.iter().filter_map(|entry| match entry {
            TrafficSelector::Ip(selector) => Some(selector),
            TrafficSelector::Unknown { .. } => None,
        })
    }

    /// Whether there are selectors of an unknown type.
    pub fn has_unknown(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, TrafficSelector::Unknown { .. }))
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<TrafficSelectors, Malformed> {
        let count = reader.u8("number of traffic selectors")?;
        let reserved = reader.reserved()?;
        let entries = (0..count).map(|_| TrafficSelector::decode(reader));
        Ok(TrafficSelectors { entries: entries.collect::<Result<_, _>>()?, reserved })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.length8(self.entries.len(), "number of traffic selectors");
        writer.reserved(self.reserved);
        self.entries.iter().for_each(|entry| entry.encode(writer));
    }
}

impl FromIterator<Selector> for TrafficSelectors {
    fn from_iter<I: IntoIterator<Item = Selector>>(selectors: I) -> TrafficSelectors {
        let entries = selectors.into_iter().map(TrafficSelector::Ip).collect();
        TrafficSelectors { entries, reserved: ReservedBits::default() }
    }
}

impl From<&SelectorSet> for TrafficSelectors {
    fn from(set: &SelectorSet) -> TrafficSelectors {
        set.selectors().iter().copied().collect()
    }
}

impl TrafficSelector {
    fn decode(reader: &mut FieldReader<'_>) -> Result<TrafficSelector, Malformed> {
        let kind = TsType::from(reader.u8("traffic selector type")?);
        let second = reader.u8("IP protocol ID")?;
        let length = reader.length16(2, "selector length")?;
        let mut body = reader.sub(length, "traffic selector")?;
        let entry = match kind {
            TsType::Ipv4AddrRange => {
                let ports = decode_ports(&mut body)?;
                let address = |bytes| IpAddr::from(Ipv4Addr::from_bits(bytes));
                let at = body.clone();
                let first = address(body.u32("starting address")?);
                let last = address(body.u32("ending address")?);
                ip(first, last, second, ports, &at)?
            }
            TsType::Ipv6AddrRange => {
                let ports = decode_ports(&mut body)?;
                let at = body.clone();
                let first = Ipv6Addr::from(body.array::<16>("starting address")?).into();
                let last = Ipv6Addr::from(body.array::<16>("ending address")?).into();
                ip(first, last, second, ports, &at)?
            }
            _ => TrafficSelector::Unknown { kind, second, body: body.take_rest().to_vec() },
        };
        body.finish("traffic selector")?;
        Ok(entry)
    }

    fn encode(&self, writer: &mut Writer) {
        let (kind, second) = match self {
            TrafficSelector::Ip(selector) if selector.addresses.is_ipv4() => {
                (TsType::Ipv4AddrRange, selector.protocol)
            }
            TrafficSelector::Ip(selector) => (TsType::Ipv6AddrRange, selector.protocol),
            TrafficSelector::Unknown { kind, second, .. } => (*kind, *second),
        };
        writer.u8(kind.into());
        writer.u8(second);
        let open = writer.open(2);
        match self {
            TrafficSelector::Ip(Selector { addresses, ports, .. }) => {
                writer.u16(ports.first());
                writer.u16(ports.last());
                for address in [addresses.first(), addresses.last()] {
                    match address {
                        IpAddr::V4(v4) => writer.bytes(&v4.octets()),
                        IpAddr::V6(v6) => writer.bytes(&v6.octets()),
                    }
                }
            }
            TrafficSelector::Unknown { body, .. } => writer.bytes(body),
        }
        writer.close(open, "traffic selector");
    }
}

fn decode_ports(reader: &mut FieldReader<'_>) -> Result<Ports, Malformed> {
    let at = reader.clone();
    let first = reader.u16("start port")?;
    let last = reader.u16("end port")?;
    Ports::new(first, last).ok_or_else(|| {
        let must = "not above the end port";
        at.fault("start port", FieldFault::Value { found: first.into(), must })
    })
}

fn ip(
    first: IpAddr,
    last: IpAddr,
    protocol: u8,
    ports: Ports,
    at: &FieldReader<'_>,
) -> Result<TrafficSelector, Malformed> {
    let addresses = AddressRange::new(first, last).map_err(|_| {
        let found = match first {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(v6) => {
                v6.segments().into_iter().take(4).fold(0, |n, s| n << 16 | u64::from(s))
            }
        };
        at.fault(
            "starting address",
            FieldFault::Value { found, must: "not above the ending address" },
        )
    })?;
    Ok(TrafficSelector::Ip(Selector { addresses, protocol, ports }))
}
