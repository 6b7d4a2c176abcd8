//! Scores a purchase file at a date and judges the answers by the future in the same file.
//!
//! [`evaluate`] gives the report of `largesse model evaluate`: the models beside the naive lines (spend of the
//! last 91 days, days since the last purchase, MBG/NBD), each with an interval from resampled households. It
//! can judge held-out households only, by the split the shipped models were trained under.

mod measures;
mod resample;

use std::path::Path;

use domain::random::splitmix64;
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::fallback;
use crate::scorer::Models;
use crate::table::{self, Example};

pub use measures::{ChurnMeasures, LtvMeasures};
pub use resample::Interval;

/// Percent of households the shipped models never saw ([`is_held_out`]).
pub const HELD_OUT_PERCENT: u64 = 33;

/// What to judge, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The day whose end is taken as "now".
    pub as_of: Date,
    /// Judge only households the shipped models never saw.
    pub held_out_only: bool,
    /// Resampled sets of households behind each interval; zero leaves the intervals out. 500 settle the
    /// interval to about a tenth of its width.
    pub bootstraps: u32,
}

/// Why nothing could be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The purchase file or the date.
    #[error(transparent)]
    Table(#[from] table::Error),
    /// The file ends before the outcome is known.
    #[error("the file ends less than 91 days after {0}, so what came after is not known")]
    NoFuture(Date),
    /// Nobody is left to judge, or all had the same outcome.
    #[error(
        "{households} households, {churned} of them without a purchase in 60 days: nothing to tell apart"
    )]
    TooFew {
        /// Households judged.
        households: usize,
        /// How many of them churned.
        churned: usize,
    },
}

/// The report, with the keys of `design`: `ltv`, `churn`, `baselines`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The day whose end was taken as "now".
    pub as_of: Date,
    /// Households judged.
    pub households: usize,
    /// How many of them had no purchase in the next 60 days.
    pub churned: usize,
    /// What they spent in the next 91 days, in currency units.
    pub spend_91d: f64,
    /// Whether only households unseen in training were judged.
    pub held_out_only: bool,
    /// Lines of the file that are no purchase.
    pub refused_lines: u64,
    /// Households the models gave no score; the closed form answered for them.
    pub faults: usize,
    /// The models.
    pub ltv: LtvMeasures,
    pub churn: ChurnMeasures,
    /// The naive lines.
    pub baselines: Baselines,
    /// 95 % intervals of the models' measures and of their gain over the naive line; absent when not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
}

/// What needs no model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Baselines {
    /// LTV: the next 91 days like the last.
    pub persistence: LtvMeasures,
    /// Churn: days since the last purchase, scaled to a probability by the judged households' own churn rate
    /// (generous: only its ranking is naive).
    pub recency: ChurnMeasures,
    /// Churn: MBG/NBD fitted to the likelihood of purchase times.
    pub mbg_nbd: ChurnMeasures,
    /// What answers when no model can: recent spend and MBG/NBD fitted to the outcome.
    pub fallback: Fallback,
}

/// The closed-form scorer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fallback {
    pub ltv: LtvMeasures,
    pub churn: ChurnMeasures,
}

/// Intervals over resampled households.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intervals {
    pub ltv: Vec<Interval>,
    pub churn: Vec<Interval>,
}

/// Whether the shipped models never saw this household: the rule of `models/training/data.py`.
pub fn is_held_out(household: &str) -> bool {
    let digest: [u8; 32] = Sha256::digest(household.as_bytes()).into();
    digest.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte)) % 100 < HELD_OUT_PERCENT
}

/// Predictions and outcomes, one entry per household; spend in currency units, churn 0 to 1.
struct Judged {
    spend: Vec<f64>,
    churned: Vec<bool>,
    ltv: Vec<f64>,
    churn: Vec<f64>,
    persistence: Vec<f64>,
    recency: Vec<f64>,
    mbg_nbd: Vec<f64>,
    fallback_ltv: Vec<f64>,
    fallback_churn: Vec<f64>,
    faults: usize,
}

