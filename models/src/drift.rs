//! Whether members still look like those the models were trained on.
//!
//! A [`Window`] counts members into the histograms of a manifest; [`Window::readings`] gives the population
//! stability index (PSI) of each feature and of the score. Feed it one row per member, as of one instant: rows
//! taken at purchases over-represent frequent buyers and drift by construction. [`measure`] does so for a
//! purchase file.

use std::path::Path;

use jiff::civil::Date;
use serde::Serialize;

use crate::features::{FeatureVector, NAMES};
use crate::manifest::{Histogram, Manifest};
use crate::scorer::{Models, Score};
use crate::table;

/// Fewest members behind a reading. Without drift, members times PSI is about chi-squared with nine degrees of
/// freedom, so at 1,000 members a PSI of [`ALARM`] by chance is rarer than one in 10^40.
pub const MEMBERS_MIN: u64 = 1_000;

/// PSI from which a shift is worth a look (the customary 0.1).
pub const NOTICE: f64 = 0.1;

/// PSI from which the model should not decide (the customary 0.25).
pub const ALARM: f64 = 0.25;

/// Rows scored in one call, as in a live node under load.
const SCORED_AT_ONCE: usize = 256;

/// Features that grow with the age of the program, so that they leave their histogram by and by: worth a look at
/// most, never an alarm.
const LIFETIME: [&str; 4] = ["tenure_days", "trips", "spend_total", "gap_max_days"];

/// The histogram of the score in a manifest.
const SCORE: &str = "score";

/// How far something has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As in training.
    Steady,
    /// Worth a look.
    Notice,
    /// The model was trained on other members.
    Alarm,
}

/// One feature (or the score) of one model against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// The model.
    pub model: String,
    /// The feature's name, or `score`.
    pub name: String,
    /// Population stability index.
    pub psi: f64,
    /// What it means.
    pub level: Level,
}

/// Members counted into the histograms of one model.
#[derive(Clone, Debug)]
pub struct Window {
    model: String,
    columns: Vec<Column>,
    members: u64,
}

/// A histogram with its counts.
#[derive(Clone, Debug)]
struct Column {
    /// Position in the contract; `None` is the score.
    feature: Option<usize>,
    baseline: Histogram,
    counts: Vec<u64>,
}

impl Window {
    /// An empty window for a model. Histograms of unknown names or without shape are left out.
    pub fn new(manifest: &Manifest) -> Window {
        let whole = |histogram: &&Histogram| histogram.shares.len() == histogram.edges.len() + 1;
        let columns = manifest.baseline.iter().filter(whole).filter_map(|histogram| {
            let feature = NAMES.iter().position(|name| *name == histogram.name);
            let known = feature.is_some() || histogram.name == SCORE;
            let counts = vec![0; histogram.shares.len()];
            known.then(|| Column { feature, baseline: histogram.clone(), counts })
        });
        Window { model: manifest.name.clone(), columns: columns.collect(), members: 0 }
    }

    /// Counts a member; `score` is the model's own output (currency units or probability).
    pub fn observe(&mut self, features: &FeatureVector, score: f32) {
        self.members += 1;
        for column in &mut self.columns {
            let value = column.feature.map_or(score, |index| features.0[index]);
            let bin = column.baseline.edges.partition_point(|edge| *edge < value);
            column.counts[bin] += 1;
        }
    }

    /// Members counted.
    pub fn members(&self) -> u64 {
        self.members
    }

    /// The state of every feature and the score; empty below [`MEMBERS_MIN`] members.
    pub fn readings(&self) -> Vec<Reading> {
        if self.members < MEMBERS_MIN {
            return Vec::new();
        }
        self.columns
            .iter()
            .map(|column| {
                let psi = psi(&column.baseline.shares, &column.counts);
                let lifetime = LIFETIME.contains(&column.baseline.name.as_str());
                let level = match psi {
                    psi if psi >= ALARM && !lifetime => Level::Alarm,
                    psi if psi >= NOTICE => Level::Notice,
                    _ => Level::Steady,
                };
                Reading { model: self.model.clone(), name: column.baseline.name.clone(), psi, level }
            })
            .collect()
    }
}

/// All readings over the households of a purchase file as of the end of a day, model by model; empty below
/// [`MEMBERS_MIN`] households.
///
/// # Errors
/// The file cannot be read or holds no household by that day.
pub fn measure(
    models: &mut Models,
    events: &Path,
    as_of: Date,
) -> Result<(usize, Vec<Reading>), table::Error> {
    let table = table::read(events, as_of)?;
    let rows: Vec<FeatureVector> = table.examples.iter().map(|example| example.features).collect();
    let mut windows = models.manifests().map(Window::new);
    for rows in rows.chunks(SCORED_AT_ONCE) {
        for (row, score) in rows.iter().zip(models.score(rows)) {
            // A row the models cannot answer drifts where its features do; the fallback's answer is not theirs.
            let Ok(score) = score else { continue };
            let (ltv, churn) = outputs(score);
            let [first, second] = &mut windows;
            first.observe(row, ltv);
            second.observe(row, churn);
        }
    }
    Ok((rows.len(), windows.iter().flat_map(Window::readings).collect()))
}

/// A model's output as the float its histogram was made of.
pub fn outputs((ltv, churn): Score) -> (f32, f32) {
    ((ltv.0 as f64 / 1e6) as f32, (f64::from(churn.0) / 1e6) as f32)
}

/// Sum over bins of (share now - share then) * ln(share now / share then); an empty bin counts as half a member.
fn psi(baseline: &[f64], counts: &[u64]) -> f64 {
    let members: u64 = counts.iter().sum();
    let least = 0.5 / members.max(1) as f64;
    let bins = baseline.iter().zip(counts);
    bins.map(|(then, count)| {
        let (then, now) = (then.max(least), (*count as f64 / members.max(1) as f64).max(least));
        (now - then) * (now / then).ln()
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_shares_do_not_drift_and_moved_ones_do() {
        assert!(psi(&[0.25; 4], &[250; 4]) < 1e-12);
        let moved = psi(&[0.25; 4], &[100, 100, 400, 400]);
        assert!((moved - (0.3 * 2.5_f64.ln() + 0.3 * 1.6_f64.ln())).abs() < 1e-12, "{moved}");
        assert!(psi(&[0.5, 0.5], &[1_000, 0]).is_finite());
    }
}
