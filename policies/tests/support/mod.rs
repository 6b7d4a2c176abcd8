//! Editing the starter bundle in tests.

use policies::{Bundle, Problems};

/// The starter bundle with one text in one file replaced; the text must occur.
pub fn edited(file: &str, from: &str, to: &str) -> Result<Bundle, Problems> {
    edited_all(&[(file, from, to)])
}

/// The starter bundle with several texts replaced.
pub fn edited_all(edits: &[(&str, &str, &str)]) -> Result<Bundle, Problems> {
    let mut files = policies::starter::GROCERY.map(|(name, text)| (name, text.to_owned()));
    for (file, from, to) in edits {
        let (_, text) = files.iter_mut().find(|(name, _)| name == file).unwrap();
        assert!(text.contains(from), "{file} does not contain {from:?}");
        *text = text.replacen(from, to, 1);
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Bundle::from_files(&files)
}
