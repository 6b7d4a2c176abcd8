//! The active models: loaded, verified, and answering in integers.
//!
//! [`Models::load`] takes a started [`Engine`] and refuses anything its manifests do not vouch for; from then
//! on [`Models::score`] turns feature vectors into micros and parts per million. A float never leaves.

use std::path::{Path, PathBuf};

use domain::{Digest, Micros, Ppm};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use crate::engine::{Engine, EngineInfo};
use crate::features::{COUNT, FeatureVector};
use crate::manifest::{GOLDEN_TOLERANCE, Kind, Manifest, Refusal};

/// Largest LTV a model may claim: the largest amount one purchase may have.
pub const LTV_MAX: Micros = Micros::units(1_000_000);

/// Most bytes of a manifest; the shipped ones have about 20 KiB.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// Ending of manifests in a folder.
const MANIFEST_ENDING: &str = ".model.toml";

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

/// One model on its own session.
struct Model {
    manifest: Manifest,
    session: Session,
}

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
            Source::Shipped => shipped::files(),
            Source::Folder(folder) => read_folder(folder)?,
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

impl Model {
    fn load(engine: &Engine, file: &ModelFile) -> Result<Model, Error> {
        let refused = |why| Error::Refused { name: file.name.clone(), why };
        let manifest = Manifest::parse(&file.manifest).map_err(refused)?;
        manifest.check(&file.onnx, engine.info().trees).map_err(refused)?;
        let session = open(engine, &file.onnx);
        let session = session.map_err(|why| Error::Engine { name: file.name.clone(), why })?;
        let mut model = Model { manifest, session };
        model.verify()?;
        Ok(model)
    }

    /// Compares the golden outputs, one by one and as one batch.
    fn verify(&mut self) -> Result<(), Error> {
        let golden = self.manifest.golden.clone();
        let name = self.manifest.name.clone();
        let failed = |why| Error::Engine { name: name.clone(), why };
        let all: Vec<f32> = golden.iter().flat_map(|golden| golden.features.iter().copied()).collect();
        let mut found = self.run(&all).map_err(failed)?;
        found.extend(self.run(&golden[0].features).map_err(failed)?);
        for (row, (found, golden)) in found.into_iter().zip(golden.iter().chain(golden.first())).enumerate() {
            let scale = f64::from(golden.output.abs()).max(1.0);
            let off = (f64::from(found) - f64::from(golden.output)).abs();
            if off.is_nan() || off > GOLDEN_TOLERANCE * scale {
                return Err(Error::Golden {
                    name,
                    row: row % golden_rows(&self.manifest),
                    found,
                    expected: golden.output,
                });
            }
        }
        Ok(())
    }

    /// Runs the graph over rows of [`COUNT`] values; one output per row.
    fn run(&mut self, flat: &[f32]) -> Result<Vec<f32>, String> {
        let rows = flat.len() / COUNT;
        let text = |error: ort::Error| error.to_string();
        let input = TensorRef::from_array_view(([rows, COUNT], flat)).map_err(text)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(text)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(text)?;
        if values.len() == rows {
            return Ok(values.to_vec());
        }
        Err(format!("{} values for {rows} rows", values.len()))
    }
}

fn golden_rows(manifest: &Manifest) -> usize {
    manifest.golden.len().max(1)
}

fn open(engine: &Engine, onnx: &[u8]) -> Result<Session, String> {
    let text = |error: ort::Error| error.to_string();
    let builder = Session::builder(engine.environment()).map_err(text)?;
    // Without the highest level the embedded engine takes 1.5-2 ms per run instead of tens of microseconds.
    let builder = builder.with_optimization_level(GraphOptimizationLevel::Level3);
    let mut builder = builder.map_err(|error| error.to_string())?;
    if engine.info().library.is_some() {
        builder = builder.with_intra_threads(1).map_err(|error| error.to_string())?;
    }
    builder.commit_from_memory(onnx).map_err(text)
}

/// Currency units as micros, half to even.
fn money(value: f64) -> Result<Micros, Fault> {
    if !value.is_finite() {
        return Err(Fault::NotFinite);
    }
    let micros = (value * 1e6).round_ties_even();
    if (0.0..=LTV_MAX.0 as f64).contains(&micros) {
        Ok(Micros(micros as i64))
    } else {
        Err(Fault::OutOfRange)
    }
}

/// A probability as parts per million, half to even.
fn share(value: f64) -> Result<Ppm, Fault> {
    if !value.is_finite() {
        return Err(Fault::NotFinite);
    }
    let ppm = (value * 1e6).round_ties_even();
    if (0.0..=1e6).contains(&ppm) { Ok(Ppm(ppm as u32)) } else { Err(Fault::OutOfRange) }
}

/// A model and its manifest, not yet trusted.
struct ModelFile {
    name: String,
    manifest: String,
    onnx: Vec<u8>,
}

mod shipped {
    use super::ModelFile;

    /// The models compiled into the binary.
    pub(super) fn files() -> Vec<ModelFile> {
        let file = |name: &str, manifest: &str, onnx: &[u8]| ModelFile {
            name: name.to_owned(),
            manifest: manifest.to_owned(),
            onnx: onnx.to_vec(),
        };
        vec![
            file(
                "ltv_91d",
                include_str!("../files/ltv_91d.model.toml"),
                include_bytes!("../files/ltv_91d.onnx"),
            ),
            file(
                "churn_60d",
                include_str!("../files/churn_60d.model.toml"),
                include_bytes!("../files/churn_60d.onnx"),
            ),
        ]
    }
}

/// Every model of a folder, by name.
fn read_folder(folder: &Path) -> Result<Vec<ModelFile>, Error> {
    let unreadable =
        |path: &Path, why: std::io::Error| Error::Unreadable { path: path.to_owned(), why: why.to_string() };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|why| unreadable(folder, why))? {
        let name = entry.map_err(|why| unreadable(folder, why))?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(MANIFEST_ENDING)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let mut files = Vec::new();
    for name in names {
        let manifest = folder.join(format!("{name}{MANIFEST_ENDING}"));
        let onnx = folder.join(format!("{name}.onnx"));
        let text = read_file(&manifest, MANIFEST_BYTES_MAX)?;
        let text = String::from_utf8(text)
            .map_err(|error| Error::Unreadable { path: manifest.clone(), why: error.to_string() })?;
        files.push(ModelFile {
            name,
            manifest: text,
            onnx: read_file(&onnx, crate::onnx::BYTES_MAX as u64)?,
        });
    }
    Ok(files)
}

/// A regular file of at most `most` bytes.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |why: String| Error::Unreadable { path: path.to_owned(), why };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > most {
        return Err(unreadable(format!("not a file of at most {most} bytes")));
    }
    std::fs::read(path).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_even_and_nonsense_is_a_fault() {
        assert_eq!(share(0.000_000_5), Ok(Ppm(0)));
        assert_eq!(share(0.000_001_5), Ok(Ppm(2)));
        assert_eq!(money(12.34), Ok(Micros(12_340_000)));
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!((share(nonsense), money(nonsense)), (Err(Fault::NotFinite), Err(Fault::NotFinite)));
        }
        assert_eq!((share(1.01), share(-0.01)), (Err(Fault::OutOfRange), Err(Fault::OutOfRange)));
        assert_eq!((money(-0.01), money(1_000_000.5)), (Err(Fault::OutOfRange), Err(Fault::OutOfRange)));
    }
}
