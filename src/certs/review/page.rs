//! A review as text.

use std::fmt;

use super::{CertificateReview, ChainRole, Review, ReviewFinding, ReviewVerdict};

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for certificate in &self.certificates {
            writeln!(f, "{certificate}")?;
        }
        writeln!(f, "together")?;
        self.chain.iter().try_for_each(|finding| write!(f, "{finding}"))?;
        if let Some(name) = &self.subject_name {
            writeln!(f, "\nthe subject name that Azure and s2sd ask for: {}", name.escape_debug())?;
        }
        let count = |verdict| self.findings().filter(|found| found.verdict == verdict).count();
        let many = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let (failed, warned) = (count(ReviewVerdict::Fail), count(ReviewVerdict::Warn));
        let certificates = many(self.certificates.len(), "certificate");
        write!(f, "{certificates}: {}, {}", many(failed, "failure"), many(warned, "warning"))
    }
}

impl fmt::Display for CertificateReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CertificateReview { role, subject, issuer, serial, thumbprint, .. } = self;
        writeln!(f, "{role} {subject}")?;
        if *role != ChainRole::Root {
            writeln!(f, "  issued by    {issuer}")?;
        }
        writeln!(
            f,
            "  valid        {} to {} ({} days left)",
            self.not_before, self.not_after, self.days_left
        )?;
        writeln!(f, "  serial       {serial}")?;
        writeln!(f, "  thumbprint   {thumbprint}")?;
        if !self.alt_names.is_empty() {
            writeln!(f, "  other names  {}", self.alt_names.join(", "))?;
        }
        self.findings.iter().try_for_each(|finding| write!(f, "{finding}"))
    }
}

impl fmt::Display for ReviewFinding {
    /// One line, and for what is not in order two more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReviewFinding { rule, verdict, found, remedy, azure_error } = self;
        writeln!(f, "  {verdict:<5}{rule:<20}{found}")?;
        if let Some(remedy) = remedy {
            writeln!(f, "       {:<20}mend: {remedy}", "")?;
        }
        if let Some(error) = azure_error {
            writeln!(f, "       {:<20}Azure: {error}", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for ReviewVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ReviewVerdict::Ok => "ok",
            ReviewVerdict::Warn => "warn",
            ReviewVerdict::Fail => "fail",
        })
    }
}

impl fmt::Display for ChainRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChainRole::Leaf => "leaf",
            ChainRole::Intermediate => "intermediate",
            ChainRole::Root => "root",
        })
    }
}
