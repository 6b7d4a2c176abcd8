//! The files of a bundle as text, and the bytes its digest is taken over.
//!
//! Canonical bytes, version 1: the line `largesse-bundle 1`, then for each file in the order of [`File::ALL`]
//! the line `NAME LENGTH`, that many bytes of text, and a newline. Texts are kept as written, comments
//! included, so the ledger holds what the authors wrote and an explanation can quote it; only a byte order
//! mark and carriage returns are dropped, which version control may add. So a changed comment is another
//! digest: what was approved is what is stored, to the letter.

use std::ops::Range;
use std::path::Path;

use crate::codes::Code;
use crate::gather::Gathered;
use crate::problem::Problem;
use crate::text::Text;

/// Longest file in bytes. A catalog of 64 generously commented rewards takes a tenth of it.
pub const FILE_BYTES_MAX: usize = 1 << 20;

const HEADER: &str = "largesse-bundle 1\n";

/// A file of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    Program,
    Segments,
    Catalog,
    Moments,
    Guardrails,
    Experiments,
}

impl File {
    /// Every file, in canonical order.
    pub const ALL: [File; 6] =
        [File::Program, File::Segments, File::Catalog, File::Moments, File::Guardrails, File::Experiments];

    /// Its name in the folder.
    pub fn name(self) -> &'static str {
        match self {
            File::Program => "program.toml",
            File::Segments => "segments.toml",
            File::Catalog => "catalog.toml",
            File::Moments => "moments.toml",
            File::Guardrails => "guardrails.toml",
            File::Experiments => "experiments.toml",
        }
    }

    /// Its name without the ending, the first word of its rules' ids.
    pub fn stem(self) -> &'static str {
        self.name().trim_end_matches(".toml")
    }
}

/// The six texts of a bundle, in the order of [`File::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources([Text; 6]);

impl Sources {
    /// These texts, in the order of [`File::ALL`].
    pub(crate) fn of(texts: [String; 6]) -> Sources {
        Sources(texts.map(Text::of))
    }

    /// The texts of named files.
    pub fn from_files(files: &[(&str, &str)]) -> Result<Sources, Vec<Problem>> {
        Gathered::from_files(files).whole()
    }

    /// The texts of a folder's files, as [`Gathered::from_folder`] reads them.
    pub fn from_folder(folder: &Path) -> Result<Sources, Vec<Problem>> {
        Gathered::from_folder(folder)?.whole()
    }

    /// The texts inside canonical bytes.
    pub fn from_canonical(bytes: &[u8]) -> Result<Sources, Vec<Problem>> {
        let broken = |what: &str| {
            vec![Problem::of_file(Code::Unreadable, "stored bundle", format!("not canonical bytes: {what}"))]
        };
        let text = std::str::from_utf8(bytes).map_err(|_| broken("not UTF-8"))?;
        let files = unpacked(HEADER, text).map_err(broken)?;
        let sources = Sources::from_files(&files)?;
        // Other bytes that mean the same (another order, a carriage return) would have another digest.
        if sources.canonical() == bytes { Ok(sources) } else { Err(broken("written differently")) }
    }

    /// The bytes the digest is taken over and the ledger stores.
    pub fn canonical(&self) -> Vec<u8> {
        packed(HEADER, File::ALL.map(|file| (file.name(), self.text(file)))).into_bytes()
    }

    /// The text of a file.
    pub fn text(&self, file: File) -> &str {
        self.marked(file).as_str()
    }

    /// The same with its places.
    pub(crate) fn marked(&self, file: File) -> &Text {
        &self.0[file as usize]
    }

    /// A mistake at a place.
    pub(crate) fn problem(
        &self,
        code: Code,
        file: File,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Problem {
        Problem::at(code, file.name(), self.marked(file), span, message)
    }
}

/// Named texts as one: a first line, then for each the line `NAME LENGTH`, that many bytes, and a newline.
pub(crate) fn packed<'a>(header: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from(header);
    for (name, text) in files {
        out.push_str(&format!("{name} {}\n{text}\n", text.len()));
    }
    out
}

/// The texts in what [`packed`] makes.
///
/// # Errors
/// Why it is something else.
pub(crate) fn unpacked<'a>(header: &str, text: &'a str) -> Result<Vec<(&'a str, &'a str)>, &'static str> {
    let mut rest = text.strip_prefix(header).ok_or("unknown first line")?;
    let mut files = Vec::new();
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').ok_or("a file header is cut off")?;
        let (name, length) = line.rsplit_once(' ').ok_or("a file header has no length")?;
        let length: usize = length.parse().map_err(|_| "a length is not a number")?;
        let body = after.get(..length).ok_or("a file is cut off")?;
        rest = after[length..].strip_prefix('\n').ok_or("a file does not end")?;
        files.push((name, body));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sources(texts: &[String; 6]) -> Sources {
        let files: Vec<(&str, &str)> =
            File::ALL.iter().map(|file| file.name()).zip(texts.iter().map(String::as_str)).collect();
        Sources::from_files(&files).unwrap()
    }

    proptest! {
        #[test]
        fn canonical_bytes_give_back_the_same_texts(texts: [String; 6]) {
            let sources = sources(&texts);
            let bytes = sources.canonical();
            let again = Sources::from_canonical(&bytes).unwrap();
            prop_assert_eq!(again.canonical(), bytes);
            prop_assert_eq!(again, sources);
        }

        #[test]
        fn no_other_bytes_are_accepted_for_the_same_texts(texts: [String; 6], at: prop::sample::Index, byte: u8) {
            let sources = sources(&texts);
            let mut bytes = sources.canonical();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            if let Ok(other) = Sources::from_canonical(&bytes) {
                prop_assert_ne!(other, sources);
            }
        }
    }

    #[test]
    fn line_endings_do_not_change_the_bytes() {
        let unix = sources(&["a = 1\nb = 2\n".into(), "".into(), "".into(), "".into(), "".into(), "".into()]);
        let dos = sources(&[
            "\u{feff}a = 1\r\nb = 2\r\n".into(),
            "".into(),
            "".into(),
            "".into(),
            "".into(),
            "".into(),
        ]);
        assert_eq!(unix.canonical(), dos.canonical());
    }
}
