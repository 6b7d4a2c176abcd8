//! Where model files are read from: the binary itself, or a folder.

use std::path::Path;

use super::Error;

/// Most bytes of a manifest; the shipped ones have about 20 KiB.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// Ending of manifests in a folder.
const MANIFEST_ENDING: &str = ".model.toml";

/// A model and its manifest, not yet trusted.
pub(super) struct ModelFile {
    pub(super) name: String,
    pub(super) manifest: String,
    pub(super) onnx: Vec<u8>,
}

/// The models compiled into the binary.
pub(super) fn shipped() -> Vec<ModelFile> {
    let file = |name: &str, manifest: &str, onnx: &[u8]| ModelFile {
        name: name.to_owned(),
        manifest: manifest.to_owned(),
        onnx: onnx.to_vec(),
    };
    vec![
        file(
            "ltv_91d",
            include_str!("../../files/ltv_91d.model.toml"),
            include_bytes!("../../files/ltv_91d.onnx"),
        ),
        file(
            "churn_60d",
            include_str!("../../files/churn_60d.model.toml"),
            include_bytes!("../../files/churn_60d.onnx"),
        ),
    ]
}

/// Every model of a folder, by name.
pub(super) fn read_folder(folder: &Path) -> Result<Vec<ModelFile>, Error> {
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
