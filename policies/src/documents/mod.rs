//! The documents: what loyalty teams write, key by key.
//!
//! A key's doc comment is its manual. Amounts of money, shares and conditions are texts, so that no float ever
//! stands between what was written and what is computed. Nothing here is checked beyond its shape; the checker
//! turns documents into a [`crate::Bundle`]. Where a mistake may have to be pointed at, the value knows its
//! place ([`toml::Spanned`]).

pub mod cases;
pub mod catalog;
pub(crate) mod describe;
pub mod experiments;
pub mod guardrails;
pub mod moments;
pub mod program;
pub mod segments;
#[cfg(test)]
mod tests;

use describe::documents;

pub use describe::schema;
pub(crate) use describe::{TESTS, resolve};

/// A text that knows its place.
pub type Text = toml::Spanned<String>;

/// A number that knows its place.
pub type Count = toml::Spanned<i64>;

documents! {
    /// A named condition: `{ id = "wavering", expr = '''member.churn_60d > 0.4''', reason = "..." }`.
    pub struct Condition {
        /// Unique among the conditions of its list; appears in records and explanations.
        pub id: Text,
        /// A CEL expression that is true or false, in a TOML literal string: `'''event.amount >= 25.00'''`.
        pub expr: Text,
        /// What a member may be told when it does not hold.
        pub reason: Option<String>,
        /// What operators should know about it.
        pub message: Option<String>,
    }
}
