//! Reads the header of a shared library before anything executes it.
//!
//! The dynamic loader trusts what it opens: a cut-off file can kill the process with SIGBUS, and any library
//! runs its constructors. So the file must first look like a whole shared library of this machine that exports
//! the one symbol we need.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest library read, in bytes. ONNX Runtime is 20-30 MB on a CPU build; GPU builds stay below 1 GiB.
pub const BYTES_MAX: u64 = 1 << 30;

/// The symbol every ONNX Runtime exports.
pub const SYMBOL: &[u8] = b"OrtGetApiBase";

/// Why a file is no usable library.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// A directory, device, pipe or socket.
    #[error("it is a {0}, not a file")]
    NotAFile(&'static str),
    /// Too small or too large.
    #[error("{0} bytes is no size of a shared library")]
    Size(u64),
    /// Not an ELF shared library of this machine.
    #[error("{0}")]
    NotALibrary(&'static str),
    /// The file ends before what its header announces.
    #[error("it is cut off: its header announces {announced} bytes, it has {found}")]
    CutOff {
        /// End of the last segment.
        announced: u64,
        /// Size of the file.
        found: u64,
    },
    /// Some other library.
    #[error("it does not export OrtGetApiBase, so it is not an ONNX Runtime library")]
    OtherLibrary,
}

/// Checks that `path` is a whole shared library for this machine that mentions [`SYMBOL`].
///
/// # Errors
/// The first thing found wrong. On systems without ELF only the file itself and the symbol are checked.
pub fn check(path: &Path) -> Result<(), Unusable> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(Unusable::NotAFile("directory"));
    }
    if !metadata.is_file() {
        return Err(Unusable::NotAFile("device, pipe or socket"));
    }
    if !(64..=BYTES_MAX).contains(&metadata.len()) {
        return Err(Unusable::Size(metadata.len()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    if cfg!(target_os = "linux") {
        check_header(&bytes)?;
    }
    let exported = bytes.windows(SYMBOL.len()).any(|window| window == SYMBOL);
    if exported { Ok(()) } else { Err(Unusable::OtherLibrary) }
}

/// ELF64 header and program headers, per the System V ABI ("Object Files").
fn check_header(bytes: &[u8]) -> Result<(), Unusable> {
    const SEGMENT_LOAD: u64 = 1;
    const SEGMENT_DYNAMIC: u64 = 2;
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Err(Unusable::NotALibrary("it is not an ELF file"));
    }
    if bytes.get(4..6) != Some(&[2, 1]) {
        return Err(Unusable::NotALibrary("it is not a 64-bit little-endian ELF file"));
    }
    if number(bytes, 16, 2) != Some(3) {
        return Err(Unusable::NotALibrary("it is an ELF file but not a shared library"));
    }
    if machine().is_some_and(|machine| number(bytes, 18, 2) != Some(machine)) {
        return Err(Unusable::NotALibrary("it was built for another processor"));
    }
    let segments = (number(bytes, 32, 8), number(bytes, 54, 2), number(bytes, 56, 2));
    let (Some(table), Some(56), Some(count)) = segments else {
        return Err(Unusable::NotALibrary("its program headers are damaged"));
    };
    let (mut announced, mut dynamic) = (0, false);
    for index in 0..count {
        let at = usize::try_from(table).ok().and_then(|table| table.checked_add(56 * index as usize));
        let segment = at.and_then(|at| {
            Some((number(bytes, at, 4)?, number(bytes, at + 8, 8)?, number(bytes, at + 32, 8)?))
        });
        let Some((kind, offset, length)) = segment else {
            return Err(Unusable::NotALibrary("its program headers are damaged"));
        };
        dynamic |= kind == SEGMENT_DYNAMIC;
        if kind == SEGMENT_LOAD {
            announced = announced.max(offset.saturating_add(length));
        }
    }
    let found = bytes.len() as u64;
    match (announced > found, dynamic) {
        (true, _) => Err(Unusable::CutOff { announced, found }),
        (false, false) => Err(Unusable::NotALibrary("it has no dynamic section")),
        (false, true) => Ok(()),
    }
}

/// The ELF machine number of this build, where known.
fn machine() -> Option<u64> {
    match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    }
}

/// A little-endian number of `width` bytes at an offset.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let slice = bytes.get(at..at.checked_add(width)?)?;
    Some(slice.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
