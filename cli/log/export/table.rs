//! A view as an Apache Parquet file: typed columns in groups of rows, through the writer's plain column interface.

use std::io;
use std::sync::Arc;

use ledger::{Cell, Holds, View};
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::sheet::Hashed;

/// Rows of one group: enough for readers to skip by, and some 20 MB in memory with the widest view.
const GROUP_ROWS: usize = 65_536;
/// Text of one group: certificates are large.
const GROUP_TEXT_BYTES: usize = 32 << 20;

/// The file and the group that is being filled.
pub struct Table {
    file: SerializedFileWriter<Hashed>,
    columns: Vec<Values>,
    group_rows: usize,
    group_text_bytes: usize,
    rows: u64,
}

/// Values of one column in the group, each with whether it is there (1) or not (0).
struct Values {
    there: Vec<i16>,
    of: Typed,
}

enum Typed {
    Numbers(Vec<i64>),
    Flags(Vec<bool>),
    Texts(Vec<ByteArray>),
}

impl Table {
    /// Begins the file.
    ///
    /// # Errors
    /// When it cannot be written; so for all methods.
    pub fn begin(view: View, out: Hashed) -> io::Result<Table> {
        let schema = parse_message_type(&schema(view)).map_err(io_error)?;
        let created_by = concat!("largesse ", env!("CARGO_PKG_VERSION")).to_owned();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(created_by)
            .build();
        let file =
            SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(io_error)?;
        let columns = view.columns().iter().map(|column| Values::of(column.holds)).collect();
        Ok(Table { file, columns, group_rows: 0, group_text_bytes: 0, rows: 0 })
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.group_text_bytes += column.add(cell);
        }
        self.group_rows += 1;
        self.rows += 1;
        let full = self.group_rows == GROUP_ROWS || self.group_text_bytes >= GROUP_TEXT_BYTES;
        if full { self.group() } else { Ok(()) }
    }

    /// Writes the group out.
    fn group(&mut self) -> io::Result<()> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group().map_err(io_error)?;
        for column in &mut self.columns {
            column.write(&mut group).map_err(io_error)?;
        }
        group.close().map_err(io_error)?;
        (self.group_rows, self.group_text_bytes) = (0, 0);
        Ok(())
    }

    /// Writes the rest. Returns the file and its number of rows.
    pub fn finish(mut self) -> io::Result<(Hashed, u64)> {
        self.group()?;
        let rows = self.rows;
        Ok((self.file.into_inner().map_err(io_error)?, rows))
    }
}

impl Values {
    fn of(holds: Holds) -> Values {
        let of = match holds {
            Holds::Integer | Holds::Micros | Holds::Time => Typed::Numbers(Vec::new()),
            Holds::Flag => Typed::Flags(Vec::new()),
            Holds::Text | Holds::Json => Typed::Texts(Vec::new()),
        };
        Values { there: Vec::new(), of }
    }

    /// Adds a value and returns the bytes of its text; the view has made sure that it is of the column's type.
    fn add(&mut self, cell: &Cell) -> usize {
        let there = match (&mut self.of, cell) {
            (Typed::Numbers(numbers), Cell::Integer(number)) => {
                numbers.push(*number);
                true
            }
            (Typed::Flags(flags), Cell::Integer(flag)) => {
                flags.push(*flag != 0);
                true
            }
            (Typed::Texts(texts), Cell::Text(text)) => {
                texts.push(ByteArray::from(text.as_str()));
                self.there.push(1);
                return text.len();
            }
            (_, Cell::Null | Cell::Integer(_) | Cell::Text(_)) => false,
        };
        self.there.push(i16::from(there));
        0
    }

    fn write(&mut self, group: &mut SerializedRowGroupWriter<'_, Hashed>) -> Result<(), ParquetError> {
        let none_left = || ParquetError::General("the file has fewer columns than the view".to_owned());
        let mut column = group.next_column()?.ok_or_else(none_left)?;
        let there = Some(&self.there[..]);
        match &mut self.of {
            Typed::Numbers(numbers) => {
                column.typed::<Int64Type>().write_batch(numbers, there, None)?;
                numbers.clear();
            }
            Typed::Flags(flags) => {
                column.typed::<BoolType>().write_batch(flags, there, None)?;
                flags.clear();
            }
            Typed::Texts(texts) => {
                column.typed::<ByteArrayType>().write_batch(texts, there, None)?;
                texts.clear();
            }
        }
        self.there.clear();
        column.close()
    }
}

/// The columns in the words of the Parquet format.
fn schema(view: View) -> String {
    let column = |column: &ledger::Column| {
        let (physical, logical) = match column.holds {
            Holds::Integer | Holds::Micros => ("INT64", ""),
            Holds::Time => ("INT64", " (TIMESTAMP(MICROS,true))"),
            Holds::Flag => ("BOOLEAN", ""),
            Holds::Text => ("BYTE_ARRAY", " (STRING)"),
            Holds::Json => ("BYTE_ARRAY", " (JSON)"),
        };
        format!("OPTIONAL {physical} {}{logical};", column.name)
    };
    let columns: Vec<String> = view.columns().iter().map(column).collect();
    format!("message {} {{ {} }}", view.name(), columns.join(" "))
}

/// A full disk keeps its name.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library marks its list of errors as open")]
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}
