//! The numbers that the conditions of a question compare with each other.
//!
//! A pair is kept once: `a > b` and `b < a` speak of the same two numbers, and one that is read the other way
//! round is turned.

use domain::facts::Field;

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
    pairs: Vec<(usize, usize)>,
    /// Positions in `pairs` by two facts, in both orders; empty while no pair is known.
    by_facts: Vec<u16>,
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
        let at = u16::try_from(self.pairs.len()).unwrap_or(NONE);
        if let (Number::Fact(left), Number::Fact(right)) = sides {
            self.by_facts.resize(Field::COUNT * Field::COUNT, NONE);
            self.by_facts[cell(*left, *right)] = at;
            self.by_facts[cell(*right, *left)] = at;
        }
        let pair = (self.number(&sides.0), self.number(&sides.1));
        self.pairs.push(pair);
    }

    fn number(&mut self, number: &'a Number) -> usize {
        let known = self.numbers.iter().position(|known| *known == number);
        known.unwrap_or_else(|| {
            self.numbers.push(number);
            self.numbers.len() - 1
        })
    }

    /// Where a pair stands, and whether it is written the other way round there.
    pub(super) fn find(&self, sides: &(Number, Number)) -> Option<(usize, bool)> {
        let at = if let (Number::Fact(left), Number::Fact(right)) = sides {
            let at = *self.by_facts.get(cell(*left, *right))?;
            (at != NONE).then_some(usize::from(at))
        } else {
            let same = |(left, right): &(usize, usize)| {
                let (left, right) = (self.numbers[*left], self.numbers[*right]);
                (left == &sides.0 && right == &sides.1) || (left == &sides.1 && right == &sides.0)
            };
            self.pairs.iter().position(same)
        }?;
        Some((at, self.numbers[self.pairs[at].0] != &sides.0))
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// How many numbers are followed over others.
    pub(super) fn linked(&self) -> usize {
        self.numbers.len().min(LINKED_MAX)
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
