//! `Tokenizer`: converts scores to ids and back.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Array, Dynamic, Map};

use crate::data;
use crate::error::Error;
use crate::files::locate;
use crate::progress::Progress;
use crate::script::convert::{article, count, from_ids, ids, options, text};
use crate::script::failure::Fallible;
use crate::script::html::{self, Cell};
use crate::script::objects::{Score, Text};
use crate::script::one_line::counted;
use crate::script::registry::{Object, Registry};
use crate::tokens;

/// A handle to a tokenizer; training replaces it for all handles, but not in objects made with it before.
#[derive(Debug, Clone)]
pub(crate) struct Tokenizer(Rc<RefCell<Arc<tokens::Tokenizer>>>);

impl Tokenizer {
    pub(crate) fn new(tokenizer: Arc<tokens::Tokenizer>) -> Self {
        Self(Rc::new(RefCell::new(tokenizer)))
    }

    /// The current tokenizer.
    pub(crate) fn get(&self) -> Arc<tokens::Tokenizer> {
        self.0.borrow().clone()
    }

    fn train_bpe(&self, files: &Dynamic, size: &Dynamic, progress: &Progress) -> Fallible<()> {
        let size = count("size", size)? as usize;
        let trained = self.get().train_bpe(&paths(files)?, size, progress)?;
        *self.0.borrow_mut() = Arc::new(trained);
        Ok(())
    }
}

/// MIDI files from an array of paths or a folder.
fn paths(files: &Dynamic) -> Fallible<Vec<PathBuf>> {
    if files.is_string() {
        return Ok(data::scan(&locate(&text("files", files)?)?)?);
    }
    let Ok(items) = files.as_array_ref() else {
        let message = format!("train_bpe reads an array of files or a folder, not {}", article(files));
        return Err(Error::mistake(message).into());
    };
    let mut paths = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        paths.extend(data::scan(&locate(&text(&format!("files[{i}]"), item)?)?)?);
    }
    Ok(paths)
}

impl Object for Tokenizer {
    const NAME: &'static str = "Tokenizer";
    const DOC: &'static str = "Turns scores into ids and ids into scores.\n\
        tokenizer(\"performance\") makes one, tokenizer(\"tokenizer.json\") reads one in MidiTok's layout.";

    fn line(&self) -> String {
        let tokenizer = self.get();
        let learned = tokenizer.learned().map_or(String::new(), |learned| format!(", {learned} of them learned"));
        format!("Tokenizer: {}, {}{learned}", tokenizer.scheme(), counted(tokenizer.vocab_size(), "token"))
    }

    fn text(&self, _width: usize) -> String {
        let mut text = self.line();
        let tokenizer = self.get();
        let base = tokenizer.vocab_size() - tokenizer.learned().unwrap_or(0);
        let names: Vec<&str> = (0..base as u32).filter_map(|id| tokenizer.token(id).ok()).collect();
        for block in blocks(&names) {
            text += &format!("\n  {block}");
        }
        if base < tokenizer.vocab_size() {
            text += &format!("\n  {base:>5} to {:<4} learned", tokenizer.vocab_size() - 1);
        }
        text
    }

    fn html(&self) -> Option<String> {
        let tokenizer = self.get();
        let base = tokenizer.vocab_size() - tokenizer.learned().unwrap_or(0);
        let names: Vec<&str> = (0..base as u32).filter_map(|id| tokenizer.token(id).ok()).collect();
        let runs = runs(&names);
        let most = runs.iter().map(|(_, from, to)| to - from + 1).max().unwrap_or(1) as f64;
        let row = |(stem, from, to): &(String, usize, usize)| {
            let count = to - from + 1;
            let ids = if count == 1 { from.to_string() } else { format!("{from} to {to}") };
            let names = if count == 1 { names[*from].into() } else { format!("{} … {}", names[*from], names[*to]) };
            vec![
                Cell::Word(stem.clone()),
                Cell::Number(count.to_string()),
                Cell::Word(ids),
                Cell::Word(names),
                Cell::Bar(count as f64 / most),
            ]
        };
        let rows: Vec<Vec<Cell>> = runs.iter().take(KINDS).map(row).collect();
        let more = runs.len().saturating_sub(KINDS);
        let more = if more > 0 { html::note(&format!("… {more} more kinds")) } else { String::new() };
        let table = html::table(&["kind", "tokens", "ids", "names", ""], &rows);
        Some(format!("<div>{}{table}{more}</div>", html::heading(&self.line())))
    }
}

/// The most kinds of tokens listed.
const KINDS: usize = 24;

