//! How soon a moment wants its decision.

use serde::{Deserialize, Serialize};

/// The urgency of a moment. Under overload the lowest level is shed first, never L3 before L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Batch: daily or weekly.
    L1,
    /// Within hours.
    L2,
    /// Real time: while the member waits.
    L3,
}
