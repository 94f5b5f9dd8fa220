//! Azure's JSON to configurations and back. `UPDATE_GOLDEN=1 cargo test --test azure` rewrites the
//! expected files.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod published;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use s2sd::azure::chain::InboundChain;
use s2sd::azure::choices::ImportChoices;
use s2sd::azure::import::Imported;
use s2sd::azure::resource::Resources;
use s2sd::azure::side::{self, AzureSide};
use s2sd::azure::template::Template;
use s2sd::azure::{self, AzureFault, arm, az, bicep, json, portal, powershell, terraform};
use s2sd::config::{self, Config, Severity};
use serde_json::Value;

use published::{Published, leaves, leaves_of_bicep};

/// The imports whose configuration needs corrections before use.
const UNFINISHED: [&str; 2] = ["no-network", "weak"];

#[test]
fn each_json_becomes_the_expected_configuration_or_refusal() {
    let mut wrong = Vec::new();
    for case in cases() {
        let name = name(&case);
        let (golden, said) = match imported(&[&name]) {
            Ok(imported) => (case.with_extension("toml"), imported.toml),
            Err(faults) => (case.with_extension("expected"), faults),
        };
        assert_eq!(
            name.starts_with("refused"),
            golden.extension().unwrap() == "expected",
            "{name}: {said}"
        );
        wrong.extend(compare(&golden, &said));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A refusal must not print a secret.
#[test]
fn a_shared_key_is_not_repeated() {
    for case in cases() {
        let said = imported(&[&name(&case)]).map_or_else(|faults| faults, |imported| imported.toml);
        assert!(!said.contains("hunter2"), "{}: {said}", case.display());
    }
}

#[test]
fn the_expected_files_have_their_json() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let golden = path.extension().is_some_and(|e| e == "toml" || e == "expected");
        assert!(!golden || path.with_extension("json").exists(), "{} is left over", path.display());
    }
}

#[test]
fn rest_and_az_give_the_same_configuration() {
    let toml = |name: &str| imported(&[name]).unwrap().toml;
    assert_eq!(toml("rest"), toml("documented"));
}

