//! Which resources a program has, and their places in every vector of the negotiation.

use domain::{RewardIndex, SegmentIndex};
use serde::{Deserialize, Serialize};

/// Something a promise uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// The program's money, in micros.
    Global,
    /// One segment's money, in micros.
    Segment(SegmentIndex),
    /// Units of one reward.
    Reward(RewardIndex),
    /// Money that exploration may spend, in micros. Bounded, but never priced.
    Learn,
}

/// The number of segments and rewards; vectors over resources are ordered global, segments, rewards, learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Number of segments, 1..=64.
    pub segments: u8,
    /// Number of rewards, 1..=64.
    pub rewards: u8,
}

impl Layout {
    /// Most segments: each costs one message per round, and master problems grow with them.
    pub const SEGMENTS_MAX: u8 = 64;
    /// Most rewards: candidate sets are 64-bit masks.
    pub const REWARDS_MAX: u8 = 64;

    /// The layout, or `None` when a count is zero or above its bound.
    pub fn new(segments: u8, rewards: u8) -> Option<Layout> {
        let legal =
            (1..=Self::SEGMENTS_MAX).contains(&segments) && (1..=Self::REWARDS_MAX).contains(&rewards);
        legal.then_some(Layout { segments, rewards })
    }

    /// Number of resources, including `Learn`.
    pub fn len(self) -> usize {
        self.priced() + 1
    }

    /// Never true; present because `len` is.
    pub fn is_empty(self) -> bool {
        false
    }

    /// Number of resources that have a price: all but `Learn`, which comes last.
    pub fn priced(self) -> usize {
        1 + self.segment_count() + self.reward_count()
    }

    /// Number of segments.
    pub fn segment_count(self) -> usize {
        usize::from(self.segments)
    }

    /// Number of rewards.
    pub fn reward_count(self) -> usize {
        usize::from(self.rewards)
    }

    /// Place of the global budget.
    pub const GLOBAL: usize = 0;

    /// Place of a segment's budget.
    pub fn segment(self, segment: usize) -> usize {
        1 + segment
    }

    /// Place of a reward's inventory.
    pub fn reward(self, reward: usize) -> usize {
        1 + self.segment_count() + reward
    }

    /// Place of the exploration budget.
    pub fn learn(self) -> usize {
        self.priced()
    }

    /// The place of a resource.
    pub fn place(self, resource: Resource) -> usize {
        match resource {
            Resource::Global => Self::GLOBAL,
            Resource::Segment(segment) => self.segment(usize::from(segment.0)),
            Resource::Reward(reward) => self.reward(usize::from(reward.0)),
            Resource::Learn => self.learn(),
        }
    }

    /// Every resource in order of place.
    pub fn resources(self) -> impl Iterator<Item = Resource> {
        let segments = (0..self.segments).map(|segment| Resource::Segment(SegmentIndex(segment)));
        let rewards = (0..self.rewards).map(|reward| Resource::Reward(RewardIndex(reward)));
        std::iter::once(Resource::Global).chain(segments).chain(rewards).chain([Resource::Learn])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_its_own_place() {
        let layout = Layout::new(3, 5).unwrap();
        let places: Vec<usize> = layout.resources().map(|resource| layout.place(resource)).collect();
        assert_eq!(places, (0..layout.len()).collect::<Vec<_>>());
    }

    #[test]
    fn layouts_beyond_the_masks_are_refused() {
        assert!(Layout::new(0, 1).is_none() && Layout::new(1, 65).is_none() && Layout::new(65, 1).is_none());
    }
}
