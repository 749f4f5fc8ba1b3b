//! `Model`: a transformer, with or without 4-bit weights and adapters.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Array, Dynamic, Map};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data;
use crate::error::Error;
use crate::files::locate;
use crate::nn::{self, ForwardCtx, ModelConfig, ReadOptions};
use crate::script::context::ScriptContext;
use crate::script::convert::{count, from_json, json_map, options};
use crate::script::failure::Fallible;
use crate::script::objects::inputs::{self, MODEL_INPUTS};
use crate::script::objects::model_page::{self, bytes, table};
use crate::script::objects::{Batch, Loss, Tensor, Text, Tokenizer};
use crate::script::one_line::thousands;
use crate::script::registry::{Members, Object, Registry};
use crate::{atomic, config, tokens, train};

/// A handle to a model and its tokenizer.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// The model as it is now: its adapters are switched in place.
    model: Rc<RefCell<Rc<nn::Model>>>,
    /// Known from the start for loaded models, else from the first batch.
    tokenizer: Rc<RefCell<Option<Arc<tokens::Tokenizer>>>>,
}

/// The most ids that a model may have in excess of its tokenizer.
const MOST_PADDING: usize = 256;

/// The tokenizer file in a model's folder.
const TOKENIZER: &str = "tokenizer.json";

/// The options of `save`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SaveOptions {
    dtype: String,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self { dtype: "f32".into() }
    }
}

/// The options of `save`, for help and completion.
const SAVE_OPTIONS: &[(&str, &str)] =
    &[("dtype", "how floats are stored: \"f32\", \"bf16\" or \"f16\"; 4-bit weights stay as they are")];

impl Model {
    pub(crate) fn new(model: nn::Model, tokenizer: Option<Arc<tokens::Tokenizer>>) -> Self {
        Self { model: Rc::new(RefCell::new(Rc::new(model))), tokenizer: Rc::new(RefCell::new(tokenizer)) }
    }

    /// The model as it is now.
    pub(crate) fn model(&self) -> Rc<nn::Model> {
        self.model.borrow().clone()
    }

    /// Puts another model of the same weights in its place, for all handles.
    pub(super) fn replace(&self, model: nn::Model) {
        *self.model.borrow_mut() = Rc::new(model);
    }

    /// Another model with the same tokenizer.
    pub(crate) fn with(&self, model: nn::Model) -> Self {
        Self::new(model, self.tokenizer.borrow().clone())
    }

    /// Refuses ids of another vocabulary; a model without a tokenizer adopts this one.
    pub(crate) fn meets(&self, tokenizer: &Arc<tokens::Tokenizer>) -> Fallible<()> {
        let (knows, says) = (self.model().spec().vocab_size, tokenizer.vocab_size());
        // Vocabularies are padded to a round number for speed; the additional ids are never used.
        if knows < says || knows - says > MOST_PADDING {
            let message =
                format!("the model has a vocabulary of {knows}, the {} tokenizer one of {says}", tokenizer.scheme());
            let hint = "make the model with vocab_size: tok.vocab_size, or the dataset with the model's tokenizer";
            return Err(Error::mistake(message).with_hint(hint).into());
        }
        self.tokenizer.borrow_mut().get_or_insert_with(|| tokenizer.clone());
        Ok(())
    }

    /// The model's own tokenizer, if rows of `tokenizer` must be translated to it.
    pub(crate) fn other_than(&self, tokenizer: &Arc<tokens::Tokenizer>) -> Option<Arc<tokens::Tokenizer>> {
        let knows = self.model().spec().vocab_size;
        let own = self.tokenizer.borrow().clone().filter(|own| own.vocab_size() == knows)?;
        (tokenizer.vocab_size() != knows).then_some(own)
    }

