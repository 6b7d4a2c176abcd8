//! The seal over the end of the log, which no signed head covers yet.
//!
//! A head is signed once a second. Whoever can write to the file could add an approval or an objection behind the newest one, or
//! take rows away there, while no node runs; the next start would sign for what it finds. So every transaction that
//! adds rows leaves the number of rows and their root under a MAC, with a key that only keys.db can give; and with them the
//! rows that are obeyed for good ([`Lasting`]), which a start would otherwise have to believe without their neighbours' leaves.
//! That a ledger has such a seal is said by keys.db, too, where nobody without the master key takes it back. Start at [`check`].

use domain::Digest;
use rusqlite::{Connection, OptionalExtension, params};

use crate::entry::Seq;
use crate::error::Error;
use crate::keys::Keys;
use crate::lasting::{self, Lasting};
use crate::merkle::Frontier;
use crate::schema;
use crate::seal::hmac;
use crate::tree::StoredNodes;
use crate::writer::Head;

/// The first format whose ledgers have the seal.
const FIRST_FORMAT: i64 = 3;

/// What a seal says.
struct Tail {
    size: u64,
    mac: [u8; 32],
}

/// Seals the rows of a tree, inside the transaction that added the last of them.
pub(crate) fn write(connection: &Connection, keys: &Keys, head: &Head) -> Result<(), Error> {
    let sql = "INSERT INTO tail (one, size, mac) VALUES (1, ?1, ?2)
               ON CONFLICT (one) DO UPDATE SET size = excluded.size, mac = excluded.mac";
    let size = head.tree.size();
    let mac = mac(keys, size, &head.tree.root(), &head.lasting);
    connection.prepare_cached(sql)?.execute(params![size.cast_signed(), mac])?;
    Ok(())
}

/// Whether the end of the log is sealed, which it is not before its ledger was brought to format 3; if so, it ends where its
/// writer ended it, with the rows it wrote. `covered` rows are under a head that was checked.
///
/// # Errors
/// [`Error::Tail`] or [`Error::Altered`] with the first row that is not as it was written.
pub(crate) fn check(connection: &Connection, keys: &Keys, covered: u64) -> Result<bool, Error> {
    if schema::format(connection)? < FIRST_FORMAT && !keys.has_seal() {
        return Ok(false);
    }
    let (found, tail) = (crate::recovery::last_seq(connection)?, read(connection)?);
    let wrong = |seq: u64, why: &str| Err(Error::Tail { seq: Seq(seq), why: why.to_owned() });
    let Some(tail) = tail else { return wrong(covered + 1, "the seal over the end of the log is gone") };
    let sealed = tail.size.min(found.0);
    let is_ours = tail.size == sealed && {
        let root = Frontier::load(&StoredNodes(connection), sealed)?.root();
        mac(keys, sealed, &root, &Lasting::load(connection, Seq(sealed))?) == tail.mac
    };
    if tail.size == sealed && !is_ours {
        lasting::blame(connection, Seq(sealed))?;
    }
    match found.0 {
        found if found < tail.size => wrong(found + 1, "the log was sealed beyond it: rows were taken away"),
        found if is_ours && found > tail.size => {
            wrong(tail.size + 1, "it was not written by this ledger's program")
        }
        _ if is_ours => Ok(true),
        _ => wrong(
            covered + 1,
            "rows from there on, or rows that are obeyed for good, are not those that were sealed",
        ),
    }
}

fn read(connection: &Connection) -> Result<Option<Tail>, Error> {
    if !connection.table_exists(None, "tail")? {
        return Ok(None);
    }
    let tail = connection.query_row("SELECT size, mac FROM tail", [], |row| {
        Ok(Tail { size: row.get::<_, i64>(0)?.unsigned_abs(), mac: row.get(1)? })
    });
    Ok(tail.optional()?)
}

fn mac(keys: &Keys, size: u64, root: &Digest, lasting: &Lasting) -> [u8; 32] {
    hmac(&keys.tail_key(), &[&size.to_le_bytes(), &root.0, &lasting.0.0])
}
