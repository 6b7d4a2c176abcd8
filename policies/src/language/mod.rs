//! The condition language: a checked subset of CEL over the facts of one moment.
//!
//! Text is parsed by the `cel` crate, then checked here against the one declared table of facts
//! ([`domain::facts::Field`]) and lowered to [`Truth`], a small typed tree over integers. The interpreter of
//! the `cel` crate never runs in the product: it has neither a type checker nor a bound on its cost. It is
//! the oracle of this module's property test.
//!
//! Reading order: [`tree`] (what is evaluated), [`check`] (what is accepted and why not), [`cost`] (what it may cost).

pub mod check;
pub mod cost;
mod kinds;
mod lists;
mod lower;
mod syntax;
pub mod tree;

use std::ops::Range;

pub use check::condition;
pub use tree::{Compare, Number, Truth};

use crate::codes::Code;

/// A mistake in a condition; the span is in bytes of the condition's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: Code,
    pub span: Range<usize>,
    pub message: String,
    pub expected: Option<String>,
    pub help: Option<String>,
}

impl Fault {
    pub(crate) fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Fault {
        Fault { code, span, message: message.into(), expected: None, help: None }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Fault {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }
}
