//! Whether some row of facts makes several conditions come out as wanted: a row, a proof that none does, or no
//! answer within the bound.
//!
//! Regions of rows are halved where an undecided condition changes, until it is decided; what cannot hold is
//! dropped. Conditions that compare one fact with constants are always decided, because they change at few
//! places. Those that compare facts with each other are cut by their order, and those that calculate are tried at
//! the ends of their spans and halved on: they may end without an answer.

use domain::Facts;
use domain::facts::Field;

use super::effort::{of_truth, times};
use super::pairs::Pairs;
use super::region::{EQUAL, GREATER, LESS, Region, order_of, orders_holding};
use super::world;
use crate::language::{Compare, Number, Truth};

/// Most steps of all searches of one bundle. A step is a part of a condition looked at in a region, or as much other work:
/// laying out a question, drawing orders from each other, copying a region. Everything that grows with a bundle is counted,
/// so this bounds the time, however hard the bundle was made; docs/performance.md has the figures.
const BUNDLE_STEPS_MAX: u64 = 40_000_000;
/// Most steps of one question.
const QUESTION_STEPS_MAX: u64 = 4_000_000;
/// Steps of a question beside those of its claims: the whole region, and what is known of every row.
const QUESTION_STEPS: u64 = 400;
/// How often a claim is walked through before a question begins: for its facts, its size and its pairs.
const LAID_OUT: u64 = 4;
/// Steps of copying a region and settling a row in it.
const REGION_STEPS: u64 = Field::COUNT as u64 / 4;
/// How often the parts of a claim are looked at to find a cut in it: conditions are a few levels deep.
const CUT_LOOKS: u64 = 4;
/// The part of what is left that one question may take, so that hard questions never leave nothing for easy ones.
const QUESTION_SHARE: u64 = 8;
/// Facts whose ends are tried in every combination; two are compared in nearly every condition seen.
const CORNER_FACTS_MAX: usize = 4;
/// Steps of a row that is looked at, beside those of the conditions.
const ROW_STEPS: u64 = 16;

/// A condition and what it should be.
#[derive(Clone, Copy)]
pub(super) struct Claim<'a> {
    pub truth: &'a Truth,
    pub holds: bool,
}

pub(super) enum Answer {
    /// Proven: no row does it, because of the claims at these positions alone.
    Never(Vec<usize>),
    /// This row does it.
    Sometimes(Box<Facts>),
    /// The bound was reached.
    Open,
}

impl Answer {
    pub(super) fn row(self) -> Option<Facts> {
        match self {
            Answer::Sometimes(facts) => Some(*facts),
            Answer::Never(_) | Answer::Open => None,
        }
    }
}

/// Asks questions about one bundle, within one bound.
pub(super) struct Search {
    left: u64,
    usual: Facts,
    /// What holds of every row.
    always: Vec<Truth>,
}

impl Search {
    /// Of rows of which `always` holds, as it does of the `usual` one.
    pub(super) fn new(always: Vec<Truth>, usual: Facts) -> Search {
        Search { left: BUNDLE_STEPS_MAX, usual, always }
    }

    /// Whether a row holds together, in every fact.
    pub(super) fn is_possible(&self, facts: &Facts) -> bool {
        self.always.iter().all(|truth| truth.holds(facts))
    }

