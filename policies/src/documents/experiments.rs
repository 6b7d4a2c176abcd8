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
        /// Groups of members who are not offered something, to learn what it does. Nobody is in two.
        #[serde(default)]
        pub variant: Vec<Variant>,
    }

    /// One `[[variant]]`. Members keep their variant for as long as the salt, the order and the shares of the variants before
    /// it stay.
    pub struct Variant {
        /// Never changes once used.
        pub id: Text,
        /// Share of members: `"10 %"`.
        pub share: Text,
        /// Rewards they are not offered. A variant can only take away.
        pub withhold: Vec<Text>,
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
