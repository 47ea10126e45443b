//! All mutants of a file in one program: each is behind a question, `crate::mutated(NUMBER)`, which at most one answers with yes.
//!
//! An operand is written once and evaluated once, whatever its operator becomes. No line is added or removed.

use super::list::{Genre, Mutant};
use anyhow::{Context, Result};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use syn::{BinOp, Expr, spanned::Spanned, visit, visit::Visit};

/// What a place in the source becomes.
enum Form {
    /// A function that may return at once.
    Enter,
    /// `&&`, or else `||`.
    Lazy {
        and: bool,
    },
    /// Operands are compared where they are.
    Compare,
    Arithmetic,
    Assign,
    /// `!x`, `-x`.
    Sign,
    Guard,
    /// An arm of a match: between its pattern and its arrow. Whether it has a guard.
    Arm(Option<Range<usize>>),
}

struct Node {
    range: Range<usize>,
    form: Form,
    left: Range<usize>,
    right: Range<usize>,
    operator: String,
    /// Number, and what takes the place of it.
    mutants: Vec<(usize, String)>,
}

/// A file with its mutants in it.
pub(super) struct Woven {
    pub(super) text: String,
    /// Those that are not in it: in a constant, or of a kind that needs a program of its own.
    pub(super) alone: Vec<usize>,
}

/// Puts `mutants` (of one file) into its source.
pub(super) fn weave(source: &str, mutants: &[&Mutant]) -> Result<Woven> {
    let file = syn::parse_file(source).context("not a Rust file")?;
    let lines: Vec<usize> = std::iter::once(0)
        .chain(source.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let offset = |(line, column): (usize, usize)| {
        let start = lines[line - 1];
        let mut characters = source[start..].char_indices();
        start + characters.nth(column - 1).map_or(0, |(at, _)| at)
    };
    let mut by_place: BTreeMap<usize, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        by_place
            .entry(offset(mutant.start))
            .or_default()
            .push(mutant);
    }
    let mut loom = Loom {
        source,
        by_place,
        nodes: Vec::new(),
        placed: BTreeSet::new(),
        constant: 0,
    };
    loom.visit_file(&file);
    let Loom {
        mut nodes, placed, ..
    } = loom;
    nodes.sort_by_key(|node| {
        (
            node.range.start,
            !node.range.is_empty(),
            Reverse(node.range.end),
        )
    });
    let text = Cloth {
        source,
        nodes: &nodes,
    }
    .render(0..source.len(), 0);
    let alone = mutants.iter().map(|mutant| mutant.number);
    Ok(Woven {
        text,
        alone: alone.filter(|number| !placed.contains(number)).collect(),
    })
}

struct Loom<'a> {
    source: &'a str,
    by_place: BTreeMap<usize, Vec<&'a Mutant>>,
    nodes: Vec<Node>,
    placed: BTreeSet<usize>,
    /// How many constants we are inside of: there nothing can be asked.
    constant: usize,
}

impl Loom<'_> {
    fn take(&mut self, at: usize, genre: Genre) -> Vec<(usize, String)> {
        if self.constant != 0 {
            return Vec::new();
        }
        let here = self.by_place.get(&at).into_iter().flatten();
        let here = here.filter(|mutant| mutant.genre == genre);
        let here: Vec<_> = here
            .map(|mutant| (mutant.number, mutant.replacement.clone()))
            .collect();
        self.placed.extend(here.iter().map(|(number, _)| number));
        here
    }

    fn node(&mut self, range: Range<usize>, form: Form, mutants: Vec<(usize, String)>) {
        self.operation(range, form, 0..0, 0..0, 0..0, mutants);
    }

    fn operation(
        &mut self,
        range: Range<usize>,
        form: Form,
        left: Range<usize>,
        right: Range<usize>,
        operator: Range<usize>,
        mutants: Vec<(usize, String)>,
    ) {
        if mutants.is_empty() {
            return;
        }
        let operator = self.source[operator].to_owned();
        self.nodes.push(Node {
            range,
            form,
            left,
            right,
            operator,
            mutants,
        });
    }

    fn in_constant(&mut self, work: impl FnOnce(&mut Self)) {
        self.constant += 1;
        work(self);
        self.constant -= 1;
    }

    fn function(
        &mut self,
        signature: &syn::Signature,
        block: &syn::Block,
        work: impl FnOnce(&mut Self),
    ) {
        // A function in a constant is no part of it.
        let outside = std::mem::replace(
            &mut self.constant,
            usize::from(signature.constness.is_some()),
        );
        if let Some(first) = block.stmts.first() {
            let at = first.span().byte_range().start;
            let mutants = self.take(at, Genre::Body);
            self.node(at..at, Form::Enter, mutants);
        }
        work(self);
        self.constant = outside;
    }
}

