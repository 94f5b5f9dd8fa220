//! The configuration file that an import writes: the notes, then every setting with the Azure
//! property that the setting comes from.

use std::fmt::{self, Display, Formatter};

use base64ct::{Base64, Encoding};

use super::choices::ImportChoices;
use super::note::{Note, NoteKind};
use super::quote::{self, one_line};
use super::resource::{AzureCertificates, AzurePolicy, AzureSelectors, without_cn};
use crate::pki::certificate::Certificate;

/// The content of the file.
pub struct Draft<'a> {
    pub site: DraftSite,
    pub links: Vec<DraftConnection<'a>>,
    pub choices: &'a ImportChoices,
    pub notes: &'a [Note],
}

/// The table `[local_network_gateway]`.
pub struct DraftSite {
    pub name: String,
    pub address: Option<String>,
    pub fqdn: Option<String>,
    pub prefixes: Vec<String>,
}

/// A table `[[connection]]`.
pub struct DraftConnection<'a> {
    pub name: String,
    pub mode: String,
    /// `None` when Azure has no value.
    pub dpd: Option<u64>,
    pub narrow: bool,
    pub policy: Option<&'a AzurePolicy>,
    pub selectors: &'a [AzureSelectors],
    pub gateway: String,
    pub hosts: Vec<String>,
    pub private: bool,
    pub prefixes: Vec<String>,
    /// The Azure property that the prefixes come from.
    pub source: String,
    pub subject: String,
    pub certificates: AzureCertificates,
    pub bgp_addresses: Vec<String>,
}

/// The column at which a comment behind a value begins.
const COMMENT: usize = 44;
/// The width at which comments on lines of their own are wrapped.
const WIDTH: usize = 110;

impl Display for Draft<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.links.iter().map(|link| link.name.as_str()).collect();
        let many = if names.len() == 1 { "connection" } else { "connections" };
        comment(
            f,
            &format!(
                "Made by `s2sd azure import` of the local network gateway {} and the {many} {}. `s2sd check FILE` shows its \
                 errors; s2sd.toml(5) describes every key.",
                self.site.name,
                names.join(", ")
            ),
        )?;
        for kind in NoteKind::ALL {
            let notes: Vec<&Note> = self.notes.iter().filter(|note| note.kind == kind).collect();
            if !notes.is_empty() {
                writeln!(f, "#")?;
                comment(f, &format!("{}:", kind.title()))?;
                notes.iter().try_for_each(|note| item(f, &note.to_string()))?;
            }
        }
        writeln!(f, "\n[device]")?;
        key(f, "name", quote::toml(&self.site.name), "the device's name in logs and status")?;
        self.site.fmt(f)?;
        self.links.iter().try_for_each(|link| link.write(f, self.choices))
    }
}

impl Display for DraftSite {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        table(f, "[local_network_gateway]", "this site, as created in Azure")?;
        key(f, "name", quote::toml(&self.name), "Azure: name")?;
        match (&self.address, &self.fqdn) {
            (Some(address), _) => {
                let what = "Azure: gatewayIpAddress; behind a NAT, the NAT's public address";
                key(f, "gateway_ip_address", quote::toml(address), what)?;
            }
            (None, Some(fqdn)) => {
                key(f, "fqdn", quote::toml(fqdn), "Azure: fqdn; looked up every five minutes")?;
            }
            (None, None) => {
                let what = "FILL IN: this site's public address";
                key(f, "gateway_ip_address", quote::toml(""), what)?;
            }
        }
        let what = match self.prefixes.is_empty() {
            true => "FILL IN: the networks behind this device",
            false => "Azure: localNetworkAddressSpace.addressPrefixes",
        };
        key(f, "address_prefixes", list(&self.prefixes), what)
    }
}

