//! The wire form of an event, schema 1: one JSON object, checked field by field.
//!
//! A refusal names every wrong field at once, so that a producer mends its code in one go. Unknown extra
//! fields are ignored: an older node accepts a newer producer.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{
    Event, EventKind, Purpose, REVERSAL_ID_START, REVERSAL_SOURCE, RISK_MAX, Settlement, TIMER_ID_STARTS,
    TIMER_SOURCE, Touchpoint, is_accepted, is_own_id, is_own_source,
};
use crate::id::{DecisionId, EventId, MemberId};
use crate::money::Micros;
use crate::reason::Reason;
use crate::time::{DAY, HOUR, Timestamp};

/// The version of the wire form this build reads and writes.
pub const SCHEMA: u32 = 1;

/// Largest event in bytes. Real events are 200-400 bytes; 16 KiB leaves room for fields we do not read.
pub const BYTES_MAX: usize = 16 * 1024;

/// What an event may claim, given the time it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The host's time at arrival.
    pub now: Timestamp,
    /// How far in the future `event_time` may lie (clock skew between systems).
    pub ahead_max_micros: i64,
    /// How old `event_time` may be.
    pub age_max_micros: i64,
    /// Largest amount of one purchase.
    pub amount_max: Micros,
}

impl Limits {
    /// The default limits at `now`: five minutes ahead, three years old, one million currency units.
    ///
    /// Three years cover an import of history; a million units is above any basket and below an overflow.
    pub fn at(now: Timestamp) -> Limits {
        Limits {
            now,
            ahead_max_micros: HOUR / 12,
            age_max_micros: 3 * 366 * DAY,
            amount_max: Micros::units(1_000_000),
        }
    }
}

/// One wrong field of a refused event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Refusal {
    /// JSON path of the field, e.g. `data.amount`; empty when the whole text is wrong.
    pub field: String,
    /// The coded reason.
    pub reason: Reason,
    /// What was found and what was expected. Never quotes the producer's text: the member may be anywhere in it.
    pub detail: String,
}

impl Refusal {
    /// A refusal of one field.
    pub fn new(field: &str, reason: Reason, detail: impl Into<String>) -> Refusal {
        Refusal { field: field.to_owned(), reason, detail: detail.into() }
    }
}

/// A checked event whose member still carries the program's own identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The program's own identifier of the member; it leaves memory as soon as the pseudonym is known.
    pub member: String,
    event: Event,
}

impl Incoming {
    /// The event's id, known before the member is.
    pub fn event_id(&self) -> &EventId {
        &self.event.event_id
    }

    /// Whether it is the member's enrolment.
    pub fn enrols(&self) -> bool {
        self.event.kind == EventKind::Enrolled
    }

    /// The event under the member's pseudonym.
    pub fn under(self, pseudonym: MemberId) -> Event {
        Event { member: pseudonym, ..self.event }
    }
}

/// The document as it stands on the wire; every field optional so that all mistakes are found in one pass.
#[derive(serde::Deserialize)]
struct Document<'a> {
    schema: Option<u32>,
    #[serde(borrow)]
    event_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    member: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    event_time: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    touchpoint: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    settlement: Option<std::borrow::Cow<'a, str>>,
    risk: Option<u32>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The union of all `data` members; which are required depends on the type.
#[derive(Default, serde::Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    amount: Option<Amount<'a>>,
    items: Option<u32>,
    #[serde(borrow)]
    discount: Option<Amount<'a>>,
    #[serde(borrow)]
    of: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    purpose: Option<std::borrow::Cow<'a, str>>,
    granted: Option<bool>,
    active: Option<bool>,
    decision: Option<uuid::Uuid>,
}

/// Money on the wire: decimal text (`"12.34"`), or a JSON number read as decimal text, never through a float.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Amount<'a>(#[serde(borrow)] &'a RawValue);

impl Amount<'_> {
    fn micros(&self) -> Result<Micros, crate::money::MoneyError> {
        self.0.get().trim_matches('"').parse()
    }
}

