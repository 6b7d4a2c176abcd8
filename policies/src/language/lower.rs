//! The second pass: from a syntax tree whose kinds fit to the tree that runs.
//!
//! Every part was checked, so what cannot occur any more lowers to a constant "no" and a bug report, never to a
//! panic inside somebody's policy check.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};
use domain::facts::Field;

use super::Fault;
use super::check::Checker;
use super::kinds::Shape;
use super::lists::Element;
use super::syntax::qualified_name;
use super::tree::{Compare, Number, Truth};
use crate::codes::Code;

pub(super) struct Lowering<'a, 'b> {
    pub(super) checker: &'a Checker<'b>,
    pub(super) faults: Vec<Fault>,
    /// Within a macro, its element at the place that is written out.
    pub(super) element: Option<Element>,
}

impl Lowering<'_, '_> {
    pub(super) fn truth(&mut self, expr: &IdedExpr) -> Truth {
        match &expr.expr {
            Expr::Literal(LiteralValue::Boolean(truth)) => Truth::Always(*truth.inner()),
            Expr::Ident(_) | Expr::Select(_) => self.field(expr).map_or_else(|| self.bug(expr), Truth::Flag),
            Expr::Call(call) => self.call(expr, call),
            Expr::Comprehension(expansion) => self.written_out(expr, expansion),
            Expr::Literal(_) | Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.bug(expr)
            }
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Truth {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (name @ (op::LOGICAL_AND | op::LOGICAL_OR), _) => {
                let mut parts = Vec::new();
                self.flatten(expr, name, &mut parts);
                let parts = parts.into_boxed_slice();
                if name == op::LOGICAL_AND { Truth::All(parts) } else { Truth::Any(parts) }
            }
            (op::LOGICAL_NOT, [inner]) => Truth::Not(Box::new(self.truth(inner))),
            (op::IN, [needle, list]) => self.membership(needle, list),
            (op::CONDITIONAL, [condition, then, otherwise]) => {
                Truth::Choose(Box::new((self.truth(condition), self.truth(then), self.truth(otherwise))))
            }
            (name, [left, right]) => match compare(name) {
                Some(compare) => self.comparison(compare, left, right),
                None => self.bug(expr),
            },
            (_, _) => self.bug(expr),
        }
    }

    /// `a && b && c` as one list instead of a tree.
    fn flatten(&mut self, expr: &IdedExpr, name: &str, parts: &mut Vec<Truth>) {
        if let Expr::Call(call) = &expr.expr
            && call.func_name == name
        {
            call.args.iter().for_each(|part| self.flatten(part, name, parts));
        } else {
            parts.push(self.truth(expr));
        }
    }

    fn comparison(&mut self, compare: Compare, left: &IdedExpr, right: &IdedExpr) -> Truth {
        let (found_left, found_right) = (self.shape(left), self.shape(right));
        let Some(kind) = found_left.meet(found_right) else { return self.bug(left) };
        if kind == Shape::Truth {
            let same = Truth::Same(Box::new((self.truth(left), self.truth(right))));
            return if compare == Compare::NotEqual { Truth::Not(Box::new(same)) } else { same };
        }
        match (self.number(left, kind), self.number(right, kind)) {
            (Number::Fact(field), Number::Constant(value)) => Truth::Fact { field, compare, value },
            (Number::Constant(value), Number::Fact(field)) => {
                Truth::Fact { field, compare: turned(compare), value }
            }
            sides => Truth::Numbers { compare, sides: Box::new(sides) },
        }
    }

    fn membership(&mut self, needle: &IdedExpr, list: &IdedExpr) -> Truth {
        let mut kind = self.shape(needle);
        let Expr::List(items) = &list.expr else { return self.bug(list) };
        for item in &items.elements {
            kind = kind.meet(self.shape(item)).unwrap_or(kind);
        }
        let mut values = Vec::with_capacity(items.elements.len());
        for item in &items.elements {
            let Number::Constant(value) = self.number(item, kind) else { return self.bug(item) };
            values.push(value);
        }
        Truth::OneOf { number: Box::new(self.number(needle, kind)), values: values.into_boxed_slice() }
    }

