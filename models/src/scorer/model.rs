//! One model on its own session: verified when loaded, then rows in, floats out.

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use super::Error;
use super::files::ModelFile;
use crate::engine::Engine;
use crate::features::COUNT;
use crate::manifest::{GOLDEN_TOLERANCE, Manifest};

/// One model on its own session.
pub(super) struct Model {
    pub(super) manifest: Manifest,
    session: Session,
}

impl Model {
    pub(super) fn load(engine: &Engine, file: &ModelFile) -> Result<Model, Error> {
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
    pub(super) fn run(&mut self, flat: &[f32]) -> Result<Vec<f32>, String> {
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
