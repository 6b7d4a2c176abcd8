//! Purchase files: the columns of the Complete Journey extract, as raw rows and as events on the wire.
//!
//! Nothing in a file can stop the reading: a line that is no purchase is still a [`Line`], whose wire form is
//! the line itself, so that intake records it as a dead letter with its text. Plain and gzip files are told
//! apart by their first bytes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use domain::{EventId, Micros, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;
use serde::Serialize;

/// Longest line in bytes; longer ones are cut there and refused. Real lines have about 80 bytes.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// The time zone of the local times in the file.
pub const ZONE: &str = "America/New_York";

/// Columns a purchase is read from, in the order of [`Columns`].
const NEEDED: [&str; 5] = ["household_id", "ts", "basket_id", "amount", "items"];
/// Columns whose sum is the discount; a file without them has no discounts.
const DISCOUNTS: [&str; 3] = ["retail_disc", "coupon_disc", "coupon_match_disc"];

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Opening or reading failed, or a gzip stream is damaged.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The first line does not name the columns.
    #[error("{path} has no column {column:?} in its first line; expected {}", NEEDED.join(", "))]
    Column {
        /// The file.
        path: PathBuf,
        /// The first missing column.
        column: &'static str,
    },
    /// The time zone database lacks [`ZONE`].
    #[error("the time zone {ZONE} is unknown on this machine: {0}")]
    Zone(String),
}

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

/// One line of the file after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file; the header is line 1.
    pub number: u64,
    /// Its bytes, without the line end.
    pub raw: Vec<u8>,
    /// The purchase, or the first field that is wrong.
    pub row: Result<Row, FieldError>,
}

impl Line {
    /// The bytes to hand to intake: the purchase as an event, or the line itself when it is none.
    pub fn wire(&self) -> Vec<u8> {
        match &self.row {
            Ok(row) => wire_json(row),
            Err(_) => self.raw.clone(),
        }
    }
}

/// The event of a purchase in the wire form of [`domain::event::wire`], schema 1.
pub fn wire_json(row: &Row) -> Vec<u8> {
    #[derive(Serialize)]
    struct Data<'a> {
        amount: &'a str,
        items: u32,
        discount: &'a str,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        event_id: &'a str,
        member: &'a str,
        #[serde(rename = "type")]
        kind: &'static str,
        event_time: &'a str,
        source: &'static str,
        touchpoint: &'static str,
        data: Data<'a>,
    }
    let (amount, discount) = (row.amount.to_string(), row.discount.to_string());
    let document = Document {
        schema: domain::event::wire::SCHEMA,
        event_id: row.basket.as_str(),
        member: &row.household,
        kind: "purchase",
        event_time: &row.local_time,
        source: "completejourney",
        touchpoint: "pos",
        data: Data { amount: &amount, items: row.items, discount: &discount },
    };
    // Texts and numbers always serialise; an empty answer would be refused by intake as malformed.
    serde_json::to_vec(&document).unwrap_or_default()
}

/// Where each column stands in the file.
struct Columns {
    needed: [usize; 5],
    discounts: [Option<usize>; 3],
}

/// The lines of a purchase file.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    columns: Columns,
    zone: TimeZone,
    number: u64,
    ended: bool,
}

/// Opens a purchase file, plain or gzip.
///
/// # Errors
/// The file cannot be opened, or its first line does not name the columns.
pub fn open(path: &Path) -> Result<Lines, Error> {
    let unreadable = |why| Error::Unreadable { path: path.to_owned(), why };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
    let gzip = file.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn BufRead> = if gzip {
        Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    };
    Lines::new(path, reader)
}

impl Lines {
    fn new(path: &Path, mut reader: Box<dyn BufRead>) -> Result<Lines, Error> {
        let header = read_line(&mut reader);
        let header =
            header.map_err(|why| Error::Unreadable { path: path.to_owned(), why })?.unwrap_or_default();
        let names = String::from_utf8_lossy(&header);
        let names: Vec<&str> = names.trim_start_matches('\u{feff}').split(',').map(str::trim).collect();
        let place = |name: &str| names.iter().position(|other| *other == name);
        let mut needed = [0; 5];
        for (slot, column) in needed.iter_mut().zip(NEEDED) {
            *slot = place(column).ok_or_else(|| Error::Column { path: path.to_owned(), column })?;
        }
        let columns = Columns { needed, discounts: DISCOUNTS.map(place) };
        let zone = TimeZone::get(ZONE).map_err(|error| Error::Zone(error.to_string()))?;
        Ok(Lines { path: path.to_owned(), reader, columns, zone, number: 1, ended: false })
    }
}

impl Iterator for Lines {
    type Item = Result<Line, Error>;

    fn next(&mut self) -> Option<Result<Line, Error>> {
        if self.ended {
            return None;
        }
        self.number += 1;
        match read_line(&mut self.reader) {
            Ok(Some(raw)) => {
                let row = parse(&raw, &self.columns, &self.zone);
                Some(Ok(Line { number: self.number, raw, row }))
            }
            Ok(None) => None,
            Err(why) => {
                self.ended = true;
                Some(Err(Error::Unreadable { path: self.path.clone(), why }))
            }
        }
    }
}

/// The next line without its end, cut at [`LINE_BYTES_MAX`] plus one byte; `None` at the end of the file.
fn read_line(reader: &mut dyn BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::with_capacity(96);
    if reader.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() > LINE_BYTES_MAX {
        skip_line(reader)?;
    }
    Ok(Some(line))
}

fn skip_line(reader: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if ended {
            return Ok(());
        }
    }
}

fn wrong<T>(field: &'static str, detail: impl Into<String>) -> Result<T, FieldError> {
    Err(FieldError { field, detail: detail.into() })
}

fn parse(raw: &[u8], columns: &Columns, zone: &TimeZone) -> Result<Row, FieldError> {
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
