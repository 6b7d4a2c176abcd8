//! What differs between a recorded row and its replay: the first field, with both values.

use ledger::Seq;
use serde::Serialize;
use serde_json::Value;

/// One row that came out differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub seq: u64,
    /// JSON path of the first differing field, e.g. `public.candidates[2][1]`.
    pub field: String,
    pub recorded: String,
    pub recomputed: String,
}

/// Longest value shown; records can be long and one field is enough to find the place.
const SHOWN_MAX: usize = 200;

impl Difference {
    /// A difference in a named field.
    pub fn of(seq: Seq, field: &str, recorded: &str, recomputed: &str) -> Difference {
        let clip = |text: &str| text.chars().take(SHOWN_MAX).collect();
        Difference {
            seq: seq.0,
            field: field.to_owned(),
            recorded: clip(recorded),
            recomputed: clip(recomputed),
        }
    }

    /// The first differing field of two forms of one row; `None` when they are the same bytes.
    pub fn between(seq: Seq, form: &str, recorded: &[u8], recomputed: &[u8]) -> Option<Difference> {
        if recorded == recomputed {
            return None;
        }
        let parse = |bytes| serde_json::from_slice::<Value>(bytes);
        let found = match (parse(recorded), parse(recomputed)) {
            (Ok(recorded), Ok(recomputed)) => first(form, &recorded, &recomputed),
            (Ok(_), Err(_)) | (Err(_), _) => None,
        };
        let (field, left, right) = found.unwrap_or_else(|| {
            (
                form.to_owned(),
                String::from_utf8_lossy(recorded).into(),
                String::from_utf8_lossy(recomputed).into(),
            )
        });
        Some(Difference::of(seq, &field, &left, &right))
    }
}

/// Path and both values of the first difference, in field order.
fn first(path: &str, left: &Value, right: &Value) -> Option<(String, String, String)> {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            let null = Value::Null;
            names.into_iter().find_map(|name| {
                let at = format!("{path}.{name}");
                first(&at, a.get(name).unwrap_or(&null), b.get(name).unwrap_or(&null))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.into_iter().find_map(|(index, (a, b))| first(&format!("{path}[{index}]"), a, b))
        }
        (left, right) if left == right => None,
        (left, right) => Some((path.to_owned(), left.to_string(), right.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_field_is_named_with_both_values() {
        let difference = Difference::between(
            Seq(7),
            "public",
            br#"{"a":1,"c":[[1,2],[3,4]]}"#,
            br#"{"a":1,"c":[[1,2],[3,5]]}"#,
        );
        let expected = Difference::of(Seq(7), "public.c[1][1]", "4", "5");
        assert_eq!(difference, Some(expected));
        assert_eq!(Difference::between(Seq(7), "public", b"{}", b"{}"), None);
    }
}
