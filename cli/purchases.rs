//! A purchase file as the commands replay it: in order of time.

use std::path::Path;

use domain::Timestamp;

use crate::exit::{Failure, Result};

/// The events of a purchase file, as an outside system would send them.
pub struct Purchases {
    pub events: Vec<Vec<u8>>,
    /// The time of the middle purchase: neither a wrong date at the start nor one at the end moves it far.
    pub middle: Timestamp,
    /// Whether the file was in another order.
    pub reordered: bool,
}

impl Purchases {
    /// Reads a file. A shop's events come as they happen, an export may come by household, so they are put in
    /// order of time; a line that is no purchase has none and stays behind the one before it.
    ///
    /// # Errors
    /// When the file cannot be read or lacks a column.
    pub fn read(path: &Path) -> Result<Purchases> {
        let mut timed = Vec::new();
        let mut last = Timestamp(i64::MIN);
        for line in models::csv::open(path).map_err(Failure::usage)? {
            let line = line.map_err(Failure::usage)?;
            last = line.row.as_ref().map_or(last, |row| row.time);
            timed.push((last, line.wire()));
        }
        let reordered = !timed.is_sorted_by_key(|(time, _)| *time);
        timed.sort_by_key(|(time, _)| *time);
        let middle = timed.get(timed.len() / 2).map_or(Timestamp(0), |(time, _)| *time);
        Ok(Purchases { events: timed.into_iter().map(|(_, event)| event).collect(), middle, reordered })
    }
}
