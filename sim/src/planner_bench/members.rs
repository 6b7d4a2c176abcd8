//! What a member agent knows in the benchmark: rewards received today, and how often the member comes.

use super::generator::visitor;

/// Past periods whose visits are remembered: a week of days before the instance.
const PAST_PERIODS: u64 = 7;
/// Seed of the first remembered period; it is the baseline day.
pub const PAST_SEED: u64 = 1001;

/// Visit counts and contacts of every member.
#[derive(Clone, Debug)]
pub struct Contacts {
    cap: u8,
    granted: Vec<u8>,
    /// Visits in past periods.
    past: Vec<u32>,
    periods: u64,
    today: Vec<u32>,
    /// Mean visits per member and period, Q16, for members of whom nothing is known.
    prior_q16: u64,
}

impl Contacts {
    /// Members at the start of a day with `events` events; `known` days before are remembered or not.
    pub fn new(members: usize, events: usize, cap: u8, known: bool) -> Contacts {
        let periods = if known { PAST_PERIODS } else { 0 };
        let mut past = vec![0; members];
        for seed in PAST_SEED..PAST_SEED + periods {
            for event in 0..events as u64 {
                past[visitor(seed, event, members) as usize] += 1;
            }
        }
        let prior_q16 = ((events as u64) << 16) / members as u64;
        Contacts { cap, granted: vec![0; members], past, periods, today: vec![0; members], prior_q16 }
    }

    /// Notes a visit.
    pub fn visit(&mut self, member: usize) {
        self.today[member] += 1;
    }

    /// Notes a promise.
    pub fn grant(&mut self, member: usize) {
        self.granted[member] += 1;
    }

    /// Contacts the cap still allows.
    pub fn left(&self, member: usize) -> u8 {
        self.cap - self.granted[member]
    }

    /// Visits still expected today, Q16, when `left` of `whole` ticks remain.
    ///
    /// Visits are a Poisson stream whose rate is estimated from all that is known, with half a visit added;
    /// without any past the average member counts for one more period.
    pub fn expected_q16(&self, member: usize, left: i64, whole: i64) -> u32 {
        let (left, whole) = (left.max(0) as u64, whole.max(1) as u64);
        let half = 1 << 15;
        let mut visits_q16 = u64::from(self.past[member] + self.today[member]) << 16;
        let mut ticks = self.periods * whole + (whole - left);
        if self.periods == 0 {
            visits_q16 += self.prior_q16;
            ticks += whole;
        } else {
            visits_q16 += half;
        }
        u32::try_from(u128::from(visits_q16) * u128::from(left) / u128::from(ticks.max(1)))
            .unwrap_or(u32::MAX)
    }
}
