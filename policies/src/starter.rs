//! Bundles that are part of the binary, so that a program can start without a folder.

use crate::bundle::Bundle;
use crate::problem::Problems;

/// The texts of the grocery bundle, by file name.
pub const GROCERY: [(&str, &str); 6] = [
    ("program.toml", include_str!("../bundles/grocery/program.toml")),
    ("segments.toml", include_str!("../bundles/grocery/segments.toml")),
    ("catalog.toml", include_str!("../bundles/grocery/catalog.toml")),
    ("moments.toml", include_str!("../bundles/grocery/moments.toml")),
    ("guardrails.toml", include_str!("../bundles/grocery/guardrails.toml")),
    ("experiments.toml", include_str!("../bundles/grocery/experiments.toml")),
];

/// The grocery bundle, checked like any other.
pub fn grocery() -> Result<Bundle, Problems> {
    Bundle::from_files(&GROCERY)
}
