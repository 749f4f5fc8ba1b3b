//! `Dataset`: folders of MIDI files as rows of ids; `Split`: its rows for training or validation.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Array, Dynamic, Map};

use crate::data::{self, DatasetOptions, Source};
use crate::error::Error;
use crate::files::locate;
use crate::plot;
use crate::progress::Progress;
use crate::script::Bundle;
use crate::script::context::ScriptContext;
use crate::script::convert::{article, count, from_ids, options, place, text};
use crate::script::failure::Fallible;
use crate::script::html;
use crate::script::objects::dataset_page;
use crate::script::objects::{Batches, Tokenizer};
use crate::script::one_line::{counted, thousands};
use crate::script::registry::{Members, Object, Registry};
use crate::tokens;

/// A handle to a dataset.
#[derive(Debug, Clone)]
pub(crate) struct Dataset(pub(crate) Rc<data::Dataset>);

/// A handle to a split of a dataset.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    pub(crate) split: data::Split,
    pub(crate) tokenizer: Arc<tokens::Tokenizer>,
}

/// The options of `dataset`, with descriptions of [`DatasetOptions`].
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("max_seq_len", "ids in a row (512); also seq_len"),
    ("augment", "copies of the training pieces: #{ transpose: 12, tempo: [0.9, 1.0, 1.1], sample: 3 }"),
    ("val", "share of the pieces held out (0.1)"),
    ("chords", "where chord tokens come from: \"auto\", \"markers\", \"detect\", \"none\""),
    ("chord_dropout", "share of the training copies that are encoded without chords (0)"),
    ("style_dropout", "share of the training copies that are encoded without their style (0)"),
    ("packing", "whether pieces that share a row attend to each other: \"masked\", \"joined\" (masked)"),
    ("condition", "what an encoder reads of each piece: \"chords\", its chart (\"none\": the chords stay in line)"),
    ("seed", "decides split, order and draws (0)"),
];

impl Object for Dataset {
    const NAME: &'static str = "Dataset";
    const DOC: &'static str = "Folders of MIDI as rows of ids, split by piece.\n\
        dataset(folder, tokenizer, #{ … }) makes one, dataset(folder) reads what save wrote.";

    fn line(&self) -> String {
        let stats = self.0.stats();
        format!(
            "Dataset: {}, {} + {} of {}",
            counted(stats.files, "file"),
            thousands(stats.rows[0]),
            counted(stats.rows[1], "row"),
            counted(stats.width, "id")
        )
    }

    fn text(&self, width: usize) -> String {
        let stats = self.0.stats();
        let row = |name: &str, i: usize, files: usize| {
            vec![name.to_string(), thousands(files), thousands(stats.rows[i]), thousands(stats.tokens[i] as usize)]
        };
        let val_files = self.0.val_files.len();
        let rows = [row("train", 0, stats.files.saturating_sub(val_files)), row("val", 1, val_files)];
        let mut text = format!("{}\n{}", self.line(), plot::table(&["split", "files", "rows", "tokens"], &rows));
        let broken = &self.0.broken;
        if !broken.is_empty() {
            let rows: Vec<Vec<String>> =
                broken.iter().take(10).map(|b| vec![b.path.display().to_string(), b.reason.clone()]).collect();
            text += &format!("\n{} skipped:\n{}", broken.len(), plot::table_within(&["file", "why"], &rows, width));
        }
        text
    }

    fn html(&self) -> Option<String> {
        Some(dataset_page::page(&self.0, &self.line()))
    }

    fn besides(&self, _progress: &Progress) -> Vec<Bundle> {
        dataset_page::histograms(&self.0).into_iter().map(html::picture).collect()
    }
}

impl Object for Split {
    const NAME: &'static str = "Split";
    const DOC: &'static str = "One side of a dataset: rows of ids. split.batches(4) hands them out, split[0] is one.";

    fn line(&self) -> String {
        let (rows, ids) = (counted(self.split.len(), "row"), counted(self.split.width(), "id"));
        format!("Split: {rows} of {ids}, {}", counted(self.split.tokens() as usize, "token"))
    }
}

pub(super) fn register(registry: &mut Registry) {
    construct(registry);
    let mut dataset = registry.object::<Dataset>();
    properties(&mut dataset);
    dataset.method(
        "save(dir: string)",
        "Writes it in the layout of Hugging Face save_to_disk, the tokenizer beside it.",
        |d: &mut Dataset, dir: &str| -> Fallible<()> { Ok(d.0.save(&locate(dir)?)?) },
    );
    dataset.method(
        "stats() -> map",
        "Counts: files, broken, rows, tokens, max_seq_len, kinds of tokens.",
        |d: &mut Dataset| stats(&d.0.stats()),
    );
    split(registry);
}