    /// Whether some possible row of facts fits every claim.
    pub(super) fn ask(&mut self, claims: &[Claim<'_>]) -> Answer {
        self.within(claims, QUESTION_STEPS_MAX.min(self.left / QUESTION_SHARE))
    }

    /// The same of what was proven just now: it took a share of what was left, so the rest is enough for it.
    pub(super) fn ask_again(&mut self, claims: &[Claim<'_>]) -> Answer {
        self.within(claims, QUESTION_STEPS_MAX.min(self.left))
    }

    /// Takes steps for other work on the bundle.
    pub(super) fn spend(&mut self, steps: u64) {
        self.left = self.left.saturating_sub(steps);
    }

    /// Whether none are left: every question stays open then.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn within(&mut self, claims: &[Claim<'_>], steps_max: u64) -> Answer {
        if steps_max == 0 {
            return Answer::Open;
        }
        let sizes: Vec<u64> = claims.iter().map(|claim| of_truth(claim.truth)).collect();
        let mut laid_out = QUESTION_STEPS + LAID_OUT * sizes.iter().sum::<u64>();
        if laid_out >= steps_max {
            self.spend(laid_out / LAID_OUT);
            return Answer::Open;
        }
        let mut read = [false; Field::COUNT];
        claims.iter().for_each(|claim| claim.truth.fields(&mut |field| read[field as usize] = true));
        // What is known of facts that no claim reads can always be met by choosing them.
        let known = self.always.iter().filter(|truth| {
            let mut all_read = true;
            truth.fields(&mut |field| all_read &= read[field as usize]);
            all_read
        });
        let known = known.map(|truth| Claim { truth, holds: true });
        let mut pairs = Pairs::default();
        let asked = claims.iter().copied().chain(known).enumerate();
        let mut asked: Vec<Asked<'_>> = asked
            .map(|(at, claim)| {
                pairs.add(claim.truth);
                let size = sizes.get(at).copied().unwrap_or_else(|| of_truth(claim.truth));
                let at = (at < claims.len()).then_some(at);
                Asked { claim, at, compares: compares(claim.truth), size }
            })
            .collect();
        laid_out += pairs.steps();
        // What compares facts with constants is looked at first: it narrows a region without leaving more to cut.
        asked.sort_by_key(|asked| asked.compares);
        let size = asked.iter().map(|asked| asked.size).sum();
        let used = vec![false; claims.len()];
        let question = Question { used, asked, size, pairs, usual: &self.usual, steps: laid_out };
        let (answer, steps) = question.search(steps_max);
        self.spend(steps);
        match answer {
            Answer::Sometimes(mut facts) => {
                world::complete(&mut facts, &read);
                Answer::Sometimes(facts)
            }
            Answer::Never(_) | Answer::Open => answer,
        }
    }
}

/// A claim of a question.
struct Asked<'a> {
    claim: Claim<'a>,
    /// Its position among those that were given; none for what is always known.
    at: Option<usize>,
    /// Whether it compares numbers with each other.
    compares: bool,
    /// Steps it takes to look at it.
    size: u64,
}

struct Question<'a> {
    asked: Vec<Asked<'a>>,
    /// Steps of one look at all of them.
    size: u64,
    pairs: Pairs<'a>,
    usual: &'a Facts,
    /// Claims that refuted a region, by position.
    used: Vec<bool>,
    steps: u64,
}

/// A region that is not decided, and the claims that are not surely met in it.
struct Waiting {
    region: Region,
    open: Vec<usize>,
}

/// Where a region is cut.
enum Cut {
    /// Below this value of a fact, and from it on.
    At(Field, i64),
    /// Into these orders of a pair and the others.
    Order(usize, u8),
}