/// Reads and checks one event.
///
/// # Errors
/// Every wrong field, each with its coded reason. The text itself is never lost: the caller records it as a
/// dead letter.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Incoming, Vec<Refusal>> {
    let one = |field: &str, reason, detail: String| Err(vec![Refusal::new(field, reason, detail)]);
    if bytes.len() > BYTES_MAX {
        return one("", Reason::EventTooLarge, format!("{} bytes, at most {BYTES_MAX}", bytes.len()));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return one("", Reason::NotUtf8, format!("invalid UTF-8 at byte {}", error.valid_up_to()));
        }
    };
    let document: Document = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            return Err(mistyped(text, limits)
                .unwrap_or_else(|| vec![Refusal::new("", Reason::MalformedJson, without_values(&error))]));
        }
    };
    match Reader::new(limits).read(&document) {
        Err(refusals) if refusals.iter().any(|refusal| refusal.field == "data") => {
            Err(mistyped(text, limits).unwrap_or(refusals))
        }
        read => read,
    }
}

/// The source a refused event names, when that much of it can be read: its producer listens for refusals there.
pub fn source_of(bytes: &[u8]) -> Option<Arc<str>> {
    #[derive(serde::Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        source: std::borrow::Cow<'a, str>,
    }
    let named: Named = serde_json::from_slice(bytes.get(..BYTES_MAX.min(bytes.len()))?).ok()?;
    Reader::new(&Limits::at(Timestamp(0))).source(Some(&named.source))
}

/// JSON types of the fields, for a text whose fields do not all have theirs.
const TYPES: [(&str, Type); 18] = [
    ("schema", Type::Whole),
    ("event_id", Type::Text),
    ("member", Type::Text),
    ("type", Type::Text),
    ("event_time", Type::Text),
    ("source", Type::Text),
    ("touchpoint", Type::Text),
    ("settlement", Type::Text),
    ("risk", Type::Whole),
    ("data", Type::Object),
    ("data.items", Type::Whole),
    ("data.of", Type::Text),
    ("data.purpose", Type::Text),
    ("data.granted", Type::Truth),
    ("data.active", Type::Truth),
    ("data.decision", Type::Uuid),
    ("data.amount", Type::Amount),
    ("data.discount", Type::Amount),
];

#[derive(Clone, Copy)]
enum Type {
    Text,
    Whole,
    Truth,
    Uuid,
    Amount,
    Object,
}

impl Type {
    fn fits(self, value: &Value) -> bool {
        match self {
            Type::Text => value.is_string(),
            Type::Whole => value.as_u64().is_some_and(|number| u32::try_from(number).is_ok()),
            Type::Truth => value.is_boolean(),
            Type::Uuid => value.as_str().is_some_and(|text| text.parse::<uuid::Uuid>().is_ok()),
            Type::Amount => value.is_string() || value.is_number(),
            Type::Object => value.is_object(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Type::Text => "a text in quotes",
            Type::Whole => "a whole number from 0 to 4294967295",
            Type::Truth => "true or false",
            Type::Uuid => "a decision id (a UUID in quotes)",
            Type::Amount => "a decimal text or number",
            Type::Object => "an object",
        }
    }
}

/// Every wrong field of a JSON object in which some have the wrong type; `None` when it is no object or all types
/// fit. The slow way round: serde stops at the first such field.
fn mistyped(text: &str, limits: &Limits) -> Option<Vec<Refusal>> {
    let mut document: serde_json::Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut wrong = Vec::new();
    for (field, wanted) in TYPES {
        let (place, key) = match field.strip_prefix("data.") {
            None => (Some(&mut document), field),
            Some(key) => (document.get_mut("data").and_then(Value::as_object_mut), key),
        };
        let Some(place) = place else { continue };
        // A null is a field left out.
        if place.get(key).is_some_and(|value| !value.is_null() && !wanted.fits(value)) {
            let detail = format!("{} where {} belongs", json_type(&place[key]), wanted.name());
            wrong.push(Refusal::new(field, Reason::BadField, detail));
            place.remove(key);
        }
    }
    if wrong.is_empty() {
        return None;
    }
    // What is left may have other mistakes; that a field of the wrong type is missing now is not one.
    let rest = serde_json::to_string(&document).ok()?;
    let others = Reader::new(limits).read(&serde_json::from_str(&rest).ok()?).err().unwrap_or_default();
    let known = |field: &str| wrong.iter().any(|refusal| refusal.field == field);
    let others: Vec<Refusal> = others.into_iter().filter(|refusal| !known(&refusal.field)).collect();
    wrong.extend(others);
    Some(wrong)
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The position and kind of a JSON error. The message itself may quote the member's data, so only its shape is kept.
fn without_values(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "JSON ends too early",
        serde_json::error::Category::Data => "a field has the wrong JSON type",
        serde_json::error::Category::Io => "unreadable",
    };
    format!("{kind}, line {} column {}", error.line(), error.column())
}

/// Collects refusals while it reads.
struct Reader<'l> {
    limits: &'l Limits,
    refusals: Vec<Refusal>,
}

