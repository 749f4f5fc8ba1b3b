//! `Batches`: an order of batches; `Batch`: rows of ids with their labels.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Array, Dynamic};

use crate::data::{self, IGNORE};
use crate::script::convert::{from_ids, place};
use crate::script::failure::Fallible;
use crate::script::objects::inputs::NO_LABEL;
use crate::script::one_line::{counted, thousands};
use crate::script::registry::{Object, Registry};
use crate::tokens;

/// A handle to an order of batches; clones share its position.
#[derive(Debug, Clone)]
pub(crate) struct Batches {
    order: Rc<RefCell<data::Batches>>,
    tokenizer: Arc<tokens::Tokenizer>,
}

/// A handle to a batch.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) batch: Rc<data::Batch>,
    pub(crate) tokenizer: Arc<tokens::Tokenizer>,
}

impl Batches {
    pub(crate) fn new(order: data::Batches, tokenizer: Arc<tokens::Tokenizer>) -> Self {
        Self { order: Rc::new(RefCell::new(order)), tokenizer }
    }

    fn draw(&self) -> Option<Batch> {
        let batch = self.order.borrow_mut().next()?;
        Some(Batch { batch: Rc::new(batch), tokenizer: self.tokenizer.clone() })
    }
}

impl Iterator for Batches {
    type Item = Fallible<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.draw().map(Ok)
    }
}

impl Object for Batches {
    const NAME: &'static str = "Batches";
    const DOC: &'static str = "An order in which rows are handed out: for batch in batches { … }, or batches.next().";

    fn line(&self) -> String {
        let taken = self.order.borrow().position();
        format!("Batches: {taken} taken")
    }
}

impl Object for Batch {
    const NAME: &'static str = "Batch";
    const DOC: &'static str = "Rows of ids and, for each id, the one that should follow.";

    fn line(&self) -> String {
        let Self { batch, .. } = self;
        let labels = batch.labels.iter().filter(|&&l| l != IGNORE).count();
        let (rows, ids) = (counted(batch.rows, "row"), counted(batch.width, "id"));
        let source = batch.encoder.as_ref().map_or_else(String::new, |source| format!(", charts of {}", source.width));
        format!("Batch: {rows} of {ids}{source}, {} to predict", thousands(labels))
    }

    fn text(&self, width: usize) -> String {
        let mut text = self.line();
        for row in self.batch.input_ids.chunks(self.batch.width.max(1)).take(16) {
            let names = row.iter().filter_map(|&id| self.tokenizer.token(id).ok());
            let line: String = names.collect::<Vec<_>>().join(" ").chars().take(width.saturating_sub(4)).collect();
            text += &format!("\n  {line} …");
        }
        text
    }
}

pub(super) fn register(registry: &mut Registry) {
    let mut batches = registry.object::<Batches>();
    batches.method("next() -> Batch", "The next batch; () when there is none left.", |b: &mut Batches| {
        b.draw().map_or(Dynamic::UNIT, Dynamic::from)
    });
    batches.get("position -> int", "How many batches have been taken.", |b: &mut Batches| {
        b.order.borrow().position() as i64
    });
    batches.iterate();
    let mut batch = registry.object::<Batch>();
    batch.get("rows -> int", "How many rows it has.", |b: &mut Batch| b.batch.rows as i64);
    batch.get("width -> int", "Ids in a row.", |b: &mut Batch| b.batch.width as i64);
    batch.get("shape -> array", "Rows and width: (batch, time).", |b: &mut Batch| -> Array {
        vec![(b.batch.rows as i64).into(), (b.batch.width as i64).into()]
    });
    batch.get("tokens -> array", "The ids, an array a row.", |b: &mut Batch| -> Array {
        b.batch.input_ids.chunks(b.batch.width.max(1)).map(|row| from_ids(row).into()).collect()
    });
    batch.get(
        "labels -> array",
        "The id that should follow each, an array a row; -100 where nothing is to be predicted.",
        |b: &mut Batch| -> Array {
            let label = |&l: &u32| Dynamic::from(if l == IGNORE { NO_LABEL } else { i64::from(l) });
            b.batch
                .labels
                .chunks(b.batch.width.max(1))
                .map(|row| row.iter().map(label).collect::<Array>().into())
                .collect()
        },
    );
    batch.get(
        "source -> array",
        "What an encoder reads, an array a row without its padding; empty where it reads nothing.",
        |b: &mut Batch| -> Array {
            let Some(encoder) = &b.batch.encoder else { return Array::new() };
            let rows = encoder.input_ids.chunks(encoder.width).zip(encoder.attention_mask.chunks(encoder.width));
            rows.map(|(ids, mask)| {
                let seen: Vec<u32> = ids.iter().zip(mask).filter(|(_, seen)| **seen).map(|(&id, _)| id).collect();
                from_ids(&seen).into()
            })
            .collect()
        },
    );
    batch.index(
        "[](index: int) -> array",
        "The ids of a row, the first being 0.",
        |b: &mut Batch, index: i64| -> Fallible<Array> {
            let at = place("row", index, b.batch.rows)?;
            Ok(from_ids(&b.batch.input_ids[at * b.batch.width..(at + 1) * b.batch.width]))
        },
    );
}