impl Question<'_> {
    /// The answer, and the steps it took.
    fn search(mut self, steps_max: u64) -> (Answer, u64) {
        let open = (0..self.asked.len()).collect();
        let mut waiting = vec![Waiting { region: Region::whole(self.pairs.len()), open }];
        while let Some(mut next) = waiting.pop() {
            if self.steps >= steps_max {
                return (Answer::Open, self.steps);
            }
            self.steps += 1;
            if !next.region.tighten(&self.pairs, &mut self.steps) || self.refuted(&mut next) {
                continue;
            }
            if let Some(facts) = self.row_in(&next) {
                return (Answer::Sometimes(Box::new(facts)), self.steps);
            }
            // Nothing to cut is a single row, which was tried.
            if let Some(cut) = self.cut(&next) {
                self.halves(&next, &cut, &mut waiting);
            }
        }
        let used = self.used.iter().enumerate().filter(|(_, used)| **used).map(|(at, _)| at);
        (Answer::Never(used.collect()), self.steps)
    }

    /// Whether a claim surely fails; drops those that are surely met.
    fn refuted(&mut self, next: &mut Waiting) -> bool {
        let mut failed = None;
        let (region, pairs, steps) = (&next.region, &self.pairs, &mut self.steps);
        let asked = &self.asked;
        next.open.retain(|at| {
            if failed.is_some() {
                return true;
            }
            *steps += asked[*at].size;
            let claim = asked[*at].claim;
            match region.truth(claim.truth, pairs) {
                None => true,
                Some(truth) if truth == claim.holds => false,
                Some(_) => {
                    failed = Some(*at);
                    true
                }
            }
        });
        if let Some(at) = failed.and_then(|at| self.asked[at].at) {
            self.used[at] = true;
        }
        failed.is_some()
    }

    fn fits(&mut self, open: &[usize], facts: &Facts) -> bool {
        let holds = |asked: &Asked<'_>| asked.claim.truth.holds(facts) == asked.claim.holds;
        self.steps += ROW_STEPS;
        for at in open {
            self.steps += self.asked[*at].size;
            if !holds(&self.asked[*at]) {
                return false;
            }
        }
        self.steps += self.size;
        self.asked.iter().all(holds)
    }

    /// A row of the region that fits: the most usual one that keeps its orders, one at an end of all facts that are
    /// compared with each other, or one at the ends of some of them.
    fn row_in(&mut self, next: &Waiting) -> Option<Facts> {
        let (usual, steps) = self.usual_row(&next.region);
        self.steps += steps + 2 * self.pairs.steps();
        if self.fits(&next.open, &usual) {
            return Some(usual);
        }
        let (compared, in_sums) = self.compared(&next.region);
        let ends = |field: Field| {
            let (least, most) = next.region.span(field);
            vec![least, most]
        };
        let mut far = self.combined(&next.open, &usual, &in_sums, &ends);
        for end in 0..2 {
            if far.is_none() && !compared.is_empty() {
                let mut row = usual.clone();
                compared.iter().for_each(|field| row.set(*field, ends(*field)[end]));
                far = self.fits(&next.open, &row).then_some(row);
            }
        }
        let far = far?;
        // The ends of an amount are absurd; people understand one near the usual.
        let near = |field: Field| {
            let (value, (least, most)) = (usual.get(field), next.region.span(field));
            let mut values: Vec<i64> =
                [value, value / 2, value.saturating_mul(2)].map(|value| value.clamp(least, most)).into();
            values.push(far.get(field));
            values
        };
        let shown: Vec<Field> = compared.iter().copied().take(CORNER_FACTS_MAX).collect();
        Some(self.combined(&next.open, &usual, &shown, &near).unwrap_or(far))
    }

    /// The most usual row of a region, moved until it keeps the orders where that is simple, and the steps it took.
    fn usual_row(&self, region: &Region) -> (Facts, u64) {
        let (mut row, mut steps) = (world::settle(region, self.usual), REGION_STEPS);
        for _ in 0..self.pairs.linked() {
            let mut kept = true;
            steps += self.pairs.steps();
            for (at, (left, right)) in self.pairs.sides().enumerate() {
                let orders = region.orders(at);
                if let (Number::Fact(left_fact), Number::Fact(right_fact)) = (left, right)
                    && orders & order_of(left, right, &row) == 0
                {
                    kept = false;
                    reorder(region, &mut row, orders, (*left_fact, *right_fact));
                }
            }
            if kept {
                break;
            }
        }
        (row, steps)
    }

    /// Facts that are compared with each other and not fixed: all of them, and some of those in sums.
    fn compared(&self, region: &Region) -> (Vec<Field>, Vec<Field>) {
        let (mut compared, mut in_sums) = (Vec::new(), Vec::new());
        let (mut is_compared, mut is_in_sums) = ([false; Field::COUNT], [false; Field::COUNT]);
        for (left, right) in self.pairs.sides() {
            let plain = matches!((left, right), (Number::Fact(_), Number::Fact(_)));
            let mut visit = |field: Field| {
                let (least, most) = region.span(field);
                if least < most && !std::mem::replace(&mut is_compared[field as usize], true) {
                    compared.push(field);
                }
                if least < most && !plain && !std::mem::replace(&mut is_in_sums[field as usize], true) {
                    in_sums.push(field);
                }
            };
            left.fields(&mut visit);
            right.fields(&mut visit);
        }
        in_sums.truncate(CORNER_FACTS_MAX);
        (compared, in_sums)
    }

    /// The first row that fits, with every combination of values for some facts.
    fn combined(
        &mut self,
        open: &[usize],
        row: &Facts,
        fields: &[Field],
        values: &dyn Fn(Field) -> Vec<i64>,
    ) -> Option<Facts> {
        let Some((field, rest)) = fields.split_first() else {
            return self.fits(open, row).then(|| row.clone());
        };
        values(*field).into_iter().find_map(|value| {
            let mut row = row.clone();
            row.set(*field, value);
            self.combined(open, &row, rest, values)
        })
    }

    /// Where to cut: a change of the undecided condition that leaves least to decide, or a pair whose order the row
    /// does not have yet.
    fn cut(&mut self, next: &Waiting) -> Option<Cut> {
        let region = &next.region;
        let mut best: Option<((bool, usize), usize)> = None;
        for at in &next.open {
            let asked = &self.asked[*at];
            self.steps += asked.size;
            let left = self.undecided(asked.claim.truth, region);
            // What one part decides leaves one half only, whatever it compares.
            let rank = ((left > 1 && asked.compares, left), *at);
            if best.as_ref().is_none_or(|best| rank < *best) {
                best = Some(rank);
            }
        }
        if let Some((_, at)) = best {
            self.steps += CUT_LOOKS * self.asked[at].size;
            return self.change(self.asked[at].claim.truth, region);
        }
        let (usual, steps) = self.usual_row(region);
        self.steps += steps + self.pairs.steps();
        let missed = self
            .pairs
            .sides()
            .enumerate()
            .find(|(at, (left, right))| region.orders(*at) & order_of(left, right, &usual) == 0);
        let (at, (left, right)) = missed?;
        for order in [LESS, EQUAL, GREATER] {
            if region.orders(at) & order != 0 && region.orders(at) != order {
                return Some(Cut::Order(at, order));
            }
        }
        widest(region, &[left, right])
    }

    /// How many comparisons of a condition are not decided.
    fn undecided(&self, truth: &Truth, region: &Region) -> usize {
        let every = |parts: &[&Truth]| parts.iter().map(|part| self.undecided(part, region)).sum();
        match truth {
            Truth::Always(_) => 0,
            Truth::Flag(_) | Truth::Fact { .. } | Truth::Numbers { .. } | Truth::OneOf { .. } => {
                usize::from(region.truth(truth, &self.pairs).is_none())
            }
            Truth::Not(part) => self.undecided(part, region),
            Truth::Same(parts) => every(&[&parts.0, &parts.1]),
            Truth::All(parts) | Truth::Any(parts) => {
                parts.iter().map(|part| self.undecided(part, region)).sum()
            }
            Truth::Choose(parts) => every(&[&parts.0, &parts.1, &parts.2]),
        }
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
            Truth::Numbers { compare, sides } => {
                self.pairs.find(sides).map(|(at, turned)| Cut::Order(at, orders_holding(*compare, turned)))
            }
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
    fn halves(&mut self, next: &Waiting, cut: &Cut, waiting: &mut Vec<Waiting>) {
        let region = &next.region;
        self.steps += 2 * (REGION_STEPS + times(self.pairs.len() + next.open.len(), 1) / 4);
        let (mut halves, second_is_usual) = match *cut {
            Cut::At(field, at) => {
                let (least, most) = region.span(field);
                let halves = [region.with_span(field, at, most), region.with_span(field, least, at - 1)];
                (halves, self.usual.get(field) < at)
            }
            Cut::Order(pair, orders) => {
                let (left, right) = self.pairs.side(pair);
                let usual = order_of(left, right, self.usual);
                ([region.with_order(pair, orders), region.with_order(pair, !orders)], orders & usual == 0)
            }
        };
        if !second_is_usual {
            halves.reverse();
        }
        waiting.extend(halves.map(|region| Waiting { region, open: next.open.clone() }));
    }
}

