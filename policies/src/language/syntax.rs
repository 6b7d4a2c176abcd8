//! What can be said about a condition before its kinds are known: nesting, the parser's complaints, names.

use cel::common::ast::operators as op;
use cel::common::ast::{Expr, IdedExpr};
use domain::facts::Field;

use super::Fault;
use super::check::DEPTH_MAX;
use crate::codes::Code;

/// Where brackets first nest too deep for the parser's recursion, if they do, and how deep they get.
pub(super) fn too_deep(text: &str) -> Option<(usize, usize)> {
    let (mut depth, mut deepest, mut first) = (0usize, 0, None);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        if depth > DEPTH_MAX && first.is_none() {
            first = Some(at);
        }
    }
    first.map(|at| (at, deepest))
}

/// The parser's complaints; only the first of a run at one place, the others follow from it.
pub(super) fn syntax_faults(text: &str, errors: &cel::ParseErrors) -> Vec<Fault> {
    let place = |(line, column): (isize, isize)| {
        let line = usize::try_from(line - 1).unwrap_or(0);
        let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        (before + usize::try_from(column - 1).unwrap_or(0)).min(text.len().saturating_sub(1))
    };
    let first = errors.errors.first();
    if first.is_some_and(|error| error.msg.contains("Recursion limit")) {
        let message = format!("operators are nested deeper than {DEPTH_MAX}");
        return vec![Fault::new(Code::TooComplex, 0..text.len(), message)];
    }
    let (at, message) = first.map_or((0, "it cannot be read"), |error| (place(error.pos), &error.msg));
    let mut fault =
        Fault::new(Code::ExprSyntax, at..at + 1, format!("the condition cannot be read: {}", plain(message)));
    let single_equals = text.bytes().enumerate().any(|(at, byte)| {
        byte == b'=' && text.as_bytes().get(at + 1) != Some(&b'=') && !ends_operator(&text.as_bytes()[..at])
    });
    if single_equals && text.contains("=>") {
        fault = fault.help("at least is written `>=`");
    } else if single_equals && text.contains("=<") {
        fault = fault.help("at most is written `<=`");
    } else if single_equals {
        fault = fault.help("equality is written `==`");
    } else if [" and ", " or ", " not "].iter().any(|word| text.contains(word)) {
        fault = fault.help("and, or, not are written `&&`, `||`, `!`");
    }
    vec![fault]
}

/// The parser's complaint as people say it; a list of every token it would have liked helps nobody.
fn plain(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default().replace("Syntax error: ", "");
    let mut quoted = message.split('\'').skip(1).step_by(2);
    match (message.split_whitespace().next(), quoted.next()) {
        (Some("missing"), Some(")" | "]" | "}")) => {
            format!("`{}` is missing", message.split('\'').nth(1).unwrap_or_default())
        }
        (Some("mismatched" | "extraneous" | "no"), Some("<EOF>")) => {
            "something is missing at its end".to_owned()
        }
        (Some("mismatched" | "extraneous" | "no"), Some(found)) => format!("`{found}` does not belong here"),
        (_, _) => message,
    }
}

fn ends_operator(before: &[u8]) -> bool {
    matches!(before.last(), Some(b'=' | b'!' | b'<' | b'>'))
}

/// A fact whose last word is the same: `churn_60d` for `member.churn_60d`.
pub(super) fn same_last_word(last: &str) -> Option<&'static str> {
    let alone = Field::ALL.iter().filter(|field| !field.is_slot()).map(|field| field.name());
    let names = alone.chain(domain::facts::LISTS.map(|list| list.name));
    names.into_iter().find(|name| name.rsplit('.').next() == Some(last))
}

pub(super) fn is_literal(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Literal(_) => true,
        Expr::Call(call) => call.func_name == op::NEGATE && call.args.iter().all(is_literal),
        Expr::Ident(_)
        | Expr::Select(_)
        | Expr::List(_)
        | Expr::Comprehension(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Unspecified => false,
    }
}

/// `member.churn_60d`, when the part is nothing but names and dots.
pub(super) fn qualified_name(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified_name(&select.operand)?, select.field))
        }
        Expr::Select(_)
        | Expr::Literal(_)
        | Expr::Call(_)
        | Expr::List(_)
        | Expr::Comprehension(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Unspecified => None,
    }
}
