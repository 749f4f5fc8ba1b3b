//! Generation: whole samples, or a stream of tokens.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Array, Dynamic, Map, NativeCallContext};

use crate::error::Error;
use crate::generate::{self, GenerateOptions};
use crate::midi;
use crate::nn::CacheDtype;
use crate::script::Output;
use crate::script::context::ScriptContext;
use crate::script::convert::{article, count as number, from_ids, options};
use crate::script::failure::Fallible;
use crate::script::objects::ranking::{self, By};
use crate::script::objects::refill::refill;
use crate::script::objects::{Chords, Model, Sampler, Score};
use crate::script::one_line::counted;
use crate::script::registry::{Object, Registry};
use crate::tokens;
use crate::train::MixedPrecision;

/// The options of `generate` and `stream`.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("chords", "chords to play over, once unless bars says otherwise: chords(\"Dm7 G7\") or the symbols"),
    ("tempo", "beats a minute of the chords (that of the prompt, or 120)"),
    ("style", "what kind of music, for tokenizers with styles: \"rag\", \"solo\", \"lead_sheet\" …"),
    ("prompt", "a Score to go on from; it is part of the result"),
    ("score", "a Score of which a part is played anew"),
    ("refill", "that part: seconds [4.0, 8.0], or bars \"5..8\", the last one included"),
    ("max_new_tokens", "tokens to add at most (512; with chords or bars as many as those need)"),
    ("bars", "bars to play; chords are repeated in them"),
    ("count", "takes (1); more than one gives an array"),
    ("best", "number of samples kept, the best first; one is a Score, not an array"),
    ("by", "what is best: \"both\" (default), \"adherence\" to the chords, \"likelihood\", or |take| a number"),
    ("use_cache", "false computes every token from the beginning (true)"),
    ("kv_cache_dtype", "\"int8\" keeps keys and values in a quarter of the memory (\"auto\")"),
    ("mixed_precision", "\"bf16\" multiplies in 16 bits where that is faster (\"no\")"),
];

/// The options that are plain data.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PlainOptions {
    chords: Option<bool>,
    prompt: Option<bool>,
    score: Option<bool>,
    refill: Option<bool>,
    style: Option<String>,
    tempo: Option<f64>,
    max_new_tokens: Option<usize>,
    bars: Option<usize>,
    count: usize,
    best: Option<usize>,
    by: Option<bool>,
    use_cache: bool,
    kv_cache_dtype: CacheDtype,
    mixed_precision: MixedPrecision,
}

impl Default for PlainOptions {
    fn default() -> Self {
        let GenerateOptions { tempo, bars, count, use_cache, kv_cache_dtype, .. } = GenerateOptions::default();
        let mixed_precision = MixedPrecision::No;
        Self {
            chords: None,
            prompt: None,
            score: None,
            refill: None,
            style: None,
            tempo,
            max_new_tokens: None,
            bars,
            count,
            best: None,
            by: None,
            use_cache,
            kv_cache_dtype,
            mixed_precision,
        }
    }
}

/// A handle to a stream of generated tokens.
#[derive(Clone)]
pub(crate) struct Stream {
    generator: Rc<RefCell<generate::Generator>>,
    tokenizer: Arc<tokens::Tokenizer>,
    options: Rc<GenerateOptions>,
    /// Tokens drawn and not yet returned: index of the sample, and id.
    waiting: Rc<RefCell<VecDeque<(usize, u32)>>>,
}

impl Iterator for Stream {
    type Item = Fallible<Dynamic>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.is_empty() {
            match self.generator.borrow_mut().next()? {
                Ok(drawn) => waiting.extend(drawn.into_iter().enumerate().filter_map(|(take, id)| Some((take, id?)))),
                Err(error) => return Some(Err(error.into())),
            }
        }
        let (take, id) = waiting.pop_front()?;
        let token = self.tokenizer.token(id).unwrap_or_default().to_string();
        let entries: [(&str, Dynamic); 3] =
            [("take", (take as i64).into()), ("id", i64::from(id).into()), ("token", token.into())];
        Some(Ok(entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>().into()))
    }
}