    /// A batch as the model reads it: translated to its ids, and as pairs if it has an encoder.
    fn reads(&self, batch: &Batch) -> Fallible<Rc<data::Batch>> {
        let (batch, tokenizer) = match self.other_than(&batch.tokenizer) {
            Some(_) if batch.batch.encoder.is_some() => {
                return Err(Error::mistake("the batch is made of pairs of another tokenizer than the model's")
                    .with_hint("build the dataset with the model's: net.tokenizer")
                    .into());
            }
            Some(own) => (Rc::new(batch.batch.translated(&batch.tokenizer, &own)), own),
            None => {
                self.meets(&batch.tokenizer)?;
                (batch.batch.clone(), batch.tokenizer.clone())
            }
        };
        if self.model().has_encoder() && batch.encoder.is_none() {
            return Ok(Rc::new(batch.paired(&tokenizer)?));
        }
        Ok(batch)
    }

    /// Its tokenizer.
    pub(crate) fn tokenizer(&self) -> Fallible<Arc<tokens::Tokenizer>> {
        self.tokenizer.borrow().clone().ok_or_else(|| {
            Error::mistake("this model does not know its tokenizer yet")
                .with_hint("it learns it from its first batch; or set it: net.tokenizer = tokenizer(\"performance\")")
                .into()
        })
    }

    pub(super) fn quantized(&self) -> bool {
        self.model().layers().iter().any(|layer| layer.kind.contains("nf4"))
    }

    fn title(&self) -> String {
        let m = &self.model();
        let share = 100.0 * m.trainable() as f64 / m.params().max(1) as f64;
        format!(
            "Model: {}, {} weights, {} train ({share:.1} %), {}",
            m.config().model_type(),
            thousands(m.params()),
            thousands(m.trainable()),
            bytes(m.memory())
        )
    }
}

impl Object for Model {
    const NAME: &'static str = "Model";
    const DOC: &'static str = "A transformer over the tokens of a Tokenizer.\n\
        model(#{ … }) makes one with fresh weights, load_model(\"base\") gives the one inside this program, load_model(dir) \
        reads a Hugging Face folder. Changing it gives a new model that shares what it can: net.quantize(\"nf4\"), net.lora(#{ r: 8 }).";

    fn line(&self) -> String {
        self.title()
    }

    fn text(&self, width: usize) -> String {
        format!("{}\n  {}\n{}", self.title(), self.about(), table(&self.model().layers(), width))
    }

    fn html(&self) -> Option<String> {
        Some(model_page::page(&self.title(), &self.about(), &self.model().layers()))
    }
}

impl Model {
    /// Its size in words.
    fn about(&self) -> String {
        let model = self.model();
        let (spec, stack) = (model.spec(), &model.spec().decoder);
        let adapters = adapters(&model);
        let layers = match &spec.encoder {
            Some(encoder) => format!("{} + {} layers (encoder + decoder)", encoder.layers, stack.layers),
            None => format!("{} layers", stack.layers),
        };
        format!(
            "{layers}, {} heads of {}, hidden {}, feed-forward {}, vocabulary {}, {} positions{adapters}",
            stack.heads,
            stack.head_dim,
            stack.hidden_size,
            stack.intermediate_size,
            spec.vocab_size,
            spec.max_positions
        )
    }
}

/// "; adapters: evans (r = 8), tatum (r = 4, 0.3)": nothing of a model with one adapter without a name.
fn adapters(model: &nn::Model) -> String {
    let (names, active) = (model.adapters(), model.active_adapters());
    if names.is_empty() || names == [nn::DEFAULT_ADAPTER] && !active.is_empty() {
        return String::new();
    }
    let describe = |name: &&str| {
        let rank = model.adapter_config(name).map_or(0, |config| config.r);
        match active.iter().find(|(other, _)| other == name) {
            Some((_, 1.0)) => format!("{name} (r = {rank}, in use)"),
            Some((_, weight)) => format!("{name} (r = {rank}, in use by {weight})"),
            None => format!("{name} (r = {rank})"),
        }
    };
    format!("; adapters: {}", names.iter().map(describe).collect::<Vec<_>>().join(", "))
}