impl<'l> Reader<'l> {
    fn new(limits: &'l Limits) -> Reader<'l> {
        Reader { limits, refusals: Vec::new() }
    }
}

impl Reader<'_> {
    fn read(mut self, document: &Document) -> Result<Incoming, Vec<Refusal>> {
        if let Some(schema) = document.schema.filter(|schema| *schema != SCHEMA) {
            self.refuse("schema", Reason::BadField, format!("schema {schema}, this node reads {SCHEMA}"));
        }
        let event_id = self.event_id("event_id", document.event_id.as_deref());
        if event_id.as_ref().is_some_and(|id| is_own_id(id.as_str())) {
            let own = TIMER_ID_STARTS.join(", ");
            let detail = format!("ids that begin with {own} or {REVERSAL_ID_START} are the node's own");
            self.refuse("event_id", Reason::BadField, detail);
        }
        let member = self.member(document.member.as_deref());
        let event_time = self.event_time(document.event_time.as_deref());
        let source = self.source(document.source.as_deref());
        let touchpoint = self.touchpoint(document.touchpoint.as_deref());
        let settlement = self.settlement(document.settlement.as_deref());
        let risk = self.risk(document.risk);
        let kind = self.kind(document);
        match (event_id, member, event_time, source, touchpoint, settlement, kind) {
            (
                Some(event_id),
                Some(member),
                Some(event_time),
                Some(source),
                Some(touchpoint),
                Some(settlement),
                Some(kind),
            ) if self.refusals.is_empty() => {
                let event = Event {
                    event_id,
                    member: MemberId::default(),
                    event_time,
                    source,
                    touchpoint,
                    settlement,
                    risk,
                    kind,
                };
                Ok(Incoming { member, event })
            }
            _ => Err(self.refusals),
        }
    }

    fn refuse(&mut self, field: &str, reason: Reason, detail: String) {
        self.refusals.push(Refusal::new(field, reason, detail));
    }

