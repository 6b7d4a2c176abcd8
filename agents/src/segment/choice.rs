//! What is asked of a segment agent at a moment, and what it says: the words of [`super::pricing`].

use domain::{Cause, Reason, RewardIndex, Timestamp};
use policies::RuleIndex;

use super::escrow::Refusal;

/// What a member agent asks for at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Candidate rewards, one bit each.
    pub mask: u64,
    /// Value per reward in micros after the lever; only those in `mask` are read.
    pub values: &'a [i64],
    /// Contacts the member's tightest frequency cap still allows, this one included; `u8::MAX` without a cap.
    pub caps_left: u8,
    /// Further moments expected from the member within that cap's window, Q16.
    pub visits_q16: u32,
    /// The member's size: LTV times churn times retention, micros.
    pub scale: i64,
    /// A uniform draw that depends on the member and the event only.
    pub draw: u64,
    /// By which prices and leases age.
    pub now: Timestamp,
    /// When the promise would be made.
    pub at: Timestamp,
}

/// What became of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub reward: RewardIndex,
    pub reason: Reason,
    /// The rule of the policy behind the reason, where one is.
    pub rule: Option<RuleIndex>,
    /// Price in micros.
    pub price: i64,
    /// Value minus price minus opportunity price, micros.
    pub net: i64,
}

/// What the segment agent decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub chosen: Option<RewardIndex>,
    /// One line per candidate, in reward order.
    pub lines: Vec<Line>,
    /// The member's price for one contact, micros.
    pub opportunity: i64,
    /// The best net value among the candidates, or zero when none is positive; micros.
    pub best_net: i64,
    /// The net value of what was chosen, or zero.
    pub chosen_net: i64,
    pub cause: Cause,
    pub explored: bool,
    /// Probability of the choice in units of 1e-9.
    pub propensity: u32,
    /// Version of the price table used.
    pub table: u64,
    /// Number of this moment in the segment's order of work, from 1.
    pub seq: u64,
}

impl Choice {
    /// The line at `place` is promised, or nothing is.
    pub(super) fn take(&mut self, place: Option<usize>, cause: Cause) {
        self.cause = cause;
        if let Some(line) = place.and_then(|place| self.lines.get_mut(place)) {
            line.reason = Reason::Chosen;
            self.chosen = Some(line.reward);
            self.chosen_net = line.net;
        }
    }

    /// The line at `place` could not be reserved.
    pub(super) fn refuse(&mut self, place: usize, refusal: Refusal) {
        let line = &mut self.lines[place];
        (line.reason, line.rule) = (refusal.reason(), refusal.rule());
        self.cause = if refusal == Refusal::Lease { Cause::Fallback } else { Cause::Capacity };
    }

    /// Whoever is still waiting to be outbid was never tried.
    pub(super) fn leave_untried(&mut self) {
        for line in self.lines.iter_mut().filter(|line| line.reason == Reason::Outbid) {
            line.reason = Reason::NotTried;
        }
    }

    /// Nothing can be promised at all.
    pub(super) fn give_up(&mut self, reason: Reason, cause: Cause) {
        self.cause = cause;
        for line in &mut self.lines {
            line.reason = reason;
        }
    }
}

/// The best line that is positive and was not refused; the lowest reward wins ties.
pub(super) fn best_open(lines: &[Line]) -> Option<usize> {
    let open = lines.iter().enumerate().filter(|(_, line)| line.reason == Reason::Outbid);
    open.max_by_key(|(place, line)| (line.net, std::cmp::Reverse(*place))).map(|(place, _)| place)
}

/// A price after so many quarter steps; moves up whatever its sign.
pub(super) fn dearer(price: i64, steps: i64) -> i64 {
    (0..steps).fold(price, |price, _| price + price.abs() / 4)
}
