//! The gateway that Azure would make from the calls of `az`, and from nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use s2sd::pki::certificate::Certificate;
use s2sd::pki::load::Bundle;
use serde_json::{Value as Json, json};

use super::credentials::Credentials;
use super::patience::{Failure, ensure};
use super::strongswan::Settings;

/// What was asked for, in Azure's words.
#[derive(Debug)]
pub struct Gateway {
    network: Call,
    gateway: Call,
    deployment: Call,
    /// The local network gateway, as it was deployed.
    site: Json,
    /// The connection, as it was deployed.
    connection: Json,
    chain: Vec<Vec<u8>>,
}

impl Gateway {
    /// From the calls of `az`.
    pub fn of(calls: &[Vec<String>]) -> Result<Gateway, Failure> {
        let call = |words: &str| Call::only(calls, words);
        let deployment = call("deployment group create")?;
        let template: Json = serde_json::from_str(deployment.one("deployed")?)
            .map_err(|error| Failure::new("the deployment's template is JSON", error))?;
        let resource = |kind: &str| {
            let kind = format!("Microsoft.Network/{kind}");
            let mut all = template["resources"].as_array().into_iter().flatten();
            let found = all.find(|resource| resource["type"] == kind.as_str()).cloned();
            found.ok_or_else(|| Failure::new(&format!("a resource of type {kind}"), &template))
        };
        let (site, connection) = (resource("localNetworkGateways")?, resource("connections")?);
        let certificates = &connection["properties"]["certificateAuthentication"];
        let chain = certificates["inboundAuthCertificateChain"].as_array().into_iter().flatten();
        // A .cer without its armour is what an importer takes one certificate from.
        let chain: Result<Vec<Vec<u8>>, Failure> =
            chain.map(|text| der(text.as_str().unwrap_or_default())).collect();
        let chain = chain?;
        ensure(!chain.is_empty(), "there is a chain", certificates)?;
        Ok(Gateway {
            network: call("network vnet create")?,
            gateway: call("network vnet-gateway create")?,
            deployment,
            site,
            connection,
            chain,
        })
    }

    /// strongSwan's settings for it, with what was imported into the key vault.
    pub fn settings(&self, pfx: &Path, password: &[u8], here: &str) -> Result<Settings, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new("the key vault's file", error);
        let bytes = std::fs::read(pfx).map_err(|error| failed(&error))?;
        let bundle = Bundle::read_with_secrets(&bytes, Some(password), "vault.pfx")
            .map_err(|error| failed(&error.fault))?;
        let (leaf, above) = bundle.certificates.split_first().ok_or_else(|| failed(&"empty"))?;
        let (_, secret) = bundle.keys_with_secrets().next().ok_or_else(|| failed(&"no key"))?;
        let credentials = Credentials {
            leaf: leaf.as_der().to_vec(),
            // Not its root: what this gateway trusts is what it was told to, and no more.
            chain: above
                .iter()
                .filter(|c| !c.is_self_issued())
                .map(|c| c.as_der().to_vec())
                .collect(),
            key: secret.expose().to_vec(),
            roots: self.chain.clone(),
            name: leaf.subject().common_name().unwrap_or_default().to_owned(),
            expects: text(&self.certificates()["inboundAuthCertificateSubjectName"])?.to_owned(),
        };
        Ok(Settings {
            here: here.to_owned(),
            there: text(&self.site["properties"]["gatewayIpAddress"])?.to_owned(),
            ike: self.suite(&["ikeEncryption", "ikeIntegrity", "dhGroup"])?,
            esp: self.suite(&["ipsecEncryption", "pfsGroup"])?,
            local_ts: self.network.all("address-prefixes")?.join(","),
            remote_ts: self.site_prefixes()?.join(","),
            ..Settings::new(&credentials)
        })
    }

    fn certificates(&self) -> &Json {
        &self.connection["properties"]["certificateAuthentication"]
    }

    fn site_prefixes(&self) -> Result<Vec<&str>, Failure> {
        let space = &self.site["properties"]["localNetworkAddressSpace"]["addressPrefixes"];
        space.as_array().into_iter().flatten().map(text).collect()
    }

    fn suite(&self, keys: &[&str]) -> Result<String, Failure> {
        let policy = &self.connection["properties"]["ipsecPolicies"][0];
        let words: Result<Vec<&str>, Failure> =
            keys.iter().map(|key| word(key, text(&policy[key])?)).collect();
        Ok(words?.join("-"))
    }

    /// What `az network ... show` prints of it, by the files that the stand-in for `az` reads.
    pub fn shown(&self, here: &str) -> Result<[(&'static str, Json); 4], Failure> {
        let id = |kind: &str, name: &str| json!({ "id": format!("/subscriptions/0/resourceGroups/rg1/providers/Microsoft.Network/{kind}/{name}") });
        let of = |call: &Call, kind: &str| -> Result<Json, Failure> {
            let mut object = id(kind, call.one("name")?);
            object["name"] = json!(call.one("name")?);
            object["type"] = json!(format!("Microsoft.Network/{kind}"));
            object["resourceGroup"] = json!(call.one("resource-group")?);
            Ok(object)
        };
        // What was deployed, with its properties beside the name, as `az` shows resources.
        let deployed = |resource: &Json, kind: &str| -> Result<Json, Failure> {
            let mut object = id(kind, text(&resource["name"])?);
            object["name"] = resource["name"].clone();
            object["type"] = resource["type"].clone();
            object["resourceGroup"] = json!(self.deployment.one("resource-group")?);
            for (key, value) in resource["properties"].as_object().into_iter().flatten() {
                object[key] = value.clone();
            }
            Ok(object)
        };
        let site = deployed(&self.site, "localNetworkGateways")?;
        let mut network = of(&self.network, "virtualNetworks")?;
        network["addressSpace"] =
            json!({ "addressPrefixes": self.network.all("address-prefixes")? });
        let mut gateway = of(&self.gateway, "virtualNetworkGateways")?;
        gateway["gatewayType"] = json!("Vpn");
        gateway["vpnType"] = json!(self.gateway.one("vpn-type")?);
        let subnet =
            format!("{}/subnets/GatewaySubnet", network["id"].as_str().unwrap_or_default());
        gateway["ipConfigurations"] = json!([{ "name": "default", "subnet": { "id": subnet } }]);
        gateway["bgpSettings"] =
            json!({ "bgpPeeringAddresses": [{ "tunnelIpAddresses": [here] }] });
        let mut connection = deployed(&self.connection, "connections")?;
        connection["virtualNetworkGateway1"] =
            id("virtualNetworkGateways", self.gateway.one("name")?);
        connection["localNetworkGateway2"] = id("localNetworkGateways", text(&self.site["name"])?);
        Ok([
            ("connection.json", connection),
            ("site.json", site),
            ("gateway.json", gateway),
            ("vnet.json", network),
        ])
    }
}

