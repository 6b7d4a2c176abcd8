//! The closed-form scorer that answers when no model can: MBG/NBD churn and recent spend, in integers.
//!
//! It needs no file and no engine, and it never fails. The churn formula is the probability of no purchase in
//! the next 60 days under the modified BG/NBD process (Batislam, Denizel, Filiztekin 2007): while a member is
//! active, purchases are Poisson with a Gamma(r, alpha) rate, and after each purchase, the first included, the
//! member leaves with a Beta(a, b) probability. With x repeat purchases, the last at t_x, over T days:
//!
//! ```text
//! P(none in (T, T + 60]) = (k + q1) / (k + q0)      k  = a / (b + x)
//!                                                   q0 = ((alpha + t_x) / (alpha + T))^(r + x)
//!                                                   q1 = ((alpha + t_x) / (alpha + T + 60))^(r + x)
//! ```
//! This is not `1 - P(alive)`, which ranks members badly.

mod parameters;

use domain::{Micros, Ppm};

use crate::features::FeatureVector;

pub use parameters::{LIKELIHOOD, OUTCOME, Parameters};

/// Days the LTV speaks about.
const SPEND_DAYS: f32 = 91.0;

/// A member younger than this is scaled as if this old: a first week says little about 91 days.
const TENURE_DAYS_MIN: f32 = 28.0;

/// Predicted spend in the next 91 days and probability of no purchase in the next 60.
pub fn score(features: &FeatureVector) -> (Micros, Ppm) {
    let ppm = (churn_60d(&OUTCOME, features) * 1e6).round_ties_even();
    (recent_spend(features), Ppm(ppm.clamp(0.0, 1e6) as u32))
}

/// Spend of the last 91 days; of a younger member, scaled up from its tenure (at least [`TENURE_DAYS_MIN`]).
pub fn recent_spend(features: &FeatureVector) -> Micros {
    let [spend, tenure] = [features.0[20], features.0[1]];
    let scale = SPEND_DAYS / tenure.clamp(TENURE_DAYS_MIN, SPEND_DAYS);
    Micros((f64::from(spend) * f64::from(scale) * 1e6).round_ties_even() as i64)
}

/// The probability of no purchase in the next 60 days; 1 for a member that never bought.
pub fn churn_60d(parameters: &Parameters, features: &FeatureVector) -> f64 {
    let [recency, tenure, trips] = [0, 1, 2].map(|index| f64::from(features.0[index]));
    if trips < 1.0 {
        return 1.0;
    }
    let Parameters { r, alpha, a, b } = *parameters;
    let repeats = trips - 1.0;
    let last = (tenure - recency).max(0.0);
    let leaving = a / (b + repeats);
    let quiet = |days: f64| (((alpha + last) / (alpha + tenure + days)).ln() * (r + repeats)).exp();
    (leaving + quiet(60.0)) / (leaving + quiet(0.0))
}
