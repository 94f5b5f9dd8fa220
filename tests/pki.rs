//! `s2sd pki` as an operator uses it, and the other programs that must read what it writes:
//! OpenSSL, strongSwan's `pki`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use s2sd::crypto::signature::KeyKind;
use s2sd::pki::certificate::Certificate;
use s2sd::pki::load::Bundle;

/// A directory of one test's own, empty.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Desk {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pki").join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Desk(path)
    }

    fn run(&self, program: &str, arguments: &str) -> Output {
        let words = arguments.split_whitespace();
        let mut command = Command::new(program);
        command.args(words).current_dir(&self.0).stdin(Stdio::null()).output().unwrap()
    }

    fn pki(&self, arguments: &str) -> Output {
        self.run(env!("CARGO_BIN_EXE_s2sd"), &format!("pki {arguments}"))
    }

    /// What an order that must work says.
    #[track_caller]
    fn good(&self, arguments: &str) -> String {
        succeeded(&self.pki(arguments), arguments)
    }

    /// What an order that must not work complains about; nothing was made by it.
    #[track_caller]
    fn bad(&self, arguments: &str) -> String {
        let before = self.files();
        let output = self.pki(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {output:?}");
        assert_eq!(self.files(), before, "{arguments}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// What another program says, which must be content; `None` with a reason where it is not
    /// there.
    #[track_caller]
    fn other(&self, program: &str, arguments: &str) -> Option<String> {
        if !present(program) {
            return None;
        }
        Some(succeeded(&self.run(program, arguments), arguments))
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.join(file)).unwrap()
    }

    fn text(&self, file: &str) -> String {
        String::from_utf8(self.bytes(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }

    fn mode(&self, file: &str) -> u32 {
        std::fs::metadata(self.0.join(file)).unwrap().permissions().mode() & 0o777
    }

    fn certificates(&self, file: &str) -> Vec<Certificate> {
        Bundle::read(&self.bytes(file), None, file).unwrap().certificates
    }

    /// The article's three certificates.
    fn article(name: &str) -> Desk {
        let desk = Desk::new(name);
        desk.good("init");
        desk.good("issue inbound --cn Inbound-certificate");
        desk.good("issue outbound --cn Outbound-certificate");
        desk
    }
}

#[track_caller]
fn succeeded(output: &Output, arguments: &str) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a program is there; says so past the test harness where it is not.
fn present(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|path| path.join(program).is_file());
    if !found {
        skip(&format!("certificates read by `{program}`: there is no such program"));
    }
    found
}

/// Past the test harness, which keeps a passing test's output to itself.
fn skip(reason: &str) {
    std::io::stdout().write_all(format!("SKIPPED {reason}\n").as_bytes()).unwrap();
}

#[test]
fn from_an_empty_directory_to_the_articles_certificates() {
    let desk = Desk::article("article");
    let mut expected = Vec::new();
    for name in ["Inbound-certificate", "Outbound-certificate", "VPNRootCA01"] {
        expected.extend(["cer", "key", "pem"].map(|end| format!("{name}.{end}")));
        assert_eq!(desk.mode(&format!("{name}.key")), 0o600);
        let cer = desk.text(&format!("{name}.cer"));
        assert_eq!(cer.lines().count(), 3, "one unbroken line between two headers");
        let path = desk.certificates(&format!("{name}.pem"));
        assert_eq!(desk.certificates(&format!("{name}.cer")), path[..1]);
        let key = &Bundle::read(&desk.bytes(&format!("{name}.key")), None, "key").unwrap().keys[0];
        assert_eq!(path[0].public_key(), Ok(key.public_key()));
        assert_eq!(key.kind(), KeyKind::Rsa { bits: 2048 });
        assert_eq!(path.last().unwrap().subject().to_string(), "CN=VPNRootCA01");
    }
    assert_eq!(desk.files(), expected);
    for name in ["Inbound-certificate", "Outbound-certificate"] {
        let shown = desk.pki(&format!("show {name}.pem {name}.key"));
        assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stdout));
    }
}

