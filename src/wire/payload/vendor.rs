//! Vendor ID payloads (RFC 7296 §3.12), and the ones that a Microsoft peer is known to send. No
//! vendor ID changes what s2sd does before the peer is authenticated.

use std::fmt;

use crate::wire::error::Malformed;
use crate::wire::reader::FieldReader;
use crate::wire::writer::Writer;

/// The body of a V payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct VendorId {
    /// The ID: usually a hash, sometimes with a version after it.
    pub data: Vec<u8>,
}

/// A vendor ID that s2sd knows by name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KnownVendor {
    /// `MS NT5 ISAKMPOAKLEY`, with a version (9 in every Windows since 8).
    MsNt5 {
        /// The four bytes after the hash.
        version: u32,
    },
    /// `MS-Negotiation Discovery Capable`.
    MsNegotiationDiscovery,
    /// `Vid-Initial-Contact`: Microsoft's form of the INITIAL_CONTACT notify.
    MsInitialContact,
    /// `IKE CGA version 1`.
    IkeCga,
    /// An ID that Windows sends beside the others and whose name is unpublished; the version is 1
    /// over IKEv1 and 2 over IKEv2.
    MsUnnamed {
        /// The four bytes after the hash.
        version: u32,
    },
}

const MS_NT5: u128 = 0x1e2b_5169_0599_1c7d_7c96_fcbf_b587_e461;
const MS_NEGOTIATION_DISCOVERY: u128 = 0xfb1d_e3cd_f341_b7ea_16b7_e5be_0855_f120;
const MS_INITIAL_CONTACT: u128 = 0x2624_4d38_eddb_61b3_172a_36e3_d0cf_b819;
const IKE_CGA: u128 = 0xe3a5_966a_7637_9fe7_0722_8231_e5ce_8652;
const MS_UNNAMED: u128 = 0x0152_8bbb_c006_9612_1849_ab9a_1c5b_2a51;

impl VendorId {
    /// The vendor ID by name, if it is a known one.
    pub fn known(&self) -> Option<KnownVendor> {
        let (hash, rest) = self.data.split_first_chunk::<16>()?;
        let version = <[u8; 4]>::try_from(rest).ok().map(u32::from_be_bytes);
        match (u128::from_be_bytes(*hash), rest.len(), version) {
            (MS_NT5, _, Some(version)) => Some(KnownVendor::MsNt5 { version }),
            (MS_NEGOTIATION_DISCOVERY, 0, _) => Some(KnownVendor::MsNegotiationDiscovery),
            (MS_INITIAL_CONTACT, 0, _) => Some(KnownVendor::MsInitialContact),
            (IKE_CGA, 0, _) => Some(KnownVendor::IkeCga),
            (MS_UNNAMED, _, Some(version)) => Some(KnownVendor::MsUnnamed { version }),
            _ => None,
        }
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<VendorId, Malformed> {
        Ok(VendorId { data: reader.take_rest().to_vec() })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.data);
    }
}

impl From<KnownVendor> for VendorId {
    fn from(vendor: KnownVendor) -> VendorId {
        let (hash, version) = match vendor {
            KnownVendor::MsNt5 { version } => (MS_NT5, Some(version)),
            KnownVendor::MsNegotiationDiscovery => (MS_NEGOTIATION_DISCOVERY, None),
            KnownVendor::MsInitialContact => (MS_INITIAL_CONTACT, None),
            KnownVendor::IkeCga => (IKE_CGA, None),
            KnownVendor::MsUnnamed { version } => (MS_UNNAMED, Some(version)),
        };
        let mut data = hash.to_be_bytes().to_vec();
        data.extend(version.iter().flat_map(|version| version.to_be_bytes()));
        VendorId { data }
    }
}

impl fmt::Display for VendorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(KnownVendor::MsNt5 { version }) => write!(f, "MS NT5 ISAKMPOAKLEY v{version}"),
            Some(KnownVendor::MsNegotiationDiscovery) => {
                f.write_str("MS-Negotiation Discovery Capable")
            }
            Some(KnownVendor::MsInitialContact) => f.write_str("Vid-Initial-Contact"),
            Some(KnownVendor::IkeCga) => f.write_str("IKE CGA version 1"),
            Some(KnownVendor::MsUnnamed { version }) => write!(f, "Windows, unnamed v{version}"),
            None => self.data.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
