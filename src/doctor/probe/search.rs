//! Path MTU search: finds the largest packet that passes, with few packets.

/// The largest size in `least..=most` that passes, or `None` when `least` does not. Tries `most`
/// first, then searches by halves.
///
/// A lost packet can only make the result smaller, so `passes` should send each size more than
/// once.
pub fn largest(least: usize, most: usize, mut passes: impl FnMut(usize) -> bool) -> Option<usize> {
    if most < least {
        return None;
    }
    if passes(most) {
        return Some(most);
    }
    if least == most || !passes(least) {
        return None;
    }
    let (mut passed, mut lost) = (least, most);
    while lost - passed > 1 {
        let middle = passed.midpoint(lost);
        if passes(middle) {
            passed = middle;
        } else {
            lost = middle;
        }
    }
    Some(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_found_wherever_it_lies() {
        for limit in 500..=1500 {
            let mut packets = 0;
            let found = largest(576, 1500, |size| {
                packets += 1;
                size <= limit
            });
            assert_eq!(found, (limit >= 576).then_some(limit));
            assert!(packets <= 12, "{packets}");
        }
        assert_eq!(largest(576, 1500, |_| true), Some(1500));
        assert_eq!(largest(10, 9, |_| true), None);
        assert_eq!(largest(9, 9, |size| size > 9), None);
    }
}
