//! How far each relay has published: moved in memory, made durable with the next batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension, params};

use crate::entry::Seq;
use crate::error::Error;

/// Relays whose positions are kept.
pub const RELAYS: [&str; 2] = ["nats", "heads"];

/// How far the relay has published. Clones share one position; the writer makes it durable with its next batch,
/// so moving it costs no write of its own. After a crash it may stand a little too early, never too late.
#[derive(Clone, Debug)]
pub struct RelayPosition(pub(crate) Arc<AtomicU64>);

impl RelayPosition {
    /// Everything up to and including `seq` is published.
    pub fn advance(&self, seq: Seq) {
        self.0.fetch_max(seq.0, Ordering::Release);
    }

    /// The last published row.
    pub fn get(&self) -> Seq {
        Seq(self.0.load(Ordering::Acquire))
    }
}

/// A relay as the writer knows it.
pub(crate) struct Relay {
    pub(crate) name: String,
    pub(crate) position: RelayPosition,
    /// What the database holds, and what the running transaction writes.
    pub(crate) durable: u64,
    pub(crate) writing: u64,
}

/// Writes the positions that have moved.
pub(crate) fn write_relays(connection: &Connection, relays: &[Relay]) -> Result<(), Error> {
    for relay in relays {
        if relay.writing != relay.durable {
            let mut upsert = connection.prepare_cached(
                "INSERT INTO relay_position (name, seq) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq",
            )?;
            upsert.execute(params![relay.name, relay.writing.cast_signed()])?;
        }
    }
    Ok(())
}

/// Reads the stored positions.
pub(crate) fn load_relays(connection: &Connection) -> Result<Vec<Relay>, Error> {
    let mut statement = connection.prepare("SELECT seq FROM relay_position WHERE name = ?1")?;
    let mut relay = |name: &str| {
        let seq: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
        let durable = seq.unwrap_or(0).unsigned_abs();
        Ok(Relay {
            name: name.to_owned(),
            position: RelayPosition(Arc::new(AtomicU64::new(durable))),
            durable,
            writing: durable,
        })
    };
    RELAYS.iter().map(|name| relay(name)).collect()
}
