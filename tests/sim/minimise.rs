//! Makes a failing list of events shorter: takes out halves, then quarters, then single events, as
//! long as it still fails.

/// The shortest list that greedy removal finds and that still fails. `fails` must be deterministic.
pub fn shrink<T: Clone>(events: &[T], fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut kept = events.to_vec();
    let mut chunk = kept.len().div_ceil(2).max(1);
    loop {
        let mut shortened = false;
        let mut at = 0;
        while at < kept.len() {
            let end = (at + chunk).min(kept.len());
            let without: Vec<T> = kept[..at].iter().chain(&kept[end..]).cloned().collect();
            if fails(&without) {
                kept = without;
                shortened = true;
            } else {
                at = end;
            }
        }
        if chunk == 1 && !shortened {
            return kept;
        }
        chunk = if chunk == 1 { 1 } else { chunk.div_ceil(2) };
    }
}

mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_stays() {
        let events: Vec<u32> = (0..100).collect();
        let fails = |list: &[u32]| list.contains(&17) && list.contains(&71);
        assert_eq!(shrink(&events, fails), [17, 71]);
        assert_eq!(shrink(&events, |_| true), Vec::<u32>::new());
        assert_eq!(shrink(&events[..1], |list| !list.is_empty()), [0]);
    }
}
