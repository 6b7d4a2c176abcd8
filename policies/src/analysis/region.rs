//! Sets of rows of facts, and what a condition is over a whole set: surely true, surely false, or neither.
//!
//! A region holds a span per fact and, for each pair of numbers that some condition compares, which of them may
//! be larger. Spans alone would never refute `a > b && a < b`.

use std::cmp::Ordering;

use domain::Facts;
use domain::facts::Field;

use super::world;
use crate::language::tree::share;
use crate::language::{Compare, Number, Truth};

/// Two numbers that some condition compares.
pub(super) type Pair = (Number, Number);

const LESS: u8 = 1;
const EQUAL: u8 = 2;
const GREATER: u8 = 4;

/// Every order two numbers can have, as bits.
pub(super) const ORDERS: [u8; 3] = [LESS, EQUAL, GREATER];

/// A set of rows of facts.
#[derive(Clone)]
pub(super) struct Region {
    spans: [(i64, i64); Field::COUNT],
    /// Bits of [`ORDERS`] per pair.
    orders: Vec<u8>,
}

impl Region {
    /// Every row, with no order of these pairs excluded.
    pub(super) fn whole(pairs: usize) -> Region {
        let mut spans = [(0, 0); Field::COUNT];
        for field in Field::ALL {
            spans[*field as usize] = world::bounds(*field);
        }
        Region { spans, orders: vec![LESS | EQUAL | GREATER; pairs] }
    }

    /// Least and greatest value of a fact.
    pub(super) fn span(&self, field: Field) -> (i64, i64) {
        self.spans[field as usize]
    }

    /// The rows whose value of a fact is in `least..=most`, which lie inside its span.
    pub(super) fn with_span(&self, field: Field, least: i64, most: i64) -> Region {
        let mut region = self.clone();
        region.spans[field as usize] = (least, most);
        region
    }

    /// The rows where a pair has this order.
    pub(super) fn with_order(&self, pair: usize, order: u8) -> Region {
        let mut region = self.clone();
        region.orders[pair] &= order;
        region
    }

    pub(super) fn orders(&self, pair: usize) -> u8 {
        self.orders[pair]
    }

    /// Drops orders that the spans exclude; whether every pair has one left.
    pub(super) fn tighten(&mut self, pairs: &[&Pair]) -> bool {
        for (at, (left, right)) in pairs.iter().enumerate() {
            let ((left_least, left_most), (right_least, right_most)) =
                (self.number(left, pairs), self.number(right, pairs));
            let mut possible = 0;
            possible |= if left_least < right_most { LESS } else { 0 };
            possible |= if left_most > right_least { GREATER } else { 0 };
            possible |= if left_least <= right_most && right_least <= left_most { EQUAL } else { 0 };
            self.orders[at] &= possible;
            if self.orders[at] == 0 {
                return false;
            }
        }
        true
    }

    /// What a condition is over the whole region; `None` when it may be either.
    pub(super) fn truth(&self, truth: &Truth, pairs: &[&Pair]) -> Option<bool> {
        match truth {
            Truth::Always(truth) => Some(*truth),
            Truth::Flag(field) => sides(Compare::NotEqual, self.span(*field), (0, 0)),
            Truth::Fact { field, compare, value } => sides(*compare, self.span(*field), (*value, *value)),
            Truth::Numbers { compare, sides: pair } => self.compared(*compare, pair, pairs),
            Truth::OneOf { number, values } => {
                let (least, most) = self.number(number, pairs);
                let inside = values.iter().any(|value| (least..=most).contains(value));
                if inside && least < most { None } else { Some(inside) }
            }
            Truth::Not(inner) => self.truth(inner, pairs).map(|truth| !truth),
            Truth::Same(parts) => Some(self.truth(&parts.0, pairs)? == self.truth(&parts.1, pairs)?),
            Truth::All(parts) => self.every(parts, true, pairs),
            Truth::Any(parts) => self.every(parts, false, pairs),
            Truth::Choose(parts) => match self.truth(&parts.0, pairs) {
                Some(true) => self.truth(&parts.1, pairs),
                Some(false) => self.truth(&parts.2, pairs),
                None => {
                    let then = self.truth(&parts.1, pairs)?;
                    (self.truth(&parts.2, pairs)? == then).then_some(then)
                }
            },
        }
    }

