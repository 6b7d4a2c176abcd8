//! What is refused, and why, before an engine sees a model.

use std::collections::BTreeSet;

use domain::Digest;

use super::{Kind, Manifest, Unit};
use crate::features::{COUNT, NAMES, SCHEMA};
use crate::onnx::{self, Outline, Port};

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
        let listed: BTreeSet<String> = self.operators.iter().cloned().collect();
        let names = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
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
