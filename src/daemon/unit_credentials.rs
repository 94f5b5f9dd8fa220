//! Credentials of the service's unit, found where the unit loads them from: `s2sd check` as root
//! then looks at the same key as the service (`LoadCredential=` of systemd.exec(5)).

use std::fs;
use std::path::{Path, PathBuf};

/// The service's unit.
const UNIT: &str = "s2sd.service";

/// Where units lie, the folder that counts most first (systemd.unit(5)).
const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The file that the unit loads a credential from; `None` when the unit is not installed, or gets
/// this credential in another way.
pub fn file_of(credential: &str) -> Option<PathBuf> {
    file_below(Path::new("/"), credential)
}

fn file_below(root: &Path, credential: &str) -> Option<PathBuf> {
    let folders = FOLDERS.map(|folder| root.join(folder.trim_start_matches('/')));
    let unit = folders.iter().find_map(|folder| fs::read_to_string(folder.join(UNIT)).ok())?;
    // A drop-in of a folder that counts more hides one of the same name; all apply by name.
    let mut drop_ins: Vec<PathBuf> = Vec::new();
    for folder in &folders {
        let found = fs::read_dir(folder.join(format!("{UNIT}.d"))).into_iter().flatten().flatten();
        let fresh = found.map(|entry| entry.path()).filter(|path| {
            path.extension().is_some_and(|extension| extension == "conf")
                && !drop_ins.iter().any(|known| known.file_name() == path.file_name())
        });
        let fresh: Vec<PathBuf> = fresh.collect();
        drop_ins.extend(fresh);
    }
    drop_ins.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    let texts = drop_ins.iter().filter_map(|path| fs::read_to_string(path).ok());
    let mut loaded = None;
    for text in std::iter::once(unit).chain(texts) {
        for line in text.lines() {
            match line.trim().strip_prefix("LoadCredential=").map(str::trim) {
                Some("") => loaded = None,
                Some(of) => match of.split_once(':') {
                    Some((name, path)) if name == credential => loaded = Some(PathBuf::from(path)),
                    _ => {}
                },
                None => {}
            }
        }
    }
    loaded.filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_found_where_the_unit_loads_it_from() {
        let root = std::env::temp_dir().join(format!("s2sd-unit-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        let found = |name| file_below(&root, name).map(|path| path.display().to_string());
        assert_eq!(found("inbound.key"), None);
        write("usr/lib/systemd/system/s2sd.service", include_str!("../../systemd/s2sd.service"));
        assert_eq!(found("inbound.key").as_deref(), Some("/etc/s2sd/private/inbound.key"));
        assert_eq!(found("other"), None);
        let more = "[Service]\nLoadCredential=other:/srv/other.key\n LoadCredential=vault:socket\n";
        write("etc/systemd/system/s2sd.service.d/more.conf", more);
        assert_eq!(found("other").as_deref(), Some("/srv/other.key"));
        assert_eq!(found("vault"), None);
        write(
            "run/systemd/system/s2sd.service.d/more.conf",
            "[Service]\nLoadCredential=other:/x\n",
        );
        assert_eq!(found("other").as_deref(), Some("/srv/other.key"));
        write("etc/systemd/system/s2sd.service.d/z.conf", "[Service]\nLoadCredential=\n");
        assert_eq!(found("inbound.key"), None);
        fs::remove_dir_all(&root).expect("the folder of this test");
    }
}