#[test]
fn other_programs_read_every_file() {
    let desk = Desk::article("readers");
    desk.good("init --cn Root-2 --key-size 3072 --months 24 --pathlen 1");
    desk.good("issue intermediate --cn Issuing-2 --by Root-2");
    desk.good("issue inbound --cn site-2 --by Issuing-2 --san gw.example.net --san 203.0.113.1");
    for name in ["VPNRootCA01", "Inbound-certificate", "Root-2", "Issuing-2", "site-2"] {
        for end in ["pem", "cer"] {
            let arguments = format!("x509 -in {name}.{end} -noout -subject -nameopt RFC2253");
            if let Some(told) = desk.other("openssl", &arguments) {
                assert_eq!(told.trim(), format!("subject=CN={name}"));
            }
            if let Some(told) = desk.other("pki", &format!("--print --in {name}.{end}")) {
                assert!(told.contains(&format!("subject:  \"CN={name}\"")), "{told}");
            }
        }
        if let Some(told) = desk.other("openssl", &format!("pkey -in {name}.key -check -noout")) {
            assert!(told.contains("Key is valid"), "{told}");
        }
        desk.other("pki", &format!("--print --type priv --in {name}.key"));
    }
    for purpose in ["sslserver", "sslclient"] {
        for (leaf, above) in [
            ("Inbound-certificate", "-CAfile VPNRootCA01.pem"),
            ("Outbound-certificate", "-CAfile VPNRootCA01.pem"),
            ("site-2", "-CAfile Root-2.pem -untrusted Issuing-2.cer"),
        ] {
            let verify = format!("verify -x509_strict -purpose {purpose}");
            desk.other("openssl", &format!("{verify} {above} {leaf}.pem"));
        }
    }
    desk.other("pki", "--verify --in site-2.cer --cacert Issuing-2.cer --cacert Root-2.cer");
    if let Some(told) = desk.other("openssl", "x509 -in site-2.pem -noout -text") {
        for part in [
            "DNS:gw.example.net, IP Address:203.0.113.1",
            "TLS Web Server Authentication, TLS Web Client Authentication",
            "sha256WithRSAEncryption",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
    if let Some(told) = desk.other("openssl", "x509 -in Root-2.pem -noout -text") {
        for part in ["CA:TRUE, pathlen:1", "Certificate Sign, CRL Sign", "(3072 bit)"] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        assert_eq!(told.matches(": critical").count(), 2, "{told}");
    }
}

#[test]
fn azures_chain_is_one_line_a_certificate_root_first() {
    let desk = Desk::article("chain");
    let chain = desk.good("export --azure-chain Inbound-certificate");
    assert_eq!(chain.trim_end(), desk.text("VPNRootCA01.cer").lines().nth(1).unwrap());
    desk.good("issue intermediate --cn Issuing");
    desk.good("issue inbound --cn site --by Issuing");
    let line = |file: &str| desk.text(file).lines().nth(1).unwrap().to_owned();
    let both = format!("{}\n{}\n", line("VPNRootCA01.cer"), line("Issuing.cer"));
    assert_eq!(desk.good("export --azure-chain site.pem"), both);
    // The certificate alone will do where its authorities are in the directory; elsewhere they must
    // be named.
    assert_eq!(desk.good("export --azure-chain site.cer"), both);
    let away = Desk::new("chain-away");
    std::fs::copy(desk.0.join("site.cer"), away.0.join("site.cer")).unwrap();
    std::fs::copy(desk.0.join("Issuing.cer"), away.0.join("Issuing.cer")).unwrap();
    let missing = away.bad("export --azure-chain site.cer");
    assert!(missing.contains("CN=Issuing is not among the files"), "{missing}");
    let rootless = away.bad("export --azure-chain site.cer Issuing.cer");
    assert!(rootless.contains("InBoundAuthenticationCertificateChainDoesNotHaveRootCert"));
    std::fs::copy(desk.0.join("VPNRootCA01.cer"), away.0.join("root.cer")).unwrap();
    assert_eq!(away.good("export --azure-chain site.cer Issuing.cer root.cer"), both);
    let two = desk.bad("export --azure-chain site.pem Inbound-certificate.pem");
    assert!(two.contains("several certificates"), "{two}");
}

#[test]
fn pkcs12_files_go_both_ways() {
    let desk = Desk::article("pfx");
    let told = desk.good("export --pfx new.pfx Outbound-certificate --new-password-file secret");
    let password = desk.text("secret");
    assert_eq!((desk.mode("secret"), desk.mode("new.pfx"), password.len()), (0o600, 0o600, 27));
    assert!(!told.contains(password.trim()));
    desk.good("export --pfx old.pfx Outbound-certificate.pem --password-file secret --legacy");
    for (file, cipher) in [("new", "AES-256-CBC"), ("old", "pbeWithSHA1And3-KeyTripleDES-CBC")] {
        let arguments = format!("pkcs12 -info -in {file}.pfx -passin file:secret -nodes");
        if !present("openssl") {
            continue;
        }
        let output = desk.run("openssl", &arguments);
        let text = succeeded(&output, &arguments);
        let info = String::from_utf8_lossy(&output.stderr);
        assert_eq!(info.matches(cipher).count(), 2, "certificates and key: {info}");
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2, "the whole path: {text}");
        assert_eq!(text.matches("localKeyID").count(), 2, "the key and its certificate: {text}");
        let key = text.split("-----BEGIN PRIVATE KEY-----").nth(1).unwrap().lines().nth(1);
        assert_eq!(key, desk.text("Outbound-certificate.key").lines().nth(1));
        desk.other(
            "openssl",
            &format!("pkcs12 -in {file}.pfx -passin file:secret -out back-{file}.pem -nodes"),
        );
        let back = Bundle::read(&desk.bytes(&format!("back-{file}.pem")), None, file).unwrap();
        assert_eq!(back.certificates, desk.certificates("Outbound-certificate.pem"));
    }
    for file in ["new.pfx", "old.pfx"] {
        let shown = desk.pki(&format!("show --outbound --password-file secret {file}"));
        assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stdout));
    }
    desk.write("wrong", "Secret\n");
    let refused = desk.pki("show --password-file wrong new.pfx");
    assert_eq!(refused.status.code(), Some(2));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("password does not open"), "{why}");
    // What was written is read again: for another importer, and for its chain.
    let locked = desk.bad("export --azure-chain new.pfx");
    assert!(locked.contains("add --in-password-file FILE"), "{locked}");
    let chain = desk.good("export --azure-chain new.pfx --in-password-file secret");
    assert_eq!(chain, desk.good("export --azure-chain Outbound-certificate"));
    let again = "export --pfx again.pfx new.pfx --in-password-file secret --password-file secret";
    desk.good(again);
    assert_eq!(desk.pki("show --outbound --password-file secret again.pfx").status.code(), Some(0));
    // What OpenSSL writes, of its version 3 and as its version 1 did, with RC2.
    let export = "pkcs12 -export -inkey Outbound-certificate.key -in Outbound-certificate.pem -passout file:secret -out";
    if desk.other("openssl", &format!("{export} three.pfx")).is_some() {
        assert_eq!(desk.pki("show --password-file secret three.pfx").status.code(), Some(0));
        if desk.run("openssl", &format!("{export} one.pfx -legacy")).status.success() {
            assert_eq!(desk.pki("show --password-file secret one.pfx").status.code(), Some(0));
        } else {
            skip("PKCS#12 files of OpenSSL 1: there is no legacy provider");
        }
    }
}

