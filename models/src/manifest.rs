//! The manifest of a model: `<name>.model.toml` beside `<name>.onnx`.
//!
//! Models are untrusted input: a manifest says what the file must be, and [`Manifest::check`] refuses a file
//! that is anything else. Unknown keys are refused. The training script writes both files.

use domain::Digest;
use serde::{Deserialize, Serialize};

use crate::features::{COUNT, NAMES, SCHEMA};
use crate::onnx::{self, Outline, Port};

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

/// Engines may differ in the last bits of a sum; a larger difference (relative to one or the output) is another
/// model. Measured between the two engines on the shipped models: below 1e-6.
pub const GOLDEN_TOLERANCE: f64 = 1e-4;

/// Fewest golden rows: one typical and one extreme member, and a member without purchases.
const GOLDEN_MIN: usize = 3;

/// Standard operators that both engines run and that always end.
pub const OPERATORS: [&str; 40] = [
    "Abs",
    "Add",
    "And",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Div",
    "Equal",
    "Exp",
    "Flatten",
    "Gather",
    "Gemm",
    "Greater",
    "Identity",
    "LeakyRelu",
    "Less",
    "Log",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Slice",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Unsqueeze",
    "Where",
];

/// Operators of tree ensembles, which only ONNX Runtime runs.
pub const TREE_OPERATORS: [&str; 3] =
    ["ai.onnx.ml.TreeEnsembleClassifier", "ai.onnx.ml.TreeEnsembleRegressor", "ai.onnx.ml.ZipMap"];

/// Why a model is refused before an engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not TOML, an unknown or a missing key.
    #[error("the manifest is not readable: {0}")]
    Unreadable(String),
    /// The file is not the one the manifest speaks of.
    #[error("the file has SHA-256 {found}, the manifest says {expected}")]
    Hash {
        /// Of the file.
        found: Digest,
        /// Of the manifest.
        expected: Digest,
    },
    /// The file is no ONNX model.
    #[error(transparent)]
    Malformed(#[from] onnx::Malformed),
    /// A statement of the manifest that this build or the file contradicts.
    #[error("{what}: the manifest says {expected}, found {found}")]
    Mismatch {
        /// Which statement.
        what: &'static str,
        /// The manifest's.
        expected: String,
        /// The file's or this build's.
        found: String,
    },
    /// Weights in other files.
    #[error("it references external data; a model must be one file")]
    ExternalData,
    /// Loops, branches or functions.
    #[error("it holds nested graphs or functions, which may not end")]
    Nested,
    /// An operator outside [`OPERATORS`].
    #[error("operator {0} is not among the standard operators that are run")]
    Operator(String),
    /// A tree operator on the embedded engine.
    #[error(
        "operator {0} (tree ensemble) is not run by the embedded engine; name an ONNX Runtime library to use it"
    )]
    Trees(String),
}

fn mismatch(what: &'static str, expected: impl ToString, found: impl ToString) -> Result<(), Refusal> {
    let (expected, found) = (expected.to_string(), found.to_string());
    if expected == found { Ok(()) } else { Err(Refusal::Mismatch { what, expected, found }) }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Not TOML, or a key is unknown, missing or of the wrong type.
    pub fn parse(text: &str) -> Result<Manifest, Refusal> {
        toml::from_str(text).map_err(|error| Refusal::Unreadable(error.to_string()))
    }

    /// Checks the file against every statement; `trees` tells whether the engine runs tree ensembles.
    ///
    /// # Errors
    /// The first statement that does not hold.
    pub fn check(&self, file: &[u8], trees: bool) -> Result<(), Refusal> {
        let found = Digest::of(file);
        if found != self.sha256 {
            return Err(Refusal::Hash { found, expected: self.sha256 });
        }
        let outline = onnx::outline(file)?;
        self.check_contract()?;
        self.check_operators(&outline, trees)?;
        self.check_ports(&outline)
    }

    /// What this build expects of any manifest.
    fn check_contract(&self) -> Result<(), Refusal> {
        mismatch("feature_schema", self.feature_schema, SCHEMA)?;
        mismatch("features", self.features.join(" "), NAMES.join(" "))?;
        mismatch("horizon_days", self.horizon_days, self.kind.horizon_days())?;
        let unit = match self.kind {
            Kind::Ltv => Unit::Currency,
            Kind::Churn => Unit::Probability,
        };
        mismatch("unit", format!("{:?}", self.unit), format!("{unit:?}"))?;
        if self.golden.len() < GOLDEN_MIN {
            return mismatch(
                "golden",
                format!("{} rows", self.golden.len()),
                format!("at least {GOLDEN_MIN} needed"),
            );
        }
        match self.golden.iter().find(|golden| golden.features.len() != COUNT) {
            Some(golden) => mismatch("golden", format!("{} features", golden.features.len()), COUNT),
            None => Ok(()),
        }
    }

    fn check_operators(&self, outline: &Outline, trees: bool) -> Result<(), Refusal> {
        if outline.external_data {
            return Err(Refusal::ExternalData);
        }
        if outline.nested {
            return Err(Refusal::Nested);
        }
        mismatch("opset", self.opset, outline.opset)?;
        let listed: std::collections::BTreeSet<String> = self.operators.iter().cloned().collect();
        let names = |set: &std::collections::BTreeSet<String>| {
            set.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        mismatch("operators", names(&listed), names(&outline.operators))?;
        for operator in &outline.operators {
            if TREE_OPERATORS.contains(&operator.as_str()) {
                if !trees {
                    return Err(Refusal::Trees(operator.clone()));
                }
            } else if !OPERATORS.contains(&operator.as_str()) {
                return Err(Refusal::Operator(operator.clone()));
            }
        }
        Ok(())
    }

    fn check_ports(&self, outline: &Outline) -> Result<(), Refusal> {
        mismatch("inputs", 1, outline.inputs.len())?;
        mismatch("outputs", 1, outline.outputs.len())?;
        let columns = COUNT as i64;
        for (what, name, port, shapes) in [
            (
                "input",
                &self.input,
                &outline.inputs[0],
                [vec![None, Some(columns)], vec![None, Some(columns)]],
            ),
            ("output", &self.output, &outline.outputs[0], [vec![None], vec![None, Some(1)]]),
        ] {
            if port.name != *name || port.element != 1 || !shapes.contains(&port.shape) {
                let expected = format!("{name}: float32 {}", show(&shapes[1]));
                return Err(Refusal::Mismatch { what, expected, found: show_port(port) });
            }
        }
        Ok(())
    }
}

fn show(shape: &[Option<i64>]) -> String {
    let sizes: Vec<String> =
        shape.iter().map(|size| size.map_or("rows".to_owned(), |size| size.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

fn show_port(port: &Port) -> String {
    let element =
        if port.element == 1 { "float32".to_owned() } else { format!("element type {}", port.element) };
    format!("{}: {element} {}", port.name, show(&port.shape))
}
