//! The files of a bundle as they are found: in a folder, or given by name.
//!
//! What is missing or cannot be read is a mistake of its own and hides none in the other files.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::codes::Code;
use crate::problem::{Problem, did_you_mean};
use crate::source::{FILE_BYTES_MAX, File, Sources};
use crate::text::Text;

/// The texts of a bundle as far as they were found; a file that cannot be read hides no mistake in another.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Empty where a file is lost.
    sources: Sources,
    /// Files that are missing or cannot be read.
    lost: Vec<File>,
    problems: Vec<Problem>,
}

impl Gathered {
    /// The texts of named files.
    pub fn from_files(files: &[(&str, &str)]) -> Gathered {
        let files = files.iter().map(|(name, text)| (*name, Ok(*text)));
        Gathered::from_results(files.collect())
    }

    /// The texts of a folder's `*.toml` files; other files and folders (README.md, tests/) are not read.
    ///
    /// Links inside the folder are followed, because mounted configuration is often linked; what is at their end
    /// must be a file. A link that leads out of the folder is refused: diagnostics quote what they read.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Gathered, Vec<Problem>> {
        let shown = folder.display().to_string();
        let mut names = toml_names(folder).map_err(|error| vec![unreadable(&shown, &error)])?;
        // A folder is listed in any order; mistakes are reported in one.
        names.sort();
        // What is no file of a bundle is complained about and need not be read.
        let text = |name: &String| match File::ALL.iter().any(|file| file.name() == name) {
            true => read_text(folder, name),
            false => Ok(String::new()),
        };
        let texts: Vec<_> = names.iter().map(text).collect();
        let texts = texts.iter().map(|text| text.as_deref().map_err(Clone::clone));
        Ok(Gathered::from_results(names.iter().map(String::as_str).zip(texts).collect()))
    }

    fn from_results(files: Vec<(&str, Result<&str, Box<Problem>>)>) -> Gathered {
        let names = File::ALL.map(File::name);
        let unknown = files.iter().filter(|(name, _)| !names.contains(name)).map(|(name, _)| {
            Problem::of_file(Code::UnknownFile, name, format!("`{name}` is not a file of a bundle"))
                .help(did_you_mean(name, names))
        });
        let mut problems: Vec<Problem> = unknown.collect();
        let mut lost = Vec::new();
        let texts = File::ALL.map(|file| {
            let given = files.iter().find(|(given, _)| *given == file.name()).map(|(_, text)| text.clone());
            usable(file.name(), given).unwrap_or_else(|problem| {
                problems.push(*problem);
                lost.push(file);
                String::new()
            })
        });
        Gathered { sources: Sources::of(texts), lost, problems }
    }

    /// The texts, when every file was found and nothing else.
    ///
    /// # Errors
    /// What is missing, unreadable or no file of a bundle.
    pub fn whole(self) -> Result<Sources, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.sources) } else { Err(self.problems) }
    }

    /// The texts with what is wrong with their files.
    pub(crate) fn into_parts(self) -> (Sources, Vec<File>, Vec<Problem>) {
        (self.sources, self.lost, self.problems)
    }
}

impl From<Sources> for Gathered {
    fn from(sources: Sources) -> Gathered {
        Gathered { sources, lost: Vec::new(), problems: Vec::new() }
    }
}

/// The text of a file as it counts.
fn usable(name: &str, given: Option<Result<&str, Box<Problem>>>) -> Result<String, Box<Problem>> {
    let missing = || Box::new(Problem::of_file(Code::MissingFile, name, format!("`{name}` is missing")));
    let text = given.ok_or_else(missing)??;
    if text.len() > FILE_BYTES_MAX {
        return Err(Box::new(too_large(name, u64::try_from(text.len()).unwrap_or(u64::MAX))));
    }
    Ok(normal(text))
}

pub(crate) fn toml_names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            names.push(name);
        }
    }
    Ok(names)
}

pub(crate) fn unreadable(name: &str, error: &std::io::Error) -> Problem {
    Problem::of_file(Code::Unreadable, name, format!("cannot be read: {error}"))
}

fn too_large(name: &str, bytes: u64) -> Problem {
    let message = format!("`{name}` has {bytes} bytes, at most {FILE_BYTES_MAX} are read");
    Problem::of_file(Code::TooLarge, name, message)
}

/// Where a file of a bundle's folder really lies, which must be inside the folder.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, Box<Problem>> {
    let whole = |path: &Path| path.canonicalize().map_err(|error| Box::new(unreadable(name, &error)));
    let path = whole(&folder.join(name))?;
    if path.starts_with(whole(folder)?) {
        return Ok(path);
    }
    let message = format!("`{name}` is a link that leads out of the folder; it was not read");
    Err(Box::new(Problem::of_file(Code::LeadsOut, name, message).help("copy the file into the folder")))
}

/// The text of one file of a bundle's folder, named by its path in there. Its size and kind are looked at before it
/// is opened: opening a pipe waits for ever, and a large file would have to fit into memory.
pub(crate) fn read_text(folder: &Path, name: &str) -> Result<String, Box<Problem>> {
    let path = inside(folder, name)?;
    let metadata = std::fs::metadata(&path).map_err(|error| Box::new(unreadable(name, &error)))?;
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
        let before = Text::of(String::from_utf8_lossy(&bytes[..at]).into_owned());
        let message = format!("the byte 0x{:02X} is not UTF-8", bytes[at]);
        Box::new(Problem::at(Code::Unreadable, name, &before, at..at, message).help("save the file as UTF-8"))
    })
}

/// The text without what version control and editors add by themselves.
pub(crate) fn normal(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}
