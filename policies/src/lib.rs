//! What may be promised: bundles, conditions, evaluation.
//!
//! A bundle is a folder of TOML files written by a loyalty team. This crate reads it, reports every mistake
//! with its place, and turns it into a [`Bundle`]: integers and positions that the brains evaluate without
//! allocating. It never reads a clock, a random source or a network, never decides between rewards (the
//! segment agent does), and never touches member data beyond the facts it is given.
//!
//! Start reading at [`bundle`] (what a policy is at run time), then [`gates`] (what is asked of it, in which
//! order) and [`language`] (what a condition may say). Around them: [`analysis`] (what a bundle can never do),
//! [`cases`] (its own tests), [`diff`] (what changed), [`registry`] (who handed it in, approved it, put it in force).

pub mod analysis;
pub mod bundle;
pub mod cases;
pub mod check;
pub mod codes;
pub mod diff;
pub mod documents;
mod facts_page;
pub mod findings;
pub mod gates;
mod gather;
mod groups;
pub mod language;
pub mod limits;
pub mod plan;
pub mod problem;
mod quiet;
mod read;
pub mod registry;
pub mod rules;
mod sarif;
pub mod source;
pub mod starter;
mod text;
pub mod value;

pub use analysis::{Insight, Witness, analyse};
pub use bundle::{
    Autonomy, Bundle, Members, MomentIndex, Program, Purposes, Reward, RewardKind, Segment, Stops, Trigger,
};
pub use codes::{Code, Severity, explain};
pub use documents::schema;
pub use facts_page::facts_page;
pub use findings::{Finding, Stage};
pub use gates::{GRANTS_MAX, Grant, Situation, VALID_DAYS_MAX};
pub use gather::Gathered;
pub use limits::{Limit, Measure};
pub use plan::Plan;
pub use problem::{Problem, Problems};
pub use rules::{Refusal, Rule, RuleIndex};
pub use source::Sources;
pub use value::Value;
