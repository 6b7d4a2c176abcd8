//! The reference page of every fact a condition may read, from the one table that declares them.

use std::fmt::Write as _;

use domain::facts::{Field, FieldKind, LISTS, List, Scope};

/// What the page says before its tables.
const INTRODUCTION: &str = "# Facts

What a condition may read, from the table in `domain/src/facts.rs`. Money and ratios are decimals with at most six
places (`25.00`, `0.6`), counts are whole numbers, words are texts (`\"purchase\"`). A fact that needs a consent is 0,
`false` or its first word for members who have not given it; no reward is considered for them.
";

/// Markdown: a table of facts per scope.
pub fn facts_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let scopes = [
        (Scope::Now, "now", "The instant of the decision, in the program's time zone."),
        (Scope::Event, "event", "The event that is handled."),
        (Scope::Member, "member", "The member it is about."),
        (
            Scope::Reward,
            "reward",
            "The reward under consideration: only in `eligible` of catalog.toml and in rules of guardrails.toml.",
        ),
    ];
    for (scope, name, about) in scopes {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {name}\n\n{about}\n\n");
        page.push_str(
            "| fact | type | words | scope | needs consent | meaning |\n|---|---|---|---|---|---|\n",
        );
        for field in Field::ALL.iter().filter(|field| field.scope() == scope && !field.is_slot()) {
            let (kind, words) = kind(field.kind());
            let consent = field.purpose().map_or("", |purpose| purpose.name());
            let (fact, meaning) = (field.name(), field.doc().replace('|', "\\|"));
            let _ = writeln!(page, "| `{fact}` | {kind} | {words} | {name} | {consent} | {meaning} |");
        }
        for list in LISTS.iter().filter(|list| list.length.scope() == scope) {
            let (element, _) = kind(list.slots[0].kind());
            let consent = list.length.purpose().map_or("", |purpose| purpose.name());
            let List { name: fact, doc, slots, .. } = list;
            let _ = writeln!(
                page,
                "| `{fact}` | list of at most {}: {element} | | {name} | {consent} | {doc} |",
                slots.len()
            );
        }
    }
    page
}

/// The name of a kind, and its words.
fn kind(kind: FieldKind) -> (&'static str, String) {
    match kind {
        FieldKind::Bool => ("yes or no", String::new()),
        FieldKind::Int => ("whole number", String::new()),
        FieldKind::Ratio => ("ratio", String::new()),
        FieldKind::Money => ("money", String::new()),
        FieldKind::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            ("word", words.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_one_row() {
        let page = facts_page();
        let alone = Field::ALL.iter().filter(|field| !field.is_slot()).map(|field| field.name());
        for name in alone.chain(LISTS.map(|list| list.name)) {
            assert_eq!(page.matches(&format!("| `{name}` |")).count(), 1, "{name}");
        }
        let slots = LISTS.iter().flat_map(|list| list.slots);
        assert_eq!(slots.count(), Field::ALL.iter().filter(|field| field.is_slot()).count());
        let columns = page.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count());
        assert!(columns.into_iter().all(|columns| columns == 7));
        insta::assert_snapshot!(page);
    }
}
