//! How `etude train` treats an existing output folder: whether it may be used, how the run in it is resumed, and which
//! given settings are compatible with that run.

use std::collections::BTreeSet;
use std::path::Path;

use rhai::Map;
use serde_json::{Map as Json, Value, json};

use crate::config::{self, Recipe};
use crate::data;
use crate::error::{Error, Result};
use crate::files::locate;
use crate::nn;
use crate::script::Output;
use crate::script::context::ScriptContext;
use crate::script::convert::json_map;
use crate::script::failure::Fallible;
use crate::script::objects::Model;
use crate::script::objects::trainer::Trainer;
use crate::script::registry::Registry;
use crate::tokens::Tokenizer;
use crate::train::{self, FolderLock, TrainOptions};

/// The file of a run's initial settings, in its folder.
const SETTINGS: &str = "settings.yaml";

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "claim(dir: string) -> any",
        "Makes a folder for a run and keeps other processes from running in it, as long as what it gives is held.",
        |dir: &str| -> Fallible<rhai::Dynamic> {
            let dir = locate(dir)?;
            std::fs::create_dir_all(&dir).map_err(|e| Error::io("cannot make the folder", &dir, e))?;
            Ok(rhai::Dynamic::from(FolderLock::take(&dir)?))
        },
    );
    registry.function(
        "traces(dir: string) -> string",
        "What a run left in a folder: its newest checkpoint, or what it wrote before that; empty when there is nothing.",
        |dir: &str| -> Fallible<String> {
            Ok(train::Trainer::traces(&locate(dir)?).map_or_else(String::new, |path| path.display().to_string()))
        },
    );
    let ctx = registry.ctx();
    registry.function(
        "resume_recipe(dir: string, recipe: map) -> Trainer",
        "Goes on with a run as etude train --resume does: settings of the recipe that may change in the middle of a run do, the others must be those it began with.",
        move |dir: &str, recipe: Map| resume(&ctx, dir, &recipe),
    );
    let ctx = registry.ctx();
    registry.function(
        "begin_with(model: Model, recipe: map) -> Model",
        "The model that a recipe trains: with fresh adapters, with those it has where the recipe asks for no others, or all of its weights.",
        move |model: Model, recipe: Map| begin_with(&ctx, &model, &recipe),
    );
}

/// The given settings of a recipe, and the resulting recipe.
fn given(recipe: &Map) -> Result<(Json<String, Value>, Recipe)> {
    let Value::Object(map) = json_map("the recipe", recipe)? else { return Err(Error::mistake("a recipe is a map")) };
    let Some(Value::Object(settings)) = map.get("settings").cloned() else {
        return Err(Error::mistake("the recipe has no settings").with_hint("recipe(args, #{}) makes one"));
    };
    let recipe = Recipe::from_map("the command line", Value::Object(settings.clone()))?;
    Ok((settings, recipe))
}

fn resume(ctx: &ScriptContext, dir: &str, recipe: &Map) -> Fallible<Trainer> {
    let (settings, wanted) = given(recipe)?;
    let stored = train::StoredRun::read(&locate(dir)?)?;
    let Value::Object(known) = serde_json::to_value(TrainOptions::default()).map_err(Error::internal)? else {
        return super::trainer::go_on(ctx, dir, None, &json!({}));
    };
    let mut changes = Json::new();
    for (key, value) in &settings {
        if known.contains_key(key) && !["output_dir", "out"].contains(&key.as_str()) {
            changes.insert(key.clone(), value.clone());
        }
    }
    let data = match wanted.sources.data_dir.as_deref() {
        Some(path) if !is_that_of_the_run(path, &stored) => Some(read_data(ctx, path, &stored)?),
        _ => None,
    };
    // Checked first: building the data may take long.
    let before = StoredRunInfo::read(&stored)?;
    for key in settings.keys().filter(|key| !known.contains_key(*key)) {
        before.check(key, &wanted, &stored)?;
    }
    super::trainer::go_on(ctx, dir, data, &Value::Object(changes))
}

