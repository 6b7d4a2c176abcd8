//! Opens an ONNX Runtime library and takes its function table.
//!
//! The file is checked first ([`super::elf`]); opening happens on a thread of its own, so that a library that
//! never returns costs one stuck thread and a clear error, not a stuck node.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::elf;

/// Longest time to open a library. Opening takes about 50 ms from a cold cache; operators are told within 5 s.
pub const DEADLINE: Duration = Duration::from_secs(4);

/// The ONNX Runtime API version this build speaks; a library of minor version 24 or later has it.
pub const API_VERSION: u32 = ort::MINOR_VERSION;

/// Longest version text kept; it goes into an error message.
const VERSION_CHARS_MAX: usize = 64;

/// The oldest library that has the API, as people write it.
fn needed() -> String {
    format!("1.{API_VERSION}.0")
}

/// Why a library cannot be used. Every message names the path and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, or not a shared library of this machine.
    #[error("cannot use {path} as ONNX Runtime library: {why}; ONNX Runtime {} or later is needed", needed())]
    Unusable {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with the file.
        why: elf::Unusable,
    },
    /// The dynamic loader refused it.
    #[error(
        "cannot open {path} as ONNX Runtime library: {why}; ONNX Runtime {} or later is needed",
        needed()
    )]
    Refused {
        /// The path as given.
        path: PathBuf,
        /// What the loader said.
        why: String,
    },
    /// The library is too old.
    #[error("{path} is ONNX Runtime {found}, but {} or later is needed", needed())]
    Old {
        /// The path as given.
        path: PathBuf,
        /// The version it says it has.
        found: String,
    },
    /// The library did not answer in time.
    #[error("{path} did not answer within {} s; ONNX Runtime {} or later is needed", DEADLINE.as_secs(), needed())]
    Stuck {
        /// The path as given.
        path: PathBuf,
    },
}

/// An opened ONNX Runtime. The library stays open until the process ends.
pub struct Runtime {
    /// Where it was opened.
    pub path: PathBuf,
    /// The version it says it has.
    pub version: String,
    /// Its function table.
    pub api: Box<ort::sys::OrtApi>,
}

/// Opens the library at `path`.
///
/// # Errors
/// Within [`DEADLINE`], one of [`Error`]; never a panic.
pub fn open(path: &Path) -> Result<Runtime, Error> {
    let (answer, answered) = mpsc::sync_channel(1);
    let owned = path.to_owned();
    let refused = |why: String| Error::Refused { path: path.to_owned(), why };
    std::thread::Builder::new()
        .name("onnxruntime-open".to_owned())
        .spawn(move || answer.send(open_unguarded(&owned)))
        .map_err(|error| refused(error.to_string()))?;
    match answered.recv_timeout(DEADLINE) {
        Ok(opened) => opened,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Error::Stuck { path: path.to_owned() }),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(refused("opening it failed unexpectedly".to_owned()))
        }
    }
}

fn open_unguarded(path: &Path) -> Result<Runtime, Error> {
    elf::check(path).map_err(|why| Error::Unusable { path: path.to_owned(), why })?;
    let refused = |why: String| Error::Refused { path: path.to_owned(), why };
    match take_table(path).map_err(refused)? {
        Table::Whole(version, api) => Ok(Runtime { path: path.to_owned(), version, api }),
        Table::Old(found) => Err(Error::Old { path: path.to_owned(), found }),
    }
}

/// What a library handed out.
enum Table {
    Whole(String, Box<ort::sys::OrtApi>),
    Old(String),
}

/// Opens the library and takes its function table, or says why not.
#[expect(unsafe_code, reason = "a C library can only be opened and called through its C interface")]
fn take_table(path: &Path) -> Result<Table, String> {
    type GetApiBase = unsafe extern "system" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: the file was checked to be a whole shared library of this machine exporting `OrtGetApiBase`, whose
    // signature is fixed by ONNX Runtime's C ABI. The library is never closed, so what it returns lives for
    // ever. Pointers are checked before use. The table is copied in full: a library that answers for
    // `API_VERSION` has at least the fields of that version, in the same order.
    unsafe {
        // A bare name would be looked up in the system's folders, but it is a file that was checked.
        let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
        let library = libloading::Library::new(absolute).map_err(|error| error.to_string())?;
        let base_of = library.get::<GetApiBase>(elf::SYMBOL).map_err(|error| error.to_string())?;
        let base = base_of().as_ref().ok_or("OrtGetApiBase returned nothing")?;
        let version = (base.GetVersionString)();
        if version.is_null() {
            return Err("it does not tell its version".to_owned());
        }
        let version: String =
            CStr::from_ptr(version).to_string_lossy().chars().take(VERSION_CHARS_MAX).collect();
        if minor(&version).is_none_or(|minor| minor < API_VERSION) {
            std::mem::forget(library);
            return Ok(Table::Old(version));
        }
        let api = (base.GetApi)(API_VERSION);
        if api.is_null() {
            return Err(format!("version {version} does not offer API {API_VERSION}"));
        }
        let api = Box::new(std::ptr::read(api));
        std::mem::forget(library);
        Ok(Table::Whole(version, api))
    }
}

/// The minor version of `1.minor.patch`; a later major version counts as newest.
fn minor(version: &str) -> Option<u32> {
    let mut parts = version.split(['.', '-', '+']);
    match parts.next()?.parse::<u32>().ok()? {
        0 => None,
        1 => parts.next()?.parse().ok(),
        _ => Some(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_not_by_text() {
        assert_eq!(minor("1.9.0"), Some(9));
        assert_eq!(minor("1.24.2-rc1"), Some(24));
        assert_eq!(minor("2.0"), Some(u32::MAX));
        assert_eq!((minor("0.9"), minor("abc"), minor("")), (None, None, None));
    }
}
