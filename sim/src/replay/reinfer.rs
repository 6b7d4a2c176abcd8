//! The models run again on the features that the events lead to.
//!
//! A decision is a function of its recorded scores, so replay takes those. This asks the other question: do these
//! models give those scores? Engines and processors round differently, so the answer has a tolerance, far below
//! what any decision turns on.

use domain::{Decision, Micros, Ppm, ScoreSource};
use ledger::Seq;
use models::Models;
use models::features::FeatureVector;
use serde::Serialize;

use super::{Difference, Report};

/// A predicted spend may be off by a hundredth of the currency unit, or by this part of it.
const SPEND_OFF_MICROS: u64 = 10_000;
const SPEND_OFF_PART: u64 = 10_000;
/// A probability may be off by this.
const CHURN_OFF_PPM: u64 = 100;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reinferred {
    /// Decisions whose features were scored again.
    pub decisions: u64,
    /// Decisions that other models had scored, or none.
    pub other_models: u64,
    /// Scores that are exactly the same.
    pub identical: u64,
    /// How far they were off at most: predicted spend in micros, probability in ppm.
    pub spend_off_max: u64,
    pub churn_off_max: u64,
}

/// Models and what they said so far.
pub struct Reinference {
    models: Models,
    pub so_far: Reinferred,
}

impl Reinference {
    /// Nothing asked yet.
    pub fn new(models: Models) -> Reinference {
        Reinference { models, so_far: Reinferred::default() }
    }

    /// Scores the features of a decision again.
    pub fn ask(&mut self, seq: Seq, features: &FeatureVector, recorded: &Decision, report: &mut Report) {
        let by_these = recorded.models == Some(self.models.digest());
        let scores = recorded.scores.filter(|scores| by_these && scores.source == ScoreSource::Model);
        let Some(scores) = scores else {
            self.so_far.other_models += 1;
            return;
        };
        self.so_far.decisions += 1;
        let answer = self.models.score(std::slice::from_ref(features)).into_iter().next();
        let Some(Ok((ltv_91d, churn_60d))) = answer else {
            let why = self.models.failure().unwrap_or("no answer").to_owned();
            report.differ(Difference::of(seq, "scores", &shown(scores.ltv_91d, scores.churn_60d), &why));
            return;
        };
        let spend_off = ltv_91d.0.abs_diff(scores.ltv_91d.0);
        let churn_off = u64::from(churn_60d.0.abs_diff(scores.churn_60d.0));
        self.so_far.identical += u64::from(spend_off == 0 && churn_off == 0);
        self.so_far.spend_off_max = self.so_far.spend_off_max.max(spend_off);
        self.so_far.churn_off_max = self.so_far.churn_off_max.max(churn_off);
        let spend_may = SPEND_OFF_MICROS.max(scores.ltv_91d.0.unsigned_abs() / SPEND_OFF_PART);
        if spend_off > spend_may || churn_off > CHURN_OFF_PPM {
            let (was, is) = (shown(scores.ltv_91d, scores.churn_60d), shown(ltv_91d, churn_60d));
            report.differ(Difference::of(seq, "scores", &was, &is));
        }
    }
}

fn shown(ltv: Micros, churn: Ppm) -> String {
    format!("spend {ltv}, churn {churn}")
}
