//! From TOML text to documents, reporting every mistake instead of the first.
//!
//! Serde stops at the first thing it does not like. So what it did not like is reported and mended in the parsed
//! table (a misspelt key gets its name, a missing or unusable value a [stand-in](stand_in)), and the rest is read
//! again, until nothing is left to complain about. Text that is no TOML is cut out before that ([`damage`]).
//!
//! Start reading at [`read`].

mod damage;
mod mend;
mod stand_in;
mod words;

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::{DeTable, Deserializer};

use crate::codes::Code;
use crate::problem::{Problem, closest};
use crate::text::Text;
use damage::Damage;
use mend::{Document, Mended};
pub(crate) use words::{quoted, straight_quotes};

/// Most mistakes reported per file by its shape; beyond it the file is probably another kind of file.
const MISTAKES_MAX: usize = 50;

/// Keys that say what other files may refer to, and what refers to them.
const NAMING: [&str; 5] = ["id", "rewards", "reward", "segment", "moment"];

/// A text to be read: its name and what its schema says belongs into it.
pub(crate) struct Source<'a> {
    pub name: &'a str,
    pub text: &'a Text,
    pub schema: &'a Value,
}

/// What was read of a file.
pub(crate) struct Reading<T> {
    /// With stand-ins for what could not be used; absent when nothing could.
    pub document: Option<T>,
    pub problems: Vec<Problem>,
    /// Names may stand in a part that was not understood, so what refers to them proves nothing.
    pub unsure: bool,
}

/// The document of a text.
pub(crate) fn read<T: DeserializeOwned>(source: &Source<'_>) -> Reading<T> {
    let damage = Damage::of(source.text.as_str());
    let place = |code, span, message: String| Problem::at(code, source.name, source.text, span, message);
    let syntax = |(span, message): (Range<usize>, String)| {
        let at = source.text.as_str().get(span.start..).unwrap_or_default();
        let help = words::straight_quotes(at);
        place(Code::Syntax, span, message).help_if(help)
    };
    let problems: Vec<Problem> = damage.found.iter().cloned().map(syntax).collect();
    let (root, _) = DeTable::parse_recoverable(&damage.rest);
    let span = root.span();
    let mut reader = Reader {
        unsure: damage.lost.iter().any(|key| NAMING.contains(&key.as_str())),
        document: Document::new(root.into_inner(), span, source),
        source,
        lost: damage.lost,
        problems,
    };
    reader.lists_for_tables();
    let document = reader.document();
    Reading { document, problems: reader.problems, unsure: reader.unsure }
}

struct Reader<'a, 'i> {
    source: &'a Source<'a>,
    document: Document<'a, 'i>,
    /// Keys that stand in text that is no TOML; they are not missing.
    lost: Vec<String>,
    problems: Vec<Problem>,
    unsure: bool,
}

impl Reader<'_, '_> {
    fn document<T: DeserializeOwned>(&mut self) -> Option<T> {
        for _ in 0..MISTAKES_MAX {
            let again = toml::Spanned::new(self.document.span.clone(), self.document.table.clone());
            let error = match T::deserialize(Deserializer::from(again)) {
                Ok(document) => return Some(document),
                Err(error) => error,
            };
            let at = error.span().unwrap_or_else(|| self.document.span.clone());
            self.mend(at, error.message())?;
        }
        self.unsure = true;
        None
    }

    /// Reports what serde said and mends it; `None` when it cannot be.
    fn mend(&mut self, at: Range<usize>, message: &str) -> Option<()> {
        let first = quoted(message).next().unwrap_or_default();
        let mended = if message.starts_with("unknown field") {
            self.document.unknown_key(&at, |written, absent| closest(written, absent.iter().copied()))
        } else if message.starts_with("missing field") {
            self.document.missing_key(&at, first)
        } else {
            self.document.unusable_value(&at)
        };
        let silent = message.starts_with("missing field") && self.lost.iter().any(|lost| lost == first);
        if !silent {
            let (name, text) = (self.source.name, self.source.text);
            self.problems.push(words::shape_problem(name, text, at, message));
        }
        match mended {
            Some(Mended::Renamed) => {}
            Some(Mended::StoodIn { key }) => self.unsure |= NAMING.contains(&key.as_str()),
            // Every list of names stands in the root.
            Some(Mended::TakenOut { root }) => self.unsure |= root,
            None => {
                self.unsure = true;
                return None;
            }
        }
        Some(())
    }

    /// Reports lists where a table belongs, which serde would read as the table's keys in their order.
    fn lists_for_tables(&mut self) {
        for (key, at) in self.document.lists_for_tables() {
            let message = format!("`{key}` is one table, not a list");
            let problem = Problem::at(Code::WrongShape, self.source.name, self.source.text, at, message);
            self.problems.push(problem.help(format!("write [{key}] or {key} = {{ .. }}")));
        }
    }
}