/// Whether a folder is the source of the run's data.
fn is_that_of_the_run(path: &Path, stored: &train::StoredRun) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    match &stored.source {
        Some(source) => real(source) == real(path),
        None => stored.files.first().is_some_and(|first| real(first).starts_with(real(path))),
    }
}

/// Reads data from another place, with the options of the run's data.
fn read_data(ctx: &ScriptContext, path: &Path, stored: &train::StoredRun) -> Result<data::Dataset> {
    if data::Dataset::is_saved(path) {
        return data::Dataset::load(path);
    }
    let tokenizer = Tokenizer::load(stored.checkpoint.join("tokenizer.json"))?;
    data::Dataset::build(&[path.to_path_buf()], tokenizer.into(), &stored.data, ctx.progress())
}

/// The initial settings of a run.
struct StoredRunInfo {
    /// Its settings, if they were stored.
    settings: Option<Recipe>,
    model: Option<nn::LoraConfig>,
    packed: bool,
    tokenizer: Tokenizer,
}

impl StoredRunInfo {
    fn read(stored: &train::StoredRun) -> Result<Self> {
        let path = stored.checkpoint.parent().unwrap_or(Path::new(".")).join(SETTINGS);
        let settings = match path.is_file() {
            true => Some(Recipe::from_map(SETTINGS, config::read_yaml(&path)?)?),
            false => None,
        };
        let model = nn::Model::load(&stored.checkpoint, &candle_core::Device::Cpu)?;
        let packed = model.layers().iter().any(|layer| layer.kind.contains("nf4"));
        let tokenizer = Tokenizer::load(stored.checkpoint.join("tokenizer.json"))?;
        Ok(Self { settings, model: model.lora_config().cloned(), packed, tokenizer })
    }

    /// Refuses a given setting that differs from the run's and cannot change during it.
    fn check(&self, key: &str, wanted: &Recipe, stored: &train::StoredRun) -> Result<()> {
        if let Some(began) = &self.settings
            && same(&value_of(began, key)?, &value_of(wanted, key)?)
        {
            return Ok(());
        }
        let old = self.settings.as_ref().map(|recipe| &recipe.sources);
        let new = &wanted.sources;
        let (was, is) = match key {
            "device" | "data_dir" => return Ok(()),
            "base_model" => match old {
                Some(old) => (json!(old.base_model), json!(new.base_model)),
                None => (json!("another, or the same: it was not written down"), json!(new.base_model)),
            },
            "method" => {
                let found = match (self.model.is_some(), self.packed) {
                    (true, true) => config::AdapterMethod::Qlora,
                    (true, false) => config::AdapterMethod::Lora,
                    (false, _) => config::AdapterMethod::Full,
                };
                (json!(old.map_or(found, |old| old.method)), json!(new.method))
            }
            "tokenizer" if new.tokenizer == self.tokenizer.scheme() => return Ok(()),
            "tokenizer" => (json!(self.tokenizer.scheme()), json!(new.tokenizer)),
            _ => {
                let field = |part: Value| part.get(key).cloned().unwrap_or(Value::Null);
                let data = |options: &data::DatasetOptions| serde_json::to_value(options).map_err(Error::internal);
                let lora = |config: &nn::LoraConfig| serde_json::to_value(config).map_err(Error::internal);
                let is_data = data(&wanted.data)?.get(key).is_some();
                match (is_data, &self.model, &wanted.lora) {
                    (true, ..) => (field(data(&stored.data)?), field(data(&wanted.data)?)),
                    // Adapter settings do not apply to a run without adapters.
                    (false, None, _) | (false, _, None) => return Ok(()),
                    (false, Some(was), Some(is)) => {
                        let was = self.settings.as_ref().and_then(|recipe| recipe.lora.as_ref()).unwrap_or(was);
                        (field(lora(was)?), field(lora(is)?))
                    }
                }
            }
        };
        if same(&was, &is) {
            return Ok(());
        }
        let folder = stored.checkpoint.parent().unwrap_or(Path::new(".")).display().to_string();
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
        Err(Error::mistake(format!(
            "--{key} is {}, but the run in {folder} has {}, which cannot change in the middle of it",
            shown(&is),
            shown(&was)
        ))
        .with_hint(format!(
            "leave --{key} out to go on; or begin a new run with what this one has learned: --init_from {folder} \
             --output_dir OTHER"
        )))
    }
}

