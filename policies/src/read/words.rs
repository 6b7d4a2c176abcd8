//! What parsers say, as people say it.

use std::ops::Range;

use crate::codes::Code;
use crate::problem::{Problem, closest};
use crate::text::Text;

/// What the TOML parser says.
pub(super) fn plain_syntax(message: &str) -> String {
    match message {
        "duplicate key" => "this key is given twice".to_owned(),
        message if message.starts_with("cannot recurse further") => {
            "brackets are nested too deep to be read".to_owned()
        }
        message => message.replace('\n', ", "),
    }
}

/// What is to be said of a text that begins with a quote that word processors put in.
pub(crate) fn straight_quotes(text: &str) -> Option<String> {
    let curly = text.chars().next().filter(|letter| "“”„‟‘’‚‛«»".contains(*letter))?;
    Some(format!("`{curly}` is no quote here: write straight ones, \" or '"))
}

/// Serde's message as one of ours.
pub(super) fn shape_problem(file: &str, text: &Text, span: Range<usize>, message: &str) -> Problem {
    let problem = |code, message: String| Problem::at(code, file, text, span.clone(), message);
    let mut words = quoted(message);
    let first = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    let help = match closest(first, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", known.join(", "))),
    };
    if message.starts_with("unknown field") {
        return problem(Code::UnknownKey, format!("unknown key `{first}`")).help_if(help);
    }
    if message.starts_with("missing field") {
        return problem(Code::MissingKey, format!("the key `{first}` is missing here"));
    }
    if message.starts_with("unknown variant") {
        return problem(Code::UnknownReference, format!("`{first}` is not known here")).help_if(help);
    }
    let written = text.as_str().get(span.clone()).unwrap_or_default();
    // TOML hands serde a date as a table.
    let date = message.starts_with("invalid type: map") && written.starts_with(|c: char| c.is_ascii_digit());
    let message = if date { message.replace("map,", "date,") } else { message.to_owned() };
    let bare = written.trim_matches('"');
    let help = if message.contains("expected a string") && bare.starts_with(|c: char| c.is_ascii_digit()) {
        Some(format!("write it in quotes: \"{bare}\""))
    } else if message.contains("expected i64") && bare != written && bare.parse::<i64>().is_ok() {
        Some(format!("write it without quotes: {bare}"))
    } else {
        None
    };
    problem(Code::WrongShape, plain(&message)).help_if(help)
}

/// Serde's words for types.
fn plain(message: &str) -> String {
    let words = [
        ("invalid type: map", "this is a table"),
        ("invalid type: ", "this is a "),
        ("a string \"", "a text \""),
        ("expected i64", "expected a whole number"),
        ("expected a string", "expected a text in quotes"),
        ("expected a sequence", "expected a list in [ ]"),
        ("expected a map", "expected a table"),
        ("expected struct ", "expected a table of "),
        ("expected a boolean", "expected true or false"),
        ("this is a integer", "this is an integer"),
        ("a floating point", "a decimal number"),
    ];
    words.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The words between backticks.
pub(crate) fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}
