//! The files of a bundle as text, and the bytes its digest is taken over.
//!
//! Canonical bytes, version 1: the line `largesse-bundle 1`, then for each file in the order of [`File::ALL`]
//! the line `NAME LENGTH`, that many bytes of text, and a newline. Texts are kept as written, comments
//! included, so the ledger holds what the authors wrote and an explanation can quote it; only a byte order
//! mark and carriage returns are dropped, which version control may add. So a changed comment is another
//! digest: what was approved is what is stored, to the letter.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use crate::codes::Code;
use crate::problem::{Problem, did_you_mean};

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
pub struct Sources([String; 6]);

impl Sources {
    /// The texts of named files.
    pub fn from_files(files: &[(&str, &str)]) -> Result<Sources, Vec<Problem>> {
        let mut problems = Vec::new();
        let names = File::ALL.map(File::name);
        for (name, _) in files.iter().filter(|(name, _)| !names.contains(name)) {
            problems.push(
                Problem::of_file(Code::UnknownFile, name, format!("`{name}` is not a file of a bundle"))
                    .help(did_you_mean(name, names)),
            );
        }
        let texts = File::ALL.map(|file| {
            let name = file.name();
            let Some((_, text)) = files.iter().find(|(given, _)| *given == name) else {
                problems.push(Problem::of_file(Code::MissingFile, name, format!("`{name}` is missing")));
                return String::new();
            };
            if text.len() > FILE_BYTES_MAX {
                problems.push(too_large(name, u64::try_from(text.len()).unwrap_or(u64::MAX)));
                return String::new();
            }
            normal(text)
        });
        if problems.is_empty() { Ok(Sources(texts)) } else { Err(problems) }
    }

    /// The texts of a folder's `*.toml` files; other files and folders (README.md, tests/) are not read.
    ///
    /// Links are followed, because mounted configuration is often linked; what is at their end must be a file.
    pub fn from_folder(folder: &Path) -> Result<Sources, Vec<Problem>> {
        let shown = folder.display().to_string();
        let mut names = toml_names(folder).map_err(|error| vec![unreadable(&shown, &error)])?;
        // A folder is listed in any order; mistakes are reported in one.
        names.sort();
        let mut problems = Vec::new();
        let mut files = Vec::new();
        for name in names {
            // What is no file of a bundle is complained about and need not be read.
            let text = if File::ALL.iter().any(|file| file.name() == name) {
                read_text(&folder.join(&name), &name)
            } else {
                Ok(String::new())
            };
            files.push((
                name,
                text.unwrap_or_else(|problem| {
                    problems.push(*problem);
                    String::new()
                }),
            ));
        }
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        match Sources::from_files(&files) {
            Ok(sources) if problems.is_empty() => Ok(sources),
            Ok(_) => Err(problems),
            Err(others) => Err(problems.into_iter().chain(others).collect()),
        }
    }

    /// The texts inside canonical bytes.
    pub fn from_canonical(bytes: &[u8]) -> Result<Sources, Vec<Problem>> {
        let broken = |what: &str| {
            vec![Problem::of_file(Code::Unreadable, "stored bundle", format!("not canonical bytes: {what}"))]
        };
        let text = std::str::from_utf8(bytes).map_err(|_| broken("not UTF-8"))?;
        let mut rest = text.strip_prefix(HEADER).ok_or_else(|| broken("unknown first line"))?;
        let mut files = Vec::new();
        while !rest.is_empty() {
            let (line, after) = rest.split_once('\n').ok_or_else(|| broken("a file header is cut off"))?;
            let (name, length) = line.split_once(' ').ok_or_else(|| broken("a file header has no length"))?;
            let length: usize = length.parse().map_err(|_| broken("a length is not a number"))?;
            let body = after.get(..length).ok_or_else(|| broken("a file is cut off"))?;
            rest = after[length..].strip_prefix('\n').ok_or_else(|| broken("a file does not end"))?;
            files.push((name, body));
        }
        let sources = Sources::from_files(&files)?;
        // Other bytes that mean the same (another order, a carriage return) would have another digest.
        if sources.canonical() == bytes { Ok(sources) } else { Err(broken("written differently")) }
    }

    /// The bytes the digest is taken over and the ledger stores.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = String::from(HEADER);
        for file in File::ALL {
            let text = self.text(file);
            out.push_str(&format!("{} {}\n{text}\n", file.name(), text.len()));
        }
        out.into_bytes()
    }

    /// The text of a file.
    pub fn text(&self, file: File) -> &str {
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
        Problem::at(code, file.name(), self.text(file), span, message)
    }
}

fn toml_names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            names.push(name);
        }
    }
    Ok(names)
}

fn unreadable(name: &str, error: &std::io::Error) -> Problem {
    Problem::of_file(Code::Unreadable, name, format!("cannot be read: {error}"))
}

fn too_large(name: &str, bytes: u64) -> Problem {
    let message = format!("`{name}` has {bytes} bytes, at most {FILE_BYTES_MAX} are read");
    Problem::of_file(Code::TooLarge, name, message)
}

/// The text of one file, whose size and kind are looked at before it is opened: opening a pipe waits for ever, and
/// a large file would have to fit into memory.
fn read_text(path: &Path, name: &str) -> Result<String, Box<Problem>> {
    let metadata = std::fs::metadata(path).map_err(|error| Box::new(unreadable(name, &error)))?;
    if !metadata.is_file() {
        let message = format!("`{name}` is not a file but a folder, pipe or device");
        return Err(Box::new(Problem::of_file(Code::Unreadable, name, message)));
    }
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    if metadata.len() > limit {
        return Err(Box::new(too_large(name, metadata.len())));
    }
    let file = std::fs::File::open(path).map_err(|error| Box::new(unreadable(name, &error)))?;
    let mut bytes = Vec::new();
    // It may have grown since; one byte more is enough to see that.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Box::new(unreadable(name, &error)))?;
    String::from_utf8(bytes).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let before = String::from_utf8_lossy(&bytes[..at]);
        let message = format!("the byte 0x{:02X} is not UTF-8", bytes[at]);
        Box::new(Problem::at(Code::Unreadable, name, &before, at..at, message).help("save the file as UTF-8"))
    })
}

/// The text without what version control and editors add by themselves.
fn normal(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
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
