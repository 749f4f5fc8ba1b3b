//! Makes the session's variables readable in functions, and frees the values of redefined variables.
//!
//! A Rhai function sees only its parameters. Here it can also read the variables of the session, with their values at
//! the time of the call: between the statements of a cell a checkpoint runs, a look-up of a variable that no script can
//! name. Rhai passes it to our resolver together with the scope; every variable that a function uses becomes a shared
//! value there, so that functions see later assignments.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{AST, ASTNode, Dynamic, EvalContext, Expr, FnPtr, Scope};

use crate::error::Error;
use crate::script::context::ScriptContext;
use crate::script::failure::Fallible;
use crate::script::{Variable, one_line, standard, type_names};

/// The reserved name of the checkpoint variable.
pub(crate) const CHECKPOINT: &str = "checkpoint\u{2063}";
/// The last value.
pub(crate) const LAST: &str = "_";

/// The variables used by functions, as shared values.
#[derive(Clone, Default)]
pub(crate) struct Globals(Rc<RefCell<GlobalsInner>>);

#[derive(Default)]
struct GlobalsInner {
    /// Free variables of functions.
    free: BTreeSet<String>,
    values: BTreeMap<String, Dynamic>,
    /// The number of variables at the beginning of the cell.
    base: usize,
}

impl Globals {
    /// Finds the free variables of the session's functions.
    pub(crate) fn set_functions(&self, functions: &AST) {
        let mut free = BTreeSet::new();
        functions.walk(&mut |path: &[ASTNode]| {
            // Unresolved by the parser: neither a parameter nor a local variable.
            if let Some(ASTNode::Expr(Expr::Variable(v, None, _))) = path.last()
                && v.0.is_none()
            {
                free.insert(v.1.to_string());
            }
            true
        });
        self.0.borrow_mut().free = free;
    }

    /// Begins a cell.
    pub(crate) fn begin(&self, scope: &mut Scope) {
        self.0.borrow_mut().base = scope.len();
        self.share(scope);
    }

    /// Shares the variables that functions use, and frees shadowed values.
    pub(crate) fn checkpoint(&self, scope: &mut Scope) {
        if let Some(kept) = self.without_shadowed(scope) {
            *scope = kept;
        }
        self.share(scope);
    }

    /// Ends a cell: shadowed variables are removed.
    pub(crate) fn end(&self, scope: &mut Scope) {
        self.0.borrow_mut().base = usize::MAX;
        let names: BTreeSet<&str> = (&*scope).into_iter().map(|(name, ..)| name).collect();
        if names.len() != scope.len() || names.iter().any(|name| hidden(name)) {
            let mut kept = latest(std::mem::take(scope));
            kept.retain(|(name, _)| !hidden(name));
            *scope = rebuild(kept);
        }
        self.share(scope);
        self.0.borrow_mut().values.retain(|name, _| scope.contains(name));
    }

    /// The value of a variable for a function; `None` if it does not exist.
    fn read(&self, name: &str) -> Fallible<Option<Dynamic>> {
        let inner = self.0.borrow();
        let Some(value) = inner.values.get(name) else { return Ok(None) };
        if value.is_locked() {
            let error = Error::mistake(format!("'{name}' is in use by the call that this function runs in"))
                .with_hint(format!("hand '{name}' to the function as an argument"));
            return Err(error.into());
        }
        Ok(Some(value.flatten_clone()))
    }

    fn share(&self, scope: &mut Scope) {
        let GlobalsInner { free, values, .. } = &mut *self.0.borrow_mut();
        for name in free.iter() {
            match scope.get_mut(name) {
                Some(value) => {
                    if !value.is_shared() {
                        *value = std::mem::take(value).into_shared();
                    }
                    values.insert(name.clone(), value.clone());
                }
                // Constants are copied.
                None => match scope.get(name) {
                    Some(value) => drop(values.insert(name.clone(), value.flatten_clone())),
                    None => drop(values.remove(name)),
                },
            }
        }
    }

    /// A scope in which the values of shadowed variables are freed. Slots of the current cell remain, since the parser
    /// addresses them from the end; `None` when there is nothing to free.
    fn without_shadowed(&self, scope: &mut Scope) -> Option<Scope<'static>> {
        let base = self.0.borrow().base.min(scope.len());
        let mut seen = BTreeSet::new();
        if (&*scope).into_iter().all(|(name, ..)| seen.insert(name)) {
            return None;
        }
        let entries: Vec<(String, Dynamic)> =
            std::mem::take(scope).into_iter().map(|(name, value, _)| (name, value)).collect();
        let last: BTreeMap<String, usize> =
            entries.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
        let mut kept = Vec::with_capacity(entries.len());
        let mut dropped = 0;
        for (i, (name, value)) in entries.into_iter().enumerate() {
            if last.get(&name) == Some(&i) {
                kept.push((name, value));
            } else if i < base {
                dropped += 1;
            } else {
                kept.push((name, Dynamic::UNIT));
            }
        }
        self.0.borrow_mut().base = base - dropped;
        Some(rebuild(kept))
    }
}

/// The latest variable of each name, in order of definition.
fn latest(scope: Scope) -> Vec<(String, Dynamic)> {
    let entries: Vec<(String, Dynamic)> = scope.into_iter().map(|(name, value, _)| (name, value)).collect();
    let mut seen = BTreeSet::new();
    let mut kept: Vec<_> = entries.into_iter().rev().filter(|(name, _)| seen.insert(name.clone())).collect();
    kept.reverse();
    kept
}

fn rebuild(entries: Vec<(String, Dynamic)>) -> Scope<'static> {
    entries.into_iter().map(|(name, value)| (name, value.is_read_only(), value)).collect()
}

impl Globals {
    /// Resolves a variable: `None` to use the current scope, or the value.
    pub(crate) fn resolve(
        &self,
        ctx: &ScriptContext,
        name: &str,
        place: usize,
        mut context: EvalContext,
    ) -> Fallible<Option<Dynamic>> {
        if place > 0 {
            return Ok(None);
        }
        if name == CHECKPOINT {
            self.checkpoint(context.scope_mut());
            if ctx.wants_variables() {
                ctx.set_variables(variables(ctx, context.scope()));
            }
            return Ok(Some(Dynamic::UNIT));
        }
        if context.scope().contains(name) {
            return Ok(None);
        }
        if name == LAST {
            return Ok(Some(ctx.last()));
        }
        let read = if context.call_level() == 0 { None } else { self.read(name)? };
        Ok(read.or_else(|| function(ctx, name)))
    }
}

/// A native function as a value: `help(midi)`, `files.map(midi)`.
fn function(ctx: &ScriptContext, name: &str) -> Option<Dynamic> {
    let known = ctx.catalog().functions(name).next().is_some() || standard::FUNCTIONS.contains(&name);
    known.then(|| FnPtr::new(name).ok().map(Dynamic::from)).flatten()
}

/// The last value, and the placeholder of `let (_, b) = …`.
fn hidden(name: &str) -> bool {
    name == LAST || name.strip_prefix("__x").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The variables of a scope, in order of definition.
pub(crate) fn variables(ctx: &ScriptContext, scope: &Scope) -> Vec<Variable> {
    let entries = scope.into_iter().filter(|(name, ..)| !hidden(name));
    let variable = |(name, value, _): (&str, &Dynamic, _)| {
        let value = value.flatten_clone();
        Variable {
            name: name.into(),
            type_name: type_names::type_name(&value).into_owned(),
            summary: one_line::line(ctx.catalog(), &value),
        }
    };
    entries.map(variable).collect()
}
