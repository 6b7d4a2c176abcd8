//! The ids of a bundle, for whatever refers to them from outside.

use crate::bundle::Bundle;

/// The ids of a bundle by sort; absent where a file could not be read, so that not all of them are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub segments: Option<Vec<String>>,
    pub rewards: Option<Vec<String>>,
    pub moments: Option<Vec<String>>,
    /// In the order of their file, which is what `member.variant` counts.
    pub variants: Option<Vec<String>>,
}

impl Names {
    /// The ids of a bundle that can be used.
    pub fn of(bundle: &Bundle) -> Names {
        Names {
            segments: Some(bundle.segments().iter().map(|segment| segment.id.clone()).collect()),
            rewards: Some(bundle.rewards().iter().map(|reward| reward.id.clone()).collect()),
            moments: Some(bundle.moments().iter().map(|moment| moment.id.clone()).collect()),
            variants: Some(bundle.variants().map(str::to_owned).collect()),
        }
    }
}
