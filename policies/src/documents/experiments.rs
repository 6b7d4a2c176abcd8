//! experiments.toml: who is left out so that the program can be measured, and how much is spent on learning.

use super::Text;
use super::describe::documents;
use crate::bundle::Sticky;

documents! {
    /// experiments.toml
    pub struct Experiments {
        /// Decides, together with the member, who is in which group. Keep it: another salt reshuffles everybody.
        pub salt: Text,
        /// Who is promised nothing.
        pub holdout: Holdout,
        /// How much is tried.
        pub exploration: Exploration,
    }

    /// The control group.
    pub struct Holdout {
        /// Share of members who are promised nothing: `"5 %"`.
        pub share: Text,
        /// `"quarter"`: drawn anew each calendar quarter. `"always"`: for good.
        pub sticky: Sticky,
    }

    /// Moments that try something else than the best.
    pub struct Exploration {
        /// Share of moments: `"2 %"`.
        pub share: Text,
    }
}
