//! Finds the known name that a misspelt one was probably meant to be.

/// A name in the form in which names are compared: `connectionMode`, `connection-mode` and
/// `Connection_Mode` are the same.
pub fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The candidate nearest to `name`, if one is near enough to be a typing error.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = folded(name);
    candidates
        .into_iter()
        .map(|candidate| (apart(&name, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= slips(&name, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The distance of two folded names. A long enough beginning of a candidate counts as one error.
fn apart(name: &str, candidate: &str) -> usize {
    if name.len() >= SAYS_ENOUGH && candidate.starts_with(name) {
        1
    } else {
        distance(name, candidate)
    }
}

/// The letters of a beginning that is long enough.
const SAYS_ENOUGH: usize = 5;

/// The most errors that are plausible: one in three letters.
fn slips(name: &str, candidate: &str) -> usize {
    name.chars().count().min(candidate.chars().count()) / 3
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string
/// alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [
            ("", "", 0),
            ("a", "", 1),
            ("abc", "acb", 1),
            ("mode", "moed", 1),
            ("tunel", "tunnel", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn only_slips_are_corrected() {
        let keys = ["connection_mode", "name", "mtu"];
        assert_eq!(nearest("conection_mode", keys), Some("connection_mode"));
        assert_eq!(nearest("connectionMode", keys), Some("connection_mode"));
        assert_eq!(nearest("nmae", keys), Some("name"));
        assert_eq!(nearest("mut", keys), Some("mtu"));
        assert_eq!(nearest("colour", keys), None);
    }
}
