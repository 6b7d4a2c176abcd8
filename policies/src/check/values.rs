//! Amounts, shares, counts, ids, references and touchpoints.

use std::ops::{Range, RangeInclusive};

use domain::event::TOUCHPOINT_NAMES;
use domain::{Micros, Milli, Ppm, Touchpoint};

use super::Checker;
use crate::codes::Code;
use crate::documents::{Count, Text};
use crate::problem::did_you_mean;
use crate::source::File;

/// Longest id; it becomes part of subjects and rule names.
const ID_LEN_MAX: usize = 40;

impl Checker<'_> {
    /// An amount above zero; `None` when a mistake was reported.
    pub(super) fn money(&mut self, file: File, text: &Text) -> Option<Micros> {
        let place = text.span();
        let problem = match text.get_ref().parse::<Micros>() {
            Ok(amount) if amount > Micros::ZERO => return Some(amount),
            Ok(_) => self.problem(Code::OutOfRange, file, place, "this amount is not above zero"),
            Err(why) => self
                .problem(Code::BadMoney, file, place, why.to_string())
                .expected("expected an amount such as \"12.50\""),
        };
        self.report(problem);
        None
    }

    /// A percentage.
    pub(super) fn share(&mut self, file: File, text: &Text) -> Ppm {
        if let Some(share) = parse_share(text.get_ref()) {
            return share;
        }
        let problem = self
            .problem(Code::BadShare, file, text.span(), format!("{:?} is not a share", text.get_ref()))
            .expected("expected a percentage such as \"5 %\", from 0 % to 100 %, at most four decimals");
        self.report(problem);
        Ppm(0)
    }

    /// A whole number in a range.
    pub(super) fn count<T: TryFrom<i64> + Default>(
        &mut self,
        file: File,
        count: &Count,
        range: RangeInclusive<i64>,
        why: &str,
    ) -> T {
        let value = *count.get_ref();
        let fits = range.contains(&value).then(|| T::try_from(value).ok()).flatten();
        fits.unwrap_or_else(|| {
            let message = format!("{value} is not between {} and {}", range.start(), range.end());
            let problem = self.problem(Code::OutOfRange, file, count.span(), message).help(why);
            self.report(problem);
            T::default()
        })
    }

    /// A lever in milli.
    pub(super) fn milli(&mut self, file: File, count: &Count) -> Milli {
        Milli(self.count(file, count, 500..=1500, "levers correct a value by at most half, up or down"))
    }

    /// A text that says something.
    pub(super) fn not_empty(&mut self, file: File, text: &Text) -> String {
        if text.get_ref().trim().is_empty() {
            let problem = self.problem(Code::Empty, file, text.span(), "this text is empty");
            self.report(problem);
        }
        text.get_ref().clone()
    }

    /// A text that is shown inside lines of output.
    pub(super) fn one_line(&mut self, file: File, text: &Text) -> String {
        // Two line ends of Unicode are no control characters.
        let breaks = |c: &char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if let Some(found) = text.get_ref().chars().find(breaks) {
            let message = format!("this text holds the control character U+{:04X}", u32::from(found));
            let problem = self.problem(Code::ControlCharacter, file, text.span(), message);
            self.report(problem.help("write it in one line of visible characters"));
        }
        self.not_empty(file, text)
    }

    /// Whether a list has a sensible length; `what` names it in the plural.
    pub(super) fn list_length(
        &mut self,
        file: File,
        at: Range<usize>,
        length: usize,
        longest: usize,
        what: &str,
    ) {
        if length == 0 && at == (0..0) && self.unsure.contains(&file) {
            // The whole list may stand in the part that was not understood.
        } else if length == 0 {
            let problem = self.problem(Code::Empty, file, at, format!("there are no {what} here"));
            self.report(problem);
        } else if length > longest {
            let message = format!("{length} {what}, at most {longest} are allowed");
            let problem = self.problem(Code::TooLarge, file, at, message);
            self.report(problem);
        }
    }

    /// Well-formed ids, none twice.
    pub(super) fn ids<'t>(&mut self, file: File, ids: impl IntoIterator<Item = &'t Text>) {
        let mut seen: Vec<&Text> = Vec::new();
        for id in ids {
            let text = id.get_ref().as_str();
            if !is_id(text) {
                let problem = self
                    .problem(Code::BadId, file, id.span(), format!("`{text}` is not an id"))
                    .expected(format!(
                        "expected 1 to {ID_LEN_MAX} lower-case letters, digits and hyphens, a letter first"
                    ));
                self.report(problem);
            }
            if let Some(first) = seen.iter().find(|first| first.get_ref() == text) {
                let first = self.problem(Code::DuplicateId, file, first.span(), "").line;
                let problem = self
                    .problem(Code::DuplicateId, file, id.span(), format!("`{text}` is used twice"))
                    .help(format!("it was first used in line {first}"));
                self.report(problem);
            }
            seen.push(id);
        }
    }

    /// The position of a referenced segment.
    pub(super) fn segment_ref(&mut self, file: File, name: &Text) -> Option<usize> {
        let known = self.segment_ids.clone();
        self.reference(file, name, &known, File::Segments, "segment")
    }

    /// The position of a referenced reward.
    pub(super) fn reward_ref(&mut self, file: File, name: &Text) -> Option<usize> {
        let known = self.reward_ids.clone();
        self.reference(file, name, &known, File::Catalog, "reward")
    }

    /// The bits of referenced rewards.
    pub(super) fn reward_mask(&mut self, file: File, names: &[Text]) -> u64 {
        let positions = names.iter().filter_map(|name| self.reward_ref(file, name));
        positions.filter(|at| *at < 64).fold(0, |mask, at| mask | 1 << at)
    }

    fn reference(
        &mut self,
        file: File,
        name: &Text,
        known: &[String],
        home: File,
        what: &str,
    ) -> Option<usize> {
        let found = known.iter().position(|id| id == name.get_ref());
        if found.is_none() && !self.unsure.contains(&home) {
            let message = format!("`{}` is not a {what} of this bundle", name.get_ref());
            let help = did_you_mean(name.get_ref(), known.iter().map(String::as_str));
            let problem = self.problem(Code::UnknownReference, file, name.span(), message).help(help);
            self.report(problem);
        }
        found
    }

    /// The bits of named touchpoints.
    pub(super) fn touchpoints(&mut self, file: File, names: &[Text]) -> u16 {
        names.iter().fold(0, |mask, name| match Touchpoint::from_name(name.get_ref()) {
            Some(touchpoint) => mask | 1 << (touchpoint as u16),
            None => {
                self.unknown_word(file, name, "a touchpoint", &TOUCHPOINT_NAMES);
                // Any of them may have been meant; nothing more is concluded from the list.
                u16::MAX
            }
        })
    }

    /// Reports a word that is not in a closed list.
    pub(super) fn unknown_word(&mut self, file: File, word: &Text, what: &str, known: &[&str]) {
        let message = format!("`{}` is not {what}", word.get_ref());
        let help = did_you_mean(word.get_ref(), known.iter().copied());
        let problem = self.problem(Code::UnknownReference, file, word.span(), message).help(help);
        self.report(problem);
    }
}

fn is_id(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= ID_LEN_MAX
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && text.bytes().all(legal)
}

/// `"5 %"`, `"0.25%"`: a decimal, an optional space and a percent sign.
fn parse_share(text: &str) -> Option<Ppm> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let Micros(millionths_of_percent) = number.parse().ok()?;
    let ppm = (millionths_of_percent % 100 == 0).then_some(millionths_of_percent / 100)?;
    u32::try_from(ppm).ok().filter(|ppm| *ppm <= 1_000_000).map(Ppm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        assert_eq!(parse_share("5 %"), Some(Ppm(50_000)));
        assert_eq!(parse_share("0.0001%"), Some(Ppm(1)));
        assert_eq!(parse_share("100 %"), Some(Ppm(1_000_000)));
        for text in ["5", "0.05", "101 %", "-1 %", "0.00001 %", "%", "5 % of", "1e1 %"] {
            assert_eq!(parse_share(text), None, "{text:?} was accepted");
        }
    }
}
