//! What the doctor says: one line a check, with what was seen and what to do about it.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingVerdict {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Skip,
    /// It works, or may work, and someone wants to know.
    Warn,
    /// It does not work.
    Fail,
}

/// What was looked at, in the order in which a packet meets trouble.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The configuration file.
    Configuration,
    /// The files with certificates and keys.
    Certificates,
    /// This host's clock.
    Clock,
    /// Whether the service runs, and what is in its way.
    Service,
    /// Addresses on both sides.
    Addresses,
    /// The way to the gateway.
    Route,
    /// IKE's port.
    Udp500,
    /// The port of IKE and ESP behind NAT.
    Udp4500,
    /// The suite of the IKE SA.
    Proposal,
    /// Translated addresses.
    Nat,
    /// IKE messages in fragments.
    Fragmentation,
    /// Who the ends are to each other.
    Authentication,
    /// The suite of the packets.
    ChildProposal,
    /// What may pass.
    Selectors,
    /// New keys for packets, and the key exchange for them.
    ForwardSecrecy,
    /// The largest packet.
    Mtu,
    /// Packets in both directions.
    Packets,
}

/// One line.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct DoctorFinding {
    /// What was looked at.
    pub check: Check,
    /// Of which tunnel; absent when it concerns all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<String>,
    /// How it is.
    pub verdict: FindingVerdict,
    /// What was seen.
    pub seen: String,
    /// What to do on this side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The command for Azure's side. RG stands for the resource group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub az: Option<String>,
}

/// All lines about one connection.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The version of this document; fields are added, never renamed or taken away, as long as it
    /// stays.
    pub version: u32,
    /// The connection.
    pub connection: String,
    /// The gravest verdict.
    pub verdict: FindingVerdict,
    /// The lines, in the order in which a packet meets trouble.
    pub findings: Vec<DoctorFinding>,
}

impl Check {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Check::Configuration => "configuration",
            Check::Certificates => "certificates",
            Check::Clock => "clock",
            Check::Service => "service",
            Check::Addresses => "addresses",
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
    /// All is well.
    pub fn ok(check: Check, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, FindingVerdict::Ok, seen)
    }

    /// It could not be looked at, for this reason.
    pub fn skip(check: Check, why: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, FindingVerdict::Skip, why)
    }

    /// Someone wants to know.
    pub fn warn(check: Check, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, FindingVerdict::Warn, seen)
    }

    /// It does not work.
    pub fn fail(check: Check, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding::new(check, FindingVerdict::Fail, seen)
    }

    /// With what to do here.
    #[must_use]
    pub fn mend(mut self, remedy: impl Into<String>) -> DoctorFinding {
        self.remedy = Some(remedy.into());
        self
    }

    /// With the command for Azure's side.
    #[must_use]
    pub fn at_azure(mut self, command: impl Into<String>) -> DoctorFinding {
        self.az = Some(command.into());
        self
    }

    fn new(check: Check, verdict: FindingVerdict, seen: impl Into<String>) -> DoctorFinding {
        DoctorFinding { check, tunnel: None, verdict, seen: seen.into(), remedy: None, az: None }
    }
}

impl Diagnosis {
    /// The version of the document.
    pub const VERSION: u32 = 1;

    /// Of these lines.
    pub fn new(connection: impl Into<String>, findings: Vec<DoctorFinding>) -> Diagnosis {
        let verdict = findings.iter().map(|finding| finding.verdict).max();
        Diagnosis {
            version: Diagnosis::VERSION,
            connection: connection.into(),
            // What could not be looked at is no finding.
            verdict: verdict
                .filter(|verdict| *verdict != FindingVerdict::Skip)
                .unwrap_or(FindingVerdict::Ok),
            findings,
        }
    }

    /// The first line that says what does not work.
    pub fn first_failure(&self) -> Option<&DoctorFinding> {
        self.findings.iter().find(|finding| finding.verdict == FindingVerdict::Fail)
    }
}

impl fmt::Display for FindingVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FindingVerdict::Ok => "ok",
            FindingVerdict::Skip => "-",
            FindingVerdict::Warn => "warn",
            FindingVerdict::Fail => "FAIL",
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
            write!(f, "\n{:19} to mend it: {remedy}", "")?;
        }
        if let Some(az) = &self.az {
            write!(f, "\n{:19} at Azure:   {az}", "")?;
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
                "\n{}: mend this first: {}: {}",
                self.connection,
                finding.check.name(),
                finding.seen
            ),
            None if self.verdict == FindingVerdict::Warn => {
                write!(f, "\n{}: nothing fails; see the warnings", self.connection)
            }
            None => write!(f, "\n{}: nothing is wrong", self.connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_counts_and_the_first_failure_is_named() {
        let ok = || DoctorFinding::ok(Check::Clock, "right");
        let skip = || DoctorFinding::skip(Check::Mtu, "not looked at");
        let warn = || DoctorFinding::warn(Check::Nat, "translated");
        let fail = || DoctorFinding::fail(Check::Udp500, "silent").mend("open it").at_azure("az x");
        for (findings, verdict) in [
            (vec![ok()], FindingVerdict::Ok),
            (vec![ok(), skip()], FindingVerdict::Ok),
            (vec![ok(), warn(), skip()], FindingVerdict::Warn),
            (vec![ok(), warn(), fail(), ok()], FindingVerdict::Fail),
        ] {
            assert_eq!(Diagnosis::new("c", findings).verdict, verdict);
        }
        let later = DoctorFinding::fail(Check::Mtu, "small");
        let diagnosis = Diagnosis::new("c", vec![warn(), fail(), later]);
        assert_eq!(diagnosis.first_failure(), Some(&fail()));
        let text = diagnosis.to_string();
        assert!(text.contains("FAIL UDP 500        silent\n"), "{text}");
        assert!(text.contains("to mend it: open it\n") && text.contains("at Azure:   az x\n"));
        assert!(text.ends_with("c: mend this first: UDP 500: silent"));
    }
}