impl Object for Stream {
    const NAME: &'static str = "Stream";
    const DOC: &'static str =
        "A model that plays, token by token: for next in net.stream(sampler()) { print(next.token) }.";

    fn line(&self) -> String {
        format!("Stream: {} so far", counted(self.generator.borrow().ids(0).len(), "token"))
    }
}

pub(super) fn register(registry: &mut Registry) {
    let mut model = registry.members::<Model>();
    let ctx = model.ctx();
    model.method(
        "generate(sampler: Sampler) -> Score",
        "Plays.",
        move |context: NativeCallContext, m: &mut Model, s: Sampler| play(&context, &ctx, m, &s, &Map::new()),
    );
    let ctx = model.ctx();
    let member = model.method(
        "generate(sampler: Sampler, options: map) -> Score | array",
        "Plays, over chords or freely.\nOptions:",
        move |context: NativeCallContext, m: &mut Model, s: Sampler, map: Map| play(&context, &ctx, m, &s, &map),
    );
    member.options = OPTIONS;
    let ctx = model.ctx();
    model.method("stream(sampler: Sampler) -> Stream", "Plays, token by token.", move |m: &mut Model, s: Sampler| {
        stream(&ctx, m, &s, &Map::new())
    });
    let ctx = model.ctx();
    let member = model.method(
        "stream(sampler: Sampler, options: map) -> Stream",
        "Plays, token by token: each is a map with take, id and token.\nOptions:",
        move |m: &mut Model, s: Sampler, map: Map| stream(&ctx, m, &s, &map),
    );
    member.options = OPTIONS;
    let mut stream = registry.object::<Stream>();
    stream.method(
        "next() -> map",
        "The next token: take, id, token; () at the end.",
        |s: &mut Stream| -> Fallible<Dynamic> { s.next().unwrap_or(Ok(Dynamic::UNIT)) },
    );
    stream.get("ids -> array", "The ids of the first take so far.", |s: &mut Stream| {
        from_ids(s.generator.borrow().ids(0))
    });
    stream.method("score() -> Score", "The first take so far.", |s: &mut Stream| {
        Score::new(generate::finish(&s.tokenizer, s.generator.borrow().ids(0), &s.options))
    });
    stream.iterate();
}

fn play(
    context: &NativeCallContext,
    ctx: &ScriptContext,
    model: &Model,
    sampler: &Sampler,
    map: &Map,
) -> Fallible<Dynamic> {
    let (options, tokenizer) = (chosen(map)?, model.tokenizer()?);
    let best = best(map, options.count)?;
    let by = map.get("by").filter(|by| !by.is_unit()).map(By::new).transpose()?.unwrap_or(By::Both);
    let (sampler, progress) = (sampler.next_use()?, ctx.progress());
    let generated = generate::generate_takes(&model.model(), &tokenizer, &sampler, &options, best.is_some(), progress)?;
    let mut takes: Vec<(midi::Score, f64)> =
        generated.iter().map(|take| (generate::finish(&tokenizer, &take.ids, &options), take.log_likelihood)).collect();
    if let Some(note) = cut_short(&generated, &takes, &options) {
        ctx.say(Output::Warning(note));
    }
    if let Some(best) = best {
        let order = ranking::ranked(context, &takes, &by)?;
        takes = order.into_iter().take(best).map(|place| takes[place].clone()).collect();
    }
    let takes = takes.into_iter().map(|(score, _)| score);
    let mut scores: Array = takes.map(|score| Dynamic::from(Score::new(score))).collect();
    if best.unwrap_or(options.count) == 1 {
        return Ok(scores.pop().unwrap_or(Dynamic::UNIT));
    }
    Ok(scores.into())
}

/// The warning for samples that reached `max_new_tokens` before their last bar.
fn cut_short(
    generated: &[generate::Generated],
    takes: &[(midi::Score, f64)],
    options: &GenerateOptions,
) -> Option<String> {
    let cut: Vec<&midi::Score> =
        generated.iter().zip(takes).filter(|(take, _)| !take.complete).map(|(_, (score, _))| score).collect();
    let before = options.prompt.as_ref().map_or(0.0, midi::Score::duration);
    let beats = (cut.first()?.duration() - before) * options.tempo() / 60.0;
    let (bar, bars) = options.bar_reached(beats)?;
    let which =
        if takes.len() == 1 { "the take".to_string() } else { format!("{} of {} takes", cut.len(), takes.len()) };
    Some(format!(
        "{which} ended in bar {bar} of {bars}, where the {} of max_new_tokens were used up",
        counted(options.max_new_tokens, "token")
    ))
}

