//! Mistakes as SARIF 2.1.0, the form in which code hosts and CI show findings beside the lines they are about.
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use serde_json::{Value, json};

use crate::codes::Code;
use crate::problem::{Problem, Problems};

impl Problems {
    /// A whole SARIF log with one run; every code that occurs is a rule with its page as help.
    pub fn sarif(&self) -> Value {
        let mut codes: Vec<Code> = self.0.iter().map(|problem| problem.code).collect();
        codes.sort_unstable();
        codes.dedup();
        let rules: Vec<Value> = codes.iter().map(|code| rule(*code)).collect();
        let results: Vec<Value> = self.0.iter().map(|problem| result(problem, &codes)).collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "largesse",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                }},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        })
    }
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.name(),
        "name": format!("{code:?}"),
        "shortDescription": { "text": code.title() },
        "fullDescription": { "text": code.page() },
        "help": { "text": code.page() },
        "defaultConfiguration": { "level": code.severity().name() },
    })
}

fn result(problem: &Problem, codes: &[Code]) -> Value {
    let mut text = problem.message.clone();
    for more in problem.expected.iter().chain(&problem.help) {
        text.push_str("; ");
        text.push_str(more);
    }
    let mut place = json!({ "artifactLocation": { "uri": uri(&problem.file) } });
    // A mistake about a whole file has no region.
    if !problem.excerpt.is_empty() {
        place["region"] = json!({
            "startLine": problem.line,
            "startColumn": problem.col,
            "endColumn": u64::from(problem.col) + u64::try_from(problem.width()).unwrap_or(1),
            "snippet": { "text": problem.excerpt },
        });
    }
    json!({
        "ruleId": problem.code.name(),
        "ruleIndex": codes.binary_search(&problem.code).unwrap_or_default(),
        "level": problem.code.severity().name(),
        "message": { "text": text },
        "locations": [{ "physicalLocation": place }],
    })
}

/// A file name as a relative reference: everything but letters, digits and `-._~/` is escaped.
fn uri(file: &str) -> String {
    let mut out = String::with_capacity(file.len());
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
