//! Whether some row of facts makes several conditions come out as wanted: a row, a proof that none does, or no
//! answer within the bound.
//!
//! Regions of rows are halved where an undecided condition changes, until it is decided; what cannot hold is
//! dropped. Conditions that compare one fact with constants are always decided, because they change at few
//! places. Those that compare facts with each other are tried at the ends of their spans and halved on, and may
//! end without an answer.

use domain::Facts;
use domain::facts::Field;

use super::region::{ORDERS, Pair, Region, order_of, position};
use super::world;
use crate::language::{Compare, Number, Truth};

/// Most regions looked at for one question. Conditions of rules seen take tens; a proof over two facts compared
/// with each other takes hundreds.
const QUESTION_REGIONS_MAX: u32 = 4_000;
/// Most regions looked at for one bundle: a few seconds. The starter bundle takes some thousands.
const BUNDLE_REGIONS_MAX: u32 = 200_000;
/// Facts whose ends are tried in every combination; two are compared in nearly every condition seen.
const CORNER_FACTS_MAX: usize = 4;

/// A condition and what it should be.
#[derive(Clone, Copy)]
pub(super) struct Claim<'a> {
    pub truth: &'a Truth,
    pub holds: bool,
}

pub(super) enum Answer {
    /// Proven: no row does it.
    Never,
    /// This row does it.
    Sometimes(Box<Facts>),
    /// The bound was reached.
    Open,
}

impl Answer {
    pub(super) fn is_never(&self) -> bool {
        matches!(self, Answer::Never)
    }

    pub(super) fn row(self) -> Option<Facts> {
        match self {
            Answer::Sometimes(facts) => Some(*facts),
            Answer::Never | Answer::Open => None,
        }
    }
}

/// Asks questions about one bundle, within one bound.
pub(super) struct Search {
    left: u32,
    usual: Facts,
}

impl Search {
    pub(super) fn new() -> Search {
        Search { left: BUNDLE_REGIONS_MAX, usual: world::usual() }
    }

    /// Whether some possible row of facts fits every claim.
    pub(super) fn ask(&mut self, claims: &[Claim<'_>]) -> Answer {
        let mut read = [false; Field::COUNT];
        claims.iter().for_each(|claim| claim.truth.fields(&mut |field| read[field as usize] = true));
        let mut claims = claims.to_vec();
        // What is known of facts that no claim reads can always be met by choosing them.
        claims.extend(world::ALWAYS.iter().filter_map(|truth| {
            let mut all_read = true;
            truth.fields(&mut |field| all_read &= read[field as usize]);
            all_read.then_some(Claim { truth, holds: true })
        }));
        // What compares facts with constants is cut first: it narrows a region without leaving more to cut.
        claims.sort_by_cached_key(|claim| {
            let mut pairs = Vec::new();
            list_pairs(claim.truth, &mut pairs);
            !pairs.is_empty()
        });
        let mut pairs = Vec::new();
        claims.iter().for_each(|claim| list_pairs(claim.truth, &mut pairs));
        let question = Question { claims, pairs, usual: &self.usual };
        let (answer, regions) = question.search(self.left.min(QUESTION_REGIONS_MAX));
        self.left -= regions;
        answer
    }
}

struct Question<'a> {
    claims: Vec<Claim<'a>>,
    pairs: Vec<&'a Pair>,
    usual: &'a Facts,
}

/// Where a region is cut.
enum Cut {
    /// Below this value of a fact, and from it on.
    At(Field, i64),
    /// By the order of a pair.
    Order(usize),
}