/// The vocabulary as ranges of names that share the part before the `_`.
fn blocks(names: &[&str]) -> Vec<String> {
    let blocks = runs(names);
    let block = |(stem, from, to): &(String, usize, usize)| {
        if from == to { format!("{from:>5}        {}", names[*from]) } else { format!("{from:>5} to {to:<4} {stem}") }
    };
    let mut lines: Vec<String> = blocks.iter().take(KINDS).map(block).collect();
    if blocks.len() > KINDS {
        lines.push(format!("… {} more kinds", blocks.len() - KINDS));
    }
    lines
}

/// The shared parts of names before the `_`, with the first and last id of each range.
fn runs(names: &[&str]) -> Vec<(String, usize, usize)> {
    let stem = |name: &str| name.rsplit_once('_').map_or_else(|| name.to_string(), |(stem, _)| stem.to_string());
    let mut blocks: Vec<(String, usize, usize)> = Vec::new();
    for (id, name) in names.iter().enumerate() {
        match blocks.last_mut() {
            Some((last, _, end)) if *last == stem(name) => *end = id,
            _ => blocks.push((stem(name), id, id)),
        }
    }
    blocks
}

/// A tokenizer by the name of a scheme or the path of a file.
fn named(name: &str) -> Fallible<Tokenizer> {
    if is_path(name) {
        return Ok(Tokenizer::new(Arc::new(tokens::Tokenizer::load(locate(name)?)?)));
    }
    Ok(Tokenizer::new(Arc::new(tokens::Tokenizer::new(name, &tokens::Options::default())?)))
}

fn is_path(name: &str) -> bool {
    !tokens::Tokenizer::SCHEMES.contains(&name)
        && (name.contains(['/', '\\', '~']) || name.ends_with(".json") || Path::new(name).exists())
}

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "tokenizer(name: string) -> Tokenizer",
        "A tokenizer by the name of its encoding (\"performance\", \"remi\", \"tsd\", \"midi_like\"), or from a tokenizer.json.",
        named,
    );
    registry.function(
        "tokenizer(name: string, options: map) -> Tokenizer",
        "A tokenizer by the name of its encoding, with options.",
        |name: &str, map: Map| -> Fallible<Tokenizer> {
            if is_path(name) {
                return Err(Error::mistake(format!("tokenizer(\"{name}\") reads a file and takes no options")).into());
            }
            let options: tokens::Options = options("tokenizer", &map)?;
            Ok(Tokenizer::new(Arc::new(tokens::Tokenizer::new(name, &options)?)))
        },
    );
    let mut tokenizer = registry.object::<Tokenizer>();
    tokenizer.get("name -> string", "The name of its encoding.", |t: &mut Tokenizer| t.get().scheme().to_string());
    tokenizer.get("vocab_size -> int", "How many ids there are.", |t: &mut Tokenizer| t.get().vocab_size() as i64);
    tokenizer.method(
        "encode(score: Score) -> array",
        "The ids of a score; chord markers in it become chord tokens.",
        |t: &mut Tokenizer, score: Score| from_ids(&t.get().encode(&score.0)),
    );
    tokenizer.method(
        "decode(ids: array) -> Score",
        "The score of any ids: what makes no sense is left out.",
        |t: &mut Tokenizer, array: Array| -> Fallible<Score> { Ok(Score::new(t.get().decode(&ids("ids", &array)?))) },
    );
    tokenizer.method(
        "token(id: int) -> string",
        "The name of an id: \"NoteOn_60\".",
        |t: &mut Tokenizer, id: i64| -> Fallible<String> {
            let id = u32::try_from(id).map_err(|_| {
                Error::mistake(format!("{id} is not an id: they run from 0 to {}", t.get().vocab_size() - 1))
            })?;
            Ok(t.get().token(id)?.to_string())
        },
    );
    tokenizer.method(
        "id(token: string) -> int",
        "The id of a name.",
        |t: &mut Tokenizer, token: &str| -> Fallible<i64> { Ok(i64::from(t.get().id(token)?)) },
    );
    tokenizer.method(
        "show(ids: array) -> Text",
        "The ids in words, one event a line, with the time each happens.",
        |t: &mut Tokenizer, array: Array| -> Fallible<Text> { Ok(Text(t.get().show(&ids("ids", &array)?))) },
    );
    let ctx = tokenizer.ctx();
    tokenizer.method(
        "train_bpe(files: array | string, size: int)",
        "Joins tokens that often follow each other in these MIDI files, or all in a folder, until the vocabulary has this size (byte-pair encoding, as MidiTok trains it).",
        move |t: &mut Tokenizer, files: Dynamic, size: Dynamic| t.train_bpe(&files, &size, ctx.progress()),
    );
    tokenizer.method(
        "save(path: string)",
        "Writes a tokenizer.json in MidiTok's layout.",
        |t: &mut Tokenizer, path: &str| -> Fallible<()> { Ok(t.get().save(locate(path)?)?) },
    );
}
