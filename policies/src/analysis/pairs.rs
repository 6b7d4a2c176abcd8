//! The numbers that the conditions of a question compare with each other.
//!
//! A pair is kept once: `a > b` and `b < a` speak of the same two numbers, and one that is read the other way
//! round is turned.

use std::collections::BTreeMap;

use domain::facts::Field;

use super::effort::{of_number, times};
use crate::language::{Number, Truth};

/// Most numbers whose orders are followed over others, a bit of a word each. What is beyond is compared by its
/// spans alone, which proves less and never anything wrong.
const LINKED_MAX: usize = 64;
const NONE: u16 = u16::MAX;

/// Every pair of numbers that some conditions compare.
#[derive(Default)]
pub(super) struct Pairs<'a> {
    numbers: Vec<&'a Number>,
    /// Positions in `numbers`.
    known: BTreeMap<&'a Number, usize>,
    /// Positions in `numbers`.
    pairs: Vec<(usize, usize)>,
    /// Positions in `pairs` by the positions of both numbers, the smaller first; of what is not two facts.
    by_numbers: BTreeMap<(usize, usize), usize>,
    /// Positions in `pairs` by two facts, in both orders; empty while no pair is known.
    by_facts: Vec<u16>,
    steps: u64,
}

impl<'a> Pairs<'a> {
    /// Adds every pair that a condition compares.
    pub(super) fn add(&mut self, truth: &'a Truth) {
        match truth {
            Truth::Numbers { sides, .. } => {
                if self.find(sides).is_none() {
                    self.push(sides);
                }
            }
            Truth::Not(part) => self.add(part),
            Truth::Same(parts) => [&parts.0, &parts.1].into_iter().for_each(|part| self.add(part)),
            Truth::All(parts) | Truth::Any(parts) => parts.iter().for_each(|part| self.add(part)),
            Truth::Choose(parts) => {
                [&parts.0, &parts.1, &parts.2].into_iter().for_each(|part| self.add(part))
            }
            Truth::Always(_) | Truth::Flag(_) | Truth::Fact { .. } | Truth::OneOf { .. } => {}
        }
    }

    fn push(&mut self, sides: &'a (Number, Number)) {
        let at = self.pairs.len();
        let pair = (self.number(&sides.0), self.number(&sides.1));
        if let (Number::Fact(left), Number::Fact(right)) = sides {
            let at = u16::try_from(at).unwrap_or(NONE);
            self.by_facts.resize(Field::COUNT * Field::COUNT, NONE);
            self.by_facts[cell(*left, *right)] = at;
            self.by_facts[cell(*right, *left)] = at;
        } else {
            self.by_numbers.insert(unordered(pair), at);
        }
        self.steps += 1 + of_number(&sides.0) + of_number(&sides.1);
        self.pairs.push(pair);
    }

    fn number(&mut self, number: &'a Number) -> usize {
        let next = self.numbers.len();
        let at = *self.known.entry(number).or_insert(next);
        if at == next {
            self.numbers.push(number);
        }
        at
    }

    /// Where a pair stands, and whether it is written the other way round there.
    pub(super) fn find(&self, sides: &(Number, Number)) -> Option<(usize, bool)> {
        if let (Number::Fact(left), Number::Fact(right)) = sides {
            let at = *self.by_facts.get(cell(*left, *right))?;
            let at = (at != NONE).then_some(usize::from(at))?;
            return Some((at, self.numbers[self.pairs[at].0] != &sides.0));
        }
        let (left, right) = (*self.known.get(&sides.0)?, *self.known.get(&sides.1)?);
        let at = *self.by_numbers.get(&unordered((left, right)))?;
        Some((at, self.pairs[at].0 != left))
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// What it takes to look at both numbers of every pair once.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// What it takes to follow the orders of all numbers over each other once: a few words for each two of them.
    pub(super) fn link_steps(&self) -> u64 {
        let linked = self.linked();
        self.pairs.len() as u64 + times(linked, linked) / 8
    }

    /// How many numbers are followed over others.
    pub(super) fn linked(&self) -> usize {
        self.numbers.len().min(LINKED_MAX)
    }

    /// Both numbers of a pair.
    pub(super) fn side(&self, pair: usize) -> (&'a Number, &'a Number) {
        let (left, right) = self.pairs[pair];
        (self.numbers[left], self.numbers[right])
    }

    /// Both numbers of each pair, by position.
    pub(super) fn sides(&self) -> impl Iterator<Item = (&'a Number, &'a Number)> + '_ {
        self.pairs.iter().map(|(left, right)| (self.numbers[*left], self.numbers[*right]))
    }

    /// The same as positions of numbers; only pairs of which both are followed.
    pub(super) fn links(&self) -> impl Iterator<Item = (usize, (usize, usize))> + '_ {
        let followed = |(_, (left, right)): &(usize, (usize, usize))| *left.max(right) < LINKED_MAX;
        self.pairs.iter().copied().enumerate().filter(followed)
    }
}

fn cell(left: Field, right: Field) -> usize {
    left as usize * Field::COUNT + right as usize
}

fn unordered((left, right): (usize, usize)) -> (usize, usize) {
    (left.min(right), left.max(right))
}
