//! From text to a typed tree: names, kinds, words and exact numbers, with a place for every mistake.
//!
//! Two passes over the syntax tree of the `cel` crate: [`Checker::shape`] finds what each part is and reports
//! what does not fit; [`lower`](super::lower) then builds the tree for kinds that are known to fit.
//!
//! Beyond CEL, a literal takes the kind of its neighbour, so `event.amount >= 25` and `>= 25.00` are the same,
//! and money may be multiplied by a count or a ratio. Both are exact; nothing is ever a float.

use std::ops::Range;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use domain::Micros;
use domain::facts::{Field, List};

use super::cost::COST_MAX;
use super::kinds::Shape;
use super::lists::{Element, written};
use super::syntax::{is_literal, qualified_name, same_last_word, syntax_faults, too_deep};
use super::{Fault, Truth, lower};
use crate::codes::Code;
use crate::problem::{closest, did_you_mean};
use crate::read::straight_quotes;

/// Longest condition in bytes: bounds the parser, which has no bound of its own. The worst 2,000 bytes tried (brackets,
/// dots, signs) are read in 13 ms. What a condition may cost at run time is bounded by [`cost`](super::cost).
pub const EXPR_BYTES_MAX: usize = 2_000;
/// Deepest nesting: bounds the stack of evaluation and checking.
pub const DEPTH_MAX: usize = 16;
/// Most literals in one list.
pub const LIST_MAX: usize = 32;

const SHORTEN: &str = "shorten what stands in `all` or `exists`: it counts once for each place of the list";
const FAMILIES: &str = "`now.`, `event.`, `member.` or `reward.`";
const SPLIT: &str = "split it: the conditions of a list must all hold";

/// Checks a condition and lowers it.
///
/// Returns every mistake found in it; spans are in bytes of `text`.
pub fn condition(text: &str) -> Result<Truth, Vec<Fault>> {
    let whole = 0..text.len();
    if text.trim().is_empty() {
        return Err(vec![Fault::new(Code::ExprSyntax, whole, "the condition is empty")]);
    }
    if let Some((at, deepest)) = too_deep(text) {
        let message = format!("brackets are nested {deepest} deep, at most {DEPTH_MAX} are read");
        return Err(vec![Fault::new(Code::TooComplex, at..at + 1, message).help(SPLIT)]);
    }
    if text.len() > EXPR_BYTES_MAX {
        let message = format!("the condition has {} bytes, at most {EXPR_BYTES_MAX} are read", text.len());
        return Err(vec![Fault::new(Code::TooComplex, whole, message).help(SPLIT)]);
    }
    if let Some((at, found)) = text.char_indices().find(|(_, found)| !found.is_ascii()) {
        let message = format!("`{found}` is not an ASCII character");
        let fault = Fault::new(Code::ExprSyntax, at..at + found.len_utf8(), message);
        let help = "comparisons are written `>=`, `<=`, `!=`; names and quotes are plain";
        return Err(vec![fault.help(straight_quotes(&text[at..]).unwrap_or_else(|| help.to_owned()))]);
    }
    let parsed = cel::parser::Parser::new().parse_with_source_info(text);
    let (expr, places) = parsed.map_err(|errors| syntax_faults(text, &errors))?;
    let mut checker = Checker { text, places: &places, faults: Vec::new(), facts: 0, element: None };
    let shape = checker.shape(&expr, 0);
    if shape.is_some_and(|shape| shape != Shape::Truth) {
        let found = shape.map_or("", Shape::name);
        let fault =
            Fault::new(Code::NotACondition, whole.clone(), format!("this is {found}, not a yes or no"));
        checker.faults.push(fault.help("compare it with something: `... > 3`, `... == \"purchase\"`"));
    }
    if checker.faults.is_empty() && checker.facts == 0 {
        checker.faults.push(Fault::new(
            Code::NoFacts,
            whole.clone(),
            "this reads no fact: it is always the same",
        ));
    }
    if !checker.faults.is_empty() {
        return Err(checker.faults);
    }
    let mut lowering = lower::Lowering { checker: &checker, faults: Vec::new(), element: None };
    let truth = lowering.truth(&expr);
    if !lowering.faults.is_empty() {
        return Err(lowering.faults);
    }
    let steps = truth.cost();
    if steps > COST_MAX {
        let message = format!("the condition costs {steps} steps, at most {COST_MAX} are allowed");
        let listed = text.contains(".exists(") || text.contains(".all(");
        let help = if listed { SHORTEN } else { SPLIT };
        return Err(vec![Fault::new(Code::TooComplex, whole, message).help(help)]);
    }
    Ok(truth)
}

