//! [`CrlWatch`]: revocation lists that are replaced while the service runs. An authority publishes
//! a new list long before the next reload, so the service reads the files again by itself.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::files::{self, System};
use super::service::Service;
use crate::config::credentials::read_crls;
use crate::config::diff::shown_lists;
use crate::config::value::FileRef;
use crate::pki::crl::Crl;
use crate::time::{Instant, Now, UnixTime};

/// How long before the date of a list's next update the service reads the file each [`PAUSE`],
/// whatever the file's dates say.
const BEFORE: Duration = Duration::from_secs(3600);
/// The pause between two such reads.
const PAUSE: Duration = Duration::from_secs(60);

/// What the service knows of the CRL files of one connection.
#[derive(Debug, Default)]
pub(super) struct CrlWatch {
    /// The files as they were when they were read last; nothing before the first look, so that a
    /// file that was replaced while the service started is read again.
    read: Option<Vec<Stamp>>,
    /// The files at the last look, if they differ from those that were read.
    changing: Option<Vec<Stamp>>,
    read_at: Option<Instant>,
    /// Whether the operator was told that a list is due.
    is_told: bool,
}

/// What tells two contents of one file apart without reading the file; `None` without a file.
type Stamp = Option<[i64; 6]>;

impl CrlWatch {
    /// Whether the files have to be read: they have changed and stood still from one look to the
    /// next, so that no half-written file is read.
    fn is_due(&mut self, now: Stamps, at: Instant, is_ending: bool) -> bool {
        let again = self.read_at.is_none_or(|read| at.since(read) >= PAUSE);
        let has_settled = self.changing.as_ref() == Some(&now);
        let has_changed = self.read.as_ref() != Some(&now);
        self.changing = has_changed.then(|| now.clone());
        let due = (has_changed && has_settled) || (!has_changed && is_ending && again);
        if due {
            (self.read, self.changing, self.read_at) = (Some(now), None, Some(at));
        }
        due
    }
}

/// One stamp for each file.
type Stamps = Vec<Stamp>;

fn stamps(names: &[FileRef]) -> Stamps {
    let stamp = |about: Metadata| {
        let (inode, size) = (about.ino().cast_signed(), about.size().cast_signed());
        [inode, size, about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()]
    };
    let of = |name| files::path(name).and_then(std::fs::metadata).ok().map(stamp);
    names.iter().map(of).collect()
}

/// The first date at which one of these lists is due to be renewed.
fn next_update(crls: &[Crl]) -> Option<UnixTime> {
    crls.iter().map(Crl::next_update).min()
}

impl Service {
    /// Looks at the CRL files of all connections, reads those that changed, and has the engine use
    /// the new lists. A file that cannot be used changes nothing.
    pub(super) fn check_crls(&mut self, now: Now) {
        for at in 0..self.connections.len() {
            self.check_crls_of(at, now);
        }
    }

    fn check_crls_of(&mut self, at: usize, now: Now) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        let names = &connection.settings.certificate_authentication.crls;
        let own = connection.peers.first().and_then(|peer| peer.credentials.clone().ok());
        let Some(own) = own.filter(|_| !names.is_empty()) else { return };
        let name = connection.settings.name.as_str();
        let due = next_update(&own.trust.crls);
        let due = due.filter(|due| due.0 <= now.unix.0.saturating_add(BEFORE.as_secs()));
        if !connection.crls.is_due(stamps(names), now.mono, due.is_some()) {
            return;
        }
        let crls = match read_crls(&System, names) {
            Ok(crls) if crls != own.trust.crls => crls,
            Ok(_) => {
                if let Some(due) = due.filter(|_| !connection.crls.is_told) {
                    connection.crls.is_told = true;
                    warn!(
                        connection = name,
                        "a revocation list is due to be renewed on {due}: after that, gateways with a certificate of its issuer are refused; put the new list into the file of `crls`"
                    );
                }
                return;
            }
            Err(why) => {
                error!(connection = name, "the revocation lists stay the former ones: {why}");
                return;
            }
        };
        connection.crls.is_told = false;
        let (was, is) = (shown_lists(&own.trust.crls), shown_lists(&crls));
        info!(connection = name, "the files of `crls` changed and are used: {was} -> {is}");
        let facts = self.report.connections.iter_mut().find(|facts| facts.name == name);
        if let Some(facts) = facts {
            (facts.credentials.crls, facts.credentials.lists) = (crls.len(), crls.clone());
        }
        let settings = connection.settings.clone();
        let credentials = Ok(Rc::new(own.with_crls(crls)));
        if let Err(problem) = self.adjust_connection(&settings, &credentials) {
            warn!(connection = settings.name.as_str(), "{problem}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Instant {
        Instant(n * 1_000_000_000)
    }

    #[test]
    fn a_changed_file_is_read_once_when_it_stands_still() {
        let stamp = |n| vec![Some([n; 6])];
        let mut watch = CrlWatch::default();
        let looks = [
            (stamp(1), false),
            (stamp(1), true),
            (stamp(1), false),
            (stamp(2), false),
            (stamp(3), false),
            (stamp(3), true),
            (vec![None], false),
            (stamp(3), false),
        ];
        for (n, (stamps, is_due)) in (0..).zip(looks) {
            assert_eq!(watch.is_due(stamps, second(n), false), is_due, "look {n}");
        }
    }

    #[test]
    fn a_list_that_ends_is_read_each_minute() {
        let stamp = vec![Some([1; 6])];
        let mut watch = CrlWatch::default();
        let is_due = |n: &u64| watch.is_due(stamp.clone(), second(*n), true);
        let read: Vec<u64> = (0..=150).filter(is_due).collect();
        assert_eq!(read, [1, 61, 121]);
    }
}