pub(super) fn register(registry: &mut Registry) {
    construct(registry);
    let mut model = registry.object::<Model>();
    properties(&mut model);
    variants(&mut model);
    disk(&mut model);
    passes(&mut model);
}

fn construct(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "model(config: map) -> Model",
        "A model with fresh weights, in the words of Hugging Face's config.json: model_type, vocab_size, hidden_size, \
         num_hidden_layers, num_attention_heads, num_key_value_heads, intermediate_size, max_position_embeddings …",
        move |map: Map| fresh(&ctx, json_map("model", &map)),
    );
    let ctx = registry.ctx();
    registry.function(
        "model(path: string) -> Model",
        "A model with fresh weights, as a YAML or JSON file describes it.",
        move |path: &str| fresh(&ctx, locate(path).and_then(|path| config::read_yaml(&path))),
    );
    let ctx = registry.ctx();
    registry.function(
        "load_model(source: string) -> Model",
        "\"base\", the small pretrained model inside this program; or a Hugging Face folder: config.json, model.safetensors, \
         and an adapter if one lies there.",
        move |source: &str| load(&ctx, source),
    );
}

/// Deserialises options strictly: an unknown key is an error that names the nearest known one.
struct Strict;

impl ReadOptions for Strict {
    fn read<T: DeserializeOwned>(&self, map: Value) -> crate::error::Result<T> {
        config::from_map("model", map)
    }
}

fn fresh(ctx: &ScriptContext, map: crate::error::Result<Value>) -> Fallible<Model> {
    let config = ModelConfig::read(map?, &Strict)?;
    if ctx.device().is_cpu() {
        check_room(config.lower()?.weights(), train::free_memory())?;
    }
    Ok(Model::new(nn::Model::new(&config, &ctx.device(), ctx.next_seed())?, None))
}

/// Refuses a shape whose weights (bytes) exceed the free memory, before allocating any.
fn check_room(weights: u128, free: Option<u64>) -> crate::error::Result<()> {
    let need = 4 * weights;
    let Some(free) = free.filter(|free| need > u128::from(*free)) else { return Ok(()) };
    let gib = |bytes: f64| format!("{:.1} GiB", bytes / f64::from(1 << 30));
    let message = format!(
        "a model of {} weights takes {} in f32, and {} of memory are free",
        thousands(weights as usize),
        gib(need as f64),
        gib(free as f64)
    );
    Err(Error::mistake(message).with_hint("configs/model has shapes from 4 to 155 million weights"))
}

fn load(ctx: &ScriptContext, source: &str) -> Fallible<Model> {
    if source == "base" {
        let tokenizer = tokens::Tokenizer::from_json(nn::Model::base_tokenizer())?;
        return Ok(Model::new(nn::Model::base(&ctx.device())?, Some(Arc::new(tokenizer))));
    }
    let dir = &locate(source)?;
    if !dir.exists() {
        let error = Error::mistake(format!("there is no folder {source}"));
        return Err(error.with_hint("load_model(\"base\") gives the model inside this program").into());
    }
    let model = nn::Model::load(dir, &ctx.device())?;
    let tokenizer = dir.join(TOKENIZER);
    let tokenizer = if tokenizer.exists() { tokens::Tokenizer::load_ours(&tokenizer)?.map(Arc::new) } else { None };
    Ok(Model::new(model, tokenizer))
}

