//! Proofs as small text files, written beside the ledger and checked without it.
//!
//! [`InclusionProof`]: one row is in the tree of a signed head (c2sp.org/tlog-proof).
//! [`ConsistencyProof`]: the rows of an older head are the first rows of a newer one (the body of an add-checkpoint request of
//! c2sp.org/tlog-witness). Neither holds anything but public columns, digests and signatures.
//!
//! Pure: nothing here opens a ledger. Making them is [`crate::Reader`]'s part; start reading at [`Trust`].

mod consistency;
mod inclusion;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::Digest;

pub use consistency::ConsistencyProof;
pub use inclusion::InclusionProof;

use crate::history::KeyHistory;
use crate::note::{Head, NoteError};

/// Largest proof file in bytes that is read: the largest body, twice in base64, and room for everything else.
pub const PROOF_BYTES_MAX: usize = 16 << 20;

/// Longest path in hashes: one per bit of a size.
const PATH_MAX: usize = 64;

/// What a proof is held against. At least one of both is needed to believe anything.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The log's public key, handed out when the log was made or later.
    pub key: Option<KeyHistory>,
    /// A signed head received earlier.
    pub head: Option<String>,
}

/// Why a proof does not prove what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("not a proof file: {0}")]
    Malformed(&'static str),
    #[error("the leaf does not match: the record in the file hashes to {found}, the proof is for {claimed}")]
    OtherLeaf { found: Digest, claimed: Digest },
    #[error(
        "the leaf does not match: the record in the file is row {found}, the proof is for row {expected}"
    )]
    OtherRow { found: u64, expected: u64 },
    #[error("the path does not reach the root: row {row} is not proven to be in the log of {size} rows")]
    NoPath { row: u64, size: u64 },
    #[error(
        "the path does not reach both roots: the log of {size} rows is not proven to begin with the {old} rows of the older head"
    )]
    NotAPrefix { old: u64, size: u64 },
    #[error("the head is not acceptable: {0}")]
    Head(NoteError),
    #[error("the head given to compare with is not acceptable: {0}")]
    PinnedHead(NoteError),
    #[error(
        "the head differs from the one given: both are of {size} rows, the roots are {found} and {pinned}; one of the two is \
         of a forked log"
    )]
    HeadDiffers { size: u64, found: Digest, pinned: Digest },
    #[error(
        "the head is of {found} rows, the one given of {pinned}: ask for a proof under your head (`log prove --head`), or for \
         a consistency proof between both"
    )]
    OtherSize { found: u64, pinned: u64 },
    #[error("the proof starts from a head of {found} rows, the one given is of {pinned}")]
    OtherStart { found: u64, pinned: u64 },
    #[error("nothing was given to trust: give the log's public key, or a signed head received earlier")]
    NothingTrusted,
}

impl Trust {
    /// The head a proof carries, held against key and earlier head.
    fn open(&self, note: &str, rotations: &[String]) -> Result<Head, ProofError> {
        let mut key = self.key.clone();
        if let Some(key) = &mut key {
            key.follow(rotations).map_err(ProofError::Head)?;
        }
        let opened = match &key {
            Some(key) => key.open(note),
            None => Head::claimed(note),
        };
        let head = opened.map_err(ProofError::Head)?;
        match self.pinned(key.as_ref())? {
            Some(pinned) => same(&head, &pinned)?,
            None if key.is_none() => return Err(ProofError::NothingTrusted),
            None => {}
        }
        Ok(head)
    }

    /// The earlier head; its holder has believed it once, so without a key it is taken as it is.
    fn pinned(&self, key: Option<&KeyHistory>) -> Result<Option<Head>, ProofError> {
        let Some(note) = &self.head else { return Ok(None) };
        let opened = key.map_or_else(|| Head::claimed(note), |key| key.open(note));
        opened.map(Some).map_err(ProofError::PinnedHead)
    }
}

fn same(head: &Head, pinned: &Head) -> Result<(), ProofError> {
    if head.origin != pinned.origin {
        let (found, expected) = (head.origin.clone(), pinned.origin.clone());
        return Err(ProofError::Head(NoteError::OtherLog { found, expected }));
    }
    if head.size != pinned.size {
        return Err(ProofError::OtherSize { found: head.size, pinned: pinned.size });
    }
    if head.root != pinned.root {
        return Err(ProofError::HeadDiffers { size: head.size, found: head.root, pinned: pinned.root });
    }
    Ok(())
}

/// Hashes, one base64 line each.
fn path_lines(path: &[Digest]) -> String {
    path.iter().map(|hash| format!("{}\n", BASE64.encode(hash.0))).collect()
}

fn read_path<'t>(lines: impl Iterator<Item = &'t str>) -> Result<Vec<Digest>, ProofError> {
    let hash = |line| Some(Digest(BASE64.decode(line).ok()?.try_into().ok()?));
    let path: Option<Vec<Digest>> = lines.take(PATH_MAX + 1).map(hash).collect();
    path.filter(|path| path.len() <= PATH_MAX).ok_or(ProofError::Malformed("its path is not one of hashes"))
}

/// What comes before the checkpoint, and the checkpoint.
fn halves(text: &str) -> Result<(&str, &str), ProofError> {
    if text.len() > PROOF_BYTES_MAX {
        return Err(ProofError::Malformed("longer than any proof"));
    }
    text.split_once("\n\n").ok_or(ProofError::Malformed("no empty line before its head"))
}

#[cfg(test)]
mod tests;
