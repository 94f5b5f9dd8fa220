//! Quotes text as a literal of other languages. Names come from files and may contain any
//! character.

use std::fmt::Write;

/// A word of POSIX sh. Within single quotes no character is special (POSIX.1-2024, Shell Command
/// Language §2.2.2).
pub fn sh(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A verbatim string of PowerShell, in which typographic quotes are quotes too
/// (about_Quoting_Rules).
pub fn powershell(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted + "'"
}

/// A string of Bicep, in which `${` begins an interpolation.
pub fn bicep(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\\' | '\'' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => push(&mut quoted, format_args!("\\u{{{:x}}}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.replace("${", "\\${") + "'"
}

/// A string of Terraform, in which `${` and `%{` begin templates.
pub fn terraform(text: &str) -> String {
    json(text).replace("${", "$${").replace("%{", "%%{")
}

/// A string of JSON.
pub fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A string of an ARM template, in which a string that begins with a bracket is an expression.
pub fn arm(text: &str) -> String {
    let escape = if text.starts_with('[') { "[" } else { "" };
    json(&format!("{escape}{text}"))
}

/// A basic string of TOML.
pub fn toml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => push(&mut quoted, format_args!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Text on one line and without control characters, for comments and terminals.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The name of a property in snake case, as in the configuration and in Terraform.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "a'b\"c$(d) ${e} %{f} `g` \\h\u{2019}";

    #[test]
    fn each_language_has_its_own_way_out() {
        assert_eq!(sh("VNet1-to-Site1"), "VNet1-to-Site1");
        assert_eq!(sh(""), "''");
        assert_eq!(sh("it's"), r"'it'\''s'");
        assert_eq!(powershell("it's\u{2019}"), "'it''s\u{2019}\u{2019}'");
        assert_eq!(bicep(NASTY), "'a\\'b\"c$(d) \\${e} %{f} `g` \\\\h\u{2019}'");
        assert_eq!(terraform(NASTY), "\"a'b\\\"c$(d) $${e} %%{f} `g` \\\\h\u{2019}\"");
        assert_eq!(arm("[x]"), "\"[[x]\"");
        assert_eq!(toml("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000Ad\"");
    }

    /// What a shell makes of a word is what was put in.
    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in [NASTY, "", " two  words ", "*", "~", "a\nb", "-n", "#x", "!y", "\u{fc}"] {
            let line = format!("printf '%s.' {}", sh(word));
            let output = std::process::Command::new("sh").args(["-c", &line]).output();
            let output = output.expect("sh is part of every system");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{word}."), "{line}");
        }
    }

    #[test]
    fn toml_reads_back_what_was_quoted() {
        for text in [NASTY, "", "\u{7f}\u{0}\u{1b}", "a\nb", "\u{fc}"] {
            let quoted = toml(text);
            let value = toml::de::DeValue::parse(&quoted).expect("a string").into_inner();
            assert_eq!(value.as_str(), Some(text));
        }
    }
}
