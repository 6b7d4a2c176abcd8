//! The rows of an older head are the first rows of a newer one: the body of an add-checkpoint request (c2sp.org/tlog-witness).
//!
//! ```text
//! old <rows of the older head>
//! <base64 hash> ...
//!
//! <the newer signed head>
//! ```

use domain::Digest;

use super::{ProofError, Trust, halves, path_lines, read_path};
use crate::merkle;
use crate::note::{Head, number};

/// That the log only grew between two heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Rows of the older head.
    pub old: u64,
    pub path: Vec<Digest>,
    /// The newer signed head.
    pub head: String,
}

impl ConsistencyProof {
    /// The file.
    pub fn to_text(&self) -> String {
        format!("old {}\n{}\n{}", self.old, path_lines(&self.path), self.head)
    }

    /// Reads a file. Nothing in it is to be believed before [`ConsistencyProof::check`].
    ///
    /// # Errors
    /// When it is no such file.
    pub fn from_text(text: &str) -> Result<ConsistencyProof, ProofError> {
        let (proof, head) = halves(text)?;
        let mut lines = proof.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(number);
        let old = old.ok_or(ProofError::Malformed("its first line names no older head"))?;
        Ok(ConsistencyProof { old, path: read_path(lines)?, head: head.to_owned() })
    }

    /// Checks both heads with the key, and that the log only grew from the older one, which the caller holds.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, trust: &Trust) -> Result<(Head, Head), ProofError> {
        let key = trust.key.as_ref().ok_or(ProofError::NothingTrusted)?;
        let old = trust.pinned(Some(key))?.ok_or(ProofError::NothingTrusted)?;
        let head = key.open(&self.head).map_err(ProofError::Head)?;
        if old.size != self.old {
            return Err(ProofError::OtherStart { found: self.old, pinned: old.size });
        }
        if merkle::consistent(old.size, &old.root, head.size, &head.root, &self.path) {
            Ok((old, head))
        } else {
            Err(ProofError::NotAPrefix { old: old.size, size: head.size })
        }
    }
}