fn construct(registry: &mut Registry) {
    registry.function(
        "dataset(dir: string) -> Dataset",
        "Reads a dataset that save wrote.",
        |dir: &str| -> Fallible<Dataset> {
            let folder = locate(dir)?;
            if folder.is_dir() && !data::Dataset::is_saved(&folder) {
                let error = Error::mistake(format!("{dir} holds no saved dataset"));
                return Err(error
                    .with_hint(format!("of MIDI files: write dataset({dir:?}, tokenizer(\"performance\"))"))
                    .into());
            }
            Ok(Dataset(Rc::new(data::Dataset::load(&folder)?)))
        },
    );
    let ctx = registry.ctx();
    registry.function(
        "dataset(paths: string | array, tokenizer: Tokenizer) -> Dataset",
        "Reads the MIDI files in a folder, or in several, into rows of ids.",
        move |paths: Dynamic, tokenizer: Tokenizer| build(&ctx, &paths, &tokenizer, &Map::new()),
    );
    let ctx = registry.ctx();
    let member = registry.function(
        "dataset(paths: string | array, tokenizer: Tokenizer, options: map) -> Dataset",
        "Reads the MIDI files in a folder, or in several, into rows of ids. Files that cannot be read are skipped and listed.\n\
         An item of the array may be a map: #{ paths: [\"rags\"], style: \"rag\", copies: 3, val: false }: what kind of music \
         it is, how many copies of a piece are made (2.5 on average, 0.3 leaves some out), and whether all or none of it \
         is held out.\nOptions:",
        move |paths: Dynamic, tokenizer: Tokenizer, options: Map| build(&ctx, &paths, &tokenizer, &options),
    );
    member.options = OPTIONS;
}

fn build(ctx: &ScriptContext, paths: &Dynamic, tokenizer: &Tokenizer, map: &Map) -> Fallible<Dataset> {
    let chosen: DatasetOptions = options("dataset", map)?;
    let sources = match paths.as_array_ref() {
        Ok(items) => sources(&items)?,
        Err(_) if paths.is_string() => vec![Source::of(&[locate(&text("the path", paths)?)?])],
        Err(_) => {
            let message = format!("dataset reads a folder or an array of paths, not {}", article(paths));
            return Err(Error::mistake(message).into());
        }
    };
    Ok(Dataset(Rc::new(data::Dataset::build_from(&sources, tokenizer.get(), &chosen, ctx.progress())?)))
}

/// A source in a script: #{ paths, style, copies, val }.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Described {
    paths: Vec<PathBuf>,
    path: Option<PathBuf>,
    style: Option<String>,
    copies: Option<f64>,
    val: Option<bool>,
}

/// Sources from paths and maps.
fn sources(items: &[Dynamic]) -> Fallible<Vec<Source>> {
    let mut plain = Source::default();
    let mut sources = Vec::new();
    for item in items {
        match item.as_map_ref() {
            Ok(map) => {
                let Described { mut paths, path, style, copies, val } = options("a source of a dataset", &map)?;
                paths.extend(path);
                let paths = paths.iter().map(|path| locate(&path.to_string_lossy())).collect::<Result<_, Error>>()?;
                sources.push(Source { paths, style, copies, val });
            }
            Err(_) => plain.paths.push(locate(&text("a path of a dataset", item)?)?),
        }
    }
    if !plain.paths.is_empty() {
        sources.push(plain);
    }
    Ok(sources)
}