    /// The value, or a refusal that it is missing.
    fn need<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.refuse(field, Reason::MissingField, "required".to_owned());
        }
        value
    }

    fn event_id(&mut self, field: &str, text: Option<&str>) -> Option<EventId> {
        match self.need(field, text)?.parse() {
            Ok(id) => Some(id),
            Err(_) => {
                let detail = format!(
                    "1 to 128 printable ASCII characters without spaces, got {} bytes",
                    text.map_or(0, str::len)
                );
                self.refuse(field, Reason::BadField, detail);
                None
            }
        }
    }

    fn member(&mut self, text: Option<&str>) -> Option<String> {
        let member = self.need("member", text)?;
        if member.is_empty() || member.len() > 256 || member.chars().any(char::is_control) {
            let detail = format!("1 to 256 bytes without control characters, got {} bytes", member.len());
            self.refuse("member", Reason::BadField, detail);
            return None;
        }
        Some(member.to_owned())
    }

    fn event_time(&mut self, text: Option<&str>) -> Option<Timestamp> {
        let time: Timestamp = match self.need("event_time", text)?.parse() {
            Ok(time) => time,
            Err(_) => {
                let detail = "not an RFC 3339 time such as 2017-03-04T18:05:00-05:00".to_owned();
                self.refuse("event_time", Reason::BadField, detail);
                return None;
            }
        };
        let ahead = time.since(self.limits.now);
        if ahead > self.limits.ahead_max_micros {
            self.refuse(
                "event_time",
                Reason::TimeInFuture,
                format!("{time} is {} s ahead of this node", ahead / 1_000_000),
            );
        } else if -ahead > self.limits.age_max_micros {
            self.refuse("event_time", Reason::TimeTooOld, format!("{time} is {} days old", -ahead / DAY));
        }
        Some(time)
    }

    fn source(&mut self, text: Option<&str>) -> Option<Arc<str>> {
        let source = self.need("source", text)?;
        let legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if source.is_empty() || source.len() > 64 || !source.bytes().all(legal) || is_own_source(source) {
            let detail = format!(
                "1 to 64 of a-z, 0-9, '-' and '_' (it becomes part of a subject), and neither {TIMER_SOURCE} nor \
                 {REVERSAL_SOURCE}"
            );
            self.refuse("source", Reason::BadField, detail);
            return None;
        }
        Some(source.into())
    }

    fn touchpoint(&mut self, text: Option<&str>) -> Option<Touchpoint> {
        let word = self.need("touchpoint", text)?;
        let touchpoint = Touchpoint::from_name(word);
        if touchpoint.is_none() {
            let detail = none_of(word, super::TOUCHPOINT_NAMES);
            self.refuse("touchpoint", Reason::BadField, detail);
        }
        touchpoint
    }

    fn settlement(&mut self, text: Option<&str>) -> Option<Settlement> {
        match text.unwrap_or("settled") {
            "settled" => Some(Settlement::Settled),
            "provisional" => Some(Settlement::Provisional),
            other => {
                let detail = format!(
                    "{}; to take something back send a reversal",
                    none_of(other, ["provisional", "settled"])
                );
                self.refuse("settlement", Reason::BadField, detail);
                None
            }
        }
    }

    fn risk(&mut self, risk: Option<u32>) -> Option<u8> {
        let fits = u8::try_from(risk?).ok().filter(|risk| *risk <= RISK_MAX);
        if fits.is_none() {
            self.refuse("risk", Reason::BadField, format!("above {RISK_MAX}, the highest risk score"));
        }
        fits
    }

    fn kind(&mut self, document: &Document) -> Option<EventKind> {
        let word = self.need("type", document.kind.as_deref())?;
        let data = match document.data.map(|raw| serde_json::from_str::<Data>(raw.get())) {
            None => Data::default(),
            Some(Ok(data)) => data,
            Some(Err(error)) => {
                self.refuse("data", Reason::BadField, without_values(&error));
                return None;
            }
        };
        match word {
            "purchase" => self.purchase(&data),
            "reversal" => self.event_id("data.of", data.of.as_deref()).map(|of| EventKind::Reversal { of }),
            "settled" => self.event_id("data.of", data.of.as_deref()).map(|of| EventKind::Settled { of }),
            "visit" => Some(EventKind::Visit),
            "complaint" => Some(EventKind::Complaint),
            "complaint_resolved" => Some(EventKind::ComplaintResolved),
            "sensitive_context" => Some(EventKind::SensitiveContext),
            "consent" => self.consent(&data),
            "objection" => {
                self.need("data.active", data.active).map(|active| EventKind::Objection { active })
            }
            "minor" => self.need("data.active", data.active).map(|active| EventKind::Minor { active }),
            "enrolled" => Some(EventKind::Enrolled),
            "redeemed" => self.decision(&data).map(|decision| EventKind::Redeemed { decision }),
            "cancelled" => self.decision(&data).map(|decision| EventKind::Cancelled { decision }),
            other => {
                let detail =
                    none_of(other, super::EVENT_KIND_NAMES.into_iter().filter(|name| is_accepted(name)));
                self.refuse("type", Reason::UnknownType, detail);
                None
            }
        }
    }

    fn purchase(&mut self, data: &Data) -> Option<EventKind> {
        let amount = self.amount("data.amount", data.amount.as_ref(), true)?;
        let discount = self.amount("data.discount", data.discount.as_ref(), false)?;
        Some(EventKind::Purchase { amount, items: data.items.unwrap_or(1), discount })
    }

    fn amount(&mut self, field: &str, amount: Option<&Amount>, required: bool) -> Option<Micros> {
        let Some(amount) = amount else {
            return if required { self.need(field, None) } else { Some(Micros::ZERO) };
        };
        match amount.micros() {
            Ok(micros) if micros < Micros::ZERO || micros > self.limits.amount_max => {
                let detail = format!(
                    "{micros} is outside 0.00..={}; send a reversal to take money back",
                    self.limits.amount_max
                );
                self.refuse(field, Reason::AmountOutOfRange, detail);
                None
            }
            Ok(micros) => Some(micros),
            Err(error) => {
                self.refuse(field, Reason::BadField, error.without_text().to_owned());
                None
            }
        }
    }

    fn consent(&mut self, data: &Data) -> Option<EventKind> {
        let granted = self.need("data.granted", data.granted);
        let purpose = match self.need("data.purpose", data.purpose.as_deref())? {
            "personalised_marketing" => Purpose::PersonalisedMarketing,
            "profiling" => Purpose::Profiling,
            other => {
                let detail = none_of(other, super::PURPOSE_NAMES);
                self.refuse("data.purpose", Reason::BadField, detail);
                return None;
            }
        };
        Some(EventKind::Consent { purpose, granted: granted? })
    }

    fn decision(&mut self, data: &Data) -> Option<DecisionId> {
        self.need("data.decision", data.decision).map(DecisionId)
    }
}

