//! Azure's side as a tree of resources, from which each template language is generated.

use std::fmt::{Display, Write};

use super::side::{self, AzureSide, ExportConnection, ExportSite};
use crate::config::value::Host;

/// The API version of Microsoft.Network: the first one published with `certificateAuthentication`
/// in its template reference.
pub(crate) const API_VERSION: &str = "2025-07-01";

/// The resources to create, and the parameters that the operator must fill in.
#[derive(Clone, Debug)]
pub struct Template {
    /// The comment lines at the beginning of each output.
    pub(crate) about: [String; 5],
    /// The region, if known.
    pub(crate) location: Option<String>,
    /// The parameters for unknown values.
    pub(crate) parameters: Vec<Parameter>,
    /// The virtual network gateways, which exist already.
    pub(crate) gateways: Vec<ResourceId>,
    /// The resources to create, the local network gateway first.
    pub(crate) resources: Vec<Resource>,
}

/// A value that the operator must fill in.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// The name of the parameter.
    pub(crate) name: String,
    /// Whether the value is a list of strings, and not one string.
    pub(crate) list: bool,
    /// The description of the parameter.
    pub(crate) about: &'static str,
}

/// A resource to create.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// The type and name of the resource.
    pub(crate) id: ResourceId,
    /// The properties of the resource.
    pub(crate) properties: TemplateValue,
}

/// The type and name of a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ResourceId {
    /// The type below Microsoft.Network.
    pub(crate) kind: &'static str,
    /// The name in Azure.
    pub(crate) name: String,
    /// The symbolic name in the template.
    pub(crate) symbol: String,
}

/// A value of a property.
#[derive(Clone, Debug)]
pub(crate) enum TemplateValue {
    /// A string value.
    Text(String),
    /// A number value.
    Number(u64),
    /// True or false.
    Flag(bool),
    /// A list of values.
    List(Vec<TemplateValue>),
    /// Properties, in the order in which they are written.
    Object(Vec<(&'static str, TemplateValue)>),
    /// The value of the parameter with this name.
    Parameter(String),
    /// The id of a resource.
    Id(ResourceId),
}

/// The syntax of a template language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    /// Writes a key with its separator.
    pub(crate) key: fn(&str) -> String,
    /// The separator of the properties of an object.
    pub(crate) between_keys: &'static str,
    /// The separator of the items of a list.
    pub(crate) between_items: &'static str,
    /// Writes a string.
    pub(crate) text: fn(&str) -> String,
    /// Writes the value of a parameter.
    pub(crate) parameter: fn(&str) -> String,
    /// Writes the id of a resource.
    pub(crate) id: fn(&ResourceId) -> String,
}

impl Template {
    /// Azure's side as a tree.
    pub fn of(side: &AzureSide) -> Template {
        let site = ResourceId {
            kind: "localNetworkGateways",
            name: side.site.name.clone(),
            symbol: "localNetworkGateway".to_owned(),
        };
        let names = side.gateways();
        let symbol = |word: &str, at: usize, many: usize| match many {
            1 => word.to_owned(),
            _ => format!("{word}{}", at + 1),
        };
        let gateway = |(at, name): (usize, &&str)| ResourceId {
            kind: "virtualNetworkGateways",
            name: (*name).to_owned(),
            symbol: symbol("virtualNetworkGateway", at, names.len()),
        };
        let gateways: Vec<ResourceId> = names.iter().enumerate().map(gateway).collect();
        let mut parameters = Vec::new();
        let mut resources =
            vec![Resource { id: site.clone(), properties: site_properties(&side.site) }];
        let many = side.links.len();
        for (at, link) in side.links.iter().enumerate() {
            let id = ResourceId {
                kind: "connections",
                name: link.name.clone(),
                symbol: symbol("connection", at, many),
            };
            let number = if many == 1 { String::new() } else { (at + 1).to_string() };
            let certificates = certificates(link, &number, &mut parameters);
            let gateway = gateways.iter().find(|id| id.name == link.gateway);
            let ends = [gateway.unwrap_or(&site), &site];
            resources.push(Resource { id, properties: link_properties(link, ends, certificates) });
        }
        let (about, location) = (side.about(), side.location.clone());
        Template { about, location, parameters, gateways, resources }
    }
}

fn site_properties(site: &ExportSite) -> TemplateValue {
    let host = match &site.host {
        Host::Address(address) => ("gatewayIpAddress", TemplateValue::text(address)),
        Host::Name(name) => ("fqdn", TemplateValue::text(name)),
    };
    let space =
        TemplateValue::Object(vec![("addressPrefixes", TemplateValue::texts(&site.prefixes))]);
    TemplateValue::Object(vec![host, ("localNetworkAddressSpace", space)])
}

/// The properties of a connection between a gateway and a site.
fn link_properties(
    link: &ExportConnection,
    [gateway, site]: [&ResourceId; 2],
    certificates: TemplateValue,
) -> TemplateValue {
    // Bicep's types require `properties`, although Azure uses the id only.
    let end = |id: &ResourceId| {
        TemplateValue::Object(vec![
            ("id", TemplateValue::Id(id.clone())),
            ("properties", TemplateValue::Object(Vec::new())),
        ])
    };
    TemplateValue::Object(vec![
        ("virtualNetworkGateway1", end(gateway)),
        ("localNetworkGateway2", end(site)),
        ("connectionType", TemplateValue::text("IPsec")),
        ("connectionProtocol", TemplateValue::text("IKEv2")),
        ("connectionMode", TemplateValue::text(link.mode)),
        ("authenticationType", TemplateValue::text("Certificate")),
        ("certificateAuthentication", certificates),
        ("dpdTimeoutSeconds", TemplateValue::Number(link.dpd)),
        ("useLocalAzureIpAddress", TemplateValue::Flag(link.private)),
        ("ipsecPolicies", policies(link)),
        ("usePolicyBasedTrafficSelectors", TemplateValue::Flag(link.narrow)),
        ("trafficSelectorPolicies", selectors(link)),
    ])
}

/// A connection's `certificateAuthentication`; an unknown value becomes a parameter.
pub(crate) fn certificates(
    link: &ExportConnection,
    number: &str,
    parameters: &mut Vec<Parameter>,
) -> TemplateValue {
    let mut known = |value: Option<TemplateValue>, name: &str, list: bool, about: &'static str| {
        value.unwrap_or_else(|| {
            let name = format!("{name}{number}");
            parameters.push(Parameter { name: name.clone(), list, about });
            TemplateValue::Parameter(name)
        })
    };
    let inbound = &link.inbound;
    TemplateValue::Object(vec![
        (
            "outboundAuthCertificate",
            known(
                link.outbound.as_ref().map(TemplateValue::text),
                "outboundCertificateUrl",
                false,
                "The certificate identifier of Azure's certificate in Key Vault: https://VAULT.vault.azure.net/certificates/NAME/VERSION",
            ),
        ),
        (
            "inboundAuthCertificateSubjectName",
            known(
                inbound.subject.as_ref().map(TemplateValue::text),
                "inboundCertificateSubjectName",
                false,
                "The common name of this site's certificate, without CN=",
            ),
        ),
        (
            "inboundAuthCertificateChain",
            known(
                inbound.chain.as_ref().map(|chain| TemplateValue::texts(chain)),
                "inboundCertificateChain",
                true,
                "The root of this site's certificate, then its intermediates, each as one line of base64 without BEGIN and END",
            ),
        ),
    ])
}

