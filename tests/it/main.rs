//! The integration tests: one binary, a module a theme.

mod data;
mod examples;
mod floors;
mod folders;
mod llama;
mod peers;
mod scripts;
mod store;
