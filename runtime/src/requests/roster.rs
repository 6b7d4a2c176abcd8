//! Who may do what, as the log knows it. people.toml is a file beside the ledger: whoever may write the folder could be two
//! people for a minute, and put the file back. So what it said when a request was judged is a row before the request's own.

use ledger::{Entry, Filter, Kind, Reader, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::people::{Entry as Person, People};
use super::{JudgeError, Judged};

/// The form of the row.
const VERSION: u32 = 1;

/// The body of a row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Roster {
    v: u32,
    people: Vec<Person>,
}

/// Puts the row about people.toml before what a request becomes, where it says something else than the last one.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn known(reader: &Reader, people: &People, judged: Judged) -> Result<Judged, JudgeError> {
    let newest = Filter { kind: Some(Kind::People), newest_first: true, limit: 1, ..Filter::default() };
    let before = reader.list(&newest)?.first().map_or_else(Vec::new, recorded);
    if judged.entries.is_empty() || before == people.person {
        return Ok(judged);
    }
    let roster = Roster { v: VERSION, people: people.person.clone() };
    let body = serde_json::to_string(&roster).unwrap_or_default();
    let row = Entry::new(Kind::People, Uuid::now_v7().into_bytes(), body);
    Ok(Judged { entries: std::iter::once(row).chain(judged.entries).collect(), ..judged })
}

/// The people a row tells of; nobody where it is not in its form, so that the next request writes another.
pub fn recorded(row: &Row) -> Vec<Person> {
    let roster: Option<Roster> = serde_json::from_str(row.body.as_deref().unwrap_or_default()).ok();
    roster.map_or_else(Vec::new, |roster| roster.people)
}

/// What changed between two lists, in words: who came, went, has other roles or another key.
pub fn changes(before: &[Person], after: &[Person]) -> Vec<String> {
    let roles = |person: &Person| {
        let names: Vec<&str> = person.roles.iter().map(|role| role.name()).collect();
        names.join(", ")
    };
    let find = |list: &[Person], name: &str| list.iter().find(|person| person.name == name).cloned();
    let mut said = Vec::new();
    for person in after {
        match find(before, &person.name) {
            None => said.push(format!("{} came ({})", person.name, roles(person))),
            Some(old) => {
                if roles(&old) != roles(person) {
                    said.push(format!("{}: {} -> {}", person.name, roles(&old), roles(person)));
                }
                if old.key != person.key {
                    said.push(format!("{} has another key", person.name));
                }
            }
        }
    }
    let gone = before.iter().filter(|old| find(after, &old.name).is_none());
    said.extend(gone.map(|old| format!("{} went", old.name)));
    said
}

#[cfg(test)]
mod tests {
    use domain::statement::Role;

    use super::*;

    #[test]
    fn who_came_went_and_changed_is_said() {
        let person =
            |name: &str, role, key: &str| Person { name: name.into(), roles: vec![role], key: key.into() };
        let before = [person("anna", Role::Author, "a"), person("berta", Role::Approver, "b")];
        let after = [person("anna", Role::Operator, "x"), person("carl", Role::Approver, "c")];
        assert_eq!(
            changes(&before, &after),
            ["anna: author -> operator", "anna has another key", "carl came (approver)", "berta went"]
        );
        assert!(changes(&after, &after).is_empty());
    }
}
