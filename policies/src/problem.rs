//! Mistakes in a bundle, with their place, and how they read.

use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::Serialize;

use crate::codes::Code;
use crate::text::{Place, Text};

/// Longest excerpt in characters. Lines of the starter bundle have up to 200; a line may have a million.
const EXCERPT_CHARS_MAX: usize = 240;
/// How much of a longer line is shown before the place.
const EXCERPT_CHARS_BEFORE: usize = 60;
/// Longest word that a known one is looked for: no name is half as long, and comparing takes the product of lengths.
const NAME_BYTES_MAX: usize = 100;

/// The place of a value that nobody wrote; mistakes found there follow from others and are not reported.
pub(crate) const NOWHERE: Range<usize> = usize::MAX..usize::MAX;

/// One mistake. `span` is in bytes of the file; `line` and `col` start at 1, `col` counts characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub code: Code,
    pub file: String,
    pub span: Range<usize>,
    pub line: u32,
    pub col: u32,
    pub message: String,
    /// What belongs at the place; shown under the caret.
    pub expected: Option<String>,
    /// How to repair it.
    pub help: Option<String>,
    /// The line of the file it points into, or the part of a long line around the place; empty when it points at
    /// a whole file.
    pub excerpt: String,
    /// The column of the first character of `excerpt`.
    pub excerpt_col: u32,
    /// Whether the line goes on after `excerpt`.
    pub excerpt_cut: bool,
}

/// Every mistake of a bundle, in file order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A mistake about a whole file.
    pub fn of_file(code: Code, file: &str, message: impl Into<String>) -> Problem {
        Problem {
            code,
            file: file.to_owned(),
            span: 0..0,
            line: 1,
            col: 1,
            message: message.into(),
            expected: None,
            help: None,
            excerpt: String::new(),
            excerpt_col: 1,
            excerpt_cut: false,
        }
    }

    /// A mistake at a span of a file's text.
    pub(crate) fn at(
        code: Code,
        file: &str,
        text: &Text,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Problem {
        if span == NOWHERE {
            return Problem { span, ..Problem::of_file(code, file, message) };
        }
        let start = floor_char(text.as_str(), span.start);
        let end = floor_char(text.as_str(), span.end.max(span.start));
        let place = text.place(start);
        let (excerpt_col, excerpt, excerpt_cut) = excerpt(text.as_str(), start, &place);
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (line, col, excerpt_col) = (narrow(place.line), narrow(place.col), narrow(excerpt_col));
        Problem {
            line,
            col,
            span: start..end,
            excerpt,
            excerpt_col,
            excerpt_cut,
            ..Problem::of_file(code, file, message)
        }
    }

    /// Says what belongs there.
    pub fn expected(mut self, expected: impl Into<String>) -> Problem {
        self.expected = Some(expected.into());
        self
    }

    /// Says how to repair it.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Says how to repair it, where that is known.
    pub fn help_if(mut self, help: Option<String>) -> Problem {
        self.help = help.or(self.help);
        self
    }

    /// How many characters of the excerpt come before the place.
    fn before(&self) -> usize {
        usize::try_from(self.col.saturating_sub(self.excerpt_col)).unwrap_or(0)
    }

    /// How many characters of its line the mistake covers, at least one.
    pub(crate) fn width(&self) -> usize {
        let before = self.before();
        let rest = self.excerpt.chars().skip(before).collect::<String>();
        let bytes = self.span.end - self.span.start;
        rest.char_indices().take_while(|(at, _)| *at < bytes).count().max(1)
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{}[{}]: {}", self.code.severity().name(), self.code, self.message)?;
        let gutter = self.line.to_string().len();
        writeln!(out, "{:gutter$}--> {}:{}:{}", "", self.file, self.line, self.col)?;
        if !self.excerpt.is_empty() {
            let (before, carets) = (self.before(), self.width());
            let cut = if self.excerpt_col > 1 { "..." } else { "" };
            let label = self.expected.as_deref().map(|text| format!(" {text}")).unwrap_or_default();
            writeln!(out, "{:gutter$} |", "")?;
            let goes_on = if self.excerpt_cut { "..." } else { "" };
            writeln!(out, "{} | {cut}{}{goes_on}", self.line, self.excerpt)?;
            let pad: String =
                self.excerpt.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            writeln!(out, "{:gutter$} | {}{pad}{}{label}", "", " ".repeat(cut.len()), "^".repeat(carets))?;
        }
        if let Some(help) = &self.help {
            writeln!(out, "{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// One block with a caret, as [`Problems::render`] shows it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out)?;
        f.write_str(&out)
    }
}

impl Problems {
    /// The text people read: one block per mistake and a last line with their number.
    pub fn render(&self) -> String {
        self.render_first(self.0.len())
    }

    /// The same with at most `shown` blocks, for where there is no room for thousands.
    pub fn render_first(&self, shown: usize) -> String {
        let mut out = String::new();
        for problem in self.0.iter().take(shown) {
            // Writing to a String cannot fail.
            let _ = problem.write(&mut out);
            out.push('\n');
        }
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        let first =
            if count > shown { format!(", of which the first {shown} are shown") } else { String::new() };
        let _ =
            writeln!(out, "{count} mistake{plural}{first}; `largesse explain CODE` tells more about each");
        out
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

/// The part of a line around a place, the column where that part begins, and whether the line goes on after it.
fn excerpt(text: &str, at: usize, place: &Place) -> (usize, String, bool) {
    let line = place.line_span.clone();
    if place.line_chars <= EXCERPT_CHARS_MAX {
        return (1, text[line].to_owned(), false);
    }
    let before = EXCERPT_CHARS_BEFORE.min(place.col - 1);
    let from = text[line.start..at]
        .char_indices()
        .rev()
        .take(before)
        .last()
        .map_or(at, |(from, _)| line.start + from);
    let mut rest = text[from..line.end].chars();
    let part = rest.by_ref().take(EXCERPT_CHARS_MAX).collect();
    (place.col - before, part, rest.next().is_some())
}

/// The nearest character boundary at or before `at`.
fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The known word closest to a misspelt one, when it is close enough to be meant: at most a third of its
/// letters differ, or one contains the other.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > NAME_BYTES_MAX {
        return None;
    }
    let best = known.into_iter().map(|candidate| (distance(word, candidate), candidate)).min()?;
    let (edits, candidate) = best;
    let near = edits <= candidate.len().max(word.len()) / 3;
    let inside = word.len() >= 4 && (candidate.contains(word) || word.contains(candidate));
    (near || inside).then_some(candidate)
}

/// "did you mean ..?" for a misspelt word, else the list of what is known.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match closest(word, known.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => {
            let mut listed: Vec<&str> = Vec::new();
            for known in known.into_iter().filter(|known| !known.is_empty()) {
                if !listed.contains(&known) {
                    listed.push(known);
                }
            }
            format!("known here: {}", listed.join(", "))
        }
    }
}