#[test]
fn an_authority_may_be_in_a_pkcs12_file() {
    let desk = Desk::new("authority-pfx");
    desk.good("init");
    if desk
        .other(
            "openssl",
            "pkcs12 -export -inkey VPNRootCA01.key -in VPNRootCA01.pem -passout pass:x -out ca.pfx",
        )
        .is_none()
    {
        return;
    }
    desk.write("secret", "x\n");
    let locked = desk.bad("issue inbound --cn site --by ca.pfx");
    assert!(locked.contains("add --by-password-file FILE"), "{locked}");
    desk.good("issue inbound --cn site --by ca.pfx --by-password-file secret");
    assert_eq!(desk.pki("show site --inbound").status.code(), Some(0));
}

#[test]
fn a_certificate_that_ends_early_is_told_so_and_no_other() {
    let desk = Desk::new("ends");
    desk.good("init --months 24");
    let told = desk.good("issue inbound --cn whole --months 24");
    assert!(!told.contains("note:"), "{told}");
    let told = desk.good("issue inbound --cn cut --months 25");
    assert!(
        told.contains("note: the certificate expires with its issuer, before 25 months are over"),
        "{told}"
    );
}

#[test]
fn a_renewal_passes_by_the_files_of_others() {
    let desk = Desk::article("others");
    for name in ["site", "site-2"] {
        desk.good(&format!("issue inbound --cn {name}"));
    }
    desk.good("issue inbound --cn site --renew");
    desk.good("issue inbound --cn site --renew");
    for (file, name) in [("site-2", "CN=site-2"), ("site-3", "CN=site"), ("site-4", "CN=site")] {
        let leaf = desk.certificates(&format!("{file}.pem")).remove(0);
        assert_eq!(leaf.subject().to_string(), name, "{file}");
    }
}