fn properties(model: &mut Members<Model>) {
    model
        .get("params -> int", "How many weights it has, adapters included.", |m: &mut Model| m.model().params() as i64);
    model.get("trainable -> int", "How many of its weights train.", |m: &mut Model| m.model().trainable() as i64);
    model.get("memory -> int", "Bytes of all weights.", |m: &mut Model| m.model().memory() as i64);
    model.get("config -> map", "Its shape, in the words of config.json.", |m: &mut Model| -> Fallible<Dynamic> {
        Ok(from_json(&serde_json::to_value(m.model().config()).map_err(Error::internal)?))
    });
    model.get("parameters -> array", "The names of the weights that train.", |m: &mut Model| -> Array {
        m.model().parameters().into_iter().map(|p| Dynamic::from(p.name)).collect()
    });
    model.get("tokenizer -> Tokenizer", "The tokenizer of the model.", |m: &mut Model| -> Fallible<Tokenizer> {
        Ok(Tokenizer::new(m.tokenizer()?))
    });
    model.set("tokenizer", |m: &mut Model, value: Tokenizer| -> Fallible<()> {
        m.meets(&value.get())?;
        m.tokenizer.borrow_mut().replace(value.get());
        Ok(())
    });
    let ctx = model.ctx();
    model.method("summary() -> Text", "Every layer: kind, shape, weights, memory.", move |m: &mut Model| {
        Text(m.text(ctx.width()))
    });
}

fn variants(model: &mut Members<Model>) {
    model.method("quantize() -> Model", "The same with its blocks in 4 bits.", |m: &mut Model| quantize(m, "nf4"));
    model.method(
        "quantize(scheme: string) -> Model",
        "The same with its blocks in 4 bits (\"nf4\"), frozen.",
        quantize,
    );
    model.method(
        "merge() -> Model",
        "One plain model, all of it trainable: the weights with the adapters added.",
        |m: &mut Model| -> Fallible<Model> { Ok(m.with(m.model().merge()?)) },
    );
    model.method(
        "deepen(times: int) -> Model",
        "A model of `times` as many blocks, all of it trainable, that computes what this one does: copies of each block\n\
         follow it and add nothing until they have learned to. To go on training a small model as a larger one.",
        |m: &mut Model, times: i64| -> Fallible<Model> {
            let times = usize::try_from(times).map_err(|_| Error::mistake(format!("times is {times}")))?;
            Ok(m.with(m.model().deepen(times)?))
        },
    );
    model.method(
        "resize_token_embeddings(vocab_size: int) -> Model",
        "The same model for another vocabulary: rows that are new are the mean of the others. It has no tokenizer until it meets one.",
        |m: &mut Model, vocab_size: i64| -> Fallible<Model> {
            let size = usize::try_from(vocab_size).map_err(|_| Error::mistake(format!("vocab_size is {vocab_size}")))?;
            Ok(Model::new(m.model().resize_token_embeddings(size)?, None))
        },
    );
    model.method(
        "resize_token_embeddings(tokenizer: Tokenizer) -> Model",
        "The same model for the ids of a tokenizer, which it takes over.",
        |m: &mut Model, tokenizer: Tokenizer| -> Fallible<Model> {
            let tokenizer = tokenizer.get();
            Ok(Model::new(m.model().resize_token_embeddings(tokenizer.vocab_size())?, Some(tokenizer)))
        },
    );
}

fn quantize(model: &mut Model, scheme: &str) -> Fallible<Model> {
    Ok(model.with(model.model().quantize(scheme)?))
}

fn disk(model: &mut Members<Model>) {
    model.method(
        "save(dir: string)",
        "Writes a Hugging Face folder, with tokenizer.json when the tokenizer is known.",
        |m: &mut Model, dir: &str| save(m, dir, &Map::new()),
    );
    let member = model.method(
        "save(dir: string, options: map)",
        "Writes a Hugging Face folder, with tokenizer.json when the tokenizer is known.\nOptions:",
        |m: &mut Model, dir: &str, map: Map| save(m, dir, &map),
    );
    member.options = SAVE_OPTIONS;
    model.method(
        "weights(name: string) -> Tensor",
        "A weight by its Hugging Face name.",
        |m: &mut Model, name: &str| -> Fallible<Tensor> { Ok(Tensor(m.model().weights(name)?)) },
    );
}