/// The import is the same for files in any order, documents in one text, UTF-16, missing types and
/// other case.
#[test]
fn the_form_of_the_json_does_not_matter() {
    let expected = imported(&["active-active"]).unwrap().toml;
    let text = fs::read_to_string(folder().join("active-active.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let documents: Vec<Value> = list["value"].as_array().unwrap().clone();
    let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
    for turn in 0..texts.len() {
        let mut turned = texts.clone();
        turned.rotate_left(turn);
        assert_eq!(read(&turned).unwrap(), expected, "separate files");
        assert_eq!(read(&[turned.join("\n")]).unwrap(), expected, "one after the other");
        turned.reverse();
        assert_eq!(read(&turned).unwrap(), expected, "in reverse");
    }
    let untyped: Vec<String> = documents
        .iter()
        .map(|document| {
            let mut document = document.clone();
            document.as_object_mut().unwrap().remove("type");
            document.to_string()
        })
        .collect();
    assert_eq!(read(&untyped).unwrap(), expected, "without types");
    let shouted = texts.iter().map(|text| text.replace("tunnelIpAddresses", "TUNNELIPADDRESSES"));
    assert_eq!(read(&shouted.collect::<Vec<_>>()).unwrap(), expected, "in capitals");
    let units: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(json::text("f", &units).unwrap(), text, "as PowerShell writes it");
    assert!(json::text("f", b"\xff\xfe\x00").is_err() && json::text("f", b"\xc3").is_err());
}

#[test]
fn what_is_missing_is_what_is_null() {
    for name in ["documented", "policy-based", "default-policy"] {
        let text = fs::read_to_string(folder().join(name).with_extension("json")).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        without_null(&mut value);
        assert_eq!(read(&[value.to_string()]).unwrap(), imported(&[name]).unwrap().toml);
    }
}

fn without_null(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// A name in the JSON cannot break out of its string or comment.
#[test]
fn what_the_json_says_stays_data() {
    let text = fs::read_to_string(folder().join("default-policy.json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let nasty = "x\"\n[device]\nname = \"y\\";
    value[0]["certificateAuthentication"]["inboundAuthCertificateSubjectName"] = nasty.into();
    value[0]["certificateAuthentication"]["outboundAuthCertificate"] =
        format!("https://a/b/{nasty}/1").into();
    let toml = read(&[value.to_string()]).unwrap();
    assert!(!toml.lines().any(|line| line.starts_with("name = \"y")), "{toml}");
    let config = parsed(&toml);
    let subject =
        &config.connections[0].certificate_authentication.outbound_certificate_subject_name;
    assert_eq!(subject.as_ref().unwrap().as_str(), nasty);
    assert_eq!(config.device.name.as_str(), "localNetSite11");
}

/// Most imports parse without errors; with the certificate files in place `check` finds no errors
/// either.
#[test]
fn check_accepts_an_import_once_its_files_are_there() {
    let at = directory("accepted");
    certificates(&at);
    for case in cases().iter().filter(|case| !name(case).starts_with("refused")) {
        let name = name(case);
        let choices = ImportChoices {
            inbound_certificate: at.join("site.pem").display().to_string(),
            inbound_private_key: at.join("site.key").display().to_string(),
            outbound_root: at.join("azure-root.cer").display().to_string(),
            outbound_subject: Some("az-outbound-cert1".to_owned()),
            ..ImportChoices::default()
        };
        let toml = azure::import(&resources(&[&name]), &choices).unwrap().toml;
        let file = at.join(&name).with_extension("toml");
        fs::write(&file, toml).unwrap();
        let output = s2sd(&["check", file.to_str().unwrap()]);
        let finished = !UNFINISHED.contains(&name.as_str());
        assert_eq!(output.status.code().unwrap() < 2, finished, "{name}: {}", out(&output));
    }
}

#[test]
fn an_import_exported_and_imported_again_is_the_same() {
    for case in cases() {
        let name = name(&case);
        if name.starts_with("refused") || UNFINISHED.contains(&name.as_str()) {
            continue;
        }
        let first = parsed(&imported(&[&name]).unwrap().toml);
        let template = arm::arm(&Template::of(&side_of(&first, &known())));
        // The template has no gateway and no network, because these exist in Azure.
        let mut second = resources(&[&name]);
        second.connections.clear();
        second.local_gateways.clear();
        second.read("template", &template).unwrap();
        let choices =
            ImportChoices { outbound_subject: Some("x".to_owned()), ..ImportChoices::default() };
        let again = azure::import(&second, &choices).map_err(shown).unwrap().toml;
        let mut again = parsed(&again);
        for (again, first) in again.connections.iter_mut().zip(&first.connections) {
            let subject = &first.certificate_authentication.outbound_certificate_subject_name;
            again.certificate_authentication.outbound_certificate_subject_name = subject.clone();
        }
        assert_eq!(again, first, "{name}:\n{template}");
    }
}

/// An import accepts parameters without a value.
#[test]
fn a_template_with_parameters_is_read_as_far_as_it_says() {
    let first = parsed(&imported(&["active-active"]).unwrap().toml);
    let template = arm::arm(&Template::of(&side_of(&first, &side::ExportChoices::default())));
    assert!(template.contains("[parameters('outboundCertificateUrl')]"), "{template}");
    let mut second = resources(&["active-active"]);
    second.connections.clear();
    second.read("template", &template).unwrap();
    let certificates = second.connections[0].certificates.clone().unwrap();
    assert_eq!((certificates.outbound, certificates.subject), (None, None));
    assert!(certificates.chain.is_empty());
}

#[test]
fn templates_have_published_properties_only() {
    let published = Published::read();
    for case in cases() {
        let name = name(&case);
        if name.starts_with("refused") || UNFINISHED.contains(&name.as_str()) {
            continue;
        }
        let config = parsed(&imported(&[&name]).unwrap().toml);
        for choices in [known(), side::ExportChoices::default()] {
            let template = Template::of(&side_of(&config, &choices));
            let arm: Value = serde_json::from_str(&arm::arm(&template)).unwrap();
            for resource in arm["resources"].as_array().unwrap() {
                let kind = resource["type"].as_str().unwrap();
                published.check(kind, resource, kind);
            }
            let (bicep, json) = (leaves_of_bicep(&bicep::bicep(&template)), leaves(&arm));
            assert_eq!(bicep, json, "{name}");
        }
    }
}

/// The list of published names refuses other names.
#[test]
#[should_panic(expected = "connectionMod is not published")]
fn a_misspelt_property_is_found() {
    let wrong = serde_json::json!({
        "name": "x", "properties": { "connectionMod": "Default" }
    });
    Published::read().check("Microsoft.Network/connections", &wrong, "x");
}

#[test]
fn exports_are_as_expected() {
    let mut wrong = Vec::new();
    for (name, choices) in [
        ("active-active", known()),
        ("policy-based", side::ExportChoices::default()),
        ("fqdn", known()),
        ("several", known()),
    ] {
        let config = parsed(&imported(&[name]).unwrap().toml);
        let side = side_of(&config, &choices);
        let template = Template::of(&side);
        for (form, text) in [
            ("sh", az::az(&side)),
            ("ps1", powershell::powershell(&side)),
            ("bicep", bicep::bicep(&template)),
            ("arm.json", arm::arm(&template)),
            ("tf", terraform::terraform(&template, side.group.as_deref())),
            ("txt", portal::portal(&side)),
        ] {
            wrong.extend(compare(&folder().join("export").join(format!("{name}.{form}")), &text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The arguments of each call of az in the script, as a program receives them.
#[test]
fn the_script_quotes_every_name() {
    let at = directory("script");
    let fake = at.join("az");
    // No connection exists; a deployment's template follows its arguments.
    let program = "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done\n\
        case \"$*\" in *vpn-connection\\ show*) printf '\\n\\0'; exit 1 ;; esac\n\
        while [ \"$1\" != --template-file ]; do shift; done\ncat \"$2\"; printf '\\0'\n";
    fs::write(&fake, program).unwrap();
    make_executable(&fake);
    let nasty = "it's \"$(touch /nowhere)\" `x` \\ ${y} *";
    let config = parsed(&imported(&["policy-based"]).unwrap().toml);
    let choices = side::ExportChoices {
        group: Some(nasty.to_owned()),
        gateway: Some(nasty.to_owned()),
        outbound: vec![format!("https://{nasty}")],
        ..side::ExportChoices::default()
    };
    let mut connections = with_inbound(&config);
    connections[0].1.subject = Some(nasty.to_owned());
    let side = AzureSide::of(&config, &connections, &choices).unwrap();
    let script = az::az(&side);
    let output = Command::new("sh")
        .arg("-c")
        .arg(&script)
        .env("PATH", format!("{}:/bin:/usr/bin", at.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    let calls: Vec<Vec<&str>> =
        text.split("\n\0").map(|call| call.split_terminator('\0').collect()).collect();
    let after = |call: &[&str], option: &str| {
        call.iter().skip_while(|word| **word != option).nth(1).map(|w| (*w).to_owned())
    };
    assert_eq!(calls.len(), 3, "the last is empty: {calls:?}");
    for call in &calls[..2] {
        assert_eq!(after(call, "--resource-group").as_deref(), Some(nasty));
    }
    let template: Value = serde_json::from_str(calls[1].last().unwrap()).unwrap();
    let expected = arm::arm(&Template::of(&side));
    assert_eq!(template, serde_json::from_str::<Value>(&expected).unwrap(), "as `export --arm`");
    let properties = &template["resources"][1]["properties"];
    let certificates = &properties["certificateAuthentication"];
    assert_eq!(certificates["inboundAuthCertificateSubjectName"], nasty);
    assert_eq!(certificates["outboundAuthCertificate"], format!("https://{nasty}"));
    assert_eq!(properties["authenticationType"], "Certificate");
    let selectors = &properties["trafficSelectorPolicies"];
    assert_eq!(selectors[1]["localAddressRanges"][0], "10.1.9.0/24");
    assert_eq!(selectors[1]["remoteAddressRanges"][0], "10.2.9.0/24");

    // A connection that exists is left alone.
    let _ = fs::remove_file(at.join("az.calls"));
    fs::write(&fake, "#!/bin/sh\necho \"$1 $2 $3\" >> \"$0.calls\"\n").unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg(&script)
        .env("PATH", format!("{}:/bin:/usr/bin", at.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("the connection exists"), "{}", err(&output));
    assert_eq!(fs::read_to_string(at.join("az.calls")).unwrap(), "network vpn-connection show\n");
}

/// The commands with real files: import, check, export with the chain from the files, and import
/// again.
#[test]
fn the_commands_import_and_export_real_files() {
    let at = directory("whole");
    certificates(&at);
    let path = |name: &str| at.join(name).display().to_string();
    let (json, toml) =
        (folder().join("active-active.json").display().to_string(), path("s2sd.toml"));
    let arguments = [
        "azure",
        "import",
        &json,
        "--output",
        &toml,
        "--inbound-certificate",
        &path("site.pem"),
        "--inbound-private-key",
        &path("site.key"),
        "--outbound-root",
        &path("azure-root.cer"),
        "--outbound-subject",
        "az-outbound-cert1",
    ];
    let _ = fs::remove_file(&toml);
    let output = s2sd(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("connS2S: put this device's certificate at"), "{}", err(&output));
    let first = fs::read_to_string(&toml).unwrap();

    // An existing file is overwritten with --force only.
    fs::write(&toml, "precious").unwrap();
    let output = s2sd(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("--force") && fs::read_to_string(&toml).unwrap() == "precious");
    let output = s2sd(&[&arguments[..], &["--force"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(fs::read_to_string(&toml).unwrap(), first);

    // Without the root the output has a placeholder and a message; with the root it has the chain,
    // root first.
    let output = s2sd(&["azure", "export", &toml, "--arm"]);
    assert!(output.status.success() && err(&output).contains("--inbound-root"), "{}", err(&output));
    assert!(out(&output).contains("[parameters('inboundCertificateChain')]"));
    let root = path("site-root.cer");
    let url = "https://kv1.vault.azure.net/certificates/az-outbound-cert1/0123456789abcdef";
    let output = s2sd(&[
        "azure",
        "export",
        &toml,
        "--arm",
        "--inbound-root",
        &root,
        "--outbound-certificate-url",
        url,
    ]);
    assert!(output.status.success() && err(&output).is_empty(), "{}", err(&output));
    let template: Value = serde_json::from_str(&out(&output)).unwrap();
    let authentication = &template["resources"][1]["properties"]["certificateAuthentication"];
    assert_eq!(authentication["inboundAuthCertificateSubjectName"], "onprem-s2s-1");
    let lines = |name: &str| {
        use base64ct::{Base64, Encoding};
        Base64::encode_string(&fs::read(at.join(name)).unwrap())
    };
    let chain = [lines("site-root.cer"), lines("site-middle.cer")];
    assert_eq!(authentication["inboundAuthCertificateChain"], serde_json::json!(chain));

    // Imports the exported template again from standard input, with Azure's own resources.
    let all = format!("{}{}", out(&output), fs::read_to_string(&json).unwrap());
    let mut list: Vec<Value> =
        serde_json::Deserializer::from_str(&all).into_iter().map(Result::unwrap).collect();
    list[1]["value"].as_array_mut().unwrap().retain(|r| {
        !["connections", "localNetworkGateways"]
            .iter()
            .any(|kind| r["type"].as_str().unwrap().ends_with(kind))
    });
    let back = s2sd_with(
        &[&["azure", "import", "-"], &arguments[5..]].concat(),
        &serde_json::to_string(&list).unwrap(),
    );
    assert_eq!(back.status.code(), Some(0), "{}", err(&back));
    assert_eq!(parsed(&out(&back)), parsed(&first));
    assert!(
        out(&back).contains("inboundAuthCertificateChain[0] in Azure: CN=Site root, valid until"),
        "{}",
        out(&back)
    );
}

#[test]
fn exit_codes_tell_finished_unfinished_and_refused_apart() {
    let code = |name: &str| {
        let file = folder().join(name).with_extension("json");
        let output = s2sd(&["azure", "import", file.to_str().unwrap()]);
        (output.status.code().unwrap(), out(&output), err(&output))
    };
    let (number, toml, said) = code("documented");
    assert_eq!(number, 0, "{said}");
    assert!(
        said.contains("not imported:") && said.contains("BGP") && toml.contains("# Not imported:")
    );
    let (number, toml, said) = code("no-network");
    assert!(
        number == 1 && !toml.is_empty() && said.contains("`address_prefixes` is empty"),
        "{said}"
    );
    let (number, toml, said) = code("refused-psk");
    assert!(
        number == 2 && toml.is_empty() && said.contains("--authentication-type Certificate"),
        "{said}"
    );
    let output = s2sd(&["azure", "import", "/nowhere.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("/nowhere.json cannot be read"), "{}", err(&output));
}

#[test]
fn one_of_several_connections_can_be_chosen() {
    let choose = |name: &str| ImportChoices {
        connections: vec![name.to_owned()],
        ..ImportChoices::default()
    };
    let resources = resources(&["several"]);
    let config = parsed(&azure::import(&resources, &choose("connOther")).unwrap().toml);
    assert_eq!(config.connections.len(), 1);
    assert_eq!(config.connections[0].virtual_network_gateway.name.as_str(), "gw2");
    let faults = shown(azure::import(&resources, &choose("nobody")).unwrap_err());
    assert!(faults.contains("the JSON contains connS2S, connOther"), "{faults}");
}

/// Choices with all values.
fn known() -> side::ExportChoices {
    side::ExportChoices {
        group: Some("rg1".to_owned()),
        location: Some("westus".to_owned()),
        outbound: vec![
            "https://kv1.vault.azure.net/certificates/az-outbound-cert1/0123456789abcdef"
                .to_owned(),
        ],
        ..side::ExportChoices::default()
    }
}

fn with_inbound(config: &Config) -> Vec<(&config::settings::Connection, InboundChain)> {
    let chain = Some(vec!["MIICroot".to_owned(), "MIICintermediate".to_owned()]);
    let inbound = InboundChain { subject: Some("onprem-s2s-1".to_owned()), chain };
    config.connections.iter().map(|connection| (connection, inbound.clone())).collect()
}

/// Azure's side of a configuration, with our certificate if the choices have a group.
fn side_of(config: &Config, choices: &side::ExportChoices) -> AzureSide {
    let mut connections = with_inbound(config);
    if choices.group.is_none() {
        connections.iter_mut().for_each(|(_, inbound)| *inbound = InboundChain::default());
    }
    AzureSide::of(config, &connections, choices).unwrap()
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    cases.sort();
    assert!(cases.len() > 20);
    cases
}

fn name(case: &Path) -> String {
    case.file_stem().unwrap().to_string_lossy().into_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/azure")
}

fn resources(names: &[&str]) -> Resources {
    let mut resources = Resources::default();
    for name in names {
        let file = format!("{name}.json");
        resources.read(&file, &fs::read_to_string(folder().join(&file)).unwrap()).unwrap();
    }
    resources
}

/// The import of committed files, or its faults as text.
fn imported(names: &[&str]) -> Result<Imported, String> {
    let mut resources = Resources::default();
    for name in names {
        let file = format!("{name}.json");
        let text = fs::read_to_string(folder().join(&file)).unwrap();
        resources.read(&file, &text).map_err(|fault| format!("{fault}\n"))?;
    }
    azure::import(&resources, &ImportChoices::default()).map_err(shown)
}

/// The import of texts.
fn read(texts: &[String]) -> Result<String, String> {
    let mut resources = Resources::default();
    for text in texts {
        resources.read("text", text).map_err(|fault| fault.to_string())?;
    }
    azure::import(&resources, &ImportChoices::default())
        .map(|imported| imported.toml)
        .map_err(shown)
}

fn shown(faults: Vec<AzureFault>) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

fn parsed(toml: &str) -> Config {
    let parsed = config::parse("imported.toml", toml);
    let errors = parsed.found.iter().filter(|found| found.severity == Severity::Error);
    let errors: String = errors.map(ToString::to_string).collect();
    parsed.config.unwrap_or_else(|| panic!("{errors}\n{toml}"))
}

/// The difference from the expected file; with UPDATE_GOLDEN the file is rewritten.
fn compare(golden: &Path, said: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(golden, said).unwrap();
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    (said != expected)
        .then(|| format!("== {}\n-- expected\n{expected}-- said\n{said}", golden.display()))
}

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("azure").join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Writes our certificate with an intermediate and a root, its key, and a root of Azure's
/// certificate.
fn certificates(at: &Path) {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Eku, IsCa, Issuer,
        KeyPair,
    };
    let params = |name: &str, ca: bool| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        } else {
            params.extended_key_usages = vec![Eku::ClientAuth, Eku::ServerAuth];
        }
        params
    };
    let key = || KeyPair::generate().unwrap();
    let (root_key, middle_key, leaf_key) = (key(), key(), key());
    let azure = params("Azure root", true).self_signed(&key()).unwrap();
    fs::write(at.join("azure-root.cer"), azure.der()).unwrap();
    let root = params("Site root", true).self_signed(&root_key).unwrap();
    let issuer = Issuer::new(params("Site root", true), root_key);
    let middle = params("Site intermediate", true).signed_by(&middle_key, &issuer).unwrap();
    let issuer = Issuer::new(params("Site intermediate", true), middle_key);
    let leaf = params("onprem-s2s-1", false).signed_by(&leaf_key, &issuer).unwrap();
    fs::write(at.join("site-root.cer"), root.der()).unwrap();
    fs::write(at.join("site-middle.cer"), middle.der()).unwrap();
    fs::write(at.join("site.pem"), format!("{}{}", pem(leaf.der()), pem(middle.der()))).unwrap();
    fs::write(at.join("site.key"), leaf_key.serialize_der()).unwrap();
}

fn pem(der: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        Base64::encode_string(der)
    )
}

fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn s2sd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_s2sd")).args(arguments).output().unwrap()
}

fn s2sd_with(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2sd"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
