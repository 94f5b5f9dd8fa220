//! The JSON documents of a running service, compared with the manual page s2sd-json(5).

use serde_json::Value as Json;

use super::lab::pair::Pair;
use super::manual::{DROPS, Fields, documented, printed};

#[test]
fn the_manual_page_has_the_fields_that_a_status_has() {
    let Some(pair) = Pair::start("documents") else { return };
    let mut seen = printed(&pair.status(0));
    pair.edit(
        0,
        "outbound_certificate_subject_name = \"azure\"",
        "outbound_certificate_subject_name = \"other\"",
    );
    pair.obey(0, &["reload"]);
    pair.obey(0, &["down", "tunnel"]);
    pair.obey(0, &["up", "tunnel"]);
    pair.wait_for(0, "refused", |status| {
        status["connections"][0]["tunnels"][0]["last_error"].is_object()
    });
    let add = |seen: &mut Fields, more: Fields| {
        for (path, fields) in more {
            seen.entry(path).or_default().extend(fields);
        }
    };
    add(&mut seen, printed(&pair.status(0)));
    let explained = pair.order(0, &["explain", "tunnel", "--json"]).stdout;
    let explained: Json = serde_json::from_slice(&explained).unwrap();

    let mut known = documented("STATUS");
    // Only what was dropped is there, and here nothing need have been.
    let (dropped, reasons) = (seen.remove(DROPS).unwrap_or_default(), known.remove(DROPS).unwrap());
    assert!(dropped.is_subset(&reasons), "{dropped:?}");
    assert!(reasons.contains("replayed"));
    assert_eq!(seen, known);
    assert_eq!(printed(&explained), documented("EXPLAIN"));
}