/// The value of a key in a recipe, from the part to which it belongs.
fn value_of(recipe: &Recipe, key: &str) -> Result<Value> {
    let all = serde_json::to_value(recipe).map_err(Error::internal)?;
    let parts = [&all, &all["lora"], &all["data"]];
    Ok(parts.iter().find_map(|part| part.get(key)).cloned().unwrap_or(Value::Null))
}

/// Whether two values are equal; 16 and 16.0 are.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Applies the adapter settings of a recipe to a model.
fn begin_with(ctx: &ScriptContext, model: &Model, recipe: &Map) -> Fallible<Model> {
    let (settings, wanted) = given(recipe)?;
    let plain = &*model.model();
    let Some(lora) = &wanted.lora else { return Ok(model.with(plain.merge()?)) };
    let packed = |model: &nn::Model| model.layers().iter().any(|layer| layer.kind.contains("nf4"));
    let in_four_bits = |model: nn::Model| match wanted.sources.method {
        config::AdapterMethod::Qlora if !packed(&model) => model.quantize("nf4"),
        _ => Ok(model),
    };
    let say = |text: String| ctx.say(Output::Warning(format!("{text}\n")));
    let base = match plain.lora_config() {
        None => plain.clone(),
        Some(has) if fits(has, lora, &settings) && same_layers(plain, lora, &settings)? => {
            say(format!("the adapters of rank {} that the model has train on", has.r));
            return Ok(model.with(in_four_bits(plain.clone())?));
        }
        Some(has) => {
            let message = "the adapters that the model has, of rank";
            say(format!("{message} {}, are merged into it, since the recipe asks for others", has.r));
            plain.merge()?
        }
    };
    Ok(model.with(in_four_bits(base)?.lora(lora, ctx.next_seed())?))
}

/// Whether adapters match the given settings of a recipe.
fn fits(has: &nn::LoraConfig, wanted: &nn::LoraConfig, settings: &Json<String, Value>) -> bool {
    let of = |config: &nn::LoraConfig| serde_json::to_value(config).unwrap_or_default();
    let (has, wanted) = (of(has), of(wanted));
    let keys = [
        "r",
        "lora_alpha",
        "use_rslora",
        "use_dora",
        "rank_pattern",
        "alpha_pattern",
        "bias",
        "modules_to_save",
        "trainable_token_indices",
    ];
    keys.iter().all(|key| !settings.contains_key(*key) || same(&has[key], &wanted[key]))
}

/// Whether the adapted layers match those of a recipe, if it names any.
fn same_layers(model: &nn::Model, wanted: &nn::LoraConfig, settings: &Json<String, Value>) -> Fallible<bool> {
    let names = ["target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"];
    if !names.iter().any(|key| settings.contains_key(*key)) {
        return Ok(true);
    }
    let names = |model: &nn::Model| -> BTreeSet<String> { model.parameters().into_iter().map(|p| p.name).collect() };
    Ok(names(model) == names(&model.merge()?.lora(wanted, 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_equal_however_they_are_written() {
        assert!(same(&json!(16), &json!(16.0)) && same(&json!([1, { "a": 2.0 }]), &json!([1.0, { "a": 2 }])));
        assert!(!same(&json!(16), &json!(8)) && !same(&json!("16"), &json!(16)) && !same(&json!([1]), &json!([1, 2])));
    }
}
