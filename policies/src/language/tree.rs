//! Conditions as they run: a typed tree over integers that cannot fail, allocate or loop.
//!
//! Arithmetic saturates at the ends of `i64`: amounts are bounded at the door to a millionth of that, so
//! saturation only turns nonsense into a large number instead of into a panic.

use domain::Facts;
use domain::Micros;
use domain::facts::Field;

/// A comparison of two integers of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    /// Whether it holds between two values.
    pub fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Compare::Equal => left == right,
            Compare::NotEqual => left != right,
            Compare::Less => left < right,
            Compare::LessOrEqual => left <= right,
            Compare::Greater => left > right,
            Compare::GreaterOrEqual => left >= right,
        }
    }
}

/// Something true or false of a row of facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    Always(bool),
    /// A yes/no fact.
    Flag(Field),
    /// The commonest condition by far, without a box: a fact against a constant.
    Fact {
        field: Field,
        compare: Compare,
        value: i64,
    },
    Numbers {
        compare: Compare,
        sides: Box<(Number, Number)>,
    },
    OneOf {
        number: Box<Number>,
        values: Box<[i64]>,
    },
    Not(Box<Truth>),
    /// Both or neither.
    Same(Box<(Truth, Truth)>),
    All(Box<[Truth]>),
    Any(Box<[Truth]>),
    /// `condition ? then : otherwise`.
    Choose(Box<(Truth, Truth, Truth)>),
}

/// A whole number, ratio (ppm), amount of money (micros) or word (position); kinds were checked before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    Constant(i64),
    Fact(Field),
    Negative(Box<Number>),
    Sum(Box<(Number, Number)>),
    Difference(Box<(Number, Number)>),
    /// At most one side carries a unit.
    Product(Box<(Number, Number)>),
    /// The left side times the right side in ppm, rounded half up.
    Share(Box<(Number, Number)>),
    Choose(Box<(Truth, Number, Number)>),
}

impl Truth {
    /// Whether it is true of these facts.
    pub fn holds(&self, facts: &Facts) -> bool {
        match self {
            Truth::Always(truth) => *truth,
            Truth::Flag(field) => facts.get(*field) != 0,
            Truth::Fact { field, compare, value } => compare.holds(facts.get(*field), *value),
            Truth::Numbers { compare, sides } => compare.holds(sides.0.of(facts), sides.1.of(facts)),
            Truth::OneOf { number, values } => values.contains(&number.of(facts)),
            Truth::Not(inner) => !inner.holds(facts),
            Truth::Same(sides) => sides.0.holds(facts) == sides.1.holds(facts),
            Truth::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Truth::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            Truth::Choose(parts) => {
                if parts.0.holds(facts) {
                    parts.1.holds(facts)
                } else {
                    parts.2.holds(facts)
                }
            }
        }
    }

    /// Calls `visit` with every fact it reads, in reading order, repeats included.
    pub fn fields(&self, visit: &mut impl FnMut(Field)) {
        match self {
            Truth::Always(_) => {}
            Truth::Flag(field) | Truth::Fact { field, .. } => visit(*field),
            Truth::Numbers { sides, .. } => {
                sides.0.fields(visit);
                sides.1.fields(visit);
            }
            Truth::OneOf { number, .. } => number.fields(visit),
            Truth::Not(inner) => inner.fields(visit),
            Truth::Same(sides) => {
                sides.0.fields(visit);
                sides.1.fields(visit);
            }
            Truth::All(parts) | Truth::Any(parts) => parts.iter().for_each(|part| part.fields(visit)),
            Truth::Choose(parts) => {
                parts.0.fields(visit);
                parts.1.fields(visit);
                parts.2.fields(visit);
            }
        }
    }
}

/// A value times a ratio in ppm, rounded half up.
///
/// The one product of two `i64` whose double leaves `i128` is that of the two smallest, so those are one larger.
pub(crate) fn share(value: i64, ratio: i64) -> i64 {
    Micros(value.max(-i64::MAX)).scale(ratio.max(-i64::MAX), 1_000_000).0
}

impl Number {
    /// Its value for these facts.
    pub fn of(&self, facts: &Facts) -> i64 {
        match self {
            Number::Constant(value) => *value,
            Number::Fact(field) => facts.get(*field),
            Number::Negative(inner) => inner.of(facts).saturating_neg(),
            Number::Sum(sides) => sides.0.of(facts).saturating_add(sides.1.of(facts)),
            Number::Difference(sides) => sides.0.of(facts).saturating_sub(sides.1.of(facts)),
            Number::Product(sides) => sides.0.of(facts).saturating_mul(sides.1.of(facts)),
            Number::Share(sides) => share(sides.0.of(facts), sides.1.of(facts)),
            Number::Choose(parts) => {
                if parts.0.holds(facts) {
                    parts.1.of(facts)
                } else {
                    parts.2.of(facts)
                }
            }
        }
    }

    /// Calls `visit` with every fact it reads.
    pub fn fields(&self, visit: &mut impl FnMut(Field)) {
        match self {
            Number::Constant(_) => {}
            Number::Fact(field) => visit(*field),
            Number::Negative(inner) => inner.fields(visit),
            Number::Sum(sides)
            | Number::Difference(sides)
            | Number::Product(sides)
            | Number::Share(sides) => {
                sides.0.fields(visit);
                sides.1.fields(visit);
            }
            Number::Choose(parts) => {
                parts.0.fields(visit);
                parts.1.fields(visit);
                parts.2.fields(visit);
            }
        }
    }
}
