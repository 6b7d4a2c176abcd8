//! A purchase as intake reads it.

use serde::Serialize;

use super::Row;

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
