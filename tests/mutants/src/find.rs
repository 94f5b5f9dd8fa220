//! Every mutant of a source file: an operator exchanged, a condition turned, an arm or a body left out.

use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, Pat, ReturnType, Stmt, Type, UnOp};

/// One small fault. `{on}` in its text stands for the call of the switch.
pub struct Mutant {
    /// The bytes of the source that are replaced; empty for an insertion.
    pub place: Range<usize>,
    /// What stands there instead.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong then, in words for the report.
    pub fault: String,
}

/// All mutants of `source`, in the order of the file.
pub fn find(source: &str) -> syn::Result<Vec<Mutant>> {
    let mut finder = Finder { source, found: Vec::new(), function: String::new() };
    finder.visit_file(&syn::parse_file(source)?);
    Ok(finder.found)
}

struct Finder<'a> {
    source: &'a str,
    found: Vec<Mutant>,
    function: String,
}

impl Finder<'_> {
    fn text(&self, node: &impl Spanned) -> &str {
        &self.source[node.span().byte_range()]
    }

    fn push(&mut self, place: Range<usize>, line: usize, text: String, fault: String) {
        let fault = format!("{fault} in {}", self.function);
        self.found.push(Mutant { place, text, line, fault });
    }

    /// `node` becomes `other` when the switch is on.
    fn exchange(&mut self, node: &impl Spanned, other: &str, fault: String) {
        let text = format!("(if {{on}} {{ {other} }} else {{ {} }})", self.text(node));
        self.push(node.span().byte_range(), node.span().start().line, text, fault);
    }

    /// A function returns at once, with each value that its type is known to have.
    fn leave_out_body(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let values = match &signature.output {
            ReturnType::Default => vec![String::new()],
            ReturnType::Type(_, kind) => values_of(kind),
        };
        let first = match body.stmts.first() {
            Some(statement) => statement.span().byte_range().start,
            None => return,
        };
        for value in values {
            let text = format!("if {{on}} {{ return {value}; }} ");
            self.push(
                first..first,
                signature.span().start().line,
                text,
                format!("returns {value:?} at once"),
            );
        }
    }

    fn visit_function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        // A const function cannot ask a switch; Debug, Display and Drop are not judged.
        let name = signature.ident.to_string();
        if signature.constness.is_some() || name == "fmt" || name == "drop" {
            return;
        }
        let outer = std::mem::replace(&mut self.function, name);
        self.leave_out_body(signature, body);
        visit::visit_block(self, body);
        self.function = outer;
    }
}

/// The values that a function of this type can return without knowing more.
fn values_of(kind: &Type) -> Vec<String> {
    let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match kind {
        Type::Tuple(tuple) if tuple.elems.is_empty() => strings(&["()"]),
        Type::Reference(inner) if is_path(&inner.elem, "str") => strings(&["\"\""]),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Vec::new() };
            let inner = match &last.arguments {
                syn::PathArguments::AngleBracketed(inner) => inner.args.first(),
                _ => None,
            };
            let inner = match inner {
                Some(syn::GenericArgument::Type(inner)) => values_of(inner),
                _ => Vec::new(),
            };
            match last.ident.to_string().as_str() {
                "bool" => strings(&["true", "false"]),
                "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "u128" => {
                    strings(&["0", "1"])
                }
                "String" => strings(&["String::new()"]),
                "Vec" => strings(&["Vec::new()"]),
                "Option" => {
                    let some = inner.iter().map(|value| format!("Some({value})"));
                    std::iter::once("None".to_owned()).chain(some).collect()
                }
                "Result" => inner.iter().map(|value| format!("Ok({value})")).collect(),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

fn is_path(kind: &Type, name: &str) -> bool {
    matches!(kind, Type::Path(path) if path.path.is_ident(name))
}

/// What an operator is mistaken for.
fn mistaken(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["==", ">", "<="],
        BinOp::Gt(_) => &["==", "<", ">="],
        BinOp::Le(_) => &[">", "<"],
        BinOp::Ge(_) => &["<", ">"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["%", "*"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::BitAnd(_) => &["|", "^"],
        BinOp::BitOr(_) => &["&", "^"],
        BinOp::BitXor(_) => &["|", "&"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::MulAssign(_) => &["+="],
        BinOp::BitAndAssign(_) => &["|="],
        BinOp::BitOrAssign(_) => &["&=", "^="],
        BinOp::BitXorAssign(_) => &["|="],
        _ => &[],
    }
}

/// Does a condition bind names (`a && let Some(b) = c`)? Such a one cannot stand in brackets.
fn binds(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(both) => binds(&both.left) || binds(&both.right),
        Expr::Paren(inner) => binds(&inner.expr),
        _ => false,
    }
}

/// Items of tests and of the test features are not mutated.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let text = list.tokens.to_string();
            ["test", "fake", "faults"].iter().any(|word| text.contains(word))
                && !text.contains("not")
        }
        syn::Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.visit_function(&item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.visit_function(&item.sig, &item.block);
        }
    }

    // Constants cannot ask a switch.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_generics(&mut self, _: &'ast syn::Generics) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !matches!(statement, Stmt::Item(_)) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_expr_binary(&mut self, both: &'ast syn::ExprBinary) {
        if !binds(&both.left) && !binds(&both.right) {
            let operator = self.text(&both.op).to_owned();
            for other in mistaken(&both.op) {
                let text = format!("{} {other} {}", self.text(&both.left), self.text(&both.right));
                self.exchange(both, &text, format!("`{operator}` is `{other}`"));
            }
        }
        visit::visit_expr_binary(self, both);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let (UnOp::Not(_) | UnOp::Neg(_)) = unary.op else {
            return visit::visit_expr_unary(self, unary);
        };
        let operator = self.text(&unary.op).to_owned();
        let text = self.text(&unary.expr).to_owned();
        self.exchange(unary, &text, format!("`{operator}` is left out"));
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        let last = expression.arms.iter().rposition(|arm| {
            arm.guard.is_none() && matches!(arm.pat, Pat::Wild(_) | Pat::Ident(_))
        });
        for (position, arm) in expression.arms.iter().enumerate() {
            let pattern: String =
                self.text(&arm.pat).split_whitespace().collect::<Vec<_>>().join(" ");
            let line = arm.span().start().line;
            let Some((_, guard)) = &arm.guard else {
                let end = arm.pat.span().byte_range().end;
                if last.is_some_and(|last| position < last) {
                    self.push(
                        end..end,
                        line,
                        " if !{on}".to_owned(),
                        format!("the arm `{pattern}` is left out"),
                    );
                }
                continue;
            };
            if binds(guard) {
                continue;
            }
            let place = guard.span().byte_range();
            let text = self.text(guard).to_owned();
            self.push(
                place.clone(),
                line,
                format!("(!{{on}} && ({text}))"),
                format!("the guard of `{pattern}` is false"),
            );
            self.push(
                place,
                line,
                format!("({{on}} || ({text}))"),
                format!("the guard of `{pattern}` is true"),
            );
        }
        visit::visit_expr_match(self, expression);
    }
}