impl DraftConnection<'_> {
    fn write(&self, f: &mut Formatter<'_>, choices: &ImportChoices) -> fmt::Result {
        table(f, "[[connection]]", "")?;
        key(f, "name", quote::toml(&self.name), "Azure: name")?;
        let dials = match self.mode.as_str() {
            "InitiatorOnly" => "Azure dials, this device waits",
            "ResponderOnly" => "this device dials, Azure waits",
            _ => "both dial",
        };
        let mode = format!("Azure: connectionMode, as set there: {dials}");
        key(f, "connection_mode", quote::toml(&self.mode), &mode)?;
        match self.dpd {
            Some(seconds) => key(f, "dpd_timeout_seconds", seconds, "Azure: dpdTimeoutSeconds")?,
            None => key(
                f,
                "#dpd_timeout_seconds",
                45,
                "Azure: dpdTimeoutSeconds, not set there: the default",
            )?,
        }
        let what = "Azure: usePolicyBasedTrafficSelectors";
        key(f, "use_policy_based_traffic_selectors", self.narrow, what)?;
        self.write_policy(f)?;
        self.write_gateway(f)?;
        self.write_certificates(f, choices)?;
        for policy in self.selectors {
            let what = "Azure: trafficSelectorPolicies; \"local\" there is \"remote\" here";
            table(f, "[[connection.traffic_selector_policy]]", what)?;
            key(f, "local_address_ranges", list(&policy.site), "Azure: remoteAddressRanges")?;
            key(f, "remote_address_ranges", list(&policy.azure), "Azure: localAddressRanges")?;
        }
        table(f, "[connection.tunnel]", "settings of this device only, not in Azure")?;
        let own: Vec<String> = self.bgp_addresses.iter().map(|a| format!("{a}/32")).collect();
        if !own.is_empty() {
            let what = "this site's BGP address, for a routing daemon";
            key(f, "#addresses", list(&own), what)?;
        }
        key(
            f,
            "#interface",
            quote::toml("auto"),
            "azure0, azure1, ...: one interface for each tunnel",
        )?;
        key(f, "#routes", quote::toml("ecmp"), "ecmp | preferred | none (for a routing daemon)")
    }

    fn write_policy(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(policy) = self.policy else {
            let what = "Azure: ipsecPolicies is empty: the default policy, with 1024-bit DHGroup2";
            return key(f, "ipsec_policy", quote::toml("Default"), what);
        };
        table(f, "[connection.ipsec_policy]", "Azure: ipsecPolicies[0]")?;
        for (name, value) in &policy.choices {
            key(f, &quote::snake_case(name), quote::toml(value), &format!("Azure: {name}"))?;
        }
        if let Some(seconds) = policy.seconds.filter(|n| *n != 0) {
            key(f, "sa_life_time_seconds", seconds, "Azure: saLifeTimeSeconds")?;
        }
        if let Some(kilobytes) = policy.kilobytes.filter(|n| *n != 0) {
            key(f, "sa_data_size_kilobytes", kilobytes, "Azure: saDataSizeKilobytes")?;
        }
        Ok(())
    }

    fn write_gateway(&self, f: &mut Formatter<'_>) -> fmt::Result {
        table(f, "[connection.virtual_network_gateway]", "")?;
        key(f, "name", quote::toml(&self.gateway), "Azure: name")?;
        let what = match self.hosts.len() {
            0 => "FILL IN: the gateway's addresses",
            _ if self.private => {
                "Azure: the gateway's private addresses, for useLocalAzureIpAddress"
            }
            1 => "Azure: bgpSettings.bgpPeeringAddresses[].tunnelIpAddresses",
            _ => "Azure: tunnelIpAddresses of both instances",
        };
        key(f, "public_ip_addresses", list(&self.hosts), what)?;
        let source = match self.source.starts_with("FILL IN") {
            true => self.source.clone(),
            false => format!("Azure: {}", self.source),
        };
        key(f, "address_prefixes", list(&self.prefixes), &source)
    }

    fn write_certificates(&self, f: &mut Formatter<'_>, choices: &ImportChoices) -> fmt::Result {
        let own = self.certificates.subject.as_deref().map(without_cn);
        let what = "inbound: sent to Azure; outbound: sent by Azure";
        table(f, "[connection.certificate_authentication]", what)?;
        for (at, text) in self.certificates.chain.iter().enumerate() {
            let place = format!("inboundAuthCertificateChain[{at}] in Azure");
            comment(f, &format!("{place}: {}", described(text)))?;
        }
        if let Some(url) = &self.certificates.outbound {
            comment(f, &format!("outboundAuthCertificate in Azure: {url}"))?;
        }
        let certificate = format!(
            "PUT FILE THERE: this device's certificate, CN={}",
            own.unwrap_or("(not in the JSON)")
        );
        key(f, "inbound_certificate", quote::toml(&choices.inbound_certificate), &certificate)?;
        let what = "PUT FILE THERE: the private key of this device's certificate";
        key(f, "inbound_private_key", quote::toml(&choices.inbound_private_key), what)?;
        let what = "PUT FILE THERE: the root of Azure's certificate";
        let root = format!("[{}]", quote::toml(&choices.outbound_root));
        key(f, "outbound_certificate_roots", root, what)?;
        let what = match (&choices.outbound_subject, self.subject.is_empty()) {
            (Some(_), _) => "common name (CN) of Azure's certificate",
            (None, true) => "FILL IN: the CN of Azure's certificate",
            (None, false) => {
                "CHECK: must be the CN of Azure's certificate; this is its name in Key Vault"
            }
        };
        key(f, "outbound_certificate_subject_name", quote::toml(&self.subject), what)
    }
}

/// The subject, expiry and thumbprint of a certificate in Azure's inbound chain.
fn described(base64: &str) -> String {
    let bare: String = base64.split_whitespace().collect();
    let der = Base64::decode_vec(&bare).ok();
    match der.and_then(|der| Certificate::from_der(&der).ok()) {
        Some(certificate) => format!(
            "{}, valid until {}, thumbprint {}",
            certificate.subject(),
            certificate.not_after(),
            certificate.thumbprint()
        ),
        None => "unreadable certificate".to_owned(),
    }
}

fn table(f: &mut Formatter<'_>, header: &str, what: &str) -> fmt::Result {
    writeln!(f)?;
    behind(f, header, what)
}

fn key(f: &mut Formatter<'_>, key: &str, value: impl Display, what: &str) -> fmt::Result {
    behind(f, &format!("{key} = {value}"), what)
}

fn behind(f: &mut Formatter<'_>, line: &str, what: &str) -> fmt::Result {
    match one_line(what) {
        what if what.is_empty() => writeln!(f, "{line}"),
        what => writeln!(f, "{line:COMMENT$} # {what}"),
    }
}

/// Writes a comment on lines of its own.
fn comment(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    wrap(f, "# ", "# ", text)
}

fn item(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    wrap(f, "# - ", "#   ", text)
}

fn wrap(f: &mut Formatter<'_>, first: &str, next: &str, text: &str) -> fmt::Result {
    let text = one_line(text);
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && line.chars().count() + word.chars().count() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = next.to_owned();
        }
        line = format!("{line}{word} ");
        empty = false;
    }
    writeln!(f, "{}", line.trim_end())
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quote::toml(text)).collect();
    format!("[{}]", quoted.join(", "))
}
