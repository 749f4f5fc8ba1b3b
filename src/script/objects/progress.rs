//! `Counted`: iterates over items with a progress bar.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;

use rhai::Dynamic;

use crate::error::Error;
use crate::progress::Task;
use crate::script::context::ScriptContext;
use crate::script::convert::article;
use crate::script::failure::Fallible;
use crate::script::objects::Batches;
use crate::script::registry::{Object, Registry};

/// A handle to items with a progress bar; clones share its position. The bar is shown from the first item until the
/// last, or until the loop ends.
#[derive(Clone)]
pub(crate) struct Counted(Rc<RefCell<LoopState>>);

/// The remaining items.
type LoopItems = Box<dyn Iterator<Item = Fallible<Dynamic>>>;

struct LoopState {
    ctx: ScriptContext,
    title: String,
    items: LoopItems,
    total: Option<u64>,
    given: u64,
    task: Option<Task>,
}

impl Counted {
    fn new(ctx: &ScriptContext, items: Dynamic, title: &str) -> Fallible<Self> {
        let (items, total): (LoopItems, _) = match () {
            () if items.is_array() => {
                let items = items.into_array().unwrap_or_default();
                let total = items.len() as u64;
                (Box::new(items.into_iter().map(Ok)), Some(total))
            }
            () if items.is_map() => {
                let entries = items.as_map_ref().map(|map| map.keys().map(ToString::to_string).collect::<Vec<_>>());
                let keys = entries.unwrap_or_default();
                let total = keys.len() as u64;
                (Box::new(keys.into_iter().map(|key| Ok(key.into()))), Some(total))
            }
            () if items.is_int() => counting(0..items.as_int().unwrap_or(0)),
            () if items.is::<Range<i64>>() => counting(items.cast::<Range<i64>>()),
            () if items.is::<RangeInclusive<i64>>() => {
                let range = items.cast::<RangeInclusive<i64>>();
                counting(*range.start()..range.end().saturating_add(1))
            }
            () if items.is::<Batches>() => {
                let batches = items.cast::<Batches>();
                (Box::new(batches.map(|batch| batch.map(Dynamic::from))), None)
            }
            () => {
                return Err(Error::mistake(format!(
                    "progress counts an array, a range, a number, a map's keys or batches, not {}",
                    article(&items)
                ))
                .with_hint("for x in progress([1, 2, 3]) { … }")
                .into());
            }
        };
        let state = LoopState { ctx: ctx.clone(), title: title.into(), items, total, given: 0, task: None };
        Ok(Self(Rc::new(RefCell::new(state))))
    }
}

fn counting(range: Range<i64>) -> (LoopItems, Option<u64>) {
    let total = u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
    (Box::new(range.map(|i| Ok(i.into()))), Some(total))
}

impl Iterator for Counted {
    type Item = Fallible<Dynamic>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.0.borrow_mut();
        let state = &mut *state;
        // An item is done when the next is requested.
        if let Some(task) = &mut state.task
            && let Err(stopped) = task.advance(1)
        {
            return Some(Err(stopped.into()));
        }
        if state.task.is_none() {
            state.task = Some(state.ctx.progress().task(state.title.clone(), state.total, "items"));
        }
        let item = state.items.next();
        match item {
            Some(_) => state.given += 1,
            None => state.task = None,
        }
        item
    }
}

impl Object for Counted {
    const NAME: &'static str = "Counted";
    const DOC: &'static str = "Items that are handed out under a bar of progress: for x in progress(items) { … }.";

    fn line(&self) -> String {
        let state = self.0.borrow();
        let all = state.total.map_or_else(String::new, |all| format!(" of {all}"));
        format!("Counted: {}{all} {}", state.given, if state.given == 1 { "item" } else { "items" })
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "progress(items: any) -> Counted",
        "The items of an array, a range or a Batches, under a bar that says how far the loop is: for x in progress(items) { … }.",
        move |items: Dynamic| Counted::new(&ctx, items, "progress"),
    );
    let ctx = registry.ctx();
    registry.function(
        "progress(items: any, title: string) -> Counted",
        "The same with a title before the bar.",
        move |items: Dynamic, title: &str| Counted::new(&ctx, items, title),
    );
    registry.object::<Counted>().iterate();
}
