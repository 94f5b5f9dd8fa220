//! The command line as an operator uses it: help, exit codes, error messages, manual pages.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod manual;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use manual::{documented, printed};

fn s2sd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_s2sd")).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory for one test, with a certificate, its key, and a root that can also be the
/// gateway's.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "Root");
    let certificate = root.self_signed(&key).unwrap();
    std::fs::write(directory.join("root.cer"), certificate.der()).unwrap();
    std::fs::write(directory.join("site.key"), key.serialize_der()).unwrap();
    let mut leaf = rcgen::CertificateParams::default();
    leaf.distinguished_name = rcgen::DistinguishedName::new();
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "Site");
    let issuer = rcgen::Issuer::new(root, key);
    let own = rcgen::KeyPair::generate().unwrap();
    std::fs::write(directory.join("site.cer"), leaf.signed_by(&own, &issuer).unwrap().der())
        .unwrap();
    std::fs::write(directory.join("site.key"), own.serialize_der()).unwrap();
    directory
}

fn configuration(directory: &Path, mode: &str) -> PathBuf {
    let (file, at) = (directory.join("s2sd.toml"), directory.display());
    let text = format!(
        r#"[device]
name = "site"
[local_network_gateway]
name = "site"
gateway_ip_address = "203.0.113.1"
address_prefixes = ["10.1.0.0/24"]
[[connection]]
name = "conn"
connection_mode = "{mode}"
[connection.ipsec_policy]
ike_encryption = "GCMAES256"
ike_integrity = "SHA384"
dh_group = "ECP384"
ipsec_encryption = "GCMAES256"
ipsec_integrity = "GCMAES256"
pfs_group = "ECP384"
[connection.virtual_network_gateway]
name = "gw"
public_ip_addresses = ["203.0.113.2"]
address_prefixes = ["10.2.0.0/24"]
[connection.certificate_authentication]
inbound_certificate = "{at}/site.cer"
inbound_private_key = "{at}/site.key"
outbound_certificate_roots = ["{at}/root.cer"]
outbound_certificate_subject_name = "gateway"
"#
    );
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn help_names_every_command_and_every_command_has_help() {
    let help = out(&s2sd(&["--help"]));
    for command in [
        "run", "demo", "check", "status", "up", "down", "rekey", "reload", "explain", "azure",
        "pki",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{command} is not in\n{help}");
        let output = s2sd(&[command, "--help"]);
        assert!(output.status.success() && out(&output).contains("Usage:"), "{command}");
    }
    // `systemd/package` refuses to pack a program with these words.
    let version = concat!("s2sd ", env!("CARGO_PKG_VERSION"), " (a build for tests)");
    assert_eq!(out(&s2sd(&["--version"])).trim(), version);
}

#[test]
fn the_exit_code_of_check_tells_warnings_from_errors() {
    let directory = directory("check");
    // An ECDSA key without extended key usages works, but differs from Azure's documents: a
    // warning.
    let file = configuration(&directory, "Default");
    let name = file.display().to_string();
    let warned = s2sd(&["check", &name]);
    assert_eq!(warned.status.code(), Some(1), "{}", out(&warned));
    assert!(out(&warned).contains("0 errors"), "{}", out(&warned));

    let wrong = configuration(&directory, "Defalt");
    let wrong = s2sd(&["check", &wrong.display().to_string()]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(out(&wrong).contains("s2sd.toml:9:19: error"), "{}", out(&wrong));
    assert!(out(&wrong).contains("did you mean \"Default\""), "{}", out(&wrong));

    configuration(&directory, "Default");
    std::fs::remove_file(directory.join("root.cer")).unwrap();
    let missing = s2sd(&["check", &name, "--json"]);
    assert_eq!(missing.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_str(&out(&missing)).unwrap();
    let found = report["found"].as_array().unwrap();
    let about = |f: &&serde_json::Value| f["what"].as_str().unwrap().contains("does not exist");
    let found = found.iter().find(about).unwrap();
    assert_eq!((&found["severity"], &found["line"]), (&"error".into(), &24.into()));
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_names_it() {
    for command in [&["check", "/nowhere/s2sd.toml"][..], &["run", "-c", "/nowhere/s2sd.toml"]] {
        let output = s2sd(command);
        assert!(!output.status.success());
        assert!(err(&output).contains("/nowhere/s2sd.toml"), "{}", err(&output));
    }
    assert_eq!(s2sd(&["check", "/nowhere/s2sd.toml"]).status.code(), Some(2));
}

#[test]
fn without_a_service_the_commands_say_so_and_fail() {
    for command in [
        &["status"][..],
        &["up", "conn"],
        &["down", "conn"],
        &["rekey", "conn"],
        &["reload"],
        &["explain", "conn"],
    ] {
        let output = s2sd(&[command, &["--socket", "/nowhere/control.sock"]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(err(&output).contains("the service does not run"), "{}", err(&output));
    }
}

#[test]
fn run_refuses_a_broken_file_with_its_line() {
    let file = configuration(&directory("run"), "Defalt");
    let output = s2sd(&["run", "-c", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("s2sd.toml:9:19"), "{}", err(&output));
}

/// The names of all commands in the help.
fn commands() -> Vec<String> {
    below(&[])
}

/// The names of the commands below a command, in its help.
fn below(command: &[&str]) -> Vec<String> {
    let help = out(&s2sd(&[command, &["--help"]].concat()));
    if !help.contains("Commands:\n") {
        return Vec::new();
    }
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    list.lines().filter_map(name).filter(|name| name != "help").collect()
}

/// Reads the files that `s2sd generate` writes, without roff escapes.
fn generated(what: &str) -> impl Fn(&str) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(what);
    let output = s2sd(&["generate", what, &directory.display().to_string()]);
    assert!(output.status.success(), "{}", err(&output));
    move |name| {
        let text = std::fs::read_to_string(directory.join(name)).unwrap();
        text.replace("\\-", "-")
            .replace("\\fB", "")
            .replace("\\fI", "")
            .replace("\\fR", "")
            .replace("\\*(Aq", "'")
    }
}

#[test]
fn the_manual_page_names_every_command_and_every_option() {
    let page = generated("man")("s2sd.8");
    assert!(commands().len() >= 9);
    let nested = commands().into_iter().flat_map(|command| {
        let below = below(&[&command]).into_iter().map(|name| format!("{command} {name}"));
        let below = below.collect::<Vec<_>>();
        [command].into_iter().chain(below)
    });
    for command in nested {
        // A name of two words is quoted, because it is one argument of the macro.
        let heads = [format!("\n.SS {command}\n"), format!("\n.SS \"{command}\"\n")];
        let section = heads.iter().find_map(|head| page.split(head).nth(1));
        let section = section.unwrap_or_else(|| panic!("{command} has no section in\n{page}"));
        let section = section.split("\n.S").next().unwrap();
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = out(&s2sd(&words));
        let words = help.split(|c: char| c.is_whitespace() || c == ',' || c == '[');
        for option in words.filter(|word| word.starts_with("--") && *word != "--help") {
            assert!(section.contains(option), "{option} of {command} is not in\n{section}");
        }
        let about = help.lines().next().unwrap().replace('`', "");
        assert!(section.contains(&about), "{about:?} is not in\n{section}");
    }
}

#[test]
fn the_page_of_the_file_names_every_table_and_every_key() {
    let page = generated("man")("s2sd.toml.5");
    let tables = s2sd::config::schema::tables();
    assert!(tables.len() >= 9);
    for table in tables.into_iter().filter(|table| !table.path.is_empty()) {
        let heading = format!("\n.SS \"{}\"\n", table.title());
        let bare = format!("\n.SS {}\n", table.title());
        let section = page.split(&heading).nth(1).or_else(|| page.split(&bare).nth(1));
        let section = section.unwrap_or_else(|| panic!("{} is not in\n{page}", table.title()));
        let section = section.split("\n.S").next().unwrap();
        for key in table.keys.iter().filter(|key| key.kind.table().is_none()) {
            let entry = format!("\n.TP\n{}\n", key.name);
            assert!(section.contains(&entry), "`{}` is not in\n{section}", key.name);
            let known = |c: &s2sd::config::doc::ChoiceValue| section.contains(c.name);
            assert!(key.kind.choices().iter().all(known), "a word of `{}`", key.name);
        }
    }
}

#[test]
fn the_page_of_json_has_the_fields_that_are_printed() {
    let directory = directory("json");
    let file = configuration(&directory, "Default").display().to_string();
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = s2sd(arguments);
        serde_json::from_str(&out(&output)).unwrap_or_else(|_| panic!("{}", err(&output)))
    };
    assert_eq!(printed(&json(&["check", &file, "--json"])), documented("CHECK"));
    let root = directory.join("root.cer").display().to_string();
    let (shown, known) =
        (printed(&json(&["pki", "show", &root, "--json"])), documented("PKI SHOW"));
    for (path, fields) in &shown {
        assert!(fields.is_subset(&known[path]), "{path}: {fields:?} against {:?}", known[path]);
    }
    assert!(shown.contains_key("certificates[].findings[]"), "{shown:?}");
    for section in ["AZURE DOCTOR", "DEMO"] {
        assert!(documented(section)[""].len() >= 4, "{section}");
    }
}

#[test]
fn completions_know_every_command() {
    let completions = generated("completions");
    for file in ["s2sd.bash", "_s2sd", "s2sd.fish"] {
        let text = completions(file);
        for command in commands() {
            assert!(text.contains(&command), "{command} is not in {file}");
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_with_what_to_do() {
    let directory = directory("unreadable");
    let path = |name: &str| directory.join(name).display().to_string();
    let said = |name: &str| {
        let checked = s2sd(&["check", &path(name)]);
        assert_eq!(checked.status.code(), Some(2));
        let ran = s2sd(&["run", "--config", &path(name)]);
        assert_eq!(err(&checked), err(&ran), "both commands say the same");
        err(&checked).trim_end().replace(&path(name), name)
    };
    assert_eq!(
        said("none.toml"),
        "s2sd: none.toml cannot be read: No such file or directory (os error 2); `s2sd azure import FILE` writes a configuration \
         from what `az network vpn-connection show` prints, and s2sd.toml(5) begins with an example"
    );
    let utf16: Vec<u8> = "\u{feff}[device]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(path("windows.toml"), utf16).unwrap();
    assert_eq!(
        said("windows.toml"),
        "s2sd: windows.toml cannot be read: the file is in UTF-16, expected UTF-8; convert it: `iconv -f UTF-16 -t UTF-8 FILE > NEW`"
    );
}