    /// `usual` when every part is `usual`, its opposite when one part is the opposite.
    fn every(&self, parts: &[Truth], usual: bool, pairs: &[&Pair]) -> Option<bool> {
        let mut answer = Some(usual);
        for part in parts {
            match self.truth(part, pairs) {
                Some(truth) if truth != usual => return Some(truth),
                Some(_) => {}
                None => answer = None,
            }
        }
        answer
    }

    fn compared(&self, compare: Compare, pair: &Pair, pairs: &[&Pair]) -> Option<bool> {
        // A comparison inside a number is no part of the question by itself, so its spans alone decide it.
        let Some(at) = position(pair, pairs) else {
            return sides(compare, self.number(&pair.0, pairs), self.number(&pair.1, pairs));
        };
        let orders = self.orders[at];
        let mut answers = ORDERS.iter().filter(|order| orders & **order != 0).map(|order| match *order {
            LESS => compare.holds(0, 1),
            EQUAL => compare.holds(0, 0),
            _ => compare.holds(1, 0),
        });
        let first = answers.next()?;
        answers.all(|answer| answer == first).then_some(first)
    }

    /// Least and greatest value a number may have; every operation is monotone in each of its sides, saturation
    /// and rounding included, so the ends of the sides give the ends of the result.
    pub(super) fn number(&self, number: &Number, pairs: &[&Pair]) -> (i64, i64) {
        match number {
            Number::Constant(value) => (*value, *value),
            Number::Fact(field) => self.span(*field),
            Number::Negative(inner) => {
                let (least, most) = self.number(inner, pairs);
                (most.saturating_neg(), least.saturating_neg())
            }
            Number::Sum(parts) => self.ends(parts, pairs, i64::saturating_add),
            Number::Difference(parts) => self.ends(parts, pairs, i64::saturating_sub),
            Number::Product(parts) => self.ends(parts, pairs, i64::saturating_mul),
            Number::Share(parts) => self.ends(parts, pairs, share),
            Number::Choose(parts) => {
                let (then, otherwise) = (self.number(&parts.1, pairs), self.number(&parts.2, pairs));
                match self.truth(&parts.0, pairs) {
                    Some(true) => then,
                    Some(false) => otherwise,
                    None => (then.0.min(otherwise.0), then.1.max(otherwise.1)),
                }
            }
        }
    }

    fn ends(&self, parts: &Pair, pairs: &[&Pair], of: impl Fn(i64, i64) -> i64) -> (i64, i64) {
        let (left, right) = (self.number(&parts.0, pairs), self.number(&parts.1, pairs));
        let corners = [of(left.0, right.0), of(left.0, right.1), of(left.1, right.0), of(left.1, right.1)];
        corners
            .iter()
            .fold((corners[0], corners[0]), |(least, most), corner| (least.min(*corner), most.max(*corner)))
    }
}

/// The order of a pair for one row.
pub(super) fn order_of(pair: &Pair, facts: &Facts) -> u8 {
    match pair.0.of(facts).cmp(&pair.1.of(facts)) {
        Ordering::Less => LESS,
        Ordering::Equal => EQUAL,
        Ordering::Greater => GREATER,
    }
}

/// Where a pair stands in a list.
pub(super) fn position(pair: &Pair, pairs: &[&Pair]) -> Option<usize> {
    pairs.iter().position(|known| *known == pair)
}

/// A comparison of two spans.
fn sides(compare: Compare, left: (i64, i64), right: (i64, i64)) -> Option<bool> {
    let apart = left.1 < right.0 || left.0 > right.1;
    let single = left.0 == left.1 && right == left;
    let by_ends = |surely: bool, never: bool| {
        if surely {
            Some(true)
        } else if never {
            Some(false)
        } else {
            None
        }
    };
    match compare {
        Compare::Equal => by_ends(single, apart),
        Compare::NotEqual => by_ends(apart, single),
        Compare::Less => by_ends(left.1 < right.0, left.0 >= right.1),
        Compare::LessOrEqual => by_ends(left.1 <= right.0, left.0 > right.1),
        Compare::Greater => by_ends(left.0 > right.1, left.1 <= right.0),
        Compare::GreaterOrEqual => by_ends(left.0 >= right.1, left.1 < right.0),
    }
}
