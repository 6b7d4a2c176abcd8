//! A purchase as intake reads it.

use serde::Serialize;

use super::{FieldError, NEEDED, Row};

/// The event of a purchase in the wire form of [`domain::event::wire`], schema 1.
pub fn wire_json(row: &Row) -> Vec<u8> {
    #[derive(Serialize)]
    struct Data<'a> {
        amount: &'a str,
        items: u32,
        discount: &'a str,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        event_id: &'a str,
        member: &'a str,
        #[serde(rename = "type")]
        kind: &'static str,
        event_time: &'a str,
        source: &'static str,
        touchpoint: &'static str,
        data: Data<'a>,
    }
    let (amount, discount) = (row.amount.to_string(), row.discount.to_string());
    let document = Document {
        schema: domain::event::wire::SCHEMA,
        event_id: row.basket.as_str(),
        member: &row.household,
        kind: "purchase",
        event_time: &row.local_time,
        source: "completejourney",
        touchpoint: "pos",
        data: Data { amount: &amount, items: row.items, discount: &discount },
    };
    // Texts and numbers always serialise; an empty answer would be refused by intake as malformed.
    serde_json::to_vec(&document).unwrap_or_default()
}

/// The event of a line with a wrong field: every field it has as it was written, for intake to name what is
/// wrong or missing.
pub(super) fn wire_texts(
    [household, time, basket, amount, items]: &[Option<String>; 5],
    wrong: &FieldError,
) -> Vec<u8> {
    let mut data = serde_json::Map::new();
    let mut document = serde_json::json!({
        "schema": domain::event::wire::SCHEMA, "type": "purchase", "source": "completejourney", "touchpoint": "pos",
    });
    for (name, text) in [("event_id", basket), ("member", household), ("event_time", time)] {
        if let Some(text) = text {
            document[name] = text.as_str().into();
        }
    }
    if let Some(amount) = amount {
        data.insert("amount".to_owned(), amount.as_str().into());
    }
    if let Some(items) = items {
        let count = items.parse::<u32>().map_or_else(|_| items.as_str().into(), Into::into);
        data.insert("items".to_owned(), count);
    }
    if !NEEDED.contains(&wrong.field) {
        data.insert("discount".to_owned(), format!("{}: {}", wrong.field, wrong.detail).into());
    }
    document["data"] = data.into();
    document.to_string().into_bytes()
}
