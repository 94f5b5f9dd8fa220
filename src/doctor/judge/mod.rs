//! What the facts mean. Pure functions, one file a stretch of the way; each gives its lines in
//! order.
//!
//! | file | stretch |
//! |---|---|
//! | [`host`] | configuration, certificates, clock, service, addresses |
//! | [`reach`] | route, ports, proposal, NAT, fragmentation |
//! | [`proof`] | authentication, ESP proposal, selectors, rekeying |
//! | [`traffic`] | MTU, packets |

pub mod host;
pub mod proof;
pub mod reach;
pub mod traffic;

#[cfg(test)]
mod tests;

use super::az::Az;
use super::facts::{DoctorTunnelFacts, Facts};
use super::finding::{Check, Diagnosis, DoctorFinding, FindingVerdict};
use crate::config::settings::{Connection, Site};

/// One tunnel with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// All that was seen.
    pub facts: &'a Facts,
    /// This site.
    pub site: &'a Site,
    /// The connection.
    pub connection: &'a Connection,
    /// The tunnel.
    pub tunnel: &'a DoctorTunnelFacts,
}

impl<'a> Case<'a> {
    /// The commands for its Azure side.
    pub fn az(&self) -> Az<'a> {
        Az { site: self.site, connection: self.connection }
    }
}

/// Judges all of it.
pub fn judge(facts: &Facts) -> Diagnosis {
    let mut findings = host::judge(facts);
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
    let mut findings = reach::judge(case);
    let fails = |findings: &[DoctorFinding]| {
        findings.iter().find(|f| f.verdict == FindingVerdict::Fail).map(|f| f.check)
    };
    findings.extend(match fails(&findings) {
        // A tunnel that is up has passed all that was found before: then the later checks still
        // count.
        Some(check) if !case.tunnel.is_up() => vec![not_reached(Check::Authentication, check)],
        _ => proof::judge(case),
    });
    findings.extend(match fails(&findings) {
        Some(check) if !case.tunnel.is_up() => vec![not_reached(Check::Mtu, check)],
        _ => traffic::judge(case),
    });
    findings
}

/// What comes after a failure is not looked at: it would only repeat it.
fn not_reached(check: Check, failed: Check) -> DoctorFinding {
    DoctorFinding::skip(check, format!("not reached: see {}", failed.name()))
}