fn properties(dataset: &mut Members<Dataset>) {
    let side = |d: &Dataset, split: &data::Split| Split { split: split.clone(), tokenizer: d.0.tokenizer.clone() };
    dataset.get("train -> Split", "The rows to train on.", move |d: &mut Dataset| side(d, &d.0.train));
    dataset.get(
        "val -> Split",
        "The rows held out: of other pieces, never other windows of the same.",
        move |d: &mut Dataset| side(d, &d.0.val),
    );
    dataset.get("files -> array", "The paths of the files that were read.", |d: &mut Dataset| paths(&d.0.files));
    dataset.get("val_files -> array", "The paths of the pieces held out.", |d: &mut Dataset| paths(&d.0.val_files));
    dataset.get("broken -> array", "The files that were skipped, each a map: path, reason.", |d: &mut Dataset| {
        let broken = |b: &data::SkippedFile| -> Dynamic {
            let path = Dynamic::from(b.path.display().to_string());
            Map::from([("path".into(), path), ("reason".into(), b.reason.clone().into())]).into()
        };
        d.0.broken.iter().map(broken).collect::<Array>()
    });
    dataset.get("tokenizer -> Tokenizer", "How its ids were made.", |d: &mut Dataset| {
        Tokenizer::new(d.0.tokenizer.clone())
    });
    dataset.get("max_seq_len -> int", "Ids in a row.", |d: &mut Dataset| d.0.train.width() as i64);
    dataset.get(
        "source_vocab_size -> int",
        "Number of ids that an encoder may read: charts are made of the tokenizer's own tokens.",
        |d: &mut Dataset| d.0.tokenizer.vocab_size() as i64,
    );
}

fn split(registry: &mut Registry) {
    let mut split = registry.object::<Split>();
    split.get("len -> int", "How many rows it has.", |s: &mut Split| s.split.len() as i64);
    split.get("tokens -> int", "How many ids it has, padding left out.", |s: &mut Split| s.split.tokens() as i64);
    split.get("max_seq_len -> int", "Ids in a row.", |s: &mut Split| s.split.width() as i64);
    split.index(
        "[](index: int) -> array",
        "The ids of a row, the first being 0.",
        |s: &mut Split, index: i64| -> Fallible<Array> {
            let index = place("row", index, s.split.len())?;
            Ok(from_ids(&s.split.row(index).unwrap_or_default()))
        },
    );
    let ctx = split.ctx();
    split.method(
        "batches(rows: int) -> Batches",
        "Batches of `rows` rows, shuffled by the session's seed, anew each epoch, without end: leave the loop with break.",
        move |s: &mut Split, rows: Dynamic| batches(&ctx, s, &rows, &Map::new()),
    );
    let ctx = split.ctx();
    let member = split.method(
        "batches(rows: int, options: map) -> Batches",
        "Batches of `rows` rows.\nOptions:",
        move |s: &mut Split, rows: Dynamic, options: Map| batches(&ctx, s, &rows, &options),
    );
    member.options = BATCH_OPTIONS;
}

/// The options of `split.batches`.
pub(super) const BATCH_OPTIONS: &[(&str, &str)] = &[
    ("epochs", "number of passes over the rows (without end when absent)"),
    ("seed", "decides the order (the session's when absent)"),
    ("shuffle", "false hands the rows out in order, once"),
];

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BatchOptions {
    epochs: Option<u64>,
    seed: Option<u64>,
    shuffle: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { epochs: None, seed: None, shuffle: true }
    }
}

fn batches(ctx: &ScriptContext, split: &Split, rows: &Dynamic, map: &Map) -> Fallible<Batches> {
    let rows = count("batches: rows", rows)? as usize;
    if rows == 0 || rows > 1 << 20 {
        return Err(Error::mistake(format!("a batch has at least one row and at most {}, not {rows}", 1 << 20)).into());
    }
    if split.split.is_empty() {
        return Err(Error::mistake("this split has no rows")
            .with_hint("hold out more pieces with val, or give more")
            .into());
    }
    let options: BatchOptions = options("batches", map)?;
    let order = if options.shuffle {
        split.split.batches(rows, options.seed.unwrap_or_else(|| ctx.next_seed()), options.epochs)
    } else {
        split.split.in_order(rows)
    };
    Ok(Batches::new(order, split.tokenizer.clone()))
}

fn paths(paths: &[PathBuf]) -> Array {
    paths.iter().map(|p| Dynamic::from(p.display().to_string())).collect()
}

fn stats(stats: &data::Stats) -> Map {
    let two =
        |[train, val]: [Dynamic; 2]| -> Dynamic { Map::from([("train".into(), train), ("val".into(), val)]).into() };
    let kinds: Map =
        stats.kinds.iter().map(|(kind, n)| (format!("{kind:?}").into(), Dynamic::from(*n as i64))).collect();
    Map::from([
        ("files".into(), (stats.files as i64).into()),
        ("broken".into(), (stats.broken as i64).into()),
        ("rows".into(), two(stats.rows.map(|n| (n as i64).into()))),
        ("tokens".into(), two(stats.tokens.map(|n| (n as i64).into()))),
        ("max_seq_len".into(), (stats.width as i64).into()),
        ("kinds".into(), kinds.into()),
    ])
}