/// Whose authority is not theirs: OpenSSL issues from the request, and the result serves as ours.
#[test]
fn a_request_is_one_that_other_authorities_issue_from() {
    let desk = Desk::new("request");
    let told = desk.good("csr --cn site1 --san gw.example.net");
    for part in
        ["created a request for CN=site1, RSA 2048", "site1.csr", "s2sd pki show ./site1.pem"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(desk.files(), ["site1.csr", "site1.key"]);
    assert_eq!((desk.mode("site1.key"), desk.mode("site1.csr")), (0o600, 0o644));
    assert!(desk.text("site1.csr").starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
    let again = desk.bad("csr --cn site1");
    assert!(again.contains("site1.key exists and is never overwritten"), "{again}");
    desk.good("init --cn Root");
    if let Some(text) = desk.other("openssl", "req -in site1.csr -noout -verify -text") {
        for part in ["CN = site1", "DNS:gw.example.net", "TLS Web Server Authentication"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let issue = "x509 -req -in site1.csr -CA Root.pem -CAkey Root.key -copy_extensions copy -days 900 -out site1.pem";
        desk.other("openssl", issue).unwrap();
        desk.write("site1.pem", &[desk.text("site1.pem"), desk.text("Root.pem")].concat());
        let shown = desk.pki("show site1.pem");
        assert_eq!(shown.status.code(), Some(0), "{shown:?}");
        let mine = desk.certificates("site1.pem").remove(0);
        assert_eq!(mine.subject().to_string(), "CN=site1");
    }
}

#[test]
fn a_renewal_keeps_the_subject_and_changes_the_key() {
    let desk = Desk::article("renewal");
    desk.good("issue inbound --cn site --san gw.example.net --months 12");
    let refused = desk.bad("issue inbound --cn site");
    assert!(refused.contains("site.key exists and is never overwritten"), "{refused}");
    assert!(refused.contains("add --renew"), "{refused}");
    let old = desk.bytes("site.key");
    let told = desk.good("issue inbound --cn site --renew");
    assert!(told.contains("nothing changes in Azure"), "{told}");
    assert!(told.contains("install -m 600 ./site-2.key /etc/s2sd/private/inbound.key"), "{told}");
    desk.good("issue inbound --cn site --renew --san other.example.net");
    desk.good("issue inbound --cn site --renew");
    assert_eq!(desk.bytes("site.key"), old);
    let leaf = |file| desk.certificates(file).remove(0);
    let first = leaf("site.pem");
    for (file, name) in [
        ("site-2.pem", "DNS:gw.example.net"),
        ("site-3.pem", "DNS:other.example.net"),
        ("site-4.pem", "DNS:other.example.net"),
    ] {
        let next = leaf(file);
        assert_eq!(next.subject().as_der(), first.subject().as_der());
        assert_eq!(next.alt_names()[0].to_string(), name);
        assert_ne!(next.public_key(), first.public_key());
        assert_eq!(next.issuer(), first.issuer());
    }
    let told = desk.good("issue outbound --cn Outbound-certificate --renew");
    assert!(told.contains("new version"), "{told}");
    desk.good("issue intermediate --cn Issuing --pathlen 2");
    desk.good("issue intermediate --cn Issuing --renew --by VPNRootCA01");
    let length = leaf("Issuing-2.pem").basic_constraints().unwrap().path_len;
    assert_eq!(length, Some(2));
}

#[test]
fn what_goes_wrong_is_told_with_what_mends_it() {
    let desk = Desk::new("wrong");
    let says = |arguments: &str, parts: &[&str]| {
        let why = desk.bad(arguments);
        for part in parts {
            assert!(why.contains(part), "{arguments}: {part:?} is not in {why}");
        }
    };
    says("issue inbound --cn site", &["no authority in .", "s2sd pki init"]);
    says("init --dir nowhere", &["directory nowhere does not exist", "mkdir"]);
    desk.write("file", "");
    says("init --dir file", &["file is no directory"]);
    desk.good("init");
    says("init", &["VPNRootCA01.key exists and is never overwritten: take another --cn or --dir"]);
    says("init --cn ...", &["neither a letter nor a digit", "another name"]);
    says("issue inbound --cn ..", &["neither a letter nor a digit"]);
    std::fs::rename(desk.0.join("VPNRootCA01.key"), desk.0.join("away")).unwrap();
    says("issue inbound --cn site", &["VPNRootCA01.pem has no key beside it", "--by-key"]);
    desk.good("init --cn Other");
    let swapped = "issue inbound --cn site --by VPNRootCA01 --by-key Other.key";
    says(swapped, &["does not belong to CN=VPNRootCA01", "name the key that was made with"]);
    desk.good("issue inbound --cn elsewhere --by VPNRootCA01 --by-key away");
    std::fs::rename(desk.0.join("away"), desk.0.join("VPNRootCA01.key")).unwrap();
    says("issue inbound --cn site", &["several authorities", "--by", "Other.pem"]);
    says("issue inbound --cn site --by Another", &["neither a file Another"]);
    says("issue inbound --cn site --by elsewhere.pem", &["is not an authority's certificate"]);
    says("issue inbound --cn site --renew", &["no ./site.pem to renew"]);
    says("issue outbound --cn x --pathlen 1 --by Other", &["--pathlen is for an intermediate"]);
    says("issue intermediate --cn x --pathlen 4 --by Other", &["may have at most 3, not 4"]);
    says("export --azure-chain nothing", &["neither a file nothing nor a ./nothing.pem"]);
    says("export --azure-chain file", &["file: it holds neither a certificate"]);
    says(
        "export --pfx a.pfx elsewhere.cer --key Other.key --new-password-file p",
        &["is not that of CN=elsewhere"],
    );
    std::fs::remove_file(desk.0.join("elsewhere.key")).unwrap();
    says("export --pfx a.pfx elsewhere --new-password-file p", &["no private key beside", "--key"]);
    says(
        "export --pfx file Other --new-password-file p",
        &["file exists and is never overwritten: name a new file"],
    );
    desk.good("issue outbound --cn azure --by Other");
    says("export --pfx a.pfx azure", &["no terminal to ask", "--password-file"]);
    desk.write("empty", "\n");
    says("export --pfx a.pfx azure --password-file empty", &["empty holds no password"]);
    for (arguments, part) in [
        ("issue inbound --cn CN=site", "without \"CN=\""),
        ("issue inbound --cn site --san a..b", "neither a host name"),
        ("init --cn x --key-size 1024", "2048, 3072, 4096"),
        ("export azure", "--azure-chain"),
        ("export --azure-chain azure --new-password-file p", "cannot be used with"),
        ("export --azure-chain azure --legacy", "cannot be used with"),
    ] {
        let output = desk.pki(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(why.contains(part), "{arguments}: {why}");
    }
}

#[test]
fn show_tells_fit_doubtful_and_broken_apart() {
    let desk = Desk::article("show");
    desk.good("issue inbound --cn short --months 2");
    let exit = |arguments: &str| desk.pki(arguments).status.code();
    // The warning begins at 30 days.
    assert_eq!(exit("show short.pem"), Some(0));
    assert_eq!(exit("show Inbound-certificate.pem VPNRootCA01.cer"), Some(1), "a duplicate");
    let broken = desk.pki("show --json Inbound-certificate.cer");
    assert_eq!(broken.status.code(), Some(2));
    let review: serde_json::Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(review["subject_name"], "Inbound-certificate");
    assert_eq!(review["certificates"][0]["role"], "leaf");
    let root = review["chain"].as_array().unwrap().iter().find(|f| f["rule"] == "root").unwrap();
    assert_eq!(root["verdict"], "fail");
    let error = "VpnConnectionInBoundAuthenticationCertificateChainFault";
    assert_eq!(root["azure_error"], error);
    assert_eq!(exit("show VPNRootCA01.key"), Some(2));
    assert_eq!(exit("show nothing.pem"), Some(2));
    let text = desk.good("show --inbound Inbound-certificate.pem");
    assert!(
        text.contains("subject name that Azure and s2sd ask for: Inbound-certificate"),
        "{text}"
    );
}

/// Certificates of an authority that s2sd did not make.
#[test]
fn an_own_authority_serves_as_well() {
    if !present("openssl") {
        return;
    }
    let desk = Desk::new("own");
    desk.other("openssl", "req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.pem -days 3000 -subj /O=Example/CN=Example-CA");
    desk.other("openssl", "rsa -in own.key -traditional -out own.pkcs1");
    desk.good("issue outbound --cn azure --by own.pem --by-key own.pkcs1");
    for purpose in ["sslserver", "sslclient"] {
        desk.other("openssl", &format!("verify -purpose {purpose} -CAfile own.pem azure.cer"));
    }
    // A leaf of the article's OpenSSL commands: request, extensions, SHA-256; its key in the old
    // form.
    desk.write("leaf.ext", "extendedKeyUsage = serverAuth, clientAuth\n");
    desk.other(
        "openssl",
        "req -new -newkey rsa:2048 -nodes -keyout site.p8 -out site.csr -subj /CN=site",
    );
    desk.other("openssl", "rsa -in site.p8 -traditional -out site.key");
    desk.other("openssl", "x509 -req -in site.csr -CA own.pem -CAkey own.key -CAcreateserial -days 2000 -sha256 -extfile leaf.ext -outform DER -out site.der");
    assert_eq!(desk.pki("show site.der own.pem site.key").status.code(), Some(0));
    let chain = desk.good("export --azure-chain site.der own.pem");
    desk.write("chain.b64", &chain);
    desk.write("password", "secret");
    assert_eq!(desk.certificates("chain.b64"), desk.certificates("own.pem"));
    desk.good("export --pfx site.pfx site.der own.pem --password-file password");
    let back = desk.other("openssl", "pkcs12 -in site.pfx -passin file:password -nodes");
    assert_eq!(back.unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    let strongswan = "--gen --type rsa --size 2048 --outform pem";
    if let Some(key) = desk.other("pki", strongswan) {
        desk.write("swan.key", &key);
        let root =
            desk.other("pki", "--self --ca --in swan.key --dn CN=Swan --outform pem").unwrap();
        desk.write("swan.pem", &root);
        desk.good("issue inbound --cn theirs --by swan.pem");
        desk.other("pki", "--verify --in theirs.cer --cacert swan.pem");
    }
}

/// What was made is what a configuration wants.
#[test]
fn check_accepts_what_was_made() {
    let desk = Desk::article("configured");
    let at = desk.0.display();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/azure-single.toml");
    let text = std::fs::read_to_string(example).unwrap();
    let text = text
        .replace("/etc/s2sd/certs/inbound.pem", &format!("{at}/Inbound-certificate.pem"))
        .replace("credential:inbound.key", &format!("{at}/Inbound-certificate.key"))
        .replace("/etc/s2sd/certs/azure-root.pem", &format!("{at}/VPNRootCA01.pem"));
    desk.write("s2sd.toml", &text);
    let checked = desk.run(env!("CARGO_BIN_EXE_s2sd"), "check s2sd.toml");
    let told = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{told}");
    assert!(told.contains("inboundAuthCertificateSubjectName Inbound-certificate"), "{told}");
}
