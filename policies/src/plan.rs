//! What the planner has to know of a bundle: resources and unit costs, as integers.

use domain::Micros;

/// The money and units of one budget period.
///
/// Limits open anew each period, counted from the program's first event; what was not spent carries over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Limit of the whole program per period.
    pub global: Micros,
    /// Limit per segment and period, in segment order; a segment without one has the global limit.
    pub segments: Vec<Micros>,
    /// Face cost per reward, in catalog order.
    pub costs: Vec<Micros>,
    /// Units per reward and period; absent when unlimited.
    pub inventory: Vec<Option<u32>>,
    /// Promises owed per segment and period; 0 for none.
    pub floors: Vec<u32>,
    /// Length of a period in days.
    pub period_days: u16,
}

impl Plan {
    /// Number of segments, S in the protocol.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Number of rewards, R in the protocol.
    pub fn reward_count(&self) -> usize {
        self.costs.len()
    }
}
