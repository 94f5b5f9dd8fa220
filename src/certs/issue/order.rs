//! The certificate that is wanted: its name, its life and what it is for.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Date, Duration, Month, OffsetDateTime};

use super::authority::IssueError;
use crate::pki::certificate::AltName;
use crate::pki::common_name::CommonName;
use crate::rng::Rng;
use crate::time::UnixTime;

/// The certificate that is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateOrder {
    /// The common name, which is the whole subject.
    pub name: CommonName,
    /// The length of its life, in calendar months.
    pub months: u16,
    /// What the certificate is for.
    pub kind: CertificateKind,
}

/// What a certificate is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateKind {
    /// An authority, which issues other certificates.
    Authority {
        /// The most authorities between this one and a leaf.
        path_len: u8,
    },
    /// A leaf, which proves who an IKE peer is.
    Leaf {
        /// Subject alternative names; Azure needs none.
        alt_names: Vec<AltName>,
    },
}

/// Why a text is no alternative name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is neither a host name, nor an address, nor a mailbox: write DNS:NAME, IP:ADDRESS or email:NAME"
)]
pub struct AltNameError(String);

/// Reads a subject alternative name, alone or after `DNS:`, `IP:` or `email:`.
pub fn alt_name(text: &str) -> Result<AltName, AltNameError> {
    let wrong = || AltNameError(text.to_owned());
    let (kind, value) = text.split_once(':').map_or(("", text), |(kind, rest)| (kind, rest));
    let ascii = |value: &str| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
    let host = |value: &str| {
        let part = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let labels = value.strip_prefix("*.").unwrap_or(value).split('.');
        labels.clone().all(|label| (1..=63).contains(&label.len()) && part(label))
    };
    match kind.to_ascii_lowercase().as_str() {
        "ip" => value.parse().map(AltName::Ip).map_err(|_| wrong()),
        "dns" if host(value) => Ok(AltName::Dns(value.to_owned())),
        "email" if ascii(value) && value.contains('@') => Ok(AltName::Email(value.to_owned())),
        _ => match text.parse::<IpAddr>() {
            Ok(address) => Ok(AltName::Ip(address)),
            Err(_) if ascii(text) && text.contains('@') => Ok(AltName::Email(text.to_owned())),
            Err(_) if host(text) => Ok(AltName::Dns(text.to_owned())),
            Err(_) => Err(wrong()),
        },
    }
}

impl CertificateOrder {
    /// The last second of a certificate that is made now, unless its issuer ends before.
    pub fn end(&self, now: UnixTime) -> Result<UnixTime, IssueError> {
        let end = months_later(moment(now)?, self.months)?.unix_timestamp();
        u64::try_from(end).map(UnixTime).map_err(|_| IssueError::Date)
    }

    /// The order in rcgen's form. The life begins an hour ago, for peers whose clock is behind, and
    /// does not go beyond `end`.
    pub(crate) fn params(
        &self,
        now: UnixTime,
        end: Option<UnixTime>,
        rng: &mut dyn Rng,
    ) -> Result<CertificateParams, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name.as_str());
        params.serial_number = Some(serial(rng));
        let now = moment(now)?;
        let wanted = months_later(now, self.months)?;
        params.not_before = now - Duration::hours(1);
        params.not_after = match end {
            Some(end) => wanted.min(moment(end)?),
            None => wanted,
        };
        match &self.kind {
            CertificateKind::Authority { path_len } => {
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(*path_len));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            }
            CertificateKind::Leaf { alt_names } => {
                params.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
                params.subject_alt_names =
                    alt_names.iter().map(san).collect::<Result<_, IssueError>>()?;
            }
        }
        Ok(params)
    }
}

/// Ten octets, a positive number: App Service is documented to import no certificates with more,
/// and 78 bits of chance are more than the 64 that public authorities need.
fn serial(rng: &mut dyn Rng) -> SerialNumber {
    let mut octets = [0; 10];
    rng.fill(&mut octets);
    octets[0] = octets[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&octets)
}

pub(super) fn san(name: &AltName) -> Result<SanType, IssueError> {
    let text =
        |text: &str| text.try_into().map_err(|_| IssueError::Encoding("an alternative name"));
    Ok(match name {
        AltName::Dns(name) => SanType::DnsName(text(name)?),
        AltName::Email(name) => SanType::Rfc822Name(text(name)?),
        AltName::Ip(address) => SanType::IpAddress(*address),
    })
}

fn moment(at: UnixTime) -> Result<OffsetDateTime, IssueError> {
    let seconds = i64::try_from(at.0).map_err(|_| IssueError::Date)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Date)
}

/// The same day so many months later, or the last day of a month that has no such day.
fn months_later(from: OffsetDateTime, months: u16) -> Result<OffsetDateTime, IssueError> {
    let count = u32::from(u8::from(from.month())) - 1 + u32::from(months);
    let year = from.year() + i32::try_from(count / 12).map_err(|_| IssueError::Date)?;
    let number = u8::try_from(count % 12 + 1).map_err(|_| IssueError::Date)?;
    let month = Month::try_from(number).map_err(|_| IssueError::Date)?;
    let day = from.day().min(month.length(year));
    let date = Date::from_calendar_date(year, month, day).map_err(|_| IssueError::Date)?;
    Ok(from.replace_date(date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        for (from, months, expected) in [
            (951_782_399, 12, "2001-02-28T23:59:59Z"),
            (951_782_400, 12, "2001-02-28T00:00:00Z"),
            (951_782_400, 48, "2004-02-29T00:00:00Z"),
            (1_709_251_199, 120, "2034-02-28T23:59:59Z"),
            (1_735_689_599, 1, "2025-01-31T23:59:59Z"),
            (1_735_689_599, 2, "2025-02-28T23:59:59Z"),
        ] {
            let end = months_later(moment(UnixTime(from)).unwrap(), months).unwrap();
            let end = UnixTime(u64::try_from(end.unix_timestamp()).unwrap());
            assert_eq!(end.to_string(), expected);
        }
    }

    #[test]
    fn alternative_names_are_told_apart() {
        for (text, expected) in [
            ("gw.example.net", "DNS:gw.example.net"),
            ("DNS:*.example.net", "DNS:*.example.net"),
            ("203.0.113.1", "IP:203.0.113.1"),
            ("2001:db8::1", "IP:2001:db8::1"),
            ("ip:2001:db8::1", "IP:2001:db8::1"),
            ("ops@example.net", "email:ops@example.net"),
        ] {
            assert_eq!(alt_name(text).unwrap().to_string(), expected);
        }
        for bad in ["", "a b", "IP:gw", "DNS:", "gw..net", "URI:http://x", "é.net"] {
            assert!(alt_name(bad).is_err(), "{bad}");
        }
    }
}
