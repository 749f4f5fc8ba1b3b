//! Adapters of a `Model`: fresh ones, those of files, several of them on one base.

use rhai::{Array, Dynamic, Map};

use crate::error::Error;
use crate::files::locate;
use crate::nn::{LoraConfig, LoraInit};
use crate::script::convert::{number, options};
use crate::script::failure::Fallible;
use crate::script::objects::Model;
use crate::script::registry::{Members, Registry};

/// The options of `lora` and `qlora`, with descriptions of [`LoraConfig`].
pub(super) const LORA_OPTIONS: &[(&str, &str)] = &[
    ("r", "rank of the adapters (8)"),
    ("lora_alpha", "the update is scaled by lora_alpha / r (16)"),
    ("lora_dropout", "share of the adapter's inputs dropped in training (0)"),
    ("target_modules", "names of the layers that get one, or a regular expression ([\"all-linear\"])"),
    ("exclude_modules", "layers that get none ([])"),
    ("layers_to_transform", "blocks whose layers get one, from 0 (all)"),
    ("layers_pattern", "the list of blocks that layers_to_transform counts: \"layers\", \"h\" (any)"),
    ("rank_pattern", "other ranks for some layers: #{ q_proj: 16 } (#{})"),
    ("alpha_pattern", "other values of lora_alpha for some layers: #{ q_proj: 32 } (#{})"),
    ("use_rslora", "scale by lora_alpha / √r instead (false)"),
    ("use_dora", "magnitudes of their own for the rows of the weights: DoRA (false)"),
    (
        "init_lora_weights",
        "how they begin: \"default\", \"gaussian\", \"pissa\", \"pissa_niter_4\", \"olora\" or \"loftq\"",
    ),
    ("bias", "which biases train beside them: \"none\", \"all\" or \"lora_only\""),
    ("modules_to_save", "whole layers, norms or the embedding that train and are stored beside them ([])"),
    ("trainable_token_indices", "ids whose rows of the embedding train beside them ([])"),
    ("fan_in_fan_out", "whether files hold the layers as (in, out), as GPT-2's do (found out)"),
];

pub(super) fn register(registry: &mut Registry) {
    let mut model = registry.members::<Model>();
    fresh(&mut model);
    files(&mut model);
    choice(&mut model);
}

fn fresh(model: &mut Members<Model>) {
    let ctx = model.ctx();
    let lora = move |m: &Model, map: &Map, what: &str| -> Fallible<Model> {
        let config: LoraConfig = options(what, map)?;
        Ok(m.with(m.model().lora(&config, ctx.next_seed())?))
    };
    let plain = lora.clone();
    model.method(
        "lora() -> Model",
        "The same with its weights frozen and fresh adapters beside them.",
        move |m: &mut Model| plain(m, &Map::new(), "lora"),
    );
    let with_options = lora.clone();
    let member = model.method(
        "lora(options: map) -> Model",
        "The same with its weights frozen and fresh adapters beside them (Hu et al. 2021); it answers the same until they train.\nOptions, with PEFT's names:",
        move |m: &mut Model, map: Map| with_options(m, &map, "lora"),
    );
    member.options = LORA_OPTIONS;
    let plain = lora.clone();
    model.method("qlora() -> Model", "quantize(\"nf4\") and lora() in one.", move |m: &mut Model| {
        plain(&in_four_bits(m)?, &Map::new(), "qlora")
    });
    let member = model.method(
        "qlora(options: map) -> Model",
        "quantize(\"nf4\") and lora(options) in one (Dettmers et al. 2023).\nOptions, with PEFT's names:",
        move |m: &mut Model, map: Map| {
            let config: LoraConfig = options("qlora", &map)?;
            // LoftQ quantises the layers it adapts itself.
            let begun = config.init_lora_weights == LoraInit::Loftq && !m.quantized();
            if begun { in_four_bits(&mut lora(m, &map, "qlora")?) } else { lora(&in_four_bits(m)?, &map, "qlora") }
        },
    );
    member.options = LORA_OPTIONS;
    let ctx = model.ctx();
    let member = model.method(
        "add_adapter(name: string, options: map)",
        "Adds a fresh adapter under a name; set_adapter(name) uses it. The weights of the model are frozen.\nOptions, with PEFT's names:",
        move |m: &mut Model, name: &str, map: Map| -> Fallible<()> {
            let config: LoraConfig = options("add_adapter", &map)?;
            m.replace(m.model().add_fresh_adapter(name, &config, ctx.next_seed())?);
            Ok(())
        },
    );
    member.options = LORA_OPTIONS;
}

