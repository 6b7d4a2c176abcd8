//! Stable numbers of domain words that have none of their own.

use domain::{Outcome, Touchpoint};

/// The number of an outcome: its place in [`Outcome::ALL`].
pub(crate) fn outcome(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Granted => 0,
        Outcome::None => 1,
        Outcome::Suppressed => 2,
        Outcome::Denied => 3,
        Outcome::Control => 4,
        Outcome::Pending => 5,
        Outcome::Fallback => 6,
    }
}

/// The outcome with this number.
pub(crate) fn outcome_of(number: i64) -> Option<Outcome> {
    Outcome::ALL.into_iter().find(|candidate| outcome(*candidate) == number)
}

/// The number of a touchpoint.
pub(crate) fn touchpoint(touchpoint: Touchpoint) -> i64 {
    match touchpoint {
        Touchpoint::Checkout => 0,
        Touchpoint::Service => 1,
        Touchpoint::App => 2,
        Touchpoint::Web => 3,
        Touchpoint::Email => 4,
        Touchpoint::Pos => 5,
        Touchpoint::Partner => 6,
        Touchpoint::Batch => 7,
    }
}

/// The touchpoint with this number.
pub(crate) fn touchpoint_of(number: i64) -> Option<Touchpoint> {
    let name = domain::event::TOUCHPOINT_NAMES.get(usize::try_from(number).ok()?)?;
    Touchpoint::from_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for candidate in Outcome::ALL {
            assert_eq!(outcome_of(outcome(candidate)), Some(candidate));
        }
        for name in domain::event::TOUCHPOINT_NAMES {
            let candidate = Touchpoint::from_name(name).unwrap();
            assert_eq!(touchpoint_of(touchpoint(candidate)), Some(candidate));
        }
    }
}
