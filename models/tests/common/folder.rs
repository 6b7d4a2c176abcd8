//! Model folders with one thing changed.

use std::path::Path;

use domain::Digest;
use models::manifest::{Golden, Kind, Manifest};

/// A model and its manifest.
pub type Pair = (Manifest, Vec<u8>);

/// A shipped model.
pub fn shipped(name: &str) -> Pair {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
    let text =
        std::fs::read_to_string(folder.join(format!("{name}.model.toml"))).expect("a shipped manifest");
    let onnx = std::fs::read(folder.join(format!("{name}.onnx"))).expect("a shipped model");
    (Manifest::parse(&text).expect("a shipped manifest"), onnx)
}

/// A churn model of `tests/files` with the manifest it should have; `output` gives its answer to a recency.
pub fn fixture(name: &str, operators: &[&str], output: impl Fn(f32) -> f32) -> Pair {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/files/{name}.onnx"));
    let onnx = std::fs::read(path).expect("a fixture");
    let (mut manifest, _) = shipped("churn_60d");
    name.clone_into(&mut manifest.name);
    manifest.sha256 = Digest::of(&onnx);
    manifest.operators = operators.iter().map(|operator| (*operator).to_owned()).collect();
    manifest.golden = [0.0_f32, 0.25, 0.81, 100.0]
        .map(|first| {
            let mut features = vec![0.0; 22];
            features[0] = first;
            Golden { features, output: output(first) }
        })
        .to_vec();
    (manifest, onnx)
}

/// A folder with the shipped LTV model and this churn model.
pub fn folder_with(churn: &Pair) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &shipped("ltv_91d"));
    write(folder.path(), churn);
    folder
}

fn write(folder: &Path, (manifest, onnx): &Pair) {
    let name = match manifest.kind {
        Kind::Ltv => "ltv_91d",
        Kind::Churn => "churn_60d",
    };
    let text = toml::to_string(manifest).expect("a manifest");
    std::fs::write(folder.join(format!("{name}.model.toml")), text).expect("writable");
    std::fs::write(folder.join(format!("{name}.onnx")), onnx).expect("writable");
}