/// A text of the template.
fn text(value: &Json) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| Failure::new("a text", value))
}

/// One line of Base64.
fn der(text: &str) -> Result<Vec<u8>, Failure> {
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let bundle = Bundle::read(pem.as_bytes(), None, "inboundAuthCertificateChain")
        .map_err(|error| Failure::new("a certificate of the chain", error.fault))?;
    let first: Option<&Certificate> = bundle.certificates.first();
    first.map(|c| c.as_der().to_vec()).ok_or_else(|| Failure::new("a certificate", text))
}

/// strongSwan's word for Azure's: those of the page's policy.
fn word(key: &str, value: &str) -> Result<&'static str, Failure> {
    match (key, value) {
        ("ikeEncryption" | "ipsecEncryption", "GCMAES256") => Ok("aes256gcm16"),
        ("ikeIntegrity", "SHA384") => Ok("prfsha384"),
        ("dhGroup" | "pfsGroup", "ECP384") => Ok("ecp384"),
        _ => Err(Failure::new("the page has a policy that strongSwan has no word for here", value)),
    }
}

/// A call's options, each with its values.
#[derive(Debug)]
struct Call {
    words: String,
    options: BTreeMap<String, Vec<String>>,
}

impl Call {
    /// The one call with these words.
    fn only(calls: &[Vec<String>], words: &str) -> Result<Call, Failure> {
        let parsed = calls.iter().map(|arguments| Call::parse(arguments));
        let mut found: Vec<Call> = parsed.filter(|call| call.words == words).collect();
        let count = found.len();
        let only = found.pop().filter(|_| count == 1);
        only.ok_or_else(|| Failure::new(&format!("one call of az {words}"), count))
    }

    fn parse(arguments: &[String]) -> Call {
        let is_option = |argument: &&String| argument.starts_with("--");
        let words: Vec<&str> =
            arguments.iter().take_while(|a| !is_option(a)).map(String::as_str).collect();
        let mut call = Call { words: words.join(" "), options: BTreeMap::new() };
        let mut values: Option<&mut Vec<String>> = None;
        for argument in arguments {
            match argument.strip_prefix("--") {
                Some(option) => values = Some(call.options.entry(option.to_owned()).or_default()),
                None => values.iter_mut().for_each(|values| values.push(argument.clone())),
            }
        }
        call
    }

    fn all(&self, option: &str) -> Result<&[String], Failure> {
        let values = self.options.get(option).map(Vec::as_slice);
        values.ok_or_else(|| Failure::new(&format!("az {} --{option}", self.words), "missing"))
    }

    fn one(&self, option: &str) -> Result<&str, Failure> {
        match self.all(option)? {
            [value] => Ok(value),
            values => Err(Failure::new(&format!("one value of --{option}"), values.join(" "))),
        }
    }
}
