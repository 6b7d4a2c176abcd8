//! experiments.toml: who is left out so that the program can be measured, and how much is spent on learning.

use serde::Deserialize;

use super::Text;
use crate::bundle::Sticky;

/// experiments.toml
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiments {
    /// Decides, together with the member, who is in which group. Keep it: another salt reshuffles everybody.
    pub salt: Text,
    pub holdout: Holdout,
    pub exploration: Exploration,
}

/// The control group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// Share of members who are promised nothing: `"5 %"`.
    pub share: Text,
    /// `"quarter"`: drawn anew each calendar quarter. `"always"`: for good.
    pub sticky: Sticky,
}

/// Moments that try something else than the best.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exploration {
    /// Share of moments: `"2 %"`.
    pub share: Text,
}
