//! EAP payloads (RFC 7296 §3.16): one EAP message (RFC 3748 §4) each. s2sd decodes the form and
//! speaks no EAP method.

use crate::wire::codes::EapCode;
use crate::wire::error::{FieldFault, Malformed};
use crate::wire::reader::FieldReader;
use crate::wire::writer::Writer;

/// The body of an EAP payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Eap {
    /// Whether the message is a request, a response, a success or a failure.
    pub code: EapCode,
    /// The number that pairs a response with its request.
    pub identifier: u8,
    /// The EAP type and its data; empty in success and failure.
    pub data: Vec<u8>,
}

impl Eap {
    /// The EAP type of a request or response, which names the method.
    pub fn method(&self) -> Option<u8> {
        self.data.first().copied()
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<Eap, Malformed> {
        let whole = reader.left();
        let code = EapCode::from(reader.u8("EAP code")?);
        let identifier = reader.u8("EAP identifier")?;
        let at = reader.clone();
        let stated = reader.u16("EAP length")?;
        if usize::from(stated) != whole {
            let fault =
                FieldFault::Value { found: stated.into(), must: "the length of the payload" };
            return Err(at.fault("EAP length", fault));
        }
        Ok(Eap { code, identifier, data: reader.take_rest().to_vec() })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.code.into());
        writer.u8(self.identifier);
        let open = writer.open(2);
        writer.bytes(&self.data);
        writer.close(open, "EAP length");
    }
}
