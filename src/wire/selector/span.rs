//! Closed ranges of whole numbers and their algebra, under ranges of addresses, ports and
//! protocols.

/// A number with neighbours.
pub(crate) trait Successor: Copy + Ord {
    /// The next larger one.
    fn after(self) -> Option<Self>;
    /// The next smaller one.
    fn before(self) -> Option<Self>;
}

macro_rules! steps {
    ($($int:ty),*) => {$(
        impl Successor for $int {
            fn after(self) -> Option<$int> {
                self.checked_add(1)
            }

            fn before(self) -> Option<$int> {
                self.checked_sub(1)
            }
        }
    )*};
}

steps!(u8, u16, u32, u128);

/// All numbers from `first` to `last`, both included; never empty.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Span<T> {
    first: T,
    last: T,
}

impl<T: Successor> Span<T> {
    pub(crate) const fn one(value: T) -> Span<T> {
        Span { first: value, last: value }
    }

    /// None when the ends are the wrong way round.
    pub(crate) fn new(first: T, last: T) -> Option<Span<T>> {
        (first <= last).then_some(Span { first, last })
    }

    pub(crate) const fn first(&self) -> T {
        self.first
    }

    pub(crate) const fn last(&self) -> T {
        self.last
    }

    pub(crate) fn has(&self, value: T) -> bool {
        self.first <= value && value <= self.last
    }

    /// Whether all of `other` lies within.
    pub(crate) fn covers(&self, other: &Span<T>) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// What both have.
    pub(crate) fn intersect(&self, other: &Span<T>) -> Option<Span<T>> {
        Span::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// Both as one, when there is no gap between them.
    pub(crate) fn join(&self, other: &Span<T>) -> Option<Span<T>> {
        let (low, high) = if self.first <= other.first { (self, other) } else { (other, self) };
        let touches = low.last.after().is_none_or(|next| high.first <= next);
        touches.then_some(Span { first: low.first, last: low.last.max(high.last) })
    }

    /// What is left without `other`: a part below it and a part above it.
    pub(crate) fn without(&self, other: &Span<T>) -> [Option<Span<T>>; 2] {
        if self.intersect(other).is_none() {
            return [Some(*self), None];
        }
        let below = other.first.before().and_then(|last| Span::new(self.first, last));
        let above = other.last.after().and_then(|first| Span::new(first, self.last));
        [below, above]
    }
}

impl Span<u32> {
    /// All 32-bit numbers.
    pub(crate) const ALL: Span<u32> = Span { first: 0, last: u32::MAX };
}

impl Span<u128> {
    /// All 128-bit numbers.
    pub(crate) const ALL: Span<u128> = Span { first: 0, last: u128::MAX };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every span of the numbers 0 to 7, shifted to the top of `u8`, so that the ends of the type
    /// are met.
    fn all() -> impl Iterator<Item = Span<u8>> + Clone {
        let low = (0..8u8).flat_map(|a| (0..8u8).filter_map(move |b| Span::new(a, b)));
        low.clone().chain(low.map(|s| Span { first: s.first + 248, last: s.last + 248 }))
    }

    #[test]
    fn algebra_agrees_with_membership() {
        for (a, b) in all().flat_map(|a| all().map(move |b| (a, b))) {
            let joined = a.join(&b);
            let parts = a.without(&b);
            for n in 0..=255u8 {
                let both = a.intersect(&b).is_some_and(|s| s.has(n));
                assert_eq!(both, a.has(n) && b.has(n));
                let left = parts.iter().flatten().any(|s| s.has(n));
                assert_eq!(left, a.has(n) && !b.has(n));
                if let Some(joined) = joined {
                    assert_eq!(joined.has(n), a.has(n) || b.has(n));
                }
            }
            assert_eq!(a.covers(&b), (0..=255).all(|n| a.has(n) || !b.has(n)));
            let gap = (0..=255u8).any(|n| {
                let between = n > a.last.min(b.last) && n < a.first.max(b.first);
                between && !a.has(n) && !b.has(n)
            });
            assert_eq!(joined.is_none(), gap);
        }
    }
}