/// The first pass: kinds.
pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) places: &'a SourceInfo,
    faults: Vec<Fault>,
    pub(super) facts: usize,
    /// Within a macro, its element.
    pub(super) element: Option<Element>,
}

impl Checker<'_> {
    /// What a part is; `None` when a mistake in it was reported.
    pub(super) fn shape(&mut self, expr: &IdedExpr, depth: usize) -> Option<Shape> {
        if depth == DEPTH_MAX + 1 {
            let message = format!("operators are nested deeper than {DEPTH_MAX}");
            return self.fault(Code::TooComplex, self.extent(expr), message, Some(SPLIT.to_owned()));
        }
        if depth > DEPTH_MAX {
            return None;
        }
        match &expr.expr {
            Expr::Ident(name) if self.element.as_ref().is_some_and(|element| element.name == *name) => {
                self.element.as_ref().map(|element| element.shape)
            }
            Expr::Ident(_) | Expr::Select(_) => self.fact(expr).map(|field| Shape::of(field.kind())),
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Call(call) => self.call(expr, call, depth),
            Expr::List(_) => self.refuse(expr, "a list only stands after `in`"),
            Expr::Comprehension(expansion) => self.comprehension(expr, expansion, depth),
            Expr::Map(_) => self.refuse(expr, "maps are not used"),
            Expr::Struct(_) => self.refuse(expr, "messages are not used"),
            Expr::Unspecified => self.refuse(expr, "nothing stands here"),
        }
    }

    /// What a part that was already checked is; within a macro, with its element.
    pub(super) fn again(&self, expr: &IdedExpr, element: Option<Element>) -> Shape {
        let (text, places) = (self.text, self.places);
        let fresh = Checker { text, places, faults: Vec::new(), facts: 0, element };
        { fresh }.shape(expr, 0).unwrap_or(Shape::Truth)
    }

    /// The fact a name means.
    pub(super) fn fact(&mut self, expr: &IdedExpr) -> Option<Field> {
        let Some(name) = qualified_name(expr) else {
            return self.refuse(expr, "only facts have names with dots, and `has()` is not used");
        };
        let span = self.extent(expr);
        let Some(field) = Field::from_name(&name).filter(|field| !field.is_slot()) else {
            if List::from_name(&name).is_some() {
                let message = format!("`{name}` is a list");
                let help = format!("ask its elements: `{name}.exists(element, element > 10)`");
                return self.fault(Code::KindMismatch, span, message, Some(help));
            }
            let names = Field::ALL.iter().filter(|field| !field.is_slot()).map(|field| field.name());
            let last = name.rsplit('.').next().unwrap_or_default();
            let meant = closest(&name, names).or_else(|| same_last_word(last));
            let help = match (meant, &self.element) {
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, Some(element)) => {
                    format!("the element is called `{}` here; facts begin with {FAMILIES}", element.name)
                }
                (None, None) => format!("facts begin with {FAMILIES}"),
            };
            return self.fault(Code::UnknownFact, span, format!("`{name}` is not a fact"), Some(help));
        };
        self.facts += 1;
        Some(field)
    }

    fn literal(&mut self, expr: &IdedExpr, literal: &LiteralValue) -> Option<Shape> {
        match literal {
            LiteralValue::Boolean(_) => Some(Shape::Truth),
            LiteralValue::Int(_) => Some(Shape::Whole),
            LiteralValue::String(_) => Some(Shape::Text),
            LiteralValue::Double(_) => match self.decimal(expr) {
                Ok(_) => Some(Shape::Decimal),
                Err(why) => self.fault(Code::InexactNumber, self.extent(expr), why, None),
            },
            LiteralValue::UInt(_) => {
                let help = Some("write the number without `u`".to_owned());
                self.fault(Code::InexactNumber, self.extent(expr), "unsigned literals are not used", help)
            }
            LiteralValue::Bytes(_) => self.refuse(expr, "byte texts are not used"),
            LiteralValue::Null => self.refuse(expr, "facts are never null"),
        }
    }

    /// A decimal literal in millionths, from its digits (never through a float).
    pub(super) fn decimal(&self, expr: &IdedExpr) -> Result<i64, String> {
        let digits = self.text[self.extent(expr)].trim_start_matches('-');
        // The parser folds a leading minus into the literal, whose place is that of its digits.
        let negative =
            matches!(&expr.expr, Expr::Literal(LiteralValue::Double(value)) if *value.inner() < 0.0);
        match digits.parse::<Micros>() {
            Ok(Micros(millionths)) => Ok(if negative { -millionths } else { millionths }),
            Err(why) => Err(why.to_string()),
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr, depth: usize) -> Option<Shape> {
        if let Some(target) = &call.target {
            let span = self.extent(target).start..self.own(expr).end.max(self.extent(target).end);
            let message = format!("functions such as `{}` are not used", call.func_name);
            return self.fault(Code::NotInLanguage, span, message, None);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_AND | op::LOGICAL_OR, [left, right]) => {
                let (left, right) = (self.truth(left, depth), self.truth(right, depth));
                left.and(right)
            }
            (op::LOGICAL_NOT, [inner]) => self.truth(inner, depth),
            (op::EQUALS | op::NOT_EQUALS, [left, right]) => {
                self.same_kind(left, right, depth).map(|_| Shape::Truth)
            }
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [left, right]) => {
                self.ordered(left, right, depth)
            }
            (op::ADD | op::SUBSTRACT, [left, right]) => {
                let kind = self.same_kind(left, right, depth)?;
                self.number(kind, expr)
            }
            (op::MULTIPLY, [left, right]) => self.product(left, right, depth),
            (op::NEGATE, [inner]) => {
                let kind = self.shape(inner, depth + 1)?;
                self.number(kind, inner)
            }
            (op::IN, [needle, list]) => self.membership(needle, list, depth),
            (op::CONDITIONAL, [condition, then, otherwise]) => {
                let condition = self.truth(condition, depth);
                let kind = self.same_kind(then, otherwise, depth)?;
                condition.and(Some(kind))
            }
            (op::DIVIDE | op::MODULO, _) => {
                let help = Some("compare products instead: `a > 2 * b`".to_owned());
                self.fault(Code::NotInLanguage, self.extent(expr), "division is not used: it can fail", help)
            }
            (op::INDEX | op::OPT_INDEX | op::OPT_SELECT, _) => self.refuse(expr, "indexing is not used"),
            (name, _) => self.refuse(expr, &format!("functions such as `{name}` are not used")),
        }
    }

    pub(super) fn truth(&mut self, expr: &IdedExpr, depth: usize) -> Option<Shape> {
        let shape = self.shape(expr, depth + 1)?;
        if shape == Shape::Truth {
            return Some(Shape::Truth);
        }
        let message = format!("this is {}, where a yes or no belongs", shape.name());
        self.fault(Code::KindMismatch, self.extent(expr), message, None)
    }

    fn number(&mut self, kind: Shape, expr: &IdedExpr) -> Option<Shape> {
        if matches!(kind, Shape::Truth | Shape::Word(_) | Shape::Text) {
            let message = format!("cannot calculate with {}", kind.name());
            return self.fault(Code::KindMismatch, self.extent(expr), message, None);
        }
        Some(kind)
    }

    fn same_kind(&mut self, left: &IdedExpr, right: &IdedExpr, depth: usize) -> Option<Shape> {
        let (found_left, found_right) = (self.shape(left, depth + 1), self.shape(right, depth + 1));
        let (found_left, found_right) = (found_left?, found_right?);
        if let Some(kind) = found_left.meet(found_right) {
            return self.words_known(kind, [left, right]).then_some(kind);
        }
        let (wanted, found, at) = if is_literal(left) && !is_literal(right) {
            (found_right, found_left, left)
        } else {
            (found_left, found_right, right)
        };
        self.mismatch(wanted, found, at)
    }

    fn mismatch<T>(&mut self, wanted: Shape, found: Shape, at: &IdedExpr) -> Option<T> {
        let message = format!("{} cannot stand beside {}", found.name(), wanted.name());
        let fault = Fault::new(Code::KindMismatch, self.extent(at), message).expected(format!(
            "expected {}, for example {}",
            wanted.name(),
            wanted.example()
        ));
        self.faults.push(fault);
        None
    }

    fn ordered(&mut self, left: &IdedExpr, right: &IdedExpr, depth: usize) -> Option<Shape> {
        let kind = self.same_kind(left, right, depth)?;
        if matches!(kind, Shape::Truth | Shape::Word(_) | Shape::Text) {
            let message = format!("{} has no order; use `==` or `!=`", kind.name());
            return self.fault(Code::KindMismatch, self.extent(left), message, None);
        }
        Some(Shape::Truth)
    }

    fn product(&mut self, left: &IdedExpr, right: &IdedExpr, depth: usize) -> Option<Shape> {
        let (found_left, found_right) = (self.shape(left, depth + 1), self.shape(right, depth + 1));
        let (found_left, found_right) = (found_left?, found_right?);
        if let Some(kind) = found_left.times(found_right) {
            return Some(kind);
        }
        let message = format!("{} times {} means nothing", found_left.name(), found_right.name());
        self.fault(Code::KindMismatch, self.extent(right), message, None)
    }

    fn membership(&mut self, needle: &IdedExpr, list: &IdedExpr, depth: usize) -> Option<Shape> {
        let kind = self.shape(needle, depth + 1)?;
        let Expr::List(items) = &list.expr else {
            return self.fault(
                Code::NotInLanguage,
                self.extent(list),
                "`in` needs a list of literals: `in [\"pos\", \"checkout\"]`",
                None,
            );
        };
        if items.elements.is_empty() || items.elements.len() > LIST_MAX {
            let found = items.elements.len();
            let message = format!("this list has {found} literals, 1 to {LIST_MAX} are allowed");
            return self.fault(Code::TooComplex, self.extent(list), message, None);
        }
        let mut fine = true;
        for item in &items.elements {
            let Some(found) = self.shape(item, depth + 1) else {
                fine = false;
                continue;
            };
            if !is_literal(item) {
                fine = false;
                let _: Option<()> =
                    self.fault(Code::NotInLanguage, self.extent(item), "a list holds literals only", None);
            } else if let Some(kind) = kind.meet(found) {
                fine &= self.words_known(kind, [needle, item]);
            } else {
                fine = false;
                let _: Option<()> = self.mismatch(kind, found, item);
            }
        }
        fine.then_some(Shape::Truth)
    }

    /// Whether the text literals among some parts are words of the kind they were met as.
    fn words_known(&mut self, kind: Shape, parts: [&IdedExpr; 2]) -> bool {
        let Shape::Word(words) = kind else { return true };
        let mut known = true;
        for part in parts {
            let Expr::Literal(LiteralValue::String(text)) = &part.expr else { continue };
            if !words.contains(&text.inner()) {
                known = false;
                let help = Some(did_you_mean(text.inner(), words.iter().copied()));
                let message = format!("`{}` is not a word of this fact", text.inner());
                let _: Option<()> = self.fault(Code::UnknownWord, self.extent(part), message, help);
            }
        }
        known
    }

    pub(super) fn refuse<T>(&mut self, expr: &IdedExpr, message: &str) -> Option<T> {
        self.fault(Code::NotInLanguage, self.extent(expr), message, None)
    }

    pub(super) fn fault<T>(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Option<T> {
        let fault = Fault::new(code, span, message);
        self.faults.push(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
        None
    }

    /// The token of a part: for an operator, the operator.
    fn own(&self, expr: &IdedExpr) -> Range<usize> {
        let length = self.text.len();
        let (start, last) = self.places.offset_for(expr.id).unwrap_or((0, 0));
        let index = |offset: u32| usize::try_from(offset).unwrap_or(length).min(length);
        let (start, end) = (index(start), index(last.saturating_add(1)));
        start..end.max(start)
    }

    /// Everything a part covers.
    pub(super) fn extent(&self, expr: &IdedExpr) -> Range<usize> {
        let mut span = self.own(expr);
        let mut cover = |part: &IdedExpr| {
            let part = self.extent(part);
            span = span.start.min(part.start)..span.end.max(part.end);
        };
        match &expr.expr {
            Expr::Call(call) => {
                call.target.iter().map(|target| &**target).chain(&call.args).for_each(&mut cover)
            }
            // The parser places only the first name.
            Expr::Select(select) => {
                cover(&select.operand);
                if let Some(name) =
                    qualified_name(expr).filter(|name| self.text[span.start..].starts_with(name))
                {
                    span.end = span.end.max(span.start + name.len());
                }
            }
            Expr::List(list) => list.elements.iter().for_each(&mut cover),
            // The parser places what it expanded nowhere; its parts stand where they were written.
            Expr::Comprehension(expansion) => {
                let parts = written(expansion).into_iter().map(|part| self.extent(part));
                return parts
                    .reduce(|all, part| all.start.min(part.start)..all.end.max(part.end))
                    .unwrap_or(span);
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
        span
    }
}
