//! What every subcommand prints with: formats, tables, numbers people can read.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use domain::Micros;
use domain::statement::is_unseen;
use serde::Serialize;

use crate::exit::{Failure, Result};

/// How one answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// For people
    Table,
    /// One JSON document
    Json,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One JSON document per line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

/// Whether to colour: a terminal, and no NO_COLOR.
pub fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A progress bar on stderr; invisible where stderr is not a terminal.
pub fn progress(what: &'static str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(0);
    let style =
        indicatif::ProgressStyle::with_template("{msg} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar
}

/// Says a line to people on stderr; where nobody listens any more, nothing is lost.
pub fn say(text: &str) {
    let _unheard = writeln!(std::io::stderr().lock(), "{}", seen(text));
}

/// The text with what nobody sees written out: names that others gave must not move a cursor or turn a line around.
fn seen(text: &str) -> Cow<'_, str> {
    let is_hidden = |char: char| is_unseen(char) && !matches!(char, '\n' | '\t');
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if is_hidden(char) { out.extend(char.escape_unicode()) } else { out.push(char) }
    }
    Cow::Owned(out)
}

/// Whether stdout takes more. `largesse ... | head` closes the pipe early: printing ends there, and what the
/// command found stands.
fn goes_on(written: std::io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::runtime(anyhow::anyhow!("cannot write to stdout: {error}"))),
    }
}

/// Writes bytes to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn bytes(bytes: &[u8]) -> Result<()> {
    goes_on(std::io::stdout().lock().write_all(bytes)).map(drop)
}

/// Writes a line to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn line(text: &str) -> Result<()> {
    goes_on(writeln!(std::io::stdout().lock(), "{}", seen(text))).map(drop)
}

/// Writes one JSON document to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn json(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from);
    goes_on(written.and_then(|()| writeln!(out))).map(drop)
}

/// A line of a list: an object for programs, cells for people.
pub trait Columns: Serialize {
    const NAMES: &'static [&'static str];

    /// As many cells as names.
    fn cells(self) -> Vec<String>;
}

/// Lines in one of the formats, written as they come where the format allows it.
///
/// # Errors
/// When a line cannot be made or stdout cannot be written.
pub fn rows<L: Columns>(format: Format, lines: impl Iterator<Item = Result<L>>) -> Result<()> {
    match format {
        Format::Table => table(lines),
        Format::Csv => csv(lines),
        Format::Jsonl => {
            let mut out = std::io::stdout().lock();
            for line in lines {
                let written = serde_json::to_writer(&mut out, &line?).map_err(std::io::Error::from);
                if !goes_on(written.and_then(|()| writeln!(out)))? {
                    break;
                }
            }
            Ok(())
        }
        Format::Json => json(&lines.collect::<Result<Vec<_>>>()?),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library marks its list of kinds as open")]
fn csv<L: Columns>(lines: impl Iterator<Item = Result<L>>) -> Result<()> {
    let mut writer = ::csv::Writer::from_writer(std::io::stdout().lock());
    let plain = |error: ::csv::Error| match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => std::io::Error::other(format!("{other:?}")),
    };
    let mut going = goes_on(writer.write_record(L::NAMES).map_err(plain))?;
    for line in lines {
        if !going {
            return Ok(());
        }
        going = goes_on(writer.write_record(line?.cells()).map_err(plain))?;
    }
    goes_on(writer.flush()).map(drop)
}

fn table<L: Columns>(lines: impl Iterator<Item = Result<L>>) -> Result<()> {
    let mut table = plain_table();
    table.set_header(L::NAMES);
    for row in lines {
        table.add_row(row?.cells());
    }
    line(&trimmed(&table))
}

/// A table without borders, columns two spaces apart.
pub fn plain_table() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table
}

/// The table's text without trailing spaces.
pub fn trimmed(table: &comfy_table::Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Money to the cent, grouped, with its currency: `12,345.60 USD`.
pub fn money(amount: Micros, currency: &str) -> String {
    let cents = (i128::from(amount.0) + if amount.0 < 0 { -5_000 } else { 5_000 }) / 10_000;
    let sign = if cents < 0 { "-" } else { "" };
    let absolute = cents.unsigned_abs();
    let units = u64::try_from(absolute / 100).unwrap_or(u64::MAX);
    format!("{sign}{}.{:02} {currency}", grouped(units), absolute % 100)
}

/// Parts per million as a percentage with two decimals.
pub fn percent(ppm: u64) -> String {
    format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_written_out() {
        assert_eq!(seen("plain\ttext\n\u{fc}"), "plain\ttext\n\u{fc}");
        assert_eq!(seen("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(money(Micros(1_234_560_000), "USD"), "1,234.56 USD");
        assert_eq!(money(Micros(-5_000), "USD"), "-0.01 USD");
        assert_eq!(percent(4_999), "0.49 %");
    }
}
