//! Mistakes in a bundle's tests, each with its place. A test needs no good bundle to be read: what it names is held
//! against the names of the bundle as far as they are known.

use std::collections::BTreeMap;
use std::ops::Range;

use domain::facts::{Field, FieldKind, LISTS, List};
use domain::{Micros, Reason};
use jiff::civil::DateTime;
use toml::Value;

use crate::analysis::bounds;
use crate::check::Names;
use crate::codes::Code;
use crate::documents::Text;
use crate::documents::cases::{Case, Expect, Fact};
use crate::problem::{NOWHERE, Problem, did_you_mean};

/// Earliest promise that can be imagined: ten years, beyond every window.
const DAYS_AGO_MAX: i64 = 3_650;

/// A file of tests while it is checked.
pub(super) struct Checker<'a> {
    pub file: &'a str,
    pub text: &'a crate::text::Text,
    pub names: &'a Names,
    pub problems: Vec<Problem>,
}

impl Checker<'_> {
    pub(super) fn case(&mut self, case: &Case) {
        if let Some(at) = &case.at
            && at.get_ref().parse::<DateTime>().is_err()
        {
            let message = format!("{:?} is not a local time", at.get_ref());
            self.report(Code::BadCase, at.span(), message, "write it like \"2026-03-04T18:05:00\"");
        }
        let said = |name: &str| case.event.0.keys().any(|key| key.get_ref() == name);
        for needed in ["type", "touchpoint"] {
            if !said("quiet_days") && !said(needed) {
                let message = format!("the event of {:?} has no {needed}", case.name.get_ref());
                let help = "say type and touchpoint, or quiet_days for a timer";
                self.report(Code::BadCase, case.name.span(), message, help);
            }
        }
        self.facts("event", &case.event.0);
        self.facts("member", &case.member.0);
        for promised in &case.promised {
            self.known(&promised.reward, "reward", self.names.rewards.as_deref());
            let days = *promised.days_ago.get_ref();
            if !(0..=DAYS_AGO_MAX).contains(&days) {
                let message = format!("{days} is not between 0 and {DAYS_AGO_MAX}");
                self.report(Code::OutOfRange, promised.days_ago.span(), message, "days before the event");
            }
        }
        self.expect(&case.name, &case.expect);
    }

    fn facts(&mut self, family: &str, facts: &BTreeMap<Text, Fact>) {
        for (key, value) in facts {
            match Said::of(family, key) {
                Some(said) => {
                    if let Err((code, message)) = said.values(value.get_ref(), self.names) {
                        let help = said.help(value.get_ref(), self.names);
                        self.report(code, value.span(), message, &help);
                    }
                }
                None => {
                    let message = format!("`{family}.{}` is not a fact", key.get_ref());
                    let start = format!("{family}.");
                    let alone = Field::ALL.iter().filter(|field| !field.is_slot()).map(|field| field.name());
                    let names = alone.chain(LISTS.map(|list| list.name));
                    let known: Vec<&str> = names.filter_map(|name| name.strip_prefix(&start)).collect();
                    let help = did_you_mean(key.get_ref(), known.iter().copied());
                    self.report(Code::UnknownFact, key.span(), message, &help);
                }
            }
        }
    }

    fn expect(&mut self, name: &Text, expect: &Expect) {
        let ids = expect.moment.is_some() || expect.segment.is_some();
        let reasons = expect.denied.is_some() || expect.held.is_some();
        if !ids && !reasons && expect.may.is_empty() && expect.refused.is_empty() {
            let message = format!("{:?} expects nothing", name.get_ref());
            let help = "say moment, denied, held, segment, may or refused";
            self.report(Code::BadCase, name.span(), message, help);
        }
        let none = |id: &&Text| id.get_ref() != "none";
        for id in expect.moment.iter().filter(none) {
            self.known(id, "moment", self.names.moments.as_deref());
        }
        for id in expect.segment.iter().filter(none) {
            self.known(id, "segment", self.names.segments.as_deref());
        }
        for id in expect.may.iter().chain(expect.refused.keys()) {
            self.known(id, "reward", self.names.rewards.as_deref());
        }
        for reason in expect.denied.iter().chain(&expect.held).chain(expect.refused.values()) {
            if Reason::from_name(reason.get_ref()).is_none() {
                let message = format!("`{}` is not a reason", reason.get_ref());
                let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
                let help = did_you_mean(reason.get_ref(), known.iter().copied());
                self.report(Code::UnknownReference, reason.span(), message, &help);
            }
        }
    }

    /// Reports an id that the bundle does not have; `ids` is absent when the bundle's names are not all known.
    fn known(&mut self, id: &Text, what: &str, ids: Option<&[String]>) {
        let Some(ids) = ids.filter(|ids| !ids.contains(id.get_ref())) else { return };
        let message = format!("`{}` is not a {what} of this bundle", id.get_ref());
        let help = did_you_mean(id.get_ref(), ids.iter().map(String::as_str));
        self.report(Code::UnknownReference, id.span(), message, &help);
    }

    fn report(&mut self, code: Code, span: Range<usize>, message: String, help: &str) {
        if span != NOWHERE {
            self.problems.push(Problem::at(code, self.file, self.text, span, message).help(help));
        }
    }
}

