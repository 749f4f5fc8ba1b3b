//! The names of an adapter's tensors, and which weights of the base train with it.

use super::adapters::DEFAULT;
use crate::nn::LoraBias;

/// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", for `which` "A" or "B": the name in files, and in memory
/// that of the default adapter; another's is "….lora_A.NAME.weight", as in PEFT.
pub(crate) fn adapter_name(linear: &str, which: &str, adapter: &str) -> String {
    match adapter {
        DEFAULT => format!("base_model.model.{linear}.lora_{which}.weight"),
        other => format!("base_model.model.{linear}.lora_{which}.{other}.weight"),
    }
}

/// "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", in memory with the name of an adapter as in
/// [`adapter_name`].
pub(crate) fn magnitude_name(linear: &str, adapter: &str) -> String {
    match adapter {
        DEFAULT => format!("base_model.model.{linear}.lora_magnitude_vector"),
        other => format!("base_model.model.{linear}.lora_magnitude_vector.{other}"),
    }
}

/// The name of rows of an embedding in files ("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"), and
/// in memory with the name of an adapter.
pub(crate) fn token_rows_name(embedding: &str, adapter: &str) -> String {
    let module = embedding.strip_suffix(".weight").unwrap_or(embedding);
    match adapter {
        DEFAULT => format!("base_model.model.{module}.token_adapter.trainable_tokens_delta"),
        other => format!("base_model.model.{module}.token_adapter.trainable_tokens_delta.{other}"),
    }
}

/// Whether `modules_to_save` names the module of a weight, or one that it is in, as in PEFT: by the end of its name.
pub(crate) fn is_saved(modules: &[String], weight: &str) -> bool {
    let parents = weight.match_indices('.').map(|(at, _)| &weight[..at]);
    parents.chain([weight]).any(|module| modules.iter().any(|end| module.ends_with(end.as_str())))
}

/// Whether a bias trains beside adapters.
pub(crate) fn trains_bias(how: LoraBias, name: &str, adapted: bool) -> bool {
    name.ends_with(".bias")
        && match how {
            LoraBias::None => false,
            LoraBias::All => true,
            LoraBias::LoraOnly => adapted,
        }
}
