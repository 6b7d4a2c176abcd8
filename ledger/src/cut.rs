//! Taking parts out of rows that are already written, so that the log stays provable: the one way past its guards.
//!
//! A row can lose its sealed part, its event id and its body; nothing else, and never its leaf. The Merkle tree, every
//! signed head and every proof handed out before stay as they are. But a row without a body no longer hashes to its leaf,
//! so nothing in it would speak against a change of what is left. Therefore the row that records the cut commits to what
//! was left of *every* row cut so far ([`Kept`]), and `verify` compares.
//!
//! Only the writer does this, in one transaction with that row. Before it cuts, it compares what was left by the last cut,
//! so that a cut never covers up a change.

mod kept;

use std::collections::BTreeSet;

use domain::MemberId;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

pub(crate) use kept::{Claim, Kept, is_shaped, newest, of as kept};

use crate::entry::{Entry, Seq};
use crate::error::Error;
use crate::index;
use crate::recovery::{check_guards, last_seq};
use crate::schema;
use crate::writer::Writer;

/// The guard that stands in the way, and stands again before the transaction ends.
const GUARD: &str = "record_refuses_update";

/// What is taken out, and the row that says so.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Rows that lose their sealed part.
    pub(crate) sealed: BTreeSet<u64>,
    /// Rows that lose their event id, here and in the index.
    pub(crate) event_ids: BTreeSet<u64>,
    /// Rows that lose their body.
    pub(crate) bodies: BTreeSet<u64>,
    /// The member whose stored state goes, too.
    pub(crate) state: Option<MemberId>,
    /// The row that records it, without its body.
    pub(crate) entry: Entry,
    /// Its body, without the commitment to what is left.
    pub(crate) says: Value,
}

impl Cut {
    /// Cuts inside the writer's transaction; returns the row that records it.
    pub(crate) fn apply(&self, connection: &Connection) -> Result<Entry, Error> {
        let claimed = kept::newest(connection)?.map(|(_, claim)| claim);
        let through = last_seq(connection)?;
        let found = kept::of(connection)?.claim(through);
        if !found.is_same_as(claimed.as_ref()) {
            let what = "rows that were erased or pruned earlier are not as they were left";
            return Err(Error::Damaged(what.to_owned()));
        }
        let guard = schema::definition(&format!("trigger {GUARD}"))?;
        connection.execute_batch(&format!("DROP TRIGGER {GUARD}"))?;
        for seq in &self.event_ids {
            index::forget_event(connection, Seq(*seq))?;
        }
        set_null(connection, "event_id", &self.event_ids)?;
        set_null(connection, "sealed", &self.sealed)?;
        set_null(connection, "body", &self.bodies)?;
        connection.execute_batch(&guard)?;
        check_guards(connection)?;
        if let Some(member) = self.state {
            connection.execute("DELETE FROM member_state WHERE member = ?1", [member.0])?;
        }
        let mut says = self.says.clone();
        says["kept"] = kept::of(connection)?.claim(through).to_json();
        Ok(Entry { body: says.to_string(), ..self.entry.clone() })
    }
}

fn set_null(connection: &Connection, column: &str, rows: &BTreeSet<u64>) -> Result<(), Error> {
    let mut update = connection.prepare(&format!("UPDATE record SET {column} = NULL WHERE seq = ?1"))?;
    for seq in rows {
        update.execute(params![seq.cast_signed()])?;
    }
    Ok(())
}

impl Writer {
    /// Overwrites what was taken out wherever SQLite still keeps it: in the database the cells are zeroed as they are cut,
    /// here the write-ahead log is cut off.
    pub(crate) fn wipe(&self) -> Result<(), Error> {
        let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy { Err(Error::ReadMeanwhile) } else { Ok(()) }
    }

    /// Writes the database anew without its free space, and cuts the write-ahead log.
    ///
    /// # Errors
    /// When there is no room for a second copy meanwhile, or another process reads the ledger.
    pub fn compact(&mut self) -> Result<(), Error> {
        self.connection.execute_batch("VACUUM")?;
        self.wipe()
    }
}

/// What a claim says in the body of the row that makes it.
pub(crate) fn claim_json(through: u64, rows: u64, digest: &domain::Digest) -> Value {
    json!({ "through": through, "rows": rows, "digest": digest.to_string() })
}
