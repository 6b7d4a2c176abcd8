//! A canary: an approved bundle that decides for a share of the members.

use domain::{Digest, MemberId, Ppm, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bundle::Stops;

/// Which members a candidate decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    pub bundle: Digest,
    /// Of all members.
    pub share: Ppm,
}

impl Share {
    /// Whether the candidate decides about this member: a function of both, so a member keeps its side, and stays
    /// with the candidate when the share grows. Another candidate draws other members.
    pub fn takes(&self, member: MemberId) -> bool {
        let drawn = Digest::of(&[b"largesse canary 1\n".as_slice(), &self.bundle.0, &member.0].concat());
        let mut first = [0; 8];
        first.copy_from_slice(&drawn.0[..8]);
        // 2^64 is so much more than a million that the remainder favours nobody by a noticeable part.
        u64::from_be_bytes(first) % 1_000_000 < u64::from(self.share.0)
    }
}

/// A canary under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    pub of: Share,
    pub since: Timestamp,
}

/// What a run decides by besides the bundle in force; part of the row that starts the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// What operators stopped, as positions in the bundle in force.
    pub stops: Stops,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanarySide>,
}

/// The canary of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanarySide {
    pub of: Share,
    /// What operators stopped, as positions in the candidate.
    pub stops: Stops,
}
