//! The bundled base model: 4-bit weights and the tokenizer, as the files of a Hugging Face folder.

/// Its `config.json`.
pub(crate) const CONFIG: &str = include_str!("config.json");

/// Its `model.safetensors`.
pub(crate) const WEIGHTS: &[u8] = include_bytes!("model.safetensors");

/// Its `tokenizer.json`.
pub(crate) const TOKENIZER: &str = include_str!("tokenizer.json");