impl<'ast> Visit<'ast> for Loom<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block, |loom| {
            visit::visit_item_fn(loom, item)
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block, |loom| {
            visit::visit_impl_item_fn(loom, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        match &item.default {
            Some(block) => self.function(&item.sig, block, |loom| {
                visit::visit_trait_item_fn(loom, item);
            }),
            None => visit::visit_trait_item_fn(self, item),
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.in_constant(|loom| visit::visit_item_const(loom, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.in_constant(|loom| visit::visit_item_static(loom, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.in_constant(|loom| visit::visit_impl_item_const(loom, item));
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.in_constant(|loom| visit::visit_trait_item_const(loom, item));
    }

    fn visit_expr_const(&mut self, item: &'ast syn::ExprConst) {
        self.in_constant(|loom| visit::visit_expr_const(loom, item));
    }

    fn visit_type(&mut self, item: &'ast syn::Type) {
        self.in_constant(|loom| visit::visit_type(loom, item));
    }

    fn visit_variant(&mut self, item: &'ast syn::Variant) {
        self.in_constant(|loom| visit::visit_variant(loom, item));
    }

    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
        self.in_constant(|loom| loom.visit_expr(&item.len));
    }

    fn visit_generic_argument(&mut self, item: &'ast syn::GenericArgument) {
        self.in_constant(|loom| visit::visit_generic_argument(loom, item));
    }

    fn visit_expr_binary(&mut self, item: &'ast syn::ExprBinary) {
        let whole = item.span().byte_range();
        let (left, right) = (
            item.left.span().byte_range(),
            item.right.span().byte_range(),
        );
        let operator = item.op.span().byte_range();
        let form = match item.op {
            BinOp::And(_) => Form::Lazy { and: true },
            BinOp::Or(_) => Form::Lazy { and: false },
            BinOp::Eq(_)
            | BinOp::Ne(_)
            | BinOp::Lt(_)
            | BinOp::Le(_)
            | BinOp::Gt(_)
            | BinOp::Ge(_) => Form::Compare,
            BinOp::Add(_)
            | BinOp::Sub(_)
            | BinOp::Mul(_)
            | BinOp::Div(_)
            | BinOp::Rem(_)
            | BinOp::BitAnd(_)
            | BinOp::BitOr(_)
            | BinOp::BitXor(_)
            | BinOp::Shl(_)
            | BinOp::Shr(_) => Form::Arithmetic,
            _ => Form::Assign,
        };
        // In a chain with `let` the parts are no expressions.
        if !has_let(&item.left) && !has_let(&item.right) {
            let mutants = self.take(operator.start, Genre::Binary);
            self.operation(whole, form, left, right, operator, mutants);
        }
        visit::visit_expr_binary(self, item);
    }

    fn visit_expr_unary(&mut self, item: &'ast syn::ExprUnary) {
        let operator = item.op.span().byte_range();
        let mutants = self.take(operator.start, Genre::Unary);
        let right = item.expr.span().byte_range();
        let whole = item.span().byte_range();
        self.operation(whole, Form::Sign, 0..0, right, operator, mutants);
        visit::visit_expr_unary(self, item);
    }

    fn visit_arm(&mut self, item: &'ast syn::Arm) {
        let guard = item
            .guard
            .as_ref()
            .map(|(_, guard)| guard.span().byte_range());
        let mutants = self.take(item.span().byte_range().start, Genre::Arm);
        let between =
            item.pat.span().byte_range().end..item.fat_arrow_token.span().byte_range().start;
        self.node(between, Form::Arm(guard.clone()), mutants);
        if let (Some(range), Some((_, expression))) = (guard, &item.guard)
            && !has_let(expression)
        {
            let mutants = self.take(range.start, Genre::Guard);
            self.node(range, Form::Guard, mutants);
        }
        visit::visit_arm(self, item);
    }
}

/// Whether `let` is one of the parts of a condition.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(both) => has_let(&both.left) || has_let(&both.right),
        _ => false,
    }
}

struct Cloth<'a> {
    source: &'a str,
    nodes: &'a [Node],
}

impl Cloth<'_> {
    /// The source in a range, with the nodes from `first` on that lie in it.
    fn render(&self, range: Range<usize>, first: usize) -> String {
        let mut text = String::new();
        let mut at = range.start;
        for (index, node) in self.nodes.iter().enumerate().skip(first) {
            if node.range.start >= range.end {
                break;
            }
            if node.range.start < at || node.range.end > range.end {
                continue;
            }
            text += &self.source[at..node.range.start];
            text += &self.form(node, index + 1);
            at = node.range.end;
        }
        text + &self.source[at..range.end]
    }

    fn form(&self, node: &Node, next: usize) -> String {
        let left = self.render(node.left.clone(), next);
        let right = self.render(node.right.clone(), next);
        let number = node.mutants[0].0;
        let operator = &node.operator;
        match &node.form {
            Form::Enter => {
                let each = node.mutants.iter();
                each.map(|(number, value)| {
                    format!("if crate::mutated({number}) {{ return {value}; }} ")
                })
                .collect()
            }
            Form::Lazy { and } => {
                let goes_on = if *and { "!=" } else { "==" };
                format!(
                    "(match {left} {{ mutated_left => if mutated_left {goes_on} crate::mutated({number}) {{ {right} }} else {{ mutated_left }} }})"
                )
            }
            Form::Compare => {
                let choice = choice(node, |operator| format!("*l {operator} *r"));
                format!("(match (&({left}), &({right})) {{ (l, r) => {choice} }})")
            }
            Form::Arithmetic => {
                let choice = choice(node, |operator| format!("l {operator} r"));
                format!("(match ({left}, {right}) {{ (l, r) => {choice} }})")
            }
            Form::Assign => {
                let choice = choice(node, |operator| format!("{left} {operator} mutated_right"));
                format!("(match {right} {{ mutated_right => {choice} }})")
            }
            Form::Sign => format!(
                "(match {right} {{ x => if crate::mutated({number}) {{ x }} else {{ {operator}x }} }})"
            ),
            Form::Guard => {
                let guard = self.render(node.range.clone(), next);
                format!("({})", chain(node, str::to_owned, &guard))
            }
            Form::Arm(None) => format!(" if !crate::mutated({number}) "),
            Form::Arm(Some(guard)) => {
                let guard = self.render(guard.clone(), next);
                format!(" if !crate::mutated({number}) && ({guard}) ")
            }
        }
    }
}

/// One of the mutants, or the original.
fn choice(node: &Node, operation: impl Fn(&str) -> String) -> String {
    let original = operation(&node.operator);
    chain(node, operation, &original)
}

fn chain(node: &Node, operation: impl Fn(&str) -> String, original: &str) -> String {
    let each = node.mutants.iter();
    let questions: String = each
        .map(|(number, with)| {
            format!(
                "if crate::mutated({number}) {{ {} }} else ",
                operation(with)
            )
        })
        .collect();
    format!("{questions}{{ {original} }}")
}