/// Edit distance (Levenshtein, with neighbours swapped counting one).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows =
        [vec![0; right.len() + 1], (0..=right.len()).collect::<Vec<_>>(), vec![0; right.len() + 1]];
    for (i, a) in left.iter().enumerate() {
        rows[2][0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let mut cost = (rows[1][j] + usize::from(a != b)).min(rows[1][j + 1] + 1).min(rows[2][j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                cost = cost.min(rows[0][j - 1] + 1);
            }
            rows[2][j + 1] = cost;
        }
        rows.rotate_left(1);
    }
    rows[1][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_words_find_the_one_that_was_meant() {
        let known = ["member.churn_60d", "member.ltv_91d", "event.amount"];
        assert_eq!(closest("member.chrun_60d", known), Some("member.churn_60d"));
        assert_eq!(closest("event.amout", known), Some("event.amount"));
        assert_eq!(closest("weather.sunny", known), None);
    }

    #[test]
    fn a_long_list_tells_its_first_mistakes_and_how_many_there_are() {
        let problem = |at: usize| Problem::of_file(Code::Syntax, "f.toml", format!("mistake {at}."));
        let told = Problems((0..30).map(problem).collect()).render_first(20);
        assert!(told.contains("mistake 19.") && !told.contains("mistake 20."), "{told}");
        assert!(told.contains("30 mistakes, of which the first 20 are shown"), "{told}");
    }

    #[test]
    fn places_are_counted_in_characters() {
        let text = "a = 1\nname = \"Zürich\" # x\n";
        let at = text.find('#').unwrap();
        let problem = Problem::at(Code::Syntax, "f.toml", &Text::of(text.to_owned()), at..at + 1, "m");
        assert_eq!((problem.line, problem.col, problem.excerpt.as_str()), (2, 17, "name = \"Zürich\" # x"));
    }
}
