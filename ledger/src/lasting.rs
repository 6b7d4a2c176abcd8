//! The rows that are obeyed for as long as the ledger lives: policies and steps about them, budgets, holds, erasures, runs.
//!
//! Most of what was decided long ago only matters to whoever asks, and `verify` tells them whether it is as it was written.
//! These rows are acted on at every start: a key is destroyed because a row says so, a program is stopped because a row says
//! so. So every start hashes them, and the seal over the end of the log ([`crate::tail`]) commits to them one after the other.
//! They are few beside the events, and nothing is ever taken out of them.

use domain::Digest;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::entry::Seq;
use crate::error::Error;
use crate::kind::Kind;
use crate::merkle::{Frontier, Nodes as _};
use crate::row::{self, COLUMNS};
use crate::tree::{LEVEL_STEP, StoredNodes};

/// A chain of hashes over the leaves of these rows, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lasting(pub(crate) Digest);

impl Default for Lasting {
    fn default() -> Self {
        Lasting(Digest([0; 32]))
    }
}

impl Lasting {
    pub(crate) fn push(&mut self, seq: Seq, leaf: &Digest) {
        let chained = Sha256::new().chain_update(self.0.0).chain_update(seq.0.to_be_bytes());
        self.0 = Digest(chained.chain_update(leaf.0).finalize().into());
    }

    /// Hashes these rows of a ledger, up to row `through`.
    ///
    /// # Errors
    /// [`Error::Altered`] with the first row that is not what its leaf says.
    pub(crate) fn load(connection: &Connection, through: Seq) -> Result<Lasting, Error> {
        let mut statement = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM record WHERE seq IN (SELECT seq FROM record INDEXED BY record_by_kind WHERE {}) AND seq <= ?1
             ORDER BY seq",
            only_lasting()
        ))?;
        let mut rows = statement.query([through.0.cast_signed()])?;
        let (mut lasting, mut scratch) = (Lasting::default(), Vec::new());
        while let Some(stored) = rows.next()? {
            let (public, leaf) = row::intact(stored, &mut scratch)?;
            lasting.push(Seq(public.seq.unsigned_abs()), &leaf);
        }
        Ok(lasting)
    }
}

/// Hashes every row and compares the tree over them with the stored one, on every level: what a seal that does not fit is about, and what is asked before
/// something is cut out of rows for good. About 3 us a row.
///
/// # Errors
/// [`Error::Altered`] with the first row that is not what its leaf says, [`Error::Tail`] with the first of a tile that is not
/// the one in the tree.
pub(crate) fn blame(connection: &Connection, through: Seq) -> Result<(), Error> {
    let nodes = StoredNodes(connection);
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM record WHERE seq <= ?1 ORDER BY seq"))?;
    let mut rows = statement.query([through.0.cast_signed()])?;
    let (mut tree, mut full, mut scratch) = (Frontier::default(), Vec::new(), Vec::new());
    while let Some(stored) = rows.next()? {
        let (_, leaf) = row::intact(stored, &mut scratch)?;
        // A tile that was made to fit its rows does not fit the tiles above it, and those not the root.
        tree.push(leaf, |level, at, node| {
            if level.is_multiple_of(LEVEL_STEP) {
                full.push((level, at, node));
            }
        });
        for (level, at, node) in full.drain(..) {
            if node != nodes.node(level, at)? {
                return Err(not_sealed((at << level) + 1, (at + 1) << level));
            }
        }
    }
    let size = tree.size();
    let is_whole = tree.root() == Frontier::load(&nodes, size)?.root();
    if is_whole { Ok(()) } else { Err(not_sealed((size >> LEVEL_STEP << LEVEL_STEP) + 1, size)) }
}

fn not_sealed(first: u64, last: u64) -> Error {
    let why = format!("it, or a row after it and up to {last}, is not the one that was sealed");
    Error::Tail { seq: Seq(first), why }
}

/// The condition on `kind` that leaves these rows, in words the index of rare rows is for.
fn only_lasting() -> String {
    let passing = Kind::PASSING.map(|kind| kind.number().to_string()).join(", ");
    format!("kind NOT IN (10, 11) AND kind NOT IN ({passing})")
}
