//! The base inside the binary: a pretrained model in 4 bits and its tokenizer, as a Hugging Face folder.

/// Its `config.json`.
pub(crate) const CONFIG: &str = include_str!("config.json");

/// Its `model.safetensors`.
pub(crate) const WEIGHTS: &[u8] = include_bytes!("model.safetensors");

/// Its `tokenizer.json`.
pub(crate) const TOKENIZER: &str = include_str!("tokenizer.json");
