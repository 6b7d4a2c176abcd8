//! The condition language: a checked subset of CEL over the facts of one moment.
//!
//! Text is parsed by the `cel` crate, then checked here against the one declared table of facts
//! ([`domain::facts::Field`]) and lowered to [`Truth`], a small typed tree over integers. The interpreter of
//! the `cel` crate never runs in the product: it has neither a type checker nor a bound on its cost. It is
//! the oracle of this module's property test.
//!
//! Reading order: [`tree`] (what is evaluated).

pub mod tree;

pub use tree::{Compare, Number, Truth};
