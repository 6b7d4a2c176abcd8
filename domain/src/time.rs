//! Instants as integer microseconds since 1970-01-01T00:00:00Z, and their civil reading in a time zone.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// An instant: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in an hour.
pub const HOUR: i64 = 3_600 * SECOND;
/// Microseconds in a day of 24 hours.
pub const DAY: i64 = 86_400 * SECOND;

/// The civil reading of an instant in the program's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Hour of the day, 0..=23.
    pub hour: u8,
    /// Day of the week, Monday = 1 .. Sunday = 7.
    pub weekday: u8,
    /// Day of the month, 1..=31.
    pub day: u8,
    /// Month, 1..=12.
    pub month: u8,
}

/// A text that names no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time such as 2017-03-04T18:05:00-05:00: {why}")]
pub struct NotATime {
    /// What was read.
    pub text: String,
    /// What the parser found wrong.
    pub why: String,
}

impl Timestamp {
    /// The instant `micros` later (earlier when negative), clamped to the range of `i64`.
    pub fn plus(self, micros: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to here; negative when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The civil reading in `zone`. Instants outside years -9999..=9999 read as the epoch.
    pub fn civil(self, zone: &TimeZone) -> Civil {
        let instant = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let local = zone.to_datetime(instant);
        Civil {
            hour: local.hour().unsigned_abs(),
            weekday: local.weekday().to_monday_one_offset().unsigned_abs(),
            day: local.day().unsigned_abs(),
            month: local.month().unsigned_abs(),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{} us since 1970", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;
    fn from_str(text: &str) -> Result<Timestamp, NotATime> {
        let instant: jiff::Timestamp = text
            .parse()
            .map_err(|error: jiff::Error| NotATime { text: text.to_owned(), why: error.to_string() })?;
        Ok(Timestamp(instant.as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_honoured() {
        let local: Timestamp = "2017-01-01T06:53:26-05:00".parse().unwrap();
        assert_eq!(local, "2017-01-01T11:53:26Z".parse().unwrap());
        assert_eq!(local.to_string(), "2017-01-01T11:53:26Z");
    }

    #[test]
    fn civil_reading_follows_the_zone() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let late: Timestamp = "2017-07-02T03:30:00Z".parse().unwrap();
        assert_eq!(late.civil(&zone), Civil { hour: 23, weekday: 6, day: 1, month: 7 });
    }
}
