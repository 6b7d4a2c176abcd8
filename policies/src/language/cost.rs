//! What a condition can cost at worst, in steps: known before it ever runs, so that a decision has a bound on its time.
//!
//! A step is one thing done once: a fact or constant read, an operator applied, a literal of a list looked at. Of
//! the two sides of `? :` the dearer one counts; `&&` and `||` count in full, though they may stop early. Whatever is
//! done more than once costs its steps as often.

use super::tree::{Number, Truth};

/// Most steps of a condition. A step takes 1 to 2 ns, so no condition takes longer than a whole moment does with the
/// starter, 0.5 us. The dearest sensible one seen costs 15.
pub const COST_MAX: u32 = 256;

/// A share is divided in 128 bits, which takes as long as this many other steps.
const SHARE: u32 = 8;

impl Truth {
    /// Steps to answer it at worst.
    pub fn cost(&self) -> u32 {
        match self {
            Truth::Always(_) | Truth::Flag(_) => 1,
            Truth::Fact { .. } => 3,
            Truth::Numbers { sides, .. } => sum([1, sides.0.cost(), sides.1.cost()]),
            Truth::OneOf { number, values } => sum([number.cost(), length(values.len())]),
            Truth::Not(inner) => sum([1, inner.cost()]),
            Truth::Same(sides) => sum([1, sides.0.cost(), sides.1.cost()]),
            Truth::All(parts) | Truth::Any(parts) => {
                let operators = length(parts.len()).saturating_sub(1);
                parts.iter().fold(operators, |steps, part| sum([steps, part.cost()]))
            }
            Truth::Choose(parts) => {
                let (condition, then, otherwise) = &**parts;
                sum([1, condition.cost(), then.cost().max(otherwise.cost())])
            }
        }
    }
}

impl Number {
    /// Steps to compute it at worst.
    pub fn cost(&self) -> u32 {
        match self {
            Number::Constant(_) | Number::Fact(_) => 1,
            Number::Negative(inner) => sum([1, inner.cost()]),
            Number::Sum(sides) | Number::Difference(sides) | Number::Product(sides) => {
                sum([1, sides.0.cost(), sides.1.cost()])
            }
            Number::Share(sides) => sum([SHARE, sides.0.cost(), sides.1.cost()]),
            Number::Choose(parts) => {
                let (condition, then, otherwise) = &**parts;
                sum([1, condition.cost(), then.cost().max(otherwise.cost())])
            }
        }
    }
}

/// Steps one after the other; more than can be counted is more than is allowed.
fn sum<const N: usize>(steps: [u32; N]) -> u32 {
    steps.into_iter().fold(0, u32::saturating_add)
}

/// One step for each element of a list.
fn length(elements: usize) -> u32 {
    u32::try_from(elements).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::language::condition;

    #[track_caller]
    fn check(text: &str, steps: u32) {
        assert_eq!(condition(text).map(|truth| truth.cost()), Ok(steps), "{text}");
    }

    #[test]
    fn facts_literals_and_operators_are_a_step_each() {
        check("member.minor", 1);
        check("!member.minor", 2);
        check("member.trips >= 3", 3);
        check("member.trips >= 3 && !member.minor", 6);
        check("reward.cost <= event.amount * 4", 5);
    }

    #[test]
    fn literals_of_a_list_count_each() {
        check("now.hour in [1]", 2);
        check("now.hour in [0, 1, 2, 3, 4]", 6);
    }

    #[test]
    fn of_two_sides_the_dearer_counts() {
        check("member.trips >= (member.minor ? 10 : 3)", 5);
        check("member.minor ? member.trips >= 3 : now.hour in [1, 2, 3, 4]", 7);
    }

    #[test]
    fn a_share_costs_what_its_division_takes() {
        check("reward.cost <= event.amount * 0.4", 12);
    }
}
