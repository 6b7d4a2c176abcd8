//! Bundles that are part of the binary, so that a program can start without a folder, or from one of these.

use crate::bundle::Bundle;
use crate::problem::Problems;
use crate::source::File;

/// A bundle to start from.
#[derive(Clone, Copy, Debug)]
pub struct Starter {
    /// The word for it: `grocery`.
    pub name: &'static str,
    /// Whom it is for.
    pub about: &'static str,
    /// Every file with its path in the folder: the bundle, its README and its tests.
    pub files: &'static [(&'static str, &'static str)],
}

macro_rules! starters {
    ($($name:literal $about:literal)*) => {
        /// Every starter.
        pub const ALL: &[Starter] = &[$(Starter {
            name: $name,
            about: $about,
            files: starters!(@files $name "program.toml" "segments.toml" "catalog.toml" "moments.toml"
                "guardrails.toml" "experiments.toml" "README.md" "tests/segments.toml" "tests/moments.toml"
                "tests/guardrails.toml"),
        },)*];
    };
    (@files $name:literal $($file:literal)*) => {
        &[$(($file, include_str!(concat!("../bundles/", $name, "/", $file))),)*]
    };
}

starters! {
    "grocery" "a grocery chain with cards at the till"
    "subscription" "a subscription service that wants renewals"
    "restaurant" "a restaurant chain"
    "fashion" "fashion retail with an app"
}

/// The texts of the grocery bundle, by file name.
pub const GROCERY: [(&str, &str); 6] = {
    let files = ALL[0].files;
    [files[0], files[1], files[2], files[3], files[4], files[5]]
};

impl Starter {
    /// The starter of this name.
    pub fn named(name: &str) -> Option<&'static Starter> {
        ALL.iter().find(|starter| starter.name == name)
    }

    /// The bundle, checked like any other.
    pub fn bundle(&self) -> Result<Bundle, Problems> {
        let is_bundle = |name: &str| File::ALL.iter().any(|file| file.name() == name);
        let files: Vec<_> = self.files.iter().copied().filter(|(name, _)| is_bundle(name)).collect();
        Bundle::from_files(&files)
    }
}

/// The grocery bundle: what a node decides by that was told nothing else.
pub fn grocery() -> Result<Bundle, Problems> {
    Bundle::from_files(&GROCERY)
}