fn policies(link: &ExportConnection) -> TemplateValue {
    let Some(policy) = &link.policy else { return TemplateValue::List(Vec::new()) };
    let mut properties = vec![
        ("saLifeTimeSeconds", TemplateValue::Number(policy.life_time.as_secs())),
        ("saDataSizeKilobytes", TemplateValue::Number(policy.kilobytes)),
    ];
    properties
        .extend(side::choices(policy).map(|(name, value)| (name, TemplateValue::text(value))));
    TemplateValue::List(vec![TemplateValue::Object(properties)])
}

/// A connection's `trafficSelectorPolicies`, in which "local" is Azure.
pub(crate) fn selectors(link: &ExportConnection) -> TemplateValue {
    let policies = link.selectors.iter().map(|pair| {
        TemplateValue::Object(vec![
            ("localAddressRanges", TemplateValue::texts(&pair.remote)),
            ("remoteAddressRanges", TemplateValue::texts(&pair.local)),
        ])
    });
    TemplateValue::List(policies.collect())
}

impl TemplateValue {
    /// A string value.
    pub(crate) fn text(text: impl Display) -> TemplateValue {
        TemplateValue::Text(text.to_string())
    }

    /// A list of strings.
    pub(crate) fn texts<T: Display>(texts: &[T]) -> TemplateValue {
        TemplateValue::List(texts.iter().map(TemplateValue::text).collect())
    }

    /// Writes the value on several lines, the first of which continues the current line.
    pub(crate) fn write(&self, syntax: &Syntax, indent: usize, out: &mut String) {
        match self {
            TemplateValue::Text(text) => out.push_str(&(syntax.text)(text)),
            TemplateValue::Number(number) => out.push_str(&number.to_string()),
            TemplateValue::Flag(flag) => out.push_str(&flag.to_string()),
            TemplateValue::Parameter(name) => out.push_str(&(syntax.parameter)(name)),
            TemplateValue::Id(id) => out.push_str(&(syntax.id)(id)),
            TemplateValue::List(items) => {
                let items = items.iter().map(|item| (String::new(), item));
                lines(["[", "]"], items, syntax.between_items, syntax, indent, out);
            }
            TemplateValue::Object(properties) => {
                let properties = properties.iter().map(|(key, value)| ((syntax.key)(key), value));
                lines(["{", "}"], properties, syntax.between_keys, syntax, indent, out);
            }
        }
    }
}

fn lines<'a>(
    brackets: [&str; 2],
    items: impl ExactSizeIterator<Item = (String, &'a TemplateValue)>,
    between: &str,
    syntax: &Syntax,
    indent: usize,
    out: &mut String,
) {
    let [open, close] = brackets;
    let last = items.len();
    out.push_str(open);
    for (at, (key, value)) in items.enumerate() {
        let inner = indent + 2;
        write!(out, "\n{:inner$}{key}", "").expect("a string takes all");
        value.write(syntax, inner, out);
        if at + 1 < last {
            out.push_str(between);
        }
    }
    if last > 0 {
        write!(out, "\n{:indent$}", "").expect("a string takes all");
    }
    out.push_str(close);
}
