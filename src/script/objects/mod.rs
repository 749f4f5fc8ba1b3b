//! What scripts can do: one file an object.

mod audio;
mod batch;
mod chords;
mod dataset;
mod dataset_page;
mod displayed;
mod figure;
mod files;
mod following;
mod gradients;
mod language;
mod listening;
mod memory;
mod model;
mod model_page;
mod optimizer;
mod panel;
mod playing;
mod ranking;
mod ranks;
mod report;
mod resuming;
mod run;
mod runs;
mod sampler;
mod score;
mod settings;
mod speed;
mod style;
mod sweep;
mod tensor;
mod text;
mod tokenizer;
mod tracking;
mod trainer;

use crate::script::kit::Kit;

pub(crate) use audio::Audio;
pub(crate) use batch::{Batch, Batches};
pub(crate) use chords::Chords;
pub(crate) use dataset::{Dataset, Split};
pub(crate) use displayed::Displayed;
pub(crate) use figure::Figure;
pub(crate) use gradients::{Grads, Loss};
pub(crate) use model::Model;
pub(crate) use sampler::Sampler;
pub(crate) use score::Score;
pub(crate) use tensor::Tensor;
pub(crate) use text::Text;
pub(crate) use tokenizer::Tokenizer;
pub(crate) use trainer::History;

/// Registers everything.
pub(crate) fn register(kit: &mut Kit) {
    language::register(kit);
    displayed::register(kit);
    files::register(kit);
    settings::register(kit);
    memory::register(kit);
    speed::register(kit);
    text::register(kit);
    score::register(kit);
    audio::register(kit);
    chords::register(kit);
    tokenizer::register(kit);
    dataset::register(kit);
    batch::register(kit);
    model::register(kit);
    gradients::register(kit);
    tensor::register(kit);
    optimizer::register(kit);
    trainer::register(kit);
    sampler::register(kit);
    playing::register(kit);
    ranks::register(kit);
    resuming::register(kit);
    report::register(kit);
    style::register(kit);
    listening::register(kit);
    run::register(kit);
    runs::register(kit);
    sweep::register(kit);
    figure::register(kit);
}