/// The number of samples to keep.
fn best(map: &Map, count: usize) -> Fallible<Option<usize>> {
    let Some(value) = map.get("best").filter(|best| !best.is_unit()) else { return Ok(None) };
    let best = number("generate: best", value)? as usize;
    if !(1..=count).contains(&best) {
        let message = format!("generate: best is {best}, but there are {count} takes");
        return Err(Error::mistake(message)
            .with_hint("count says how many takes are made: #{ count: 8, best: 1 }")
            .into());
    }
    Ok(Some(best))
}

fn stream(ctx: &ScriptContext, model: &Model, sampler: &Sampler, map: &Map) -> Fallible<Stream> {
    let (options, tokenizer) = (chosen(map)?, model.tokenizer()?);
    let generator =
        generate::Generator::new(&model.model(), &tokenizer, &sampler.next_use()?, &options, ctx.progress())?;
    let (generator, options) = (Rc::new(RefCell::new(generator)), Rc::new(options));
    Ok(Stream { generator, tokenizer, options, waiting: Rc::default() })
}

/// The options from a map, in which chords and prompt are objects.
fn chosen(map: &Map) -> Fallible<GenerateOptions> {
    let mut plain = map.clone();
    for key in ["chords", "prompt", "score", "refill", "by"] {
        if let Some(value) = plain.get_mut(key) {
            *value = if value.is_unit() { Dynamic::UNIT } else { true.into() };
        }
    }
    let PlainOptions { style, tempo, max_new_tokens, bars, count, use_cache, kv_cache_dtype, mixed_precision, .. } =
        options("generate", &plain)?;
    let chords = match map.get("chords").filter(|v| !v.is_unit()) {
        None => None,
        Some(value) => Some(match (value.read_lock::<Chords>(), value.as_immutable_string_ref()) {
            (Some(chords), _) => (*chords.0).clone(),
            (_, Ok(symbols)) => (*Chords::parse(&symbols)?.0).clone(),
            _ => {
                let message = format!("generate: chords must be Chords or symbols, not {}", article(value));
                return Err(Error::mistake(message).into());
            }
        }),
    };
    let prompt = match map.get("prompt").filter(|v| !v.is_unit()) {
        None => None,
        Some(value) => match value.read_lock::<Score>() {
            Some(score) => Some((*score.0).clone()),
            None => {
                return Err(Error::mistake(format!("generate: prompt must be a Score, not {}", article(value))).into());
            }
        },
    };
    let refill = refill(map)?;
    let precision = mixed_precision.precision();
    let mut options = GenerateOptions {
        chords,
        tempo,
        style,
        prompt,
        refill,
        bars,
        count,
        use_cache,
        kv_cache_dtype,
        precision,
        ..GenerateOptions::default()
    };
    options.max_new_tokens = max_new_tokens.unwrap_or_else(|| options.enough_tokens());
    options.validate()?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_names_the_bar_of_the_charts_own_metre() {
        let mut score = midi::Score::new(480);
        let last = midi::Note { start: 0, end: 7 * 480, pitch: 60, velocity: 80 };
        score.tracks.push(midi::Track { notes: vec![last], ..midi::Track::default() });
        let take = |complete| generate::Generated { ids: Vec::new(), log_likelihood: 0.0, complete };
        let chords = Some("3/4: C | F | G | C".parse().expect("a chart"));
        let options = GenerateOptions { chords, max_new_tokens: 9, ..GenerateOptions::default() };
        let takes = [(score.clone(), 0.0), (score, 0.0)];
        assert_eq!(
            cut_short(&[take(true), take(false)], &takes, &options).as_deref(),
            Some("1 of 2 takes ended in bar 3 of 4, where the 9 tokens of max_new_tokens were used up")
        );
        assert_eq!(cut_short(&[take(true)], &takes[..1], &options), None);
    }
}
