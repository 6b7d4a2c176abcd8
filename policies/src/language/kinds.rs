//! The kinds of expressions, and literals that have not yet become one.

use domain::facts::FieldKind;

/// What an expression is before its neighbours are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Yes or no.
    Truth,
    Int,
    Ratio,
    Money,
    Word(&'static [&'static str]),
    /// A whole literal: an int, a ratio or an amount of money, whichever its neighbour is.
    Whole,
    /// A decimal literal: a ratio or an amount of money.
    Decimal,
    /// A text literal: a word of whichever list its neighbour has.
    Text,
}

impl Shape {
    pub(crate) fn of(kind: FieldKind) -> Shape {
        match kind {
            FieldKind::Bool => Shape::Truth,
            FieldKind::Int => Shape::Int,
            FieldKind::Ratio => Shape::Ratio,
            FieldKind::Money => Shape::Money,
            FieldKind::Word(words) => Shape::Word(words),
        }
    }

    /// As people say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Truth => "a yes or no",
            Shape::Int | Shape::Whole => "a whole number",
            Shape::Ratio => "a ratio",
            Shape::Money => "an amount of money",
            Shape::Word(_) => "a word",
            Shape::Decimal => "a decimal number",
            Shape::Text => "a text",
        }
    }

    /// How a literal of this kind is written.
    pub(crate) fn example(self) -> String {
        match self {
            Shape::Truth => "true".to_owned(),
            Shape::Int | Shape::Whole => "3".to_owned(),
            Shape::Ratio | Shape::Decimal => "0.6".to_owned(),
            Shape::Money => "25.00".to_owned(),
            Shape::Word(words) => format!("\"{}\"", words.first().copied().unwrap_or_default()),
            Shape::Text => "\"word\"".to_owned(),
        }
    }

    /// The kind two neighbours have in common (a comparison, a sum), if any.
    pub(crate) fn meet(self, other: Shape) -> Option<Shape> {
        use Shape::*;
        match (self, other) {
            (same, again) if same == again => Some(same),
            (Whole, Int) | (Int, Whole) => Some(Int),
            (Whole | Decimal, Ratio) | (Ratio, Whole | Decimal) => Some(Ratio),
            (Whole | Decimal, Money) | (Money, Whole | Decimal) => Some(Money),
            (Whole, Decimal) | (Decimal, Whole) => Some(Decimal),
            (Text, Word(words)) | (Word(words), Text) => Some(Word(words)),
            (Truth | Int | Ratio | Money | Word(_) | Whole | Decimal | Text, _) => None,
        }
    }

    /// The kind of a product, if it means anything.
    pub(crate) fn times(self, other: Shape) -> Option<Shape> {
        use Shape::*;
        match (self, other) {
            (Whole, Whole) => Some(Whole),
            (Int | Whole, Int | Whole) => Some(Int),
            (Money, Int | Whole | Ratio | Decimal) | (Int | Whole | Ratio | Decimal, Money) => Some(Money),
            (Ratio | Decimal, Int | Whole | Ratio | Decimal) | (Int | Whole, Ratio | Decimal) => Some(Ratio),
            (Truth | Int | Ratio | Money | Word(_) | Whole | Decimal | Text, _) => None,
        }
    }
}
