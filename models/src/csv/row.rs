//! One line as a purchase, or the first field that is wrong.

use domain::{EventId, Micros, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;

use super::{Columns, DISCOUNTS, LINE_BYTES_MAX, NEEDED};

/// One wrong field of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct FieldError {
    /// The column's name, or `line` when the line as a whole is wrong.
    pub field: &'static str,
    /// What was found and what was expected. Never quotes the household.
    pub detail: String,
}

/// One purchase as the file states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The household's own identifier.
    pub household: String,
    /// The basket's id, which becomes the event id.
    pub basket: EventId,
    /// When, as an instant.
    pub time: Timestamp,
    /// When, as RFC 3339 text with the local offset.
    pub local_time: String,
    /// What was paid.
    pub amount: Micros,
    /// Items bought.
    pub items: u32,
    /// What was taken off.
    pub discount: Micros,
}

fn wrong<T>(field: &'static str, detail: impl Into<String>) -> Result<T, FieldError> {
    Err(FieldError { field, detail: detail.into() })
}

/// Reads one line.
pub(super) fn parse(raw: &[u8], columns: &Columns, zone: &TimeZone) -> Result<Row, FieldError> {
    if raw.len() > LINE_BYTES_MAX {
        return wrong("line", format!("longer than {LINE_BYTES_MAX} bytes"));
    }
    let Ok(text) = std::str::from_utf8(raw) else { return wrong("line", "not UTF-8") };
    let record: Vec<String> = fields(text)?;
    let field = |column: usize| {
        let text = record.get(columns.needed[column]).map(|text| text.trim());
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| FieldError { field: NEEDED[column], detail: "missing".to_owned() })
    };
    let household = field(0)?.to_owned();
    let (time, local_time) = instant(field(1)?, zone)?;
    let basket = field(2)?.parse::<EventId>();
    let basket = basket.map_err(|error| FieldError { field: NEEDED[2], detail: error.to_string() })?;
    let amount = money(NEEDED[3], field(3)?)?;
    let items = field(4)?.parse::<u32>();
    let items = items.map_err(|error| FieldError { field: NEEDED[4], detail: error.to_string() })?;
    let mut discount = Micros::ZERO;
    for (name, column) in DISCOUNTS.iter().zip(columns.discounts) {
        let text = column.and_then(|column| record.get(column)).map(|text| text.trim());
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            discount = discount.saturating_add(money(name, text)?);
        }
    }
    Ok(Row { household, basket, time, local_time, amount, items, discount })
}

/// The needed fields of a line in the order of [`NEEDED`], as written but for a good time, which gets its
/// offset; `None` for a field the line does not have, or a line without fields.
pub(super) fn texts(raw: &[u8], columns: &Columns, zone: &TimeZone) -> Option<[Option<String>; 5]> {
    let record = fields(std::str::from_utf8(raw).ok()?).ok()?;
    let text = |column: usize| record.get(column).map(|text| text.trim()).filter(|text| !text.is_empty());
    let mut texts = columns.needed.map(|column| text(column).map(str::to_owned));
    if let Some(time) = &mut texts[1]
        && let Ok((_, local_time)) = instant(time, zone)
    {
        *time = local_time;
    }
    Some(texts)
}

/// The fields of a line. Quoted fields go through the csv reader; a quote left open makes the line wrong.
fn fields(text: &str) -> Result<Vec<String>, FieldError> {
    if !text.contains('"') {
        return Ok(text.split(',').map(str::to_owned).collect());
    }
    if text.matches('"').count() % 2 == 1 {
        return wrong("line", "a quote is left open");
    }
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    match reader.records().next() {
        Some(Ok(record)) => Ok(record.iter().map(str::to_owned).collect()),
        Some(Err(error)) => wrong("line", error.to_string()),
        None => wrong("line", "empty"),
    }
}

fn money(field: &'static str, text: &str) -> Result<Micros, FieldError> {
    match text.parse::<Micros>() {
        Ok(amount) if amount < Micros::ZERO => {
            wrong(field, "negative; a purchase is taken back by a reversal")
        }
        Ok(amount) => Ok(amount),
        Err(error) => wrong(field, error.to_string()),
    }
}

/// A local time of the file as an instant. A time that names two instants (autumn) means the first, one that
/// names none (spring) means the instant as if the clock had not yet jumped.
fn instant(text: &str, zone: &TimeZone) -> Result<(Timestamp, String), FieldError> {
    let Ok(local) = text.parse::<civil::DateTime>() else {
        return wrong(NEEDED[1], "expected a local time such as 2017-01-01T06:53:26");
    };
    match zone.to_ambiguous_zoned(local).compatible() {
        Ok(zoned) => {
            let instant = zoned.timestamp();
            let local = instant.display_with_offset(zoned.offset()).to_string();
            Ok((Timestamp(instant.as_microsecond()), local))
        }
        Err(error) => wrong(NEEDED[1], error.to_string()),
    }
}