/// The fact a key of a family means.
#[derive(Clone, Copy)]
pub(super) enum Said {
    One(Field),
    Many(&'static List),
    /// A variant goes by its id: its position is a matter of the order in a file.
    Variant,
}

impl Said {
    pub(super) fn of(family: &str, key: &Text) -> Option<Said> {
        let name = format!("{family}.{}", key.get_ref());
        let field = || Field::from_name(&name).filter(|field| !field.is_slot()).map(Said::One);
        if name == Field::MemberVariant.name() {
            return Some(Said::Variant);
        }
        List::from_name(&name).map(Said::Many).or_else(field)
    }

    /// The facts it sets, as the gates read them.
    pub(super) fn values(self, value: &Value, names: &Names) -> Result<Vec<(Field, i64)>, (Code, String)> {
        let list = match self {
            Said::One(field) => return Ok(vec![(field, number(field, value)?)]),
            Said::Variant => return Ok(vec![(Field::MemberVariant, variant(value, names)?)]),
            Said::Many(list) => list,
        };
        let Value::Array(elements) = value else {
            return Err((Code::WrongShape, format!("`{}` is a list, in [ ]", list.name)));
        };
        if elements.len() > list.slots.len() {
            let why =
                format!("`{}` holds at most {}, here are {}", list.name, list.slots.len(), elements.len());
            return Err((Code::TooLarge, why));
        }
        let filled =
            list.slots.iter().zip(elements).map(|(slot, element)| Ok((*slot, number(*slot, element)?)));
        let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
        std::iter::once(Ok((list.length, length))).chain(filled).collect()
    }

    /// What belongs there instead of a value: words for a word, else what the fact is.
    fn help(self, value: &Value, names: &Names) -> String {
        let written = value.as_str().unwrap_or_default();
        match self {
            Said::One(field) => match field.kind() {
                FieldKind::Word(words) => did_you_mean(written, words.iter().copied()),
                FieldKind::Bool | FieldKind::Int | FieldKind::Money | FieldKind::Ratio => {
                    field.doc().to_owned()
                }
            },
            Said::Many(list) => list.doc.to_owned(),
            Said::Variant => match names.variants.as_deref() {
                Some(ids) if !ids.is_empty() => did_you_mean(written, ids.iter().map(String::as_str)),
                Some(_) | None => "variants are written in experiments.toml".to_owned(),
            },
        }
    }
}

/// The position of a variant, as the gates read it.
fn variant(value: &Value, names: &Names) -> Result<i64, (Code, String)> {
    let Value::String(id) = value else {
        return Err((Code::WrongShape, "`member.variant` is the id of a variant, in quotes".to_owned()));
    };
    // A file that could not be read names no variants, which is said there.
    let Some(ids) = names.variants.as_deref() else { return Ok(0) };
    let position = (1..).zip(ids).find_map(|(position, known)| (known == id).then_some(position));
    position.ok_or_else(|| (Code::UnknownReference, format!("`{id}` is not a variant of this bundle")))
}

/// A fact's value as the gates read it, where it can have it.
fn number(field: Field, value: &Value) -> Result<i64, (Code, String)> {
    let number = written(field, value)?;
    let (least, most) = bounds(field);
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let shown = |number| domain::facts::show(field.kind(), number);
    let name = field.name();
    Err((Code::OutOfRange, format!("`{name}` lies between {} and {}", shown(least), shown(most))))
}

fn written(field: Field, value: &Value) -> Result<i64, (Code, String)> {
    let wrong = |wanted: &str| Err((Code::WrongShape, format!("`{}` is {wanted}", field.name())));
    match (field.kind(), value) {
        (FieldKind::Bool, Value::Boolean(truth)) => Ok(i64::from(*truth)),
        (FieldKind::Bool, _) => wrong("true or false"),
        (FieldKind::Int, Value::Integer(number)) => Ok(*number),
        (FieldKind::Int, _) => wrong("a whole number"),
        (FieldKind::Money | FieldKind::Ratio, Value::String(text)) => text
            .parse::<Micros>()
            .map(|Micros(millionths)| millionths)
            .map_err(|why| (Code::BadMoney, format!("`{}`: {why}", field.name()))),
        (FieldKind::Money, _) => wrong("an amount in quotes, such as \"12.50\""),
        (FieldKind::Ratio, _) => wrong("a ratio in quotes, such as \"0.30\""),
        (FieldKind::Word(words), Value::String(text)) => words
            .iter()
            .position(|word| word == text)
            .and_then(|position| i64::try_from(position).ok())
            .ok_or_else(|| (Code::UnknownWord, format!("`{text}` is not a word of `{}`", field.name()))),
        (FieldKind::Word(_), _) => wrong("a word in quotes"),
    }
}
