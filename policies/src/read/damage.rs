//! Text that is no TOML: where it stops making sense, and what is left without that.
//!
//! After one open bracket a parser complains about everything that follows. So the text is taken apart into its
//! statements, each is read alone, and of those that make no sense one after the other the first is reported.
//! What makes no sense is blanked, not cut, so that all other places stay where they are.

use std::ops::Range;

use toml::de::DeTable;

use super::MISTAKES_MAX;
use super::words::plain_syntax;

/// Most lines of a text or list that begin like statements and are none.
const CONTINUED_LINES_MAX: usize = 64;

/// Most bytes that are tried as continued statements: a tenth of a second. A file of a million bytes of which no line makes
/// sense would be read hundreds of times; beyond it, each line that begins like a statement is taken for one.
const TRIED_BYTES_MAX: usize = 4 << 20;

/// What is wrong with a text, and the text without it.
pub(super) struct Damage {
    pub found: Vec<(Range<usize>, String)>,
    /// Of the same length as the text, with blanks for what makes no sense.
    pub rest: String,
    /// Keys and tables that were blanked.
    pub lost: Vec<String>,
}

impl Damage {
    pub fn of(text: &str) -> Damage {
        let mut damage = Damage { found: Vec::new(), rest: text.to_owned(), lost: Vec::new() };
        if DeTable::parse(text).is_err() {
            damage.take_out_statements(text);
            damage.report_what_is_left();
        }
        damage
    }

    fn take_out_statements(&mut self, text: &str) {
        let starts = starts(text);
        let end_of = |index: usize| starts.get(index).copied().unwrap_or(text.len());
        let mut at = 0;
        // The table whose header made no sense: its keys would fall to the table before it.
        let mut headless: Option<String> = None;
        let mut follows = false;
        let mut tried = 0;
        while at < starts.len() {
            let first = starts[at];
            let longest = (at + CONTINUED_LINES_MAX).min(starts.len());
            let whole = (at + 1..=longest).find(|next| {
                let statement = &text[first..end_of(*next)];
                let is_tried = *next == at + 1 || tried + statement.len() <= TRIED_BYTES_MAX;
                tried += if is_tried { statement.len() } else { 0 };
                is_tried && DeTable::parse(statement).is_ok()
            });
            let next = whole.unwrap_or(at + 1);
            let statement = first..end_of(next);
            let header = header(&text[statement.clone()]);
            at = next;
            if let (Some(path), true) = (&header, whole.is_some()) {
                let below =
                    |table: &String| path.len() > table.len() && path.starts_with(&format!("{table}."));
                headless = headless.filter(below);
            }
            if whole.is_none() {
                if !follows && self.found.len() < MISTAKES_MAX {
                    self.found.extend(first_error(text, &statement));
                }
                self.lost.extend(names(&text[statement.clone()]));
                headless = header.or(headless);
            }
            follows = whole.is_none() && (follows || opens_text(&text[statement.clone()]));
            if whole.is_none() || headless.is_some() {
                self.blank(&statement);
            }
        }
    }

    /// What only shows in the whole: a key given twice.
    fn report_what_is_left(&mut self) {
        let (_, errors) = DeTable::parse_recoverable(&self.rest);
        let found = errors.iter().map(|error| (error.span().unwrap_or(0..0), plain_syntax(error.message())));
        let room = MISTAKES_MAX.saturating_sub(self.found.len());
        self.found.extend(found.take(room));
    }

    fn blank(&mut self, span: &Range<usize>) {
        let blanks: String =
            self.rest[span.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        self.rest.replace_range(span.clone(), &blanks);
    }
}

/// Where statements begin: at lines that start with a letter or a bracket. What stands before the first (comments,
/// indented keys) begins one too.
fn starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0 && line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '[') {
            starts.push(at);
        }
        at += line.len();
    }
    starts
}

fn first_error(text: &str, statement: &Range<usize>) -> Option<(Range<usize>, String)> {
    let error = DeTable::parse(&text[statement.clone()]).err()?;
    let span = error.span().unwrap_or(0..0);
    // A parser that ran to the end of the statement means the end of its last line with something on it.
    let written = text[statement.clone()].trim_end().len();
    let (start, end) = (span.start.min(written), span.end.min(written));
    Some((statement.start + start..statement.start + end.max(start), plain_syntax(error.message())))
}

/// The path of the table that a statement opens, whether or not all its brackets are there.
fn header(statement: &str) -> Option<String> {
    let line = first_line(statement);
    let closed = line.ends_with(']') && !line.contains(['=', '"', '\'', ',']);
    let is_header = (line.starts_with('[') && !line.contains('=')) || closed;
    is_header.then(|| line.trim_matches(['[', ']', ' ']).to_owned())
}

/// Whether lines of a text may follow, which only look like statements.
fn opens_text(statement: &str) -> bool {
    statement.contains("'''") || statement.contains("\"\"\"")
}

/// The first line that says something, without a comment behind it.
fn first_line(statement: &str) -> &str {
    let mut lines = statement.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// The keys a statement is about.
fn names(statement: &str) -> Vec<String> {
    let about = first_line(statement).split('=').next().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    about.split(|c| !is_name(c)).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
