//! The cases, by topic.

mod identity;
mod life;
mod page;
mod restart;
mod setup;
mod soak;
mod traffic;

use super::Case;

pub fn all() -> impl Iterator<Item = Case> {
    [
        setup::CASES,
        identity::CASES,
        life::CASES,
        traffic::CASES,
        restart::CASES,
        page::CASES,
        soak::cases(),
    ]
    .into_iter()
    .flatten()
    .copied()
}
