//! The layers of a model, as a text table and as HTML.

use crate::nn;
use crate::plot;
use crate::script::html::{self, Cell};
use crate::script::one_line::thousands;

/// The layers as text; repeated blocks are merged.
pub(super) fn table(layers: &[nn::Layer], width: usize) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for entry in entries(layers) {
        rows.push(match entry {
            LayerRow::Layer(layer) => vec![
                layer.name.clone(),
                layer.kind.clone(),
                shape(layer),
                thousands(layer.params),
                thousands(layer.trainable),
                bytes(layer.bytes),
            ],
            LayerRow::More(blocks) => vec![format!("… {blocks} more blocks like this")],
        });
    }
    plot::table_within(&["layer", "kind", "shape", "weights", "train", "memory"], &rows, width)
}

/// The layers as HTML, with trainable shares and memory as bars.
pub(super) fn page(title: &str, about: &str, layers: &[nn::Layer]) -> String {
    let most = layers.iter().map(|l| l.bytes).max().unwrap_or(0).max(1) as f64;
    let row = |entry: &LayerRow| match entry {
        LayerRow::Layer(layer) => {
            let share = 100.0 * layer.trainable as f64 / layer.params.max(1) as f64;
            let trains = if layer.trainable == 0 { "–".into() } else { format!("{share:.1} %") };
            vec![
                Cell::Word(layer.name.clone()),
                Cell::Word(layer.kind.clone()),
                Cell::Number(shape(layer)),
                Cell::Number(thousands(layer.params)),
                Cell::Number(trains),
                Cell::Number(bytes(layer.bytes)),
                Cell::Bar(layer.bytes as f64 / most),
            ]
        }
        LayerRow::More(blocks) => vec![Cell::Word(format!("… {blocks} more blocks like this"))],
    };
    let rows: Vec<Vec<Cell>> = entries(layers).iter().map(row).collect();
    let (all, trains) =
        (layers.iter().map(|l| l.params).sum::<usize>(), layers.iter().map(|l| l.trainable).sum::<usize>());
    let total = [[
        Cell::Word("trains".into()),
        Cell::Number(format!("{} of {}", thousands(trains), thousands(all))),
        Cell::Bar(trains as f64 / all.max(1) as f64),
    ]
    .into()];
    let headings = ["layer", "kind", "shape", "weights", "train", "memory", ""];
    let table = html::folded("layers", &html::table(&headings, &rows), true);
    format!("<div>{}{}{}{table}</div>", html::heading(title), html::note(about), html::table(&["", "", ""], &total))
}

/// A line of the table.
enum LayerRow<'a> {
    Layer(&'a nn::Layer),
    /// The number of further blocks like the one before.
    More(usize),
}

fn entries(layers: &[nn::Layer]) -> Vec<LayerRow<'_>> {
    let mut entries = Vec::new();
    let mut likes = 0;
    for layer in layers {
        match block(&layer.name) {
            Some(n) if n > 0 => likes = likes.max(n),
            _ => {
                entries.extend((likes > 0).then_some(LayerRow::More(likes)));
                likes = 0;
                entries.push(LayerRow::Layer(layer));
            }
        }
    }
    entries.extend((likes > 0).then_some(LayerRow::More(likes)));
    entries
}

fn shape(layer: &nn::Layer) -> String {
    layer.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
}

/// The number of the block in "model.layers.3.mlp.up_proj".
fn block(name: &str) -> Option<usize> {
    let (_, rest) = name.split_once(".layers.")?;
    rest.split_once('.')?.0.parse().ok()
}

/// 12.3 MiB
pub(super) fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_of_a_layer_is_in_its_name() {
        assert_eq!(block("model.layers.3.mlp.up_proj"), Some(3));
        assert_eq!(block("lm_head"), None);
    }
}
