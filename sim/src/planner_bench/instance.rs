//! What the benchmark can run: an instance file.

use serde::{Deserialize, Serialize};

/// How an instance's day differs from an ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Members come and behave as on the day before.
    Stationary,
    /// For 15 % of the events they come five times as fast and value rewards 70 % more.
    Burst,
    /// The same crowd, with ordinary values.
    BurstHi,
    /// The same crowd, with half the values.
    BurstLo,
    /// First a low-value crowd, later a high-value one.
    Double,
    /// The whole day sorted by value, lowest first. Adverse orders belong into campaign mode.
    AdvLowFirst,
    /// Sorted by value, highest first.
    AdvHighFirst,
    /// Segment by segment, the largest first.
    AdvSegment,
    /// Segment by segment, the smallest first.
    AdvSegmentRev,
}

/// An announced window, in event numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announced {
    pub from_event: usize,
    /// Excluded.
    pub to_event: usize,
    /// Multiplier of the arrival rate, thousandths.
    pub volume_milli: u16,
    /// Multiplier of values, thousandths.
    pub value_milli: u16,
}

/// A cut of all money budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetCut {
    /// In force from this event on.
    pub at_event: usize,
    /// New limits, thousandths of the old ones.
    pub to_permille: i64,
}

/// What the protocol knows about the day before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The day of seed 1001 in the same world, which the protocol first lived through itself.
    #[default]
    Day,
    /// Nothing: a program's first day.
    None,
}

/// An instance file. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    pub kind: Kind,
    /// Seed of the day.
    pub seed: u64,
    /// Seed of the members and their tastes.
    #[serde(default = "first_world")]
    pub world: u64,
    /// Most rewards per member and day.
    pub cap: u8,
    /// Number of events.
    #[serde(rename = "T")]
    pub events: usize,
    /// Number of members.
    #[serde(rename = "M")]
    pub members: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calendar: Vec<Announced>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_cut: Option<BudgetCut>,
    #[serde(default)]
    pub baseline: Baseline,
    /// Whether members price their scarce contacts (only of interest with a small cap).
    #[serde(default = "yes")]
    pub member_price: bool,
}

fn first_world() -> u64 {
    1
}

fn yes() -> bool {
    true
}

/// Why an instance cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Not the JSON of an instance.
    #[error("instance is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// A number outside its range.
    #[error("{key} must be in {range}, got {got}")]
    Range { key: &'static str, range: &'static str, got: u64 },
}

impl Instance {
    /// Reads an instance file.
    ///
    /// # Errors
    /// JSON that is no instance, unknown keys, numbers out of range.
    pub fn from_json(text: &str) -> Result<Instance, InstanceError> {
        let instance: Instance = serde_json::from_str(text)?;
        instance.check()?;
        Ok(instance)
    }

    /// An uncapped instance with the benchmark's usual size in world 1.
    pub fn public(kind: Kind, seed: u64, cap: u8) -> Instance {
        Instance {
            kind,
            seed,
            world: 1,
            cap,
            events: 200_000,
            members: 60_000,
            calendar: Vec::new(),
            budget_cut: None,
            baseline: Baseline::Day,
            member_price: true,
        }
    }

    fn check(&self) -> Result<(), InstanceError> {
        // The bounds keep an instance within a few hundred megabytes and sums far from overflow.
        let within = |key, value: u64, least: u64, most: u64, range| {
            let legal = (least..=most).contains(&value);
            if legal { Ok(()) } else { Err(InstanceError::Range { key, range, got: value }) }
        };
        within("T", self.events as u64, 100, 5_000_000, "100..=5000000")?;
        within("M", self.members as u64, 100, 5_000_000, "100..=5000000")?;
        within("cap", u64::from(self.cap), 1, 255, "1..=255")?;
        for announced in &self.calendar {
            within("calendar.to_event", announced.to_event as u64, 1, self.events as u64, "1..=T")?;
            let before = announced.to_event.saturating_sub(1) as u64;
            within("calendar.from_event", announced.from_event as u64, 0, before, "0..to_event")?;
            within("calendar.volume_milli", u64::from(announced.volume_milli), 1, 65_535, "1..=65535")?;
            within("calendar.value_milli", u64::from(announced.value_milli), 1, 65_535, "1..=65535")?;
        }
        if let Some(cut) = self.budget_cut {
            within("budget_cut.at_event", cut.at_event as u64, 0, self.events as u64, "0..=T")?;
            within("budget_cut.to_permille", cut.to_permille as u64, 0, 10_000, "0..=10000")?;
        }
        Ok(())
    }
}
