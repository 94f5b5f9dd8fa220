//! Files of other programs and in other formats, recognised before TOML's parser calls each of
//! their lines an error.

/// What a text is that is no configuration of s2sd.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OtherFormat {
    /// The text's first line that shows the format, counted from 0.
    pub line: usize,
    /// What the text is.
    pub what: &'static str,
    /// What to do with it.
    pub hint: &'static str,
}

const AZURE_JSON: &str = "s2sd's configuration is TOML: `s2sd azure import FILE` writes it from what `az network \
                          vpn-connection show` prints";
const EXAMPLE: &str = "s2sd's configuration is TOML: begin with the example of s2sd.toml(5), 30 lines that name the same things as Azure";
const STRONGSWAN: &str = "s2sd's configuration is TOML: begin with the example of s2sd.toml(5); `local_ts` and `leftsubnet` are the \
                          `address_prefixes` of [local_network_gateway], `remote_addrs` and `right` are `public_ip_addresses`";

/// The format of a text that is no TOML; `None` for TOML, also for TOML with mistakes.
pub fn recognise(text: &str) -> Option<OtherFormat> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let found = |line, what, hint| Some(OtherFormat { line, what, hint });
    let line_of = |is: fn(&str) -> bool| lines.iter().position(|line| is(line));
    let at = line_of(says_something)?;
    let first = lines.get(at).map_or("", |line| line.trim_start());
    if first.starts_with('{') || (first == "[" && begins_object(&lines, at)) {
        return found(at, "this file is JSON", AZURE_JSON);
    }
    if let Some(line) = line_of(is_wireguard_head) {
        return found(line, "this file is a WireGuard configuration", EXAMPLE);
    }
    if line_of(is_toml_table).is_some() {
        return None;
    }
    if let Some(line) = line_of(is_ipsec_conf_head) {
        return found(line, "this file is an ipsec.conf of strongSwan or Libreswan", STRONGSWAN);
    }
    if let Some(line) = line_of(is_swanctl_section) {
        return found(line, "this file is a swanctl.conf of strongSwan", STRONGSWAN);
    }
    if first == "---" || is_yaml_pair(first) {
        return found(at, "this file is YAML", EXAMPLE);
    }
    None
}

/// Whether a line is neither empty nor a comment.
fn says_something(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';'])
}

/// Whether the line after a lone `[` begins an object, as in the list that `az ... list` prints.
fn begins_object(lines: &[&str], at: usize) -> bool {
    lines.get(at + 1).is_some_and(|line| line.trim_start().starts_with('{'))
}

/// Whether a line is the head of a table that a configuration of s2sd can have.
fn is_toml_table(line: &str) -> bool {
    let name = line.trim().trim_start_matches('[');
    line.trim().starts_with('[')
        && ["device", "local_network_gateway", "connection"].iter().any(|t| name.starts_with(t))
}

fn is_wireguard_head(line: &str) -> bool {
    matches!(line.trim(), "[Interface]" | "[Peer]")
}

/// Whether a line is `config setup` or `conn NAME` (ipsec.conf(5)).
fn is_ipsec_conf_head(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (head, name, more) = (words.next(), words.next(), words.next());
    let named = name.is_some_and(|name| !name.starts_with('='));
    line.starts_with("con")
        && matches!(head, Some("conn" | "config"))
        && named
        && more.is_none_or(|more| more.starts_with('#'))
}

/// Whether a line opens a section of swanctl.conf(5), as `connections {` does.
fn is_swanctl_section(line: &str) -> bool {
    let Some(name) = line.trim().strip_suffix('{') else { return false };
    let name = name.trim();
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.%".contains(c))
}

/// Whether a line is `key:` or `key: value`, which TOML does not have.
fn is_yaml_pair(line: &str) -> bool {
    let Some((key, value)) = line.split_once(':') else { return false };
    let word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    !key.is_empty()
        && key.chars().all(word)
        && (value.is_empty() || value.starts_with(' '))
        && !value.contains('=')
}
