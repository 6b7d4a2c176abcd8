//! How a ledger is opened for writing.

use std::path::PathBuf;

use domain::Timestamp;

/// How a ledger is opened for writing.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; made when it is not there.
    pub folder: PathBuf,
    /// Name of the log in its signed heads, e.g. `largesse/acme/0`. No spaces, no `+`. Used at creation; later it must
    /// be the same.
    pub origin: String,
    /// Which share of the members this node decides for.
    pub partition: u16,
    /// Where the master key file lies; in the folder when absent.
    pub master_key: Option<PathBuf>,
    /// A signed head is due after this many rows ...
    pub head_every_rows: u64,
    /// ... or after this time, whichever comes first.
    pub head_every_micros: i64,
    /// Rows after which the next 256th of the event and member index is written.
    pub index_turn_rows: u64,
    /// Largest database file in bytes, if it shall be bounded below the size of its disk.
    pub database_bytes_max: Option<u64>,
    /// The operator says that the checkpoint file is gone for good. Without that, a ledger whose signed heads were
    /// filed is not opened beside an empty file: nothing would tell it from an older copy of itself.
    pub heads_lost: bool,
    /// The time now.
    pub now: Timestamp,
}

impl Options {
    /// The defaults: a signed head every 1,000 rows or every second.
    pub fn new(folder: impl Into<PathBuf>, origin: &str, now: Timestamp) -> Options {
        Options {
            folder: folder.into(),
            origin: origin.to_owned(),
            partition: 0,
            master_key: None,
            head_every_rows: 1_000,
            head_every_micros: domain::time::SECOND,
            index_turn_rows: crate::index::TURN_ROWS,
            database_bytes_max: None,
            heads_lost: false,
            now,
        }
    }
}
