//! The doctor's result: one line for each check, with what was observed and a remedy.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// The result of a check.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DoctorVerdict {
    /// The check passed.
    Ok,
    /// The check could not run.
    Skip,
    /// The tunnel works or may work, but something needs attention.
    Warn,
    /// The tunnel does not work because of this.
    Fail,
}

/// What a check is about, in the order in which a packet can fail.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The configuration file.
    Configuration,
    /// The certificates and private keys.
    Certificates,
    /// This host's clock.
    Clock,
    /// Whether the service runs, and whether it reports a problem.
    Service,
    /// The addresses of both sides.
    Addresses,
    /// Whether this host forwards the packets of the networks behind it.
    Forwarding,
    /// The route to the gateway.
    Route,
    /// UDP port 500: IKE.
    Udp500,
    /// UDP port 4500: IKE and ESP with NAT traversal.
    Udp4500,
    /// The proposal for the IKE SA.
    Proposal,
    /// NAT on the path.
    Nat,
    /// IKE fragmentation (RFC 7383).
    Fragmentation,
    /// The certificates and identities of both ends in IKE_AUTH.
    Authentication,
    /// The proposal for the Child SA (ESP).
    ChildProposal,
    /// The traffic selectors.
    Selectors,
    /// Rekeying a Child SA, with its perfect forward secrecy.
    ForwardSecrecy,
    /// The path MTU and the tunnel's MTU.
    Mtu,
    /// Packets through the tunnel, in both directions.
    Packets,
}

/// The result of one check.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct DoctorFinding {
    /// What the check is about.
    pub check: Check,
    /// The tunnel; absent when the check concerns all tunnels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<String>,
    /// The result of the check.
    pub verdict: DoctorVerdict,
    /// What was observed.
    pub seen: String,
    /// What to do on this side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The command that shows or changes Azure's side. RG stands for the resource group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub az: Option<String>,
}

/// The results of all checks of one connection.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The version of this document. Within one version fields are added, never renamed or
    /// removed.
    pub version: u32,
    /// The connection's name.
    pub connection: String,
    /// The worst result of all checks.
    pub verdict: DoctorVerdict,
    /// The results of the checks, in the order in which a packet can fail.
    pub findings: Vec<DoctorFinding>,
}

impl Check {
    /// The name of the check in the doctor's output.
    pub fn name(self) -> &'static str {
        match self {
            Check::Configuration => "configuration",
            Check::Certificates => "certificates",
            Check::Clock => "clock",
            Check::Service => "service",
            Check::Addresses => "addresses",
            Check::Forwarding => "forwarding",
            Check::Route => "route",
            Check::Udp500 => "UDP 500",
            Check::Udp4500 => "UDP 4500",
            Check::Proposal => "IKE proposal",
            Check::Nat => "NAT",
            Check::Fragmentation => "fragmentation",
            Check::Authentication => "authentication",
            Check::ChildProposal => "ESP proposal",
            Check::Selectors => "selectors",
            Check::ForwardSecrecy => "rekeying",
            Check::Mtu => "MTU",
            Check::Packets => "packets",
        }
    }
}

impl DoctorFinding {
    /// A check that passed.
    pub fn ok(check: Check, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, DoctorVerdict::Ok, seen)
    }

    /// A check that could not run, with the reason.
    pub fn skip(check: Check, why: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, DoctorVerdict::Skip, why)
    }

    /// A check that found something that needs attention.
    pub fn warn(check: Check, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, DoctorVerdict::Warn, seen)
    }

    /// A check that failed.
    pub fn fail(check: Check, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, DoctorVerdict::Fail, seen)
    }

    /// Adds what to do on this side.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> DoctorFinding {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the command for Azure's side.
    #[must_use]
    pub fn at_azure(mut self, command: impl Into<String>) -> DoctorFinding {
        self.az = Some(command.into());
        self
    }

    fn new(check: Check, verdict: DoctorVerdict, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding { check, tunnel: None, verdict, seen: seen.into(), remedy: None, az: None }
    }
}

impl Diagnosis {
    /// The current version of the document.
    pub const VERSION: u32 = 1;

    /// A diagnosis of these results.
    pub fn new(connection: impl Into<String>, findings: Vec<DoctorFinding>) -> Diagnosis {
        let verdict = findings.iter().map(|finding| finding.verdict).max();
        Diagnosis {
            version: Diagnosis::VERSION,
            connection: connection.into(),
            // A skipped check says nothing about the connection.
            verdict: verdict
                .filter(|verdict| *verdict != DoctorVerdict::Skip)
                .unwrap_or(DoctorVerdict::Ok),
            findings,
        }
    }

    /// The first check that failed.
    pub fn first_failure(&self) -> Option<&DoctorFinding> {
        self.findings.iter().find(|finding| finding.verdict == DoctorVerdict::Fail)
    }
}

impl fmt::Display for DoctorVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DoctorVerdict::Ok => "ok",
            DoctorVerdict::Skip => "-",
            DoctorVerdict::Warn => "warn",
            DoctorVerdict::Fail => "FAIL",
        })
    }
}

impl fmt::Display for DoctorFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4} {:<14} ", self.verdict, self.check.name())?;
        if let Some(tunnel) = &self.tunnel {
            write!(f, "{tunnel}: ")?;
        }
        f.write_str(&self.seen)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n{:19} remedy:   {remedy}", "")?;
        }
        if let Some(az) = &self.az {
            write!(f, "\n{:19} at Azure: {az}", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        match self.first_failure() {
            Some(finding) => write!(
                f,
                "\n{}: fix this first: {}: {}",
                self.connection,
                finding.check.name(),
                finding.seen
            ),
            None if self.verdict == DoctorVerdict::Warn => {
                write!(f, "\n{}: no check failed; see the warnings", self.connection)
            }
            None => write!(f, "\n{}: all checks passed", self.connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_counts_and_the_first_failure_is_named() {
        let ok = || DoctorFinding::ok(Check::Clock, "right");
        let skip = || DoctorFinding::skip(Check::Mtu, "not looked at");
        let warn = || DoctorFinding::warn(Check::Nat, "translated");
        let fail =
            || DoctorFinding::fail(Check::Udp500, "silent").remedy("open it").at_azure("az x");
        for (findings, verdict) in [
            (vec![ok()], DoctorVerdict::Ok),
            (vec![ok(), skip()], DoctorVerdict::Ok),
            (vec![ok(), warn(), skip()], DoctorVerdict::Warn),
            (vec![ok(), warn(), fail(), ok()], DoctorVerdict::Fail),
        ] {
            assert_eq!(Diagnosis::new("c", findings).verdict, verdict);
        }
        let later = DoctorFinding::fail(Check::Mtu, "small");
        let diagnosis = Diagnosis::new("c", vec![warn(), fail(), later]);
        assert_eq!(diagnosis.first_failure(), Some(&fail()));
        let text = diagnosis.to_string();
        assert!(text.contains("FAIL UDP 500        silent\n"), "{text}");
        assert!(text.contains("remedy:   open it\n") && text.contains("at Azure: az x\n"));
        assert!(text.ends_with("c: fix this first: UDP 500: silent"));
    }
}