/// Moves two facts of a row towards an order.
fn reorder(region: &Region, row: &mut Facts, orders: u8, (left, right): (Field, Field)) {
    let inside = |field: Field, value: i64| {
        let (least, most) = region.span(field);
        value.clamp(least, most)
    };
    // Where both orders but the equal one are left, the larger side goes up.
    let turned = orders & LESS == 0 && orders & GREATER != 0;
    let (small, large) = if turned { (right, left) } else { (left, right) };
    let gap = i64::from(orders & EQUAL == 0);
    let exact = orders == EQUAL;
    let above = |least: i64, value: i64| if exact { least } else { value.max(least) };
    row.set(large, inside(large, above(row.get(small) + gap, row.get(large))));
    let below = row.get(large) - gap;
    row.set(small, inside(small, if exact { below } else { row.get(small).min(below) }));
}

/// Whether a condition compares numbers with each other.
fn compares(truth: &Truth) -> bool {
    match truth {
        Truth::Numbers { .. } => true,
        Truth::Always(_) | Truth::Flag(_) | Truth::Fact { .. } | Truth::OneOf { .. } => false,
        Truth::Not(part) => compares(part),
        Truth::Same(parts) => compares(&parts.0) || compares(&parts.1),
        Truth::All(parts) | Truth::Any(parts) => parts.iter().any(compares),
        Truth::Choose(parts) => compares(&parts.0) || compares(&parts.1) || compares(&parts.2),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_are_long_and_easy_use_up_the_bound() {
        let parts = 10_000;
        let long = Truth::All(vec![Truth::Flag(Field::MemberMinor); parts].into());
        let (never, mut search) = (Truth::Always(false), Search::new(Vec::new(), world::usual()));
        let claims = [&never, &long].map(|truth| Claim { truth, holds: true });
        for _ in 0..BUNDLE_STEPS_MAX / times(parts, 1) {
            search.ask(&claims);
        }
        assert!(search.is_spent());
    }
}
