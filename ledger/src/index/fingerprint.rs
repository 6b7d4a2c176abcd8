//! Whether the index tables hold exactly what the rows say, without sorting or keeping anything.

use rusqlite::Connection;

use super::tail::load_through;
use super::{ABSENT, slice_of, stored_hashes};
use crate::error::Error;

/// A fingerprint of both tables and of the rows that belong into them, for `verify`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    events: (u64, u64),
    members: (u64, u64),
}

impl Fingerprint {
    fn fold(sum: &mut (u64, u64), hash: u64, seq: u64) {
        // A sum of well-mixed pairs is independent of order, and no accident keeps it.
        let mixed = (hash ^ seq.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        sum.0 = sum.0.wrapping_add(mixed ^ mixed >> 29);
        sum.1 += 1;
    }

    /// Folds what the tables hold.
    pub(crate) fn of_tables(connection: &Connection) -> Result<Fingerprint, Error> {
        let mut fingerprint = Fingerprint::default();
        let table = |sql: &str, sum: &mut (u64, u64)| -> Result<(), Error> {
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                Fingerprint::fold(
                    sum,
                    row.get::<_, i64>(0)?.cast_unsigned(),
                    row.get::<_, i64>(1)?.unsigned_abs(),
                );
            }
            Ok(())
        };
        table("SELECT hash, seq FROM event_index", &mut fingerprint.events)?;
        table("SELECT hash, seq FROM member_index", &mut fingerprint.members)?;
        Ok(fingerprint)
    }
}

/// What the tables should hold, folded from the rows.
#[derive(Debug)]
pub(crate) struct Expected {
    through: Vec<u64>,
    pub(crate) fingerprint: Fingerprint,
}

impl Expected {
    pub(crate) fn begin(connection: &Connection) -> Result<Expected, Error> {
        Ok(Expected { through: load_through(connection)?, fingerprint: Fingerprint::default() })
    }

    pub(crate) fn fold(&mut self, seq: u64, event: Option<&str>, member: Option<&[u8]>) {
        let hashes = stored_hashes(event, member);
        let belongs = |hash: u64| hash != ABSENT && seq <= self.through[slice_of(hash)];
        let (event, member) = (belongs(hashes.event), belongs(hashes.member));
        if event {
            Fingerprint::fold(&mut self.fingerprint.events, hashes.event, seq);
        }
        if member {
            Fingerprint::fold(&mut self.fingerprint.members, hashes.member, seq);
        }
    }
}