/// What a closed list does not hold. The producer's text is not quoted: anything may stand in it, a name or an
/// address, and refusals are published.
fn none_of(text: &str, known: impl IntoIterator<Item = &'static str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    format!("a text of {} characters, none of {}", text.chars().count(), known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::at("2017-03-05T00:00:00Z".parse().unwrap())
    }

    const GOOD: &str = r#"{"schema":1,"event_id":"31198570044","member":"900","type":"purchase",
        "event_time":"2017-03-04T18:05:00-05:00","source":"pos","touchpoint":"pos","data":{"amount":"12.34","items":3}}"#;

    fn check(text: &str, field: &str, reason: Reason) {
        let refusals = parse(text.as_bytes(), &limits()).expect_err(text);
        assert!(
            refusals.iter().any(|refusal| refusal.field == field && refusal.reason == reason),
            "{text}: expected {reason:?} at {field:?}, got {refusals:?}"
        );
    }

    #[test]
    fn a_good_event_is_accepted() {
        let incoming = parse(GOOD.as_bytes(), &limits()).unwrap();
        assert_eq!(incoming.member, "900");
        let event = incoming.under(MemberId([7; 16]));
        assert_eq!(
            event.kind,
            EventKind::Purchase { amount: Micros(12_340_000), items: 3, discount: Micros::ZERO }
        );
        assert_eq!(event.settlement, Settlement::Settled);
    }

    #[test]
    fn amounts_never_pass_through_a_float() {
        let text = GOOD.replace("\"12.34\"", "0.1");
        let event = parse(text.as_bytes(), &limits()).unwrap().under(MemberId::default());
        assert_eq!(
            event.kind,
            EventKind::Purchase { amount: Micros(100_000), items: 3, discount: Micros::ZERO }
        );
    }

    #[test]
    fn each_kind_of_bad_event_is_refused_with_its_field() {
        check("{", "", Reason::MalformedJson);
        check("[]", "", Reason::MalformedJson);
        check("{}", "event_id", Reason::MissingField);
        check("{}", "member", Reason::MissingField);
        check(&GOOD.replace("purchase", "quiet"), "type", Reason::UnknownType);
        check(&GOOD.replace("purchase", "wizard"), "type", Reason::UnknownType);
        check(&GOOD.replace("\"12.34\"", "\"-1\""), "data.amount", Reason::AmountOutOfRange);
        check(&GOOD.replace("\"12.34\"", "\"99999999\""), "data.amount", Reason::AmountOutOfRange);
        check(&GOOD.replace("\"12.34\"", "\"abc\""), "data.amount", Reason::BadField);
        check(&GOOD.replace("\"amount\":\"12.34\",", ""), "data.amount", Reason::MissingField);
        check(&GOOD.replace("2017-03-04", "2037-03-04"), "event_time", Reason::TimeInFuture);
        check(&GOOD.replace("2017-03-04", "1917-03-04"), "event_time", Reason::TimeTooOld);
        check(
            &GOOD.replace("\"touchpoint\":\"pos\"", "\"touchpoint\":\"moon\""),
            "touchpoint",
            Reason::BadField,
        );
        check(&GOOD.replace("\"source\":\"pos\"", "\"source\":\"a.b\""), "source", Reason::BadField);
        check(&GOOD.replace("\"schema\":1", "\"schema\":2"), "schema", Reason::BadField);
        check(&format!("{{\"member\":\"{}\"}}", "x".repeat(BYTES_MAX)), "", Reason::EventTooLarge);
        let refusals = parse(b"{\"member\":\"\xff\"}", &limits()).unwrap_err();
        assert_eq!(refusals[0].reason, Reason::NotUtf8);
    }

    #[test]
    fn fields_of_the_wrong_type_are_each_named_with_the_other_mistakes() {
        check(&GOOD.replace("\"900\"", "900"), "member", Reason::BadField);
        check(&GOOD.replace("\"31198570044\"", "31198570044"), "event_id", Reason::BadField);
        check(&GOOD.replace("\"items\":3", "\"items\":-3"), "data.items", Reason::BadField);
        check(&GOOD.replace("\"12.34\"", "[1]"), "data.amount", Reason::BadField);
        check(&GOOD.replace("\"data\":{", "\"data\":7,\"x\":{"), "data", Reason::BadField);
        let redeemed = GOOD.replace("purchase", "redeemed").replace("\"amount\"", "\"decision\"");
        check(&redeemed, "data.decision", Reason::BadField);
        let text = GOOD
            .replace("\"items\":3", "\"items\":\"3\"")
            .replace("\"12.34\"", "\"x\"")
            .replace("\"900\"", "900");
        let refusals = parse(text.as_bytes(), &limits()).unwrap_err();
        let fields: Vec<&str> = refusals.iter().map(|refusal| refusal.field.as_str()).collect();
        assert_eq!(fields, ["member", "data.items", "data.amount"], "{refusals:?}");
    }

    #[test]
    fn ids_and_the_source_of_the_nodes_own_timers_are_refused() {
        check(&GOOD.replace("31198570044", "expired-0199"), "event_id", Reason::BadField);
        check(&GOOD.replace("31198570044", "quiet-0199-1-14"), "event_id", Reason::BadField);
        check(&GOOD.replace("31198570044", "case-reversal-0199"), "event_id", Reason::BadField);
        for own in [TIMER_SOURCE, REVERSAL_SOURCE] {
            let from_us = GOOD.replace(r#""source":"pos""#, &format!(r#""source":"{own}""#));
            check(&from_us, "source", Reason::BadField);
        }
        check(&GOOD.replace("\"source\":\"pos\"", "\"source\":\"timer\""), "source", Reason::BadField);
        assert!(parse(GOOD.replace("31198570044", "quietly").as_bytes(), &limits()).is_ok());
    }

    #[test]
    fn refusals_quote_nothing_a_producer_wrote() {
        const CANARY: &str = "jane.doe@example.com \\u0007";
        let bare = GOOD.replace("pos", "till");
        for value in ["31198570044", "900", "purchase", "2017-03-04T18:05:00-05:00", "till", "12.34"] {
            let text = bare.replacen(&format!("\"{value}\""), &format!("\"{CANARY}\""), 2);
            let refusals = parse(text.as_bytes(), &limits()).expect_err(&text);
            assert!(!format!("{refusals:?}").contains("jane"), "{refusals:?}");
        }
        for (kind, data) in
            [("consent", "purpose"), ("redeemed", "decision"), ("reversal", "of"), ("visit", "items")]
        {
            let text = GOOD
                .replace("purchase", kind)
                .replace("\"amount\":\"12.34\"", &format!("\"{data}\":\"{CANARY}\""));
            let refusals =
                parse(text.replace("\"data\"", "\"settlement\":\"jane\",\"data\"").as_bytes(), &limits());
            let refusals = refusals.expect_err(&text);
            assert!(!format!("{refusals:?}").contains("jane"), "{refusals:?}");
        }
    }
}
