//! Values that are one of a few words, spelt as Azure spells them.

use super::doc::{ChoiceValue, ValueKind};
use super::nearest::{folded, nearest};
use super::reader::{ConfigReader, Entry};

/// Words that Azure accepts and s2sd refuses.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// The words, as Azure and others spell them.
    pub names: &'static [&'static str],
    /// Why the words are refused, and what to choose instead.
    pub instead: &'static str,
}

/// Reads a word and gives its place in `choices`; reports a word that is not among them.
pub fn read_choice(
    choices: &'static [ChoiceValue],
    aliases: &[(&str, usize)],
    refused: &[Refused],
    entry: Entry<'_, '_>,
    reader: &mut ConfigReader<'_>,
) -> Option<usize> {
    let text = entry.text(&ValueKind::Choice(choices), reader)?;
    let exact = choices.iter().position(|choice| choice.name == text);
    let alias = || aliases.iter().find(|(alias, _)| *alias == text).map(|(_, index)| *index);
    if let Some(index) = exact.or_else(alias) {
        return Some(index);
    }
    let key = entry.key.name;
    if let Some(refused) =
        refused.iter().find(|r| r.names.iter().any(|n| folded(n) == folded(text)))
    {
        entry.refuse(reader, format!("`{key}` is {text:?}, which s2sd refuses"), refused.instead);
        return None;
    }
    let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
    let meant = spelt_elsewhere(text, &names).or_else(|| nearest(text, names.iter().copied()));
    let hint = match meant {
        Some(name) => format!("did you mean \"{name}\"? The values are {}", names.join(", ")),
        None => format!("the values are {}", names.join(", ")),
    };
    entry.refuse(reader, format!("`{key}` is {text:?}, which is not a known value"), hint);
    None
}

/// Azure's name for what strongSwan and others call `text`, if it is one of `names`.
fn spelt_elsewhere<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let text = folded(text);
    let (_, azure) = ELSEWHERE.iter().find(|(others, _)| others.contains(&text.as_str()))?;
    names.iter().find(|name| azure.contains(name)).copied()
}

/// Other programs' names, folded, each with Azure's names for the same.
const ELSEWHERE: &[(&[&str], &[&str])] = &[
    (&["modp1024", "group2", "2"], &["DHGroup2", "PFS2"]),
    (&["modp2048", "group14", "14", "dh14"], &["DHGroup14", "PFS2048"]),
    (&["modp2048s256", "group24", "24"], &["DHGroup24", "PFS24"]),
    (&["ecp256", "group19", "19", "secp256r1", "p256"], &["ECP256"]),
    (&["ecp384", "group20", "20", "secp384r1", "p384"], &["ECP384"]),
    (&["aes256gcm16", "aes256gcm", "aesgcm256"], &["GCMAES256"]),
    (&["aes192gcm16", "aes192gcm", "aesgcm192"], &["GCMAES192"]),
    (&["aes128gcm16", "aes128gcm", "aesgcm128"], &["GCMAES128"]),
    (&["aescbc256", "aes256cbc"], &["AES256"]),
    (&["aescbc192", "aes192cbc"], &["AES192"]),
    (&["aescbc128", "aes128cbc", "aes"], &["AES128"]),
    (&["prfsha384", "hmacsha384", "sha2384"], &["SHA384"]),
    (&["prfsha256", "hmacsha256", "sha2256"], &["SHA256"]),
];

/// Declares a choice: an enum with a word for each variant, after a word its other spellings, and
/// at the end the words that are refused. `impl NAME` gives words to an enum that a lower layer
/// declares; its variants must stand in the order of that declaration.
macro_rules! choices {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $word:literal $(or $alias:literal)*,)*
        }
        $(refused { $([$($bad:literal),*]: $instead:literal,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
        }

        $crate::config::choice::choices! {
            impl $name {
                $($(#[doc = $doc])* $variant = $word $(or $alias)*,)*
            }
            $(refused { $([$($bad),*]: $instead,)* })?
        }
    };
    (
        impl $name:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $word:literal $(or $alias:literal)*,)*
        }
        $(refused { $([$($bad:literal),*]: $instead:literal,)* })?
    ) => {
        impl $name {
            /// All variants, in Azure's order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            const WORDS: &'static [$crate::config::doc::ChoiceValue] =
                &[$($crate::config::doc::ChoiceValue {
                name: $word,
                doc: concat!($($doc),*),
            },)*];

            /// The variant as the file and Azure write it.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }
        }

        impl $crate::config::reader::ConfigValue for $name {
            const KIND: $crate::config::doc::ValueKind =
                $crate::config::doc::ValueKind::Choice($name::WORDS);

            fn read(
                entry: $crate::config::reader::Entry<'_, '_>,
                reader: &mut $crate::config::reader::ConfigReader<'_>,
            ) -> Option<$name> {
                let aliases: &[(&str, usize)] = &[$($(($alias, $name::$variant as usize),)*)*];
                let refused: &[$crate::config::choice::Refused] =
                    &[$($($crate::config::choice::Refused {
                    names: &[$($bad),*],
                    instead: $instead,
                },)*)?];
                let index = $crate::config::choice::read_choice(
                    $name::WORDS, aliases, refused, entry, reader,
                )?;
                $name::ALL.get(index).copied()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

pub(super) use choices;