    /// A part as a number of a kind it fits.
    fn number(&mut self, expr: &IdedExpr, kind: Shape) -> Number {
        match &expr.expr {
            Expr::Ident(_) | Expr::Select(_) => self.field(expr).map_or(Number::Constant(0), Number::Fact),
            Expr::Literal(literal) => Number::Constant(self.constant(expr, literal, kind)),
            Expr::Call(call) => self.arithmetic(expr, call, kind),
            Expr::List(_) | Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.bug(expr);
                Number::Constant(0)
            }
        }
    }

    fn constant(&mut self, expr: &IdedExpr, literal: &LiteralValue, kind: Shape) -> i64 {
        let millionths = matches!(kind, Shape::Ratio | Shape::Money | Shape::Decimal);
        let value = match literal {
            LiteralValue::Int(whole) if millionths => whole.inner().checked_mul(1_000_000),
            LiteralValue::Int(whole) => Some(*whole.inner()),
            LiteralValue::Double(_) => self.checker.decimal(expr).ok(),
            LiteralValue::String(word) => position(kind, word.inner()),
            LiteralValue::Boolean(truth) => Some(i64::from(*truth.inner())),
            LiteralValue::Bytes(_) | LiteralValue::Null | LiteralValue::UInt(_) => None,
        };
        value.unwrap_or_else(|| {
            let span = self.checker.extent(expr);
            self.faults.push(Fault::new(Code::InexactNumber, span, "this number is too large"));
            0
        })
    }

    fn arithmetic(&mut self, expr: &IdedExpr, call: &CallExpr, kind: Shape) -> Number {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::NEGATE, [inner]) => {
                let inner = self.number(inner, kind);
                if let Number::Constant(value) = inner {
                    return Number::Constant(value.saturating_neg());
                }
                Number::Negative(Box::new(inner))
            }
            (op::ADD, [left, right]) => {
                Number::Sum(Box::new((self.number(left, kind), self.number(right, kind))))
            }
            (op::SUBSTRACT, [left, right]) => {
                Number::Difference(Box::new((self.number(left, kind), self.number(right, kind))))
            }
            (op::MULTIPLY, [left, right]) => self.product(left, right, kind),
            (op::CONDITIONAL, [condition, then, otherwise]) => {
                let condition = self.truth(condition);
                Number::Choose(Box::new((condition, self.number(then, kind), self.number(otherwise, kind))))
            }
            (_, _) => {
                self.bug(expr);
                Number::Constant(0)
            }
        }
    }

    fn product(&mut self, left: &IdedExpr, right: &IdedExpr, kind: Shape) -> Number {
        let (found_left, found_right) = (self.shape(left), self.shape(right));
        let unit = |shape: Shape| matches!(shape, Shape::Money | Shape::Ratio | Shape::Decimal);
        // The side that carries the unit of the result comes first, so that rounding is the same either way.
        let (first, second) = if found_right == Shape::Money || !unit(found_left) {
            ((right, found_right), (left, found_left))
        } else {
            ((left, found_left), (right, found_right))
        };
        if !unit(first.1) {
            // Two whole numbers; as money or ratio they count units.
            let sides = (self.number(left, Shape::Int), self.number(right, Shape::Int));
            let product = Number::Product(Box::new(sides));
            let scaled = matches!(kind, Shape::Ratio | Shape::Money | Shape::Decimal);
            let million = Number::Constant(1_000_000);
            return if scaled { Number::Product(Box::new((product, million))) } else { product };
        }
        let as_kind = |shape: Shape| if shape == Shape::Decimal { Shape::Ratio } else { shape };
        let value = self.number(first.0, as_kind(first.1));
        if unit(second.1) {
            Number::Share(Box::new((value, self.number(second.0, Shape::Ratio))))
        } else {
            Number::Product(Box::new((value, self.number(second.0, Shape::Int))))
        }
    }

    /// The fact a name means, or the place of the element it means.
    fn field(&self, expr: &IdedExpr) -> Option<Field> {
        let name = qualified_name(expr)?;
        let element = self.element.as_ref().filter(|element| element.name == name);
        element.map_or_else(|| Field::from_name(&name), |element| Some(element.slot))
    }

    /// What a checked part is.
    fn shape(&self, expr: &IdedExpr) -> Shape {
        self.checker.again(expr, self.element.clone())
    }

    pub(super) fn bug(&mut self, expr: &IdedExpr) -> Truth {
        let span = self.checker.extent(expr);
        self.faults.push(Fault::new(Code::NotInLanguage, span, "this part cannot be evaluated"));
        Truth::Always(false)
    }
}

fn position(kind: Shape, word: &str) -> Option<i64> {
    let Shape::Word(words) = kind else { return None };
    words.iter().position(|known| *known == word).and_then(|index| i64::try_from(index).ok())
}

fn compare(name: &str) -> Option<Compare> {
    match name {
        op::EQUALS => Some(Compare::Equal),
        op::NOT_EQUALS => Some(Compare::NotEqual),
        op::LESS => Some(Compare::Less),
        op::LESS_EQUALS => Some(Compare::LessOrEqual),
        op::GREATER => Some(Compare::Greater),
        op::GREATER_EQUALS => Some(Compare::GreaterOrEqual),
        _ => None,
    }
}

/// The comparison with its sides exchanged.
fn turned(compare: Compare) -> Compare {
    match compare {
        Compare::Equal | Compare::NotEqual => compare,
        Compare::Less => Compare::Greater,
        Compare::LessOrEqual => Compare::GreaterOrEqual,
        Compare::Greater => Compare::Less,
        Compare::GreaterOrEqual => Compare::LessOrEqual,
    }
}
