//! The manifest of a model: `<name>.model.toml` beside `<name>.onnx`.
//!
//! Models are untrusted input: a manifest says what the file must be, and [`Manifest::check`] refuses a file
//! that is anything else. Unknown keys are refused. The training script writes both files.

mod check;

use domain::Digest;
use serde::{Deserialize, Serialize};

pub use check::{GOLDEN_TOLERANCE, OPERATORS, Refusal, TREE_OPERATORS};

/// What a model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Spend over the horizon, in currency units.
    Ltv,
    /// Probability of no purchase within the horizon.
    Churn,
}

impl Kind {
    /// The horizon the decision record has a place for, in days.
    pub fn horizon_days(self) -> u32 {
        match self {
            Kind::Ltv => 91,
            Kind::Churn => 60,
        }
    }

    /// The word in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ltv => "ltv",
            Kind::Churn => "churn",
        }
    }
}

/// What is still to be done to the graph's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Nothing.
    Identity,
    /// `exp(x) - 1`.
    Expm1,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Transform {
    /// The transformed output.
    pub fn apply(self, value: f32) -> f64 {
        let value = f64::from(value);
        match self {
            Transform::Identity => value,
            Transform::Expm1 => value.exp_m1(),
            Transform::Sigmoid => 1.0 / (1.0 + (-value).exp()),
        }
    }
}

/// The unit of the transformed output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Currency units of the program.
    Currency,
    /// 0 to 1.
    Probability,
}

/// A manifest, version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The file's name without `.onnx`.
    pub name: String,
    /// What it predicts.
    pub kind: Kind,
    /// How far ahead, in days.
    pub horizon_days: u32,
    /// The model's own version.
    pub version: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Version of the standard operator set.
    pub opset: i64,
    /// Every operator of the graph, sorted.
    pub operators: Vec<String>,
    /// Version of the feature contract.
    pub feature_schema: u32,
    /// The features in order.
    pub features: Vec<String>,
    /// The graph's input, `float32[rows, features]`.
    pub input: String,
    /// The graph's output, `float32[rows]` or `float32[rows, 1]`.
    pub output: String,
    /// What is still to be done to the output.
    pub transform: Transform,
    /// The unit of the result.
    pub unit: Unit,
    /// Where it comes from.
    pub training: Training,
    /// How good it is on households it has not seen.
    pub metrics: Vec<Metric>,
    /// Predicted against observed, by tenth of the predictions.
    pub calibration: Vec<Calibration>,
    /// What each feature and the score looked like in training; drift is measured against it.
    pub baseline: Vec<Histogram>,
    /// Inputs with their outputs; any engine must agree within [`GOLDEN_TOLERANCE`].
    pub golden: Vec<Golden>,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The purchases, by name and digest.
    pub source: String,
    /// SHA-256 of the purchase file.
    pub source_sha256: Digest,
    /// First and last day of purchases used, labels included.
    pub from: String,
    pub to: String,
    /// Days whose end was taken as "now".
    pub cutoffs: Vec<String>,
    /// Households trained on, and rows (household times cutoff).
    pub households: u32,
    pub rows: u32,
    /// How households were kept unseen.
    pub split: String,
    /// What kind of model, in a line.
    pub recipe: String,
}

/// A measure on held-out households, with its bootstrap interval and the best naive line beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// e.g. `mae`.
    pub name: String,
    /// The day whose end was taken as "now".
    pub as_of: String,
    /// Held-out households.
    pub households: u32,
    /// The measure and its 95 % interval.
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// The naive line's name and value.
    pub baseline: String,
    pub baseline_value: f64,
}

/// One tenth of the held-out households by prediction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Mean prediction.
    pub predicted: f64,
    /// Mean outcome.
    pub observed: f64,
    /// Households.
    pub households: u32,
}

/// A histogram: `shares[i]` of the values lie in `(edges[i - 1], edges[i]]`, the last share above all edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// A feature's name, or `score`.
    pub name: String,
    /// Increasing.
    pub edges: Vec<f32>,
    /// One more than edges; sums to one.
    pub shares: Vec<f64>,
}

/// An input with its output before the transform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// In the order of the contract.
    pub features: Vec<f32>,
    /// What the graph answers.
    pub output: f32,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Not TOML, or a key is unknown, missing or of the wrong type.
    pub fn parse(text: &str) -> Result<Manifest, Refusal> {
        toml::from_str(text).map_err(|error| Refusal::Unreadable(error.to_string()))
    }
}
