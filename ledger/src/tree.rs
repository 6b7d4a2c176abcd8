//! Node hashes of the stored tree.
//!
//! Leaves are in `record`; of the interior nodes only every eighth level is stored (one row per 256 leaves, one
//! per 65,536, ...), because the levels between are recomputed from at most 256 hashes when a proof needs them.

use domain::Digest;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Error;
use crate::merkle::{Nodes, parent};

/// Levels between stored interior nodes.
pub(crate) const LEVEL_STEP: u32 = 8;

/// The tree in a database.
pub(crate) struct StoredNodes<'c>(pub(crate) &'c Connection);

impl StoredNodes<'_> {
    fn leaf(&self, index: u64) -> Result<Digest, Error> {
        let mut statement = self.0.prepare_cached("SELECT leaf FROM record WHERE seq = ?1")?;
        let leaf = statement.query_row([(index + 1).cast_signed()], |row| row.get(0)).optional()?;
        leaf.map(Digest).ok_or_else(|| Error::Damaged(format!("row {} is missing", index + 1)))
    }

    fn interior(&self, level: u32, index: u64) -> Result<Digest, Error> {
        let mut statement =
            self.0.prepare_cached("SELECT hash FROM log_node WHERE level = ?1 AND idx = ?2")?;
        let hash = statement.query_row((level, index.cast_signed()), |row| row.get(0)).optional()?;
        hash.map(Digest).ok_or_else(|| Error::Damaged(format!("tree node {level}/{index} is missing")))
    }
}

impl Nodes for StoredNodes<'_> {
    type Error = Error;

    fn node(&self, level: u32, index: u64) -> Result<Digest, Error> {
        if level == 0 {
            self.leaf(index)
        } else if level.is_multiple_of(LEVEL_STEP) {
            self.interior(level, index)
        } else {
            Ok(parent(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
        }
    }
}