impl Question<'_> {
    /// The answer, and the number of regions it took.
    fn search(&self, regions_max: u32) -> (Answer, u32) {
        let mut waiting = vec![Region::whole(self.pairs.len())];
        let mut regions = 0;
        while let Some(mut region) = waiting.pop() {
            if regions == regions_max {
                return (Answer::Open, regions);
            }
            regions += 1;
            if !region.tighten(&self.pairs) || self.refuted(&region) {
                continue;
            }
            if let Some(facts) = self.row_in(&region) {
                return (Answer::Sometimes(Box::new(facts)), regions);
            }
            match self.cut(&region) {
                Some(cut) => self.halves(&region, &cut, &mut waiting),
                // Nothing to cut is a single row, which was tried.
                None => continue,
            }
        }
        (Answer::Never, regions)
    }

    fn refuted(&self, region: &Region) -> bool {
        self.claims.iter().any(|claim| region.truth(claim.truth, &self.pairs) == Some(!claim.holds))
    }

    fn fits(&self, facts: &Facts) -> bool {
        self.claims.iter().all(|claim| claim.truth.holds(facts) == claim.holds)
    }

    /// A row of the region that fits: the most usual one, or one at the ends of facts that are compared with each
    /// other.
    fn row_in(&self, region: &Region) -> Option<Facts> {
        let usual = world::settle(region, self.usual);
        if self.fits(&usual) {
            return Some(usual);
        }
        let mut compared = Vec::new();
        for (left, right) in &self.pairs {
            let mut visit = |field: Field| {
                let (least, most) = region.span(field);
                if least < most && !compared.contains(&field) {
                    compared.push(field);
                }
            };
            left.fields(&mut visit);
            right.fields(&mut visit);
        }
        compared.truncate(CORNER_FACTS_MAX);
        let ends = |field: Field| {
            let (least, most) = region.span(field);
            vec![least, most]
        };
        let far = self.combined(&usual, &compared, &ends)?;
        // The ends of an amount are absurd; people understand one near the usual.
        let near = |field: Field| {
            let (value, (least, most)) = (usual.get(field), region.span(field));
            let mut values: Vec<i64> =
                [value, value / 2, value.saturating_mul(2)].map(|value| value.clamp(least, most)).into();
            values.push(far.get(field));
            values
        };
        Some(self.combined(&usual, &compared, &near).unwrap_or(far))
    }

    /// The first row that fits, with every combination of values for some facts.
    fn combined(&self, row: &Facts, fields: &[Field], values: &dyn Fn(Field) -> Vec<i64>) -> Option<Facts> {
        let Some((field, rest)) = fields.split_first() else {
            return self.fits(row).then(|| row.clone());
        };
        values(*field).into_iter().find_map(|value| {
            let mut row = row.clone();
            row.set(*field, value);
            self.combined(&row, rest, values)
        })
    }

    /// Where to cut: the first undecided condition's change, or a pair whose order the row does not have yet.
    fn cut(&self, region: &Region) -> Option<Cut> {
        let undecided = self.claims.iter().find(|claim| region.truth(claim.truth, &self.pairs).is_none());
        if let Some(claim) = undecided {
            return self.change(claim.truth, region);
        }
        let usual = world::settle(region, self.usual);
        let missed = |(at, pair): &(usize, &&Pair)| region.orders(*at) & order_of(pair, &usual) == 0;
        let (_, (left, right)) = self.pairs.iter().enumerate().find(missed)?;
        widest(region, &[left, right])
    }

    /// A cut that brings an undecided condition nearer to a decision.
    fn change(&self, truth: &Truth, region: &Region) -> Option<Cut> {
        let inner = |parts: &[&Truth]| {
            let part = parts.iter().find(|part| region.truth(part, &self.pairs).is_none())?;
            self.change(part, region)
        };
        match truth {
            Truth::Always(_) => None,
            Truth::Flag(field) => Some(Cut::At(*field, 1)),
            Truth::Fact { field, compare, value } => {
                Some(Cut::At(*field, boundary(*compare, *value, region.span(*field))))
            }
            Truth::Numbers { sides, .. } => position(sides, &self.pairs).map(Cut::Order),
            Truth::OneOf { number, values } => {
                let Number::Fact(field) = &**number else { return widest(region, &[number]) };
                let (least, most) = region.span(*field);
                let value = values.iter().find(|value| (least..=most).contains(value))?;
                Some(Cut::At(*field, boundary(Compare::Equal, *value, (least, most))))
            }
            Truth::Not(part) => self.change(part, region),
            Truth::Same(parts) => inner(&[&parts.0, &parts.1]),
            Truth::All(parts) | Truth::Any(parts) => inner(&parts.iter().collect::<Vec<_>>()),
            Truth::Choose(parts) => inner(&[&parts.0, &parts.1, &parts.2]),
        }
    }

    /// Adds the parts of a region, the one with the usual value last, so that it is looked at first.
    fn halves(&self, region: &Region, cut: &Cut, waiting: &mut Vec<Region>) {
        match *cut {
            Cut::At(field, at) => {
                let (least, most) = region.span(field);
                let mut halves = [region.with_span(field, at, most), region.with_span(field, least, at - 1)];
                if self.usual.get(field) >= at {
                    halves.reverse();
                }
                waiting.extend(halves);
            }
            Cut::Order(pair) => {
                let left = region.orders(pair);
                let orders = ORDERS.iter().filter(|order| left & **order != 0);
                waiting.extend(orders.map(|order| region.with_order(pair, *order)));
            }
        }
    }
}

/// The first value of the upper half of a span, such that a comparison with `value` is decided in one half.
fn boundary(compare: Compare, value: i64, (least, _): (i64, i64)) -> i64 {
    match compare {
        Compare::Less | Compare::GreaterOrEqual => value,
        Compare::LessOrEqual | Compare::Greater => value.saturating_add(1),
        Compare::Equal | Compare::NotEqual if value > least => value,
        Compare::Equal | Compare::NotEqual => value.saturating_add(1),
    }
}

/// The middle of the widest fact, in orders of magnitude while its ends are orders of magnitude apart.
fn widest(region: &Region, numbers: &[&Number]) -> Option<Cut> {
    let mut best: Option<(i64, Field)> = None;
    let mut visit = |field| {
        let (least, most) = region.span(field);
        let width = most - least;
        if width > best.map_or(0, |(best, _)| best) {
            best = Some((width, field));
        }
    };
    numbers.iter().for_each(|number| number.fields(&mut visit));
    let (width, field) = best?;
    let (least, most) = region.span(field);
    let bits = |value: i64| i64::BITS - value.leading_zeros();
    let (low, high) = (bits(least), bits(most));
    let middle = least + width / 2 + 1;
    let at = if least >= 0 && high > low + 1 { 1 << ((low + high) / 2) } else { middle };
    Some(Cut::At(field, at.clamp(least + 1, most)))
}

/// Every pair a condition compares, once.
fn list_pairs<'a>(truth: &'a Truth, pairs: &mut Vec<&'a Pair>) {
    match truth {
        Truth::Numbers { sides, .. } => {
            if position(sides, pairs).is_none() {
                pairs.push(sides);
            }
        }
        Truth::Not(part) => list_pairs(part, pairs),
        Truth::Same(parts) => [&parts.0, &parts.1].into_iter().for_each(|part| list_pairs(part, pairs)),
        Truth::All(parts) | Truth::Any(parts) => parts.iter().for_each(|part| list_pairs(part, pairs)),
        Truth::Choose(parts) => {
            [&parts.0, &parts.1, &parts.2].into_iter().for_each(|part| list_pairs(part, pairs));
        }
        Truth::Always(_) | Truth::Flag(_) | Truth::Fact { .. } | Truth::OneOf { .. } => {}
    }
}
