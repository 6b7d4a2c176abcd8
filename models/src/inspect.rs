//! What the active models are, for people: `largesse model inspect`.

use domain::Digest;
use serde::Serialize;

use crate::engine::EngineInfo;
use crate::manifest::{Calibration, Kind, Manifest, Metric, Training};
use crate::scorer::Models;

/// The active models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The digest that decisions carry.
    pub digest: Digest,
    /// What runs them.
    pub engine: EngineInfo,
    /// The LTV and the churn model.
    pub models: Vec<Card>,
}

/// One model: its manifest without the rows that only machines read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Card {
    pub name: String,
    pub kind: Kind,
    pub version: String,
    pub horizon_days: u32,
    /// SHA-256 of the file.
    pub sha256: Digest,
    pub opset: i64,
    pub operators: Vec<String>,
    pub feature_schema: u32,
    pub features: Vec<String>,
    pub training: Training,
    pub metrics: Vec<Metric>,
    pub calibration: Vec<Calibration>,
    /// Golden rows that were verified at load.
    pub golden_rows: usize,
}

/// Describes loaded models.
pub fn inspect(models: &Models) -> Inspection {
    Inspection {
        digest: models.digest(),
        engine: models.engine().clone(),
        models: models.manifests().map(card).into(),
    }
}

fn card(manifest: &Manifest) -> Card {
    Card {
        name: manifest.name.clone(),
        kind: manifest.kind,
        version: manifest.version.clone(),
        horizon_days: manifest.horizon_days,
        sha256: manifest.sha256,
        opset: manifest.opset,
        operators: manifest.operators.clone(),
        feature_schema: manifest.feature_schema,
        features: manifest.features.clone(),
        training: manifest.training.clone(),
        metrics: manifest.metrics.clone(),
        calibration: manifest.calibration.clone(),
        golden_rows: manifest.golden.len(),
    }
}
