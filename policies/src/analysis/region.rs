//! Sets of rows of facts, and what a condition is over a whole set: surely true, surely false, or neither.
//!
//! A region holds a span per fact and, for each pair of numbers that some condition compares, which of them may
//! be larger. Spans alone would never refute `a > b && a < b`. Orders follow from each other (`a < b` and `b < c`
//! leave no `c < a`) and narrow the spans.

use std::cmp::Ordering;

use domain::Facts;
use domain::facts::Field;

use super::pairs::Pairs;
use super::world;
use crate::language::tree::share;
use crate::language::{Compare, Number, Truth};

pub(super) const LESS: u8 = 1;
pub(super) const EQUAL: u8 = 2;
pub(super) const GREATER: u8 = 4;

/// Every order two numbers can have, as bits.
const ORDERS: [u8; 3] = [LESS, EQUAL, GREATER];
/// How often spans and orders are drawn from each other before a region is looked at as it is.
const ROUNDS_MAX: usize = 4;

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

    /// Drops what spans and orders exclude of each other; whether anything is left. What it took is added to `steps`.
    pub(super) fn tighten(&mut self, pairs: &Pairs<'_>, steps: &mut u64) -> bool {
        for _ in 0..ROUNDS_MAX {
            *steps += pairs.steps() + pairs.link_steps();
            if !self.orders_of_spans(pairs) || !self.link(pairs) {
                return false;
            }
            match self.spans_of_orders(pairs, steps) {
                None => return false,
                Some(false) => return true,
                Some(true) => {}
            }
        }
        *steps += pairs.steps();
        self.orders_of_spans(pairs)
    }

    fn orders_of_spans(&mut self, pairs: &Pairs<'_>) -> bool {
        for (at, (left, right)) in pairs.sides().enumerate() {
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

    /// Drops orders that others exclude; whether every pair has one left.
    fn link(&mut self, pairs: &Pairs<'_>) -> bool {
        let numbers = pairs.linked();
        // Per number, as bits: what it is never larger than, and what it is always smaller than.
        let (mut within, mut below) = ([0u64; 64], [0u64; 64]);
        for (at, (left, right)) in pairs.links() {
            let orders = self.orders[at];
            for (small, large, wrong) in [(left, right, GREATER), (right, left, LESS)] {
                if orders & wrong == 0 {
                    within[small] |= 1 << large;
                    below[small] |= if orders & EQUAL == 0 { 1 << large } else { 0 };
                }
            }
        }
        for middle in 0..numbers {
            for small in 0..numbers {
                if within[small] >> middle & 1 == 1 {
                    let strict = below[small] >> middle & 1 == 1;
                    below[small] |= if strict { within[middle] } else { below[middle] };
                    within[small] |= within[middle];
                }
            }
        }
        pairs.links().all(|(at, (left, right))| {
            let (left_bit, right_bit) = (1u64 << left, 1u64 << right);
            let mut possible = LESS | EQUAL | GREATER;
            possible &= if within[left] & right_bit != 0 { LESS | EQUAL } else { possible };
            possible &= if within[right] & left_bit != 0 { GREATER | EQUAL } else { possible };
            let apart = (below[left] & right_bit) | (below[right] & left_bit) != 0;
            possible &= if apart { LESS | GREATER } else { possible };
            possible &= if left == right { EQUAL } else { possible };
            self.orders[at] &= possible;
            self.orders[at] != 0
        })
    }

    /// Narrows the spans of facts to what the orders leave; whether it did, `None` when one is empty.
    fn spans_of_orders(&mut self, pairs: &Pairs<'_>, steps: &mut u64) -> Option<bool> {
        let mut narrowed = false;
        // Along a chain of facts a bound moves at least one further each time.
        for _ in 0..=pairs.linked() {
            let before = narrowed;
            narrowed = false;
            *steps += 2 * pairs.steps();
            for (at, (left, right)) in pairs.sides().enumerate() {
                let orders = self.orders[at];
                let gap = i64::from(orders & EQUAL == 0);
                if orders & GREATER == 0 {
                    narrowed |= self.keep_apart(left, right, gap, pairs)?;
                }
                if orders & LESS == 0 {
                    narrowed |= self.keep_apart(right, left, gap, pairs)?;
                }
            }
            if !narrowed {
                return Some(before);
            }
        }
        Some(true)
    }

    /// Narrows two numbers of which the second is larger by at least `gap`, where they are facts.
    fn keep_apart(&mut self, small: &Number, large: &Number, gap: i64, pairs: &Pairs<'_>) -> Option<bool> {
        let (most, least) = (self.number(large, pairs).1, self.number(small, pairs).0);
        let mut narrowed = false;
        for (number, least, most) in
            [(small, i64::MIN, most.saturating_sub(gap)), (large, least.saturating_add(gap), i64::MAX)]
        {
            let Number::Fact(field) = number else { continue };
            let span = &mut self.spans[*field as usize];
            narrowed |= span.0 < least || span.1 > most;
            *span = (span.0.max(least), span.1.min(most));
            if span.0 > span.1 {
                return None;
            }
        }
        Some(narrowed)
    }

    /// What a condition is over the whole region; `None` when it may be either.
    pub(super) fn truth(&self, truth: &Truth, pairs: &Pairs<'_>) -> Option<bool> {
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
    fn every(&self, parts: &[Truth], usual: bool, pairs: &Pairs<'_>) -> Option<bool> {
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

    fn compared(&self, compare: Compare, pair: &(Number, Number), pairs: &Pairs<'_>) -> Option<bool> {
        // A comparison inside a number is no part of the question by itself, so its spans alone decide it.
        let Some((at, turned)) = pairs.find(pair) else {
            return sides(compare, self.number(&pair.0, pairs), self.number(&pair.1, pairs));
        };
        let (orders, holding) = (self.orders[at], orders_holding(compare, turned));
        match (orders & holding, orders & !holding) {
            (_, 0) => Some(true),
            (0, _) => Some(false),
            (_, _) => None,
        }
    }

    /// Least and greatest value a number may have; every operation is monotone in each of its sides, saturation
    /// and rounding included, so the ends of the sides give the ends of the result.
    pub(super) fn number(&self, number: &Number, pairs: &Pairs<'_>) -> (i64, i64) {
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

    fn ends(&self, parts: &(Number, Number), pairs: &Pairs<'_>, of: impl Fn(i64, i64) -> i64) -> (i64, i64) {
        let (left, right) = (self.number(&parts.0, pairs), self.number(&parts.1, pairs));
        let corners = [of(left.0, right.0), of(left.0, right.1), of(left.1, right.0), of(left.1, right.1)];
        corners
            .iter()
            .fold((corners[0], corners[0]), |(least, most), corner| (least.min(*corner), most.max(*corner)))
    }
}

/// The order of two numbers for one row.
pub(super) fn order_of(left: &Number, right: &Number, facts: &Facts) -> u8 {
    match left.of(facts).cmp(&right.of(facts)) {
        Ordering::Less => LESS,
        Ordering::Equal => EQUAL,
        Ordering::Greater => GREATER,
    }
}

/// The orders of a pair in which a comparison of it holds; `turned` when it is written the other way round.
pub(super) fn orders_holding(compare: Compare, turned: bool) -> u8 {
    let holds = |order: u8| {
        let (left, right) = match order {
            LESS => (0, 1),
            EQUAL => (0, 0),
            _ => (1, 0),
        };
        if turned { compare.holds(right, left) } else { compare.holds(left, right) }
    };
    ORDERS.into_iter().filter(|order| holds(*order)).sum()
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
