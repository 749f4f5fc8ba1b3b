//! Weight files: Hugging Face folders, bitsandbytes' 4-bit weights, PEFT's adapters.

mod adapter;
mod entry;
mod file;
mod folder;
mod nf4;
mod peft;
mod read;
mod stored_adapter;
