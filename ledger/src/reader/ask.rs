//! Which rows a filter lets through: by position, by index, or by column, whichever reads least.

use rusqlite::types::Value;

use super::{MEMBER_ROWS_MAX, PAGE_ROWS_MAX, Reader};
use crate::columns::{Question, Span, block_of};
use crate::entry::Seq;
use crate::error::Error;
use crate::filter::Filter;
use crate::row::{COLUMNS, NOT_AS_COLUMNS_SAY, Row};

/// Rows from the first to the last, of a ledger of this size.
pub(super) struct Range {
    pub(super) first: Seq,
    pub(super) last: Seq,
    pub(super) size: u64,
}

impl Reader {
    /// Rows a filter lets through.
    ///
    /// # Errors
    /// When the file cannot be read; so for all methods below.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Row>, Error> {
        if !filter.asks_columns() {
            let (sql, values) = self.statement(filter, COLUMNS)?;
            return self.rows(&sql, rusqlite::params_from_iter(values));
        }
        let seqs: Vec<u64> = self.seqs(filter)?.iter().map(|seq| seq.0).collect();
        let order = if filter.newest_first { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT {COLUMNS} FROM record WHERE seq IN (SELECT value FROM json_each(?1)) ORDER BY seq {order}"
        );
        let rows = self.rows(&sql, [serde_json::json!(seqs).to_string()])?;
        match rows.iter().find(|row| !filter.is_met_by(row)) {
            Some(row) => Err(Error::Altered { seq: row.seq, why: NOT_AS_COLUMNS_SAY }),
            None => Ok(rows),
        }
    }

    /// Positions of the rows a filter lets through.
    pub fn seqs(&self, filter: &Filter) -> Result<Vec<Seq>, Error> {
        if filter.asks_columns() {
            return self.seqs_by_column(filter);
        }
        let (sql, values) = self.statement(filter, "seq")?;
        self.all(&sql, rusqlite::params_from_iter(values), |row| {
            Ok(Seq(row.get::<_, i64>(0)?.unsigned_abs()))
        })
    }

    fn seqs_by_column(&self, filter: &Filter) -> Result<Vec<Seq>, Error> {
        let (question, mut found) = (Question::of(filter), Vec::new());
        let limit = usize::try_from(filter.limit.min(PAGE_ROWS_MAX)).unwrap_or(usize::MAX);
        let Some(Range { first, last, size }) = self.range(filter)? else { return Ok(found) };
        let (mut low, mut high) = (block_of(first), block_of(last) + 1);
        while low < high && found.len() < limit {
            let at = if filter.newest_first { high - 1 } else { low };
            if filter.newest_first {
                high -= 1
            } else {
                low += 1
            };
            self.span(at, size, |span| {
                let mut mask = span.mask(first, last);
                question.ask(span, &mut mask)?;
                let mut rows: Vec<Seq> =
                    mask.iter().enumerate().filter(|(_, kept)| **kept).map(|(at, _)| span.seq(at)).collect();
                if filter.newest_first {
                    rows.reverse();
                }
                found.extend(rows);
                Ok(())
            })?;
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Looks at one block, each time within the time limit of a statement.
    pub(super) fn span<T>(
        &self,
        at: u64,
        size: u64,
        look: impl FnOnce(&Span<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let span = Span::new(self.start(), at, size, self.has_columns);
        span.and_then(|span| look(&span)).map_err(|error| self.fail(error))
    }

    /// The first and last row that positions and recording times of a filter leave.
    pub(super) fn range(&self, filter: &Filter) -> Result<Option<Range>, Error> {
        let size = self.size()?;
        let (mut first, mut end) = (Seq(1), Seq(size + 1));
        if let Some(time) = filter.recorded_since {
            first = first.max(self.first_at(time)?);
        }
        if let Some(after) = filter.after {
            first = first.max(Seq(after.0.saturating_add(1)));
        }
        if let Some(time) = filter.recorded_until {
            end = end.min(self.first_at(time)?);
        }
        if let Some(before) = filter.before {
            end = end.min(before);
        }
        Ok((first < end).then(|| Range { first, last: Seq(end.0 - 1), size }))
    }

    fn statement(&self, filter: &Filter, columns: &str) -> Result<(String, Vec<Value>), Error> {
        let since = filter.recorded_since.map(|time| self.first_at(time)).transpose()?;
        let until = filter.recorded_until.map(|time| self.first_at(time)).transpose()?;
        let of_member = match filter.member {
            None => None,
            Some(member) => {
                Some(self.member_seqs(member, filter.after.unwrap_or_default(), MEMBER_ROWS_MAX)?)
            }
        };
        Ok(filter.sql(columns, (since, until), of_member))
    }
}
