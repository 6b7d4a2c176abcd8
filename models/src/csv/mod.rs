//! Purchase files: the columns of the Complete Journey extract, as raw rows and as events on the wire.
//!
//! Nothing in a file can stop the reading: a line that is no purchase is still a [`Line`], whose wire form is
//! the line itself, so that intake records it as a dead letter with its text. Plain and gzip files are told
//! apart by their first bytes.

mod day;
mod row;
mod wire;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

pub use day::{end_of_day, end_of_day_of};
pub use row::{FieldError, Row};
pub use wire::wire_json;

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

/// One line of the file after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file; the header is line 1.
    pub number: u64,
    /// Its bytes, without the line end.
    pub raw: Vec<u8>,
    /// The purchase, or the first field that is wrong.
    pub row: Result<Row, FieldError>,
    /// The needed fields of a line that is wrong.
    texts: Option<[Option<String>; 5]>,
}

impl Line {
    /// The bytes to hand to intake: the purchase as an event, or the line itself when it is none.
    pub fn wire(&self) -> Vec<u8> {
        match (&self.row, &self.texts) {
            (Ok(row), _) => wire_json(row),
            // Intake refuses it with the wrong field's name.
            (Err(wrong), Some(texts)) => wire::wire_texts(texts, wrong),
            (Err(_), None) => self.raw.clone(),
        }
    }
}

/// Where each column stands in the file.
struct Columns {
    /// In the order of [`NEEDED`].
    needed: [usize; 5],
    /// In the order of [`DISCOUNTS`].
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
                let row = row::parse(&raw, &self.columns, &self.zone);
                let texts = row.is_err().then(|| row::texts(&raw, &self.columns, &self.zone)).flatten();
                Some(Ok(Line { number: self.number, raw, row, texts }))
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