fn save(model: &Model, dir: &str, map: &Map) -> Fallible<()> {
    let chosen: SaveOptions = options("save", map)?;
    let dir = &locate(dir)?;
    model.model().save_with(dir, chosen.dtype.parse()?)?;
    if let Some(tokenizer) = &*model.tokenizer.borrow() {
        atomic::write(&dir.join(TOKENIZER), tokenizer.to_json().as_bytes())?;
    }
    Ok(())
}

fn passes(model: &mut Members<Model>) {
    let ctx = model.ctx();
    model.method(
        "forward(batch: Batch) -> Tensor",
        "Logits: (batch, time, vocabulary). Nothing is dropped.",
        move |m: &mut Model, batch: Batch| -> Fallible<Tensor> {
            Ok(Tensor(m.model().logits(&*m.reads(&batch)?, &pass(&ctx, None))?.detach()))
        },
    );
    let ctx = model.ctx();
    let member = model.method(
        "forward(inputs: map) -> Tensor",
        "Logits of ids, in the names of transformers: (batch, time, vocabulary). Those of padding count for nothing.\nInputs:",
        move |m: &mut Model, map: Map| -> Fallible<Tensor> {
            Ok(Tensor(m.model().logits(&inputs::batch("forward", &map)?, &pass(&ctx, None))?.detach()))
        },
    );
    member.options = MODEL_INPUTS;
    let ctx = model.ctx();
    model.method(
        "loss(batch: Batch) -> Loss",
        "How far it is off on a batch, to go backward from; dropout is on, as in training.",
        move |m: &mut Model, batch: Batch| -> Fallible<Loss> {
            let loss = m.model().taped_loss(&*m.reads(&batch)?, &pass(&ctx, Some(ctx.next_seed())))?;
            Loss::new(loss, m.model().parameters())
        },
    );
    let ctx = model.ctx();
    let member = model.method(
        "loss(inputs: map) -> Loss",
        "How far it is off on ids, in the names of transformers; a label is the id that follows.\nInputs:",
        move |m: &mut Model, map: Map| -> Fallible<Loss> {
            let batch = inputs::batch("loss", &map)?;
            let loss = m.model().taped_loss(&batch, &pass(&ctx, Some(ctx.next_seed())))?;
            Loss::new(loss, m.model().parameters())
        },
    );
    member.options = MODEL_INPUTS;
    model.method(
        "attention(batch: Batch, layer: int) -> Tensor",
        "Attention weights of one layer: (batch, heads, time, time).",
        |m: &mut Model, batch: Batch, layer: Dynamic| -> Fallible<Tensor> {
            Ok(Tensor(m.model().attention(&*m.reads(&batch)?, count("attention: layer", &layer)? as usize)?))
        },
    );
    let member = model.method(
        "attention(inputs: map, layer: int) -> Tensor",
        "Attention weights of one layer, of ids in the names of transformers: (batch, heads, time, time).\nInputs:",
        |m: &mut Model, map: Map, layer: Dynamic| -> Fallible<Tensor> {
            let layer = count("attention: layer", &layer)? as usize;
            Ok(Tensor(m.model().attention(&inputs::batch("attention", &map)?, layer)?))
        },
    );
    member.options = MODEL_INPUTS;
}

fn pass(ctx: &ScriptContext, dropout_seed: Option<u64>) -> ForwardCtx {
    ForwardCtx { dropout_seed, interrupt: ctx.progress().interrupt().clone(), ..ForwardCtx::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_without_room_is_refused_with_its_size() {
        assert!(check_room(1 << 20, Some(4 << 20)).is_ok() && check_room(1 << 40, None).is_ok());
        let error = check_room(3 << 28, Some(1 << 30)).expect_err("three in one");
        assert_eq!(
            error.message(),
            "a model of 805,306,368 weights takes 3.0 GiB in f32, and 1.0 GiB of memory are free"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(12), "12");
        assert_eq!(bytes(3 * 1_048_576), "3.0 MiB");
    }
}
