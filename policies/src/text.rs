//! A text and where things stand in it: a mistake's line and column are found without reading the text again for each.

use std::ops::Range;

/// How many bytes lie between two marks: what is counted anew for each column.
const MARK_EVERY: usize = 1 << 10;

/// A text with marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    text: String,
    newlines: Vec<usize>,
    /// Characters before each multiple of [`MARK_EVERY`] bytes, and at last all.
    marks: Vec<usize>,
}

/// A place in a text; lines and columns start at 1.
pub(crate) struct Place {
    pub line: usize,
    pub col: usize,
    /// The bytes of its line, without the newline.
    pub line_span: Range<usize>,
    /// The characters of its line.
    pub line_chars: usize,
}

impl Text {
    pub(crate) fn of(text: String) -> Text {
        let newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        let (mut marks, mut chars) = (vec![0], 0);
        for chunk in text.as_bytes().chunks(MARK_EVERY) {
            chars += begun(chunk);
            marks.push(chars);
        }
        Text { newlines, marks, text }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The place of a byte, which begins a character.
    pub(crate) fn place(&self, at: usize) -> Place {
        let before = self.newlines.partition_point(|newline| *newline < at);
        let start = before.checked_sub(1).map_or(0, |last| self.newlines[last] + 1);
        let end = self.newlines.get(before).copied().unwrap_or(self.text.len());
        let chars = self.chars_before(start);
        Place {
            line: before + 1,
            col: self.chars_before(at) - chars + 1,
            line_span: start..end,
            line_chars: self.chars_before(end) - chars,
        }
    }

    fn chars_before(&self, at: usize) -> usize {
        let mark = at / MARK_EVERY;
        self.marks[mark] + begun(&self.text.as_bytes()[mark * MARK_EVERY..at])
    }
}

/// How many characters begin in some bytes of a text.
fn begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xC0) != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_place_is_where_counting_finds_it(
            parts in proptest::collection::vec(("[a-zü\u{1F600}\n]{0,9}", 0usize..600), 0..8),
        ) {
            let text: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
            let marked = Text::of(text.clone());
            for (at, _) in text.char_indices().step_by(97).chain([(text.len(), ' ')]) {
                let place = marked.place(at);
                let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
                let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
                prop_assert_eq!(place.line, text[..at].matches('\n').count() + 1);
                prop_assert_eq!(place.col, text[start..at].chars().count() + 1);
                prop_assert_eq!(place.line_chars, text[start..end].chars().count());
                prop_assert_eq!(place.line_span, start..end);
            }
        }
    }
}
