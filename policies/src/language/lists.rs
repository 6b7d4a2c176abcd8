//! `all` and `exists` over the facts that are lists.
//!
//! A list has a declared greatest length, so a macro over it is written out once for each place it could have an
//! element at: what runs is the same small tree as ever, its cost is known before, and what is proven of conditions is
//! proven of these. Macros are not nested, and nothing but a fact is iterated.

use cel::common::ast::operators as op;
use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue};
use domain::facts::{Field, LISTS, List};

use super::check::Checker;
use super::kinds::Shape;
use super::lower::Lowering;
use super::syntax::qualified_name;
use super::tree::{Compare, Truth};
use crate::codes::Code;
use crate::problem::did_you_mean;

/// The element a macro speaks about, within its condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub name: String,
    pub shape: Shape,
    /// The element's place once the condition is written out.
    pub slot: Field,
}

/// A macro as the parser expanded it.
struct Macro<'e> {
    range: &'e IdedExpr,
    element: &'e str,
    condition: &'e IdedExpr,
    /// `all` rather than `exists`.
    every: bool,
}

/// Takes an expansion apart; `None` for the other macros.
fn unfold(expansion: &ComprehensionExpr) -> Option<Macro<'_>> {
    let Expr::Literal(LiteralValue::Boolean(first)) = &expansion.accu_init.expr else { return None };
    let Expr::Call(step) = &expansion.loop_step.expr else { return None };
    let every = *first.inner();
    let wanted = if every { op::LOGICAL_AND } else { op::LOGICAL_OR };
    let [_, condition] = step.args.as_slice() else { return None };
    (step.func_name == wanted).then_some(Macro {
        range: &expansion.iter_range,
        element: &expansion.iter_var,
        condition,
        every,
    })
}

/// The parts of an expansion that somebody wrote.
pub(super) fn written(expansion: &ComprehensionExpr) -> Vec<&IdedExpr> {
    let condition = unfold(expansion).map(|unfolded| unfolded.condition);
    std::iter::once(&expansion.iter_range).chain(condition).collect()
}

impl Checker<'_> {
    /// A macro is a yes or no.
    pub(super) fn comprehension(
        &mut self,
        expr: &IdedExpr,
        expansion: &ComprehensionExpr,
        depth: usize,
    ) -> Option<Shape> {
        let Some(found) = unfold(expansion) else {
            return self.refuse(expr, "of the macros only `all` and `exists` are used");
        };
        let span = self.extent(expr);
        if self.element.is_some() {
            let most = LISTS.iter().map(|list| list.slots.len()).max().unwrap_or(0);
            let message = format!("a macro in a macro would look at up to {} pairs of elements", most * most);
            let help = Some("ask one list at a time".to_owned());
            return self.fault(Code::TooComplex, span, message, help);
        }
        let list = self.list(found.range)?;
        if ["now", "event", "member", "reward"].contains(&found.element) {
            let message = format!("`{}` is the beginning of facts and cannot name an element", found.element);
            return self.fault(Code::NotInLanguage, span, message, None);
        }
        self.facts += 1;
        self.element = Some(element(found.element, list, 0));
        let shape = self.truth(found.condition, depth);
        self.element = None;
        shape
    }

    fn list(&mut self, range: &IdedExpr) -> Option<&'static List> {
        let name = qualified_name(range);
        if let Some(list) = name.as_deref().and_then(List::from_name) {
            return Some(list);
        }
        let names = LISTS.map(|list| list.name);
        let Some(name) = name else {
            let message = format!("`all` and `exists` ask the lists {}", names.join(" and "));
            return self.fault(Code::NotInLanguage, self.extent(range), message, None);
        };
        let help = Some(did_you_mean(&name, names));
        self.fault(Code::UnknownFact, self.extent(range), format!("`{name}` is not a list"), help)
    }
}

impl Lowering<'_, '_> {
    /// The condition once for each place of the list, for those in use.
    pub(super) fn written_out(&mut self, expr: &IdedExpr, expansion: &ComprehensionExpr) -> Truth {
        let found = unfold(expansion);
        let list = found.as_ref().and_then(|found| List::from_name(&qualified_name(found.range)?));
        let (Some(found), Some(list)) = (found, list) else { return self.bug(expr) };
        let mut parts = Vec::with_capacity(list.slots.len());
        for place in 0..list.slots.len() {
            self.element = Some(element(found.element, list, place));
            let holds = self.truth(found.condition);
            let value = i64::try_from(place).unwrap_or(i64::MAX);
            let used = |compare| Truth::Fact { field: list.length, compare, value };
            parts.push(if found.every {
                Truth::Any(Box::new([used(Compare::LessOrEqual), holds]))
            } else {
                Truth::All(Box::new([used(Compare::Greater), holds]))
            });
        }
        self.element = None;
        let parts = parts.into_boxed_slice();
        if found.every { Truth::All(parts) } else { Truth::Any(parts) }
    }
}

fn element(name: &str, list: &List, place: usize) -> Element {
    let slot = list.slots[place];
    Element { name: name.to_owned(), shape: Shape::of(slot.kind()), slot }
}