fn in_four_bits(model: &mut Model) -> Fallible<Model> {
    if model.quantized() { Ok(model.clone()) } else { Ok(model.with(model.model().quantize("nf4")?)) }
}

fn files(model: &mut Members<Model>) {
    model.method(
        "save_adapter(dir: string)",
        "Writes the adapter in use as PEFT does.",
        |m: &mut Model, dir: &str| -> Fallible<()> { Ok(m.model().save_adapter(&locate(dir)?)?) },
    );
    model.method(
        "save_adapter(dir: string, name: string)",
        "Writes one of several adapters as PEFT does.",
        |m: &mut Model, dir: &str, name: &str| -> Fallible<()> {
            Ok(m.model().save_adapter_named(&locate(dir)?, name)?)
        },
    );
    model.method(
        "load_adapter(dir: string) -> Model",
        "The same with the adapter of a PEFT folder.",
        |m: &mut Model, dir: &str| -> Fallible<Model> { Ok(m.with(m.model().load_adapter(&locate(dir)?)?)) },
    );
    model.method(
        "add_adapter(name: string, dir: string)",
        "Adds the adapter of a PEFT folder under a name; set_adapter(name) uses it. The weights of the model are frozen.",
        |m: &mut Model, name: &str, dir: &str| -> Fallible<()> {
            m.replace(m.model().add_adapter(name, &locate(dir)?)?);
            Ok(())
        },
    );
}

fn choice(model: &mut Members<Model>) {
    model.get("adapters -> array", "The names of its adapters.", |m: &mut Model| -> Array {
        m.model().adapters().into_iter().map(|name| Dynamic::from(name.to_string())).collect()
    });
    model.get("active_adapters -> map", "The adapters in use with their weights: #{ evans: 1.0 }.", |m: &mut Model| {
        let active = m.model();
        let active = active.active_adapters().iter();
        active.map(|(name, weight)| (name.as_str().into(), Dynamic::from(*weight))).collect::<Map>()
    });
    model.method(
        "set_adapter(name: string)",
        "Uses one of its adapters from here on, which trains; nothing is read again.",
        |m: &mut Model, name: &str| -> Fallible<()> {
            m.replace(m.model().set_adapter(name)?);
            Ok(())
        },
    );
    model.method(
        "set_adapter(weights: map)",
        "Uses a mixture of its adapters from here on: net.set_adapter(#{ evans: 0.7, tatum: 0.3 }). A mixture does not train; \
         merge() makes plain weights of it.",
        |m: &mut Model, weights: Map| -> Fallible<()> {
            let weight = |(name, value): (&rhai::Identifier, &Dynamic)| {
                Ok((name.to_string(), number(&format!("set_adapter: {name}"), value)?))
            };
            let weights = weights.iter().map(weight).collect::<Result<Vec<_>, Error>>()?;
            m.replace(m.model().mix_adapters(&weights)?);
            Ok(())
        },
    );
    model.method("disable_adapter()", "Uses none of its adapters from here on.", |m: &mut Model| {
        m.replace(m.model().disable_adapter());
    });
    model.method(
        "delete_adapter(name: string)",
        "Removes one of its adapters; if that was in use, none is.",
        |m: &mut Model, name: &str| -> Fallible<()> {
            m.replace(m.model().delete_adapter(name)?);
            Ok(())
        },
    );
}
