//! What a look at a condition costs the search, in steps: one for each part of it, and more for parts that are looked up.

use crate::language::{Number, Truth};

/// Steps of finding a calculated number among those of a question, for each of its parts: it is compared with a dozen others.
const FOUND_STEPS: u64 = 4;

/// Steps of one look at a condition.
pub(super) fn of_truth(truth: &Truth) -> u64 {
    match truth {
        Truth::Always(_) | Truth::Flag(_) | Truth::Fact { .. } => 1,
        Truth::OneOf { number, values } => of_number(number) + 1 + values.len() as u64 / 4,
        Truth::Numbers { sides, .. } => match &**sides {
            (Number::Fact(_), Number::Fact(_)) => 2,
            (left, right) => 2 + FOUND_STEPS * (of_number(left) + of_number(right)),
        },
        Truth::Not(part) => 1 + of_truth(part),
        Truth::Same(parts) => 1 + of_truth(&parts.0) + of_truth(&parts.1),
        Truth::All(parts) | Truth::Any(parts) => 1 + parts.iter().map(of_truth).sum::<u64>(),
        Truth::Choose(parts) => 1 + of_truth(&parts.0) + of_truth(&parts.1) + of_truth(&parts.2),
    }
}

/// Steps of one look at a number.
pub(super) fn of_number(number: &Number) -> u64 {
    match number {
        Number::Constant(_) | Number::Fact(_) => 1,
        Number::Negative(inner) => 1 + of_number(inner),
        Number::Sum(sides) | Number::Difference(sides) | Number::Product(sides) => {
            2 + of_number(&sides.0) + of_number(&sides.1)
        }
        // A share is divided in 128 bits, four times.
        Number::Share(sides) => 8 + of_number(&sides.0) + of_number(&sides.1),
        Number::Choose(parts) => 1 + of_truth(&parts.0) + of_number(&parts.1) + of_number(&parts.2),
    }
}

/// A product of two lengths.
pub(super) fn times(one: usize, other: usize) -> u64 {
    one as u64 * other as u64
}
