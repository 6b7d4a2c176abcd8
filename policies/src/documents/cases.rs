//! tests/*.toml: members and moments as the team imagines them, and what the policy must answer.

use std::collections::BTreeMap;

use domain::Reason;
use domain::facts::{Field, FieldKind, LISTS, Scope};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::describe::{Described, documents};
use super::{Count, Text};

/// A value of a fact that knows its place: a text, a whole number, true or false.
pub type Fact = toml::Spanned<toml::Value>;

/// Facts of the event, without `event.`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct EventFacts(pub BTreeMap<Text, Fact>);

/// Facts of the member, without `member.`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct MemberFacts(pub BTreeMap<Text, Fact>);

fn reasons() -> Vec<&'static str> {
    Reason::ALL.iter().map(|reason| reason.name()).collect()
}

documents! {
    /// tests/*.toml
    pub struct Cases {
        /// What is imagined and what must come of it.
        pub case: Vec<Case>,
    }

    /// One `[[case]]`.
    pub struct Case {
        /// What the policy promises, as people say it.
        pub name: Text,
        /// Local time in the program's time zone: `"2026-03-04T18:05:00"`. A Wednesday noon when left out.
        pub at: Option<Text>,
        /// Facts of the event without `event.`: `type` and `touchpoint`, or `quiet_days` for a timer.
        pub event: EventFacts,
        /// Facts of the member without `member.`; consented, adult, scored, nothing else known when left out.
        #[serde(default)]
        pub member: MemberFacts,
        /// Earlier promises; they count for caps and the offer facts.
        #[serde(default)]
        pub promised: Vec<Promised>,
        /// What the policy must say.
        pub expect: Expect,
    }

    /// An earlier promise.
    pub struct Promised {
        /// Id of the reward.
        pub reward: Text,
        /// Whole days ago.
        pub days_ago: Count,
    }

    /// What the policy must say; what is left out is not looked at.
    pub struct Expect {
        /// Id of the moment, or `"none"`.
        pub moment: Option<Text>,
        /// The reason that ends the moment before any model runs.
        #[words(reasons())]
        pub denied: Option<Text>,
        /// The reason that holds back every reward.
        #[words(reasons())]
        pub held: Option<Text>,
        /// Id of the segment, or `"none"`.
        pub segment: Option<Text>,
        /// Rewards that may be promised.
        #[serde(default)]
        pub may: Vec<Text>,
        /// Rewards that are refused, each with the reason: `{ voucher-5 = "REWARD_CAP" }`.
        #[serde(default)]
        pub refused: BTreeMap<Text, Text>,
    }
}

impl Described for EventFacts {
    fn describe(_: &mut Map<String, Value>) -> Value {
        facts(Scope::Event)
    }
}

impl Described for MemberFacts {
    fn describe(_: &mut Map<String, Value>) -> Value {
        facts(Scope::Member)
    }
}

/// The facts of a scope, by the last part of their names.
fn facts(scope: Scope) -> Value {
    let last = |name: &'static str| name.split_once('.').map_or(name, |(_, name)| name).to_owned();
    let alone = Field::ALL.iter().filter(|field| field.scope() == scope && !field.is_slot());
    let alone = alone.map(|field| {
        let (mut schema, doc) = if *field == Field::MemberVariant {
            (json!({ "type": "string" }), "Id of a variant in experiments.toml.")
        } else {
            (of_kind(field.kind()), field.doc())
        };
        schema["description"] = json!(doc);
        (last(field.name()), schema)
    });
    let lists = LISTS.iter().filter(|list| list.length.scope() == scope).map(|list| {
        let (items, most) = (of_kind(list.slots[0].kind()), list.slots.len());
        let schema = json!({ "type": "array", "items": items, "maxItems": most, "description": list.doc });
        (last(list.name), schema)
    });
    let properties: Map<String, Value> = alone.chain(lists).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn of_kind(kind: FieldKind) -> Value {
    match kind {
        FieldKind::Bool => json!({ "type": "boolean" }),
        FieldKind::Int => json!({ "type": "integer" }),
        FieldKind::Ratio | FieldKind::Money => json!({ "type": "string" }),
        FieldKind::Word(words) => json!({ "type": "string", "enum": words }),
    }
}
