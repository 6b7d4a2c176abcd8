//! The cut of a table: the end of a local day.

use domain::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use super::{Error, ZONE};

/// The cut of every table: the end of a local day. Purchases of that day and before are known, later ones are
/// the future.
///
/// # Errors
/// The time zone is unknown, or the calendar ends.
pub fn end_of_day(date: civil::Date) -> Result<Timestamp, Error> {
    let zone = TimeZone::get(ZONE).map_err(|error| Error::Zone(error.to_string()))?;
    let next = date.tomorrow().and_then(|next| next.to_zoned(zone)).and_then(|next| next.start_of_day());
    let next = next.map_err(|error| Error::Zone(error.to_string()))?;
    Ok(Timestamp(next.timestamp().as_microsecond()))
}

/// The end of the local day of an instant: how far a file whose newest purchase this is can speak.
///
/// # Errors
/// See [`end_of_day`].
pub fn end_of_day_of(time: Timestamp) -> Result<Timestamp, Error> {
    let zone = TimeZone::get(ZONE).map_err(|error| Error::Zone(error.to_string()))?;
    let instant =
        jiff::Timestamp::from_microsecond(time.0).map_err(|error| Error::Zone(error.to_string()))?;
    end_of_day(zone.to_datetime(instant).date())
}