/// Scores every household of a purchase file as of a date and compares with what came after.
///
/// # Errors
/// The file cannot be read, ends too early, or holds nobody to judge.
pub fn evaluate(models: &mut Models, events: &Path, options: &Options) -> Result<Report, Error> {
    let mut table = table::read(events, options.as_of)?;
    if options.held_out_only {
        table.examples.retain(|example| is_held_out(&example.household));
    }
    let judged = judge(models, &table.examples).ok_or(Error::NoFuture(options.as_of))?;
    let churned = judged.churned.iter().filter(|churned| **churned).count();
    let households = judged.spend.len();
    if churned == 0 || churned == households {
        return Err(Error::TooFew { households, churned });
    }
    let Judged { spend, churned: outcomes, .. } = &judged;
    Ok(Report {
        as_of: options.as_of,
        households,
        churned,
        spend_91d: spend.iter().sum(),
        held_out_only: options.held_out_only,
        refused_lines: table.refused,
        faults: judged.faults,
        ltv: LtvMeasures::of(spend, &judged.ltv),
        churn: ChurnMeasures::of(outcomes, &judged.churn),
        baselines: Baselines {
            persistence: LtvMeasures::of(spend, &judged.persistence),
            recency: ChurnMeasures::of(outcomes, &judged.recency),
            mbg_nbd: ChurnMeasures::of(outcomes, &judged.mbg_nbd),
            fallback: Fallback {
                ltv: LtvMeasures::of(spend, &judged.fallback_ltv),
                churn: ChurnMeasures::of(outcomes, &judged.fallback_churn),
            },
        },
        intervals: (options.bootstraps > 0).then(|| intervals(&judged, options.bootstraps)),
    })
}

/// `None` when the labels are not known.
fn judge(models: &mut Models, examples: &[Example]) -> Option<Judged> {
    let units = |micros: domain::Micros| micros.0 as f64 / 1e6;
    let share = |ppm: domain::Ppm| f64::from(ppm.0) / 1e6;
    let rows: Vec<_> = examples.iter().map(|example| example.features).collect();
    let scores: Vec<_> = rows.chunks(256).flat_map(|rows| models.score(rows)).collect();
    let faults = scores.iter().filter(|score| score.is_err()).count();
    let fallback: Vec<_> = rows.iter().map(fallback::score).collect();
    let scores = scores.iter().zip(&fallback).map(|(score, fallback)| score.unwrap_or(*fallback));
    let (ltv, churn) = scores.map(|(ltv, churn)| (units(ltv), share(churn))).unzip();
    let labels = examples.iter().map(|example| example.labels.spend_91d.zip(example.labels.churn_60d));
    let labels: Option<Vec<_>> = labels.collect();
    let (spend, churned): (Vec<f64>, Vec<bool>) =
        labels?.into_iter().map(|(spend, churned)| (units(spend), churned)).unzip();
    Some(Judged {
        ltv,
        churn,
        persistence: examples.iter().map(|example| units(example.summary.spend_91d())).collect(),
        recency: recency_line(examples, &churned),
        mbg_nbd: rows.iter().map(|row| fallback::churn_60d(&fallback::LIKELIHOOD, row)).collect(),
        fallback_ltv: fallback.iter().map(|(ltv, _)| units(*ltv)).collect(),
        fallback_churn: fallback.iter().map(|(_, churn)| share(*churn)).collect(),
        spend,
        churned,
        faults,
    })
}

/// `recency / (recency + c)`, with `c` chosen so that the mean is the observed churn rate.
fn recency_line(examples: &[Example], churned: &[bool]) -> Vec<f64> {
    let days: Vec<f64> = examples.iter().map(|example| f64::from(example.features.0[0])).collect();
    let rate = churned.iter().filter(|churned| **churned).count() as f64 / churned.len().max(1) as f64;
    let line = |scale: f64| days.iter().map(move |days| days / (days + scale));
    let (mut low, mut high) = (1e-3, 1e6);
    for _ in 0..60 {
        let middle = f64::sqrt(low * high);
        if line(middle).sum::<f64>() / days.len().max(1) as f64 > rate { low = middle } else { high = middle }
    }
    line(high).collect()
}

fn intervals(judged: &Judged, bootstraps: u32) -> Intervals {
    let households = judged.spend.len();
    let samples: Vec<Vec<usize>> = (0..u64::from(bootstraps))
        .map(|sample| {
            let draw = |index: usize| splitmix64(splitmix64(sample) ^ index as u64);
            (0..households)
                .map(|index| ((u128::from(draw(index)) * households as u128) >> 64) as usize)
                .collect()
        })
        .collect();
    let ltv = |rows: &[usize], line: &[f64]| {
        LtvMeasures::of(&resample::pick(&judged.spend, rows), &resample::pick(line, rows)).values()
    };
    let churn = |rows: &[usize], line: &[f64]| {
        ChurnMeasures::of(&resample::pick(&judged.churned, rows), &resample::pick(line, rows)).values()
    };
    Intervals {
        ltv: resample::intervals(&LtvMeasures::NAMES, &samples, |rows| {
            (ltv(rows, &judged.ltv), ltv(rows, &judged.persistence))
        }),
        churn: resample::intervals(&ChurnMeasures::NAMES, &samples, |rows| {
            (churn(rows, &judged.churn), churn(rows, &judged.mbg_nbd))
        }),
    }
}
