//! One file of an export, written row by row and hashed on the way.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use domain::{Digest, Timestamp};
use ledger::{Cell, Column, Holds, View};
use sha2::{Digest as _, Sha256};

use super::Form;
use super::manifest::Written;
use super::table::Table;

/// A file being written in one form.
pub enum Sheet {
    Lines { out: Hashed, columns: &'static [Column], rows: u64 },
    Csv { out: Box<csv::Writer<Hashed>>, columns: &'static [Column], rows: u64 },
    Parquet(Box<Table>),
}

impl Sheet {
    /// Begins an empty file for a view.
    ///
    /// # Errors
    /// When it cannot be written; so for all methods.
    pub fn begin(form: Form, view: View, file: File) -> io::Result<Sheet> {
        let (out, columns, rows) = (Hashed::new(file), view.columns(), 0);
        Ok(match form {
            Form::Jsonl => Sheet::Lines { out, columns, rows },
            Form::Csv => {
                let mut out = Box::new(csv::Writer::from_writer(out));
                out.write_record(columns.iter().map(|column| column.name))?;
                Sheet::Csv { out, columns, rows }
            }
            Form::Parquet => Sheet::Parquet(Box::new(Table::begin(view, out)?)),
        })
    }

    /// Adds a row of the view.
    pub fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        match self {
            Sheet::Lines { out, columns, rows } => {
                *rows += 1;
                line(out, columns, cells)
            }
            Sheet::Csv { out, columns, rows } => {
                *rows += 1;
                let texts = columns.iter().zip(cells).map(|(column, cell)| text(column, cell));
                Ok(out.write_record(texts)?)
            }
            Sheet::Parquet(table) => table.row(cells),
        }
    }

    /// Writes the rest and sees it onto the disk.
    pub fn finish(self) -> io::Result<Written> {
        match self {
            Sheet::Lines { out, rows, .. } => out.finish(rows),
            Sheet::Csv { out, rows, .. } => {
                let out = out.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
                out.finish(rows)
            }
            Sheet::Parquet(table) => {
                let (out, rows) = table.finish()?;
                out.finish(rows)
            }
        }
    }
}

/// A JSON object with the columns in their order.
fn line(out: &mut Hashed, columns: &[Column], cells: &[Cell]) -> io::Result<()> {
    for (at, (column, cell)) in columns.iter().zip(cells).enumerate() {
        write!(out, "{}\"{}\":", if at == 0 { '{' } else { ',' }, column.name)?;
        match (column.holds, cell) {
            (_, Cell::Null) => out.write_all(b"null")?,
            (Holds::Flag, Cell::Integer(flag)) => write!(out, "{}", *flag != 0)?,
            (Holds::Integer | Holds::Micros, Cell::Integer(number)) => write!(out, "{number}")?,
            (Holds::Time | Holds::Text | Holds::Json, _) | (_, Cell::Text(_)) => {
                serde_json::to_writer(&mut *out, &text(column, cell))?;
            }
        }
    }
    out.write_all(b"}\n")
}

/// A value as text; nothing where there is none.
fn text(column: &Column, cell: &Cell) -> String {
    match (column.holds, cell) {
        (_, Cell::Null) => String::new(),
        (Holds::Time, Cell::Integer(micros)) => Timestamp(*micros).to_string(),
        (Holds::Flag, Cell::Integer(flag)) => (*flag != 0).to_string(),
        (_, Cell::Integer(number)) => number.to_string(),
        (_, Cell::Text(text)) => text.clone(),
    }
}

/// A file that knows the digest of what went into it.
pub struct Hashed {
    file: BufWriter<File>,
    sha256: Sha256,
    bytes: u64,
}

impl Hashed {
    fn new(file: File) -> Hashed {
        Hashed { file: BufWriter::new(file), sha256: Sha256::new(), bytes: 0 }
    }

    fn finish(mut self, rows: u64) -> io::Result<Written> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(Written { rows, bytes: self.bytes, sha256: Digest(self.sha256.finalize().into()) })
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
