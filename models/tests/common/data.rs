//! The shipped purchases.

use std::path::{Path, PathBuf};

/// The purchase file.
pub fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/data/completejourney/events.csv.gz")
}
