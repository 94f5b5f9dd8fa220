//! The checks: pure functions from facts to findings. Each file checks one part of the path and
//! returns its findings in order.
//!
//! | file | what it checks |
//! |---|---|
//! | [`host`] | configuration, certificates, clock, service, addresses, forwarding |
//! | [`reachability`] | route, UDP ports, IKE proposal, NAT traversal, IKE fragmentation |
//! | [`authentication`] | IKE_AUTH, ESP proposal, traffic selectors, rekeying |
//! | [`traffic`] | MTU, packets through the tunnel |

pub(crate) mod authentication;
pub(crate) mod host;
pub(crate) mod reachability;
pub(crate) mod traffic;

#[cfg(test)]
mod tests;

use super::az::AzCommands;
use super::facts::{DoctorTunnelFacts, Facts};
use super::finding::{Check, Diagnosis, DoctorFinding, DoctorVerdict};
use crate::config::settings::{Connection, Site};

/// One tunnel to check, with its connection.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// All facts.
    pub facts: &'a Facts,
    /// This site.
    pub site: &'a Site,
    /// The connection.
    pub connection: &'a Connection,
    /// The tunnel.
    pub tunnel: &'a DoctorTunnelFacts,
}

impl<'a> Case<'a> {
    /// The commands for Azure's side of the connection.
    pub fn az(&self) -> AzCommands<'a> {
        AzCommands { site: self.site, connection: self.connection }
    }
}

/// Runs all checks.
pub fn diagnose(facts: &Facts) -> Diagnosis {
    let mut findings = host::findings(facts);
    if let Some((site, connection)) = &facts.settings {
        for tunnel in &facts.tunnels {
            let case = Case { facts, site, connection, tunnel };
            let several = facts.tunnels.len() > 1;
            findings.extend(of_tunnel(&case).into_iter().map(|mut finding| {
                finding.tunnel = several.then(|| tunnel.name.clone());
                finding
            }));
        }
    }
    Diagnosis::new(facts.connection.clone(), findings)
}

fn of_tunnel(case: &Case<'_>) -> Vec<DoctorFinding> {
    let mut findings = reachability::findings(case);
    let fails = |findings: &[DoctorFinding]| {
        findings.iter().find(|f| f.verdict == DoctorVerdict::Fail).map(|f| f.check)
    };
    findings.extend(match fails(&findings) {
        // A tunnel that is up works in spite of the earlier failure, so the later checks run.
        Some(check) if !case.tunnel.is_up() => vec![not_reached(Check::Authentication, check)],
        _ => authentication::findings(case),
    });
    findings.extend(match fails(&findings) {
        Some(check) if !case.tunnel.is_up() => vec![not_reached(Check::Mtu, check)],
        _ => traffic::findings(case),
    });
    findings
}

/// A check that is skipped because an earlier one failed: it would only repeat that failure.
fn not_reached(check: Check, failed: Check) -> DoctorFinding {
    DoctorFinding::skip(check, format!("not reached: see {}", failed.name()))
}
