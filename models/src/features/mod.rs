//! The feature contract, schema 1: 22 recency, frequency, money and rhythm features of one member.
//!
//! [`History`] folds purchases one at a time in any order of arrival; [`Summary`] reads it at an instant, in
//! integers (these feed policies); [`FeatureVector`] is the summary as the models see it. Training tables and
//! live scoring run this same code, so they agree bit for bit.
//!
//! Start reading at [`history`].

mod held;
pub mod history;
mod pack;
pub mod provenance;
pub mod summary;
pub mod vector;

pub use history::{Folded, History, Purchase, Reversal, Settling};
pub use pack::Corrupt;
pub use provenance::Sources;
pub use summary::{Summary, WINDOW_DAYS};
pub use vector::{COUNT, FeatureVector, NAMES, SCHEMA};
