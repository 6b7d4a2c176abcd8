//! The active models: loaded, verified, and answering in integers.
//!
//! [`Models::load`] takes a started [`Engine`] and refuses anything its manifests do not vouch for; from then
//! on [`Models::score`] turns feature vectors into micros and parts per million. A float never leaves.

mod files;
mod model;
mod number;

use std::path::PathBuf;

use domain::{Digest, Micros, Ppm};

use crate::engine::{Engine, EngineInfo};
use crate::features::FeatureVector;
use crate::manifest::{Kind, Manifest, Refusal};
use model::Model;
pub use number::LTV_MAX;
use number::{money, share};

/// Where models come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The models compiled into the binary.
    Shipped,
    /// A folder with `<name>.onnx` and `<name>.model.toml` for each model.
    Folder(PathBuf),
}

/// Why the models could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A model is refused.
    #[error("model {name} is refused: {why}")]
    Refused {
        /// The model's name.
        name: String,
        /// Why.
        why: Refusal,
    },
    /// The engine cannot run the model.
    #[error("the engine cannot run model {name}: {why}")]
    Engine {
        /// The model's name.
        name: String,
        /// What the engine said.
        why: String,
    },
    /// The model answers a golden input otherwise than its manifest says.
    #[error("model {name} answers golden row {row} with {found}, its manifest says {expected}")]
    Golden {
        /// The model's name.
        name: String,
        /// Which row, from 0.
        row: usize,
        /// What the engine computed.
        found: f32,
        /// What the manifest says.
        expected: f32,
    },
    /// Not exactly one model of a kind.
    #[error("{count} models of kind {} in {place}, exactly one is needed", kind.name())]
    Count {
        /// The kind.
        kind: Kind,
        /// How many there are.
        count: usize,
        /// Where.
        place: String,
    },
}

/// Why a row has no score of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A model answered NaN or infinity.
    #[error("a model answered no finite number")]
    NotFinite,
    /// A model answered outside 0..=1 or 0..=[`LTV_MAX`].
    #[error("a model answered outside its range")]
    OutOfRange,
    /// The engine failed.
    #[error("the engine failed")]
    Failed,
    /// The models did not answer in time.
    #[error("the models did not answer in time")]
    Late,
    /// More rows were waiting than the queue holds.
    #[error("too many rows were waiting")]
    Overloaded,
    /// The models were late before and are given time to recover.
    #[error("the models are resting after late answers")]
    Resting,
}

/// A score of both models.
pub type Score = (Micros, Ppm);

/// The active models. One thread owns them at a time.
pub struct Models {
    engine: EngineInfo,
    ltv: Model,
    churn: Model,
    /// Rows laid out for the engine; kept to save an allocation per batch.
    flat: Vec<f32>,
    failure: Option<String>,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models")
            .field("engine", &self.engine)
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

impl Models {
    /// Loads and verifies one LTV and one churn model.
    ///
    /// # Errors
    /// A file is missing, a manifest does not hold, the engine refuses, or a golden output differs.
    pub fn load(engine: &Engine, source: &Source) -> Result<Models, Error> {
        let files = match source {
            Source::Shipped => files::shipped(),
            Source::Folder(folder) => files::read_folder(folder)?,
        };
        let mut loaded = Vec::new();
        for file in &files {
            loaded.push(Model::load(engine, file)?);
        }
        let place = match source {
            Source::Shipped => "the binary".to_owned(),
            Source::Folder(folder) => folder.display().to_string(),
        };
        let mut take = |kind: Kind| {
            let count = loaded.iter().filter(|model| model.manifest.kind == kind).count();
            let index = loaded.iter().position(|model| model.manifest.kind == kind);
            match index {
                Some(index) if count == 1 => Ok(loaded.swap_remove(index)),
                _ => Err(Error::Count { kind, count, place: place.clone() }),
            }
        };
        let (ltv, churn) = (take(Kind::Ltv)?, take(Kind::Churn)?);
        Ok(Models { engine: engine.info().clone(), ltv, churn, flat: Vec::new(), failure: None })
    }

    /// SHA-256 over the digests of the LTV and the churn model, in this order.
    pub fn digest(&self) -> Digest {
        let [ltv, churn] = self.manifests().map(|manifest| manifest.sha256.0);
        Digest::of(&[ltv, churn].concat())
    }

    /// The manifests of the LTV and the churn model.
    pub fn manifests(&self) -> [&Manifest; 2] {
        [&self.ltv.manifest, &self.churn.manifest]
    }

    /// What runs them.
    pub fn engine(&self) -> &EngineInfo {
        &self.engine
    }

    /// What the engine said when it last failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Scores rows; the answers stand in their order.
    pub fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        if rows.is_empty() {
            return Vec::new();
        }
        self.flat.clear();
        self.flat.extend(rows.iter().flat_map(|row| row.0));
        let ltv = self.ltv.run(&self.flat);
        let churn = self.churn.run(&self.flat);
        match (ltv, churn) {
            (Ok(ltv), Ok(churn)) => ltv
                .into_iter()
                .zip(churn)
                .map(|(ltv, churn)| {
                    Ok((
                        money(self.ltv.manifest.transform.apply(ltv))?,
                        share(self.churn.manifest.transform.apply(churn))?,
                    ))
                })
                .collect(),
            (Err(why), _) | (_, Err(why)) => {
                self.failure = Some(why);
                vec![Err(Fault::Failed); rows.len()]
            }
        }
    }
}
