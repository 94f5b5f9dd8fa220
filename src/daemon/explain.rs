//! What `s2sd explain` shows of a tunnel's last refusal: what each end offered, where the offers
//! differ first, the line to change in the configuration, and the command for Azure's side.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ike_status::TunnelRecord;
use crate::config::locate;
use crate::config::settings::Connection;
use crate::ike::diagnosis::refusal::Refusal;
use crate::ike::diagnosis::setting::Setting;
use crate::time::Now;

/// The last refusal of one tunnel, taken apart.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Explanation {
    /// The tunnel's name, as in the log.
    pub tunnel: String,
    /// How many seconds ago; null when nothing was refused since the service started.
    pub seconds: Option<u64>,
    /// A code that does not change between versions.
    pub reason: Option<String>,
    /// What happened, in a sentence.
    pub text: String,
    /// In which exchange.
    #[serde(default)]
    pub step: Option<String>,
    /// Who refused: `we` or `the peer`.
    #[serde(default)]
    pub by: Option<String>,
    /// Which certificate, which rule: what the sentence rests on.
    #[serde(default)]
    pub detail: Option<String>,
    /// What we offered, or allow.
    pub ours: Vec<String>,
    /// What they offered; empty when they did not say.
    pub theirs: Vec<String>,
    /// Where the two differ first.
    pub difference: Option<String>,
    /// What would mend it.
    pub remedy: Option<String>,
    /// The place in the configuration to look at: `file:line: key = value`.
    pub line: Option<String>,
    /// The command that shows or changes the same at Azure.
    pub az: Option<String>,
    /// Under which numbers Azure logs it.
    pub azure_errors: Vec<String>,
}

/// Explains a tunnel's last refusal. `file` is the name and the text of the configuration file.
pub fn explain(
    record: &TunnelRecord,
    connection: &Connection,
    file: Option<(&str, &str)>,
    now: Now,
) -> Explanation {
    let tunnel = record.name.clone();
    let Some(last) = &record.last_refusal else {
        let text = match &record.problem {
            Some(problem) => problem.to_string(),
            None => {
                format!("{}: nothing was refused since the service started", record.state.word())
            }
        };
        return Explanation { tunnel, text, ..Explanation::nothing() };
    };
    let setting = last.refusal.setting();
    Explanation {
        tunnel,
        seconds: Some(now.mono.since(last.at.mono).as_secs()),
        line: setting.and_then(|setting| {
            let (file, text) = file?;
            locate::place(file, text, connection.name.as_str(), setting.key())
        }),
        az: setting.map(|setting| az(setting, connection)),
        ..Explanation::of(&last.refusal)
    }
}

impl Explanation {
    /// What a refusal says by itself.
    pub(crate) fn of(refusal: &Refusal) -> Explanation {
        Explanation {
            reason: Some(refusal.reason.code().to_owned()),
            text: refusal.sentence(),
            step: Some(refusal.step.to_string()),
            by: Some(refusal.by.to_string()),
            detail: refusal.detail.clone(),
            ours: refusal.ours.clone(),
            theirs: refusal.theirs.clone(),
            difference: refusal.difference.as_ref().map(ToString::to_string),
            remedy: refusal.remedy(),
            azure_errors: refusal.reason.azure().iter().map(ToString::to_string).collect(),
            ..Explanation::nothing()
        }
    }

    fn nothing() -> Explanation {
        Explanation {
            tunnel: String::new(),
            seconds: None,
            reason: None,
            text: String::new(),
            step: None,
            by: None,
            detail: None,
            ours: Vec::new(),
            theirs: Vec::new(),
            difference: None,
            remedy: None,
            line: None,
            az: None,
            azure_errors: Vec::new(),
        }
    }
}

/// The command that shows a setting at Azure. RG stands for the resource group, which only Azure
/// knows.
fn az(setting: Setting, connection: &Connection) -> String {
    let name = connection.name.as_str();
    let gateway = connection.virtual_network_gateway.name.as_str();
    match setting {
        Setting::IkeEncryption
        | Setting::IkeIntegrity
        | Setting::DhGroup
        | Setting::IpsecEncryption
        | Setting::IpsecIntegrity
        | Setting::PfsGroup
        | Setting::IpsecPolicy => {
            format!(
                "az network vpn-connection ipsec-policy list -g RG --connection-name {name} -o table"
            )
        }
        Setting::TrafficSelectors => format!(
            "az network vpn-connection show -g RG -n {name} --query \
             \"{{pbts:usePolicyBasedTrafficSelectors,ranges:trafficSelectorPolicies}}\""
        ),
        Setting::ConnectionMode => {
            format!("az network vpn-connection show -g RG -n {name} --query connectionMode")
        }
        Setting::DpdTimeout => {
            format!("az network vpn-connection show -g RG -n {name} --query dpdTimeoutSeconds")
        }
        Setting::PublicIpAddresses => format!(
            "az network vnet-gateway show -g RG -n {gateway} --query \
             \"bgpSettings.bgpPeeringAddresses[].tunnelIpAddresses\""
        ),
        Setting::InboundCertificate
        | Setting::OutboundCertificateRoots
        | Setting::OutboundCertificateSubjectName
        | Setting::RemoteIdentity => {
            format!(
                "az network vpn-connection show -g RG -n {name} --query certificateAuthentication"
            )
        }
    }
}
