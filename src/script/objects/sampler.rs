//! `Sampler`: how the next token is drawn.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Array, Dynamic, Map};

use crate::error::Error;
use crate::generate::{self, SamplerOptions};
use crate::script::context::mix;
use crate::script::convert::{article, count, ids, number, numbers, options};
use crate::script::failure::Fallible;
use crate::script::objects::Tensor;
use crate::script::registry::{Members, Object, Registry};

/// A handle to a sampler.
#[derive(Debug, Clone)]
pub(crate) struct Sampler(Rc<RefCell<SamplerState>>);

#[derive(Debug)]
struct SamplerState {
    sampler: generate::Sampler,
    /// The number of uses in `generate`: each use draws from another random stream.
    uses: u64,
}

/// The options of `sampler`, with descriptions of [`SamplerOptions`].
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("temperature", "logits are divided by it (1); 0 takes the likeliest"),
    ("top_k", "keep the k most likely tokens (0: all)"),
    ("top_p", "keep the likeliest whose probabilities sum to this (1)"),
    ("min_p", "keep what has at least this share of the likeliest (0)"),
    ("typical_p", "keep the least surprising on average whose probabilities sum to this (1)"),
    ("no_repeat_ngram_size", "no n-gram of this length comes twice (0: any may)"),
    ("repetition_penalty", "makes tokens that were generated before less likely (1: no)"),
    ("seed", "two samplers with one seed draw the same (the session's when absent)"),
    ("grammar", "whether only what makes sense can be drawn (true)"),
];

impl Sampler {
    /// The sampler for the next use: the first draws from the seed itself, later ones from derived streams.
    pub(crate) fn next_use(&self) -> Fallible<generate::Sampler> {
        let mut state = self.0.borrow_mut();
        let uses = state.uses;
        state.uses += 1;
        if uses == 0 {
            return Ok(state.sampler.clone());
        }
        let mut options = state.sampler.options().clone();
        options.seed = mix(options.seed, uses);
        Ok(generate::Sampler::new(options)?)
    }

    /// Its settings.
    pub(crate) fn options(&self) -> SamplerOptions {
        self.0.borrow().sampler.options().clone()
    }

    fn change(&self, change: impl FnOnce(&mut SamplerOptions)) -> Fallible<()> {
        let mut options = self.options();
        let seed = options.seed;
        change(&mut options);
        let mut state = self.0.borrow_mut();
        if options.seed != seed {
            state.uses = 0;
        }
        Ok(state.sampler.set_options(options)?)
    }
}

impl Object for Sampler {
    const NAME: &'static str = "Sampler";
    const DOC: &'static str = "How the next token is drawn from what a model expects.\n\
        sampler(#{ temperature: 0.9, top_p: 0.95, seed: 7 }) makes one. Each time it is given to generate it draws anew; \
        setting its seed starts over.";

    fn line(&self) -> String {
        let o = self.options();
        let mut text = format!("Sampler: temperature {}", o.temperature);
        let set = [
            ("top_k", o.top_k as f64, 0.0),
            ("top_p", o.top_p, 1.0),
            ("min_p", o.min_p, 0.0),
            ("typical_p", o.typical_p, 1.0),
            ("no_repeat_ngram_size", o.no_repeat_ngram_size as f64, 0.0),
            ("repetition_penalty", o.repetition_penalty, 1.0),
        ];
        for (name, value, usual) in set {
            if value != usual {
                text += &format!(", {name} {value}");
            }
        }
        text += &format!(", seed {}{}", o.seed, if o.grammar { "" } else { ", no grammar" });
        text
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    let make = move |map: &Map| -> Fallible<Sampler> {
        let mut chosen: SamplerOptions = options("sampler", map)?;
        if !map.contains_key("seed") {
            chosen.seed = ctx.next_seed();
        }
        let sampler = generate::Sampler::new(chosen)?;
        Ok(Sampler(Rc::new(RefCell::new(SamplerState { sampler, uses: 0 }))))
    };
    let plain = make.clone();
    registry.function("sampler() -> Sampler", "A sampler that draws as the model expects.", move || plain(&Map::new()));
    let member =
        registry.function("sampler(options: map) -> Sampler", "A sampler.\nOptions:", move |map: Map| make(&map));
    member.options = OPTIONS;
    let mut sampler = registry.object::<Sampler>();
    settings(&mut sampler);
    sampler.method(
        "sample(logits: Tensor | array) -> int",
        "Draws an id from the logits of a vocabulary.",
        |s: &mut Sampler, logits: Dynamic| sample(s, &logits, &Array::new()),
    );
    sampler.method(
        "sample(logits: Tensor | array, history: array) -> int",
        "Draws an id; the repetition penalty applies to the ids in history.",
        |s: &mut Sampler, logits: Dynamic, earlier: Array| sample(s, &logits, &earlier),
    );
}

fn settings(sampler: &mut Members<Sampler>) {
    float(sampler, "temperature -> float", "Logits are divided by it; 0 takes the likeliest.", |o| &mut o.temperature);
    int(sampler, "top_k -> int", "The number of most likely tokens that are kept; 0 keeps all.", |o| &mut o.top_k);
    float(sampler, "top_p -> float", "The likeliest whose probabilities sum to this are kept.", |o| &mut o.top_p);
    float(sampler, "min_p -> float", "What has at least this share of the likeliest is kept.", |o| &mut o.min_p);
    float(
        sampler,
        "typical_p -> float",
        "Tokens whose information is nearest to its mean are kept until their probabilities sum to this.",
        |o| &mut o.typical_p,
    );
    int(sampler, "no_repeat_ngram_size -> int", "No n-gram of this length comes twice; 0 allows all.", |o| {
        &mut o.no_repeat_ngram_size
    });
    float(
        sampler,
        "repetition_penalty -> float",
        "Makes tokens that were generated before less likely; 1 does nothing.",
        |o| &mut o.repetition_penalty,
    );
    sampler.get(
        "seed -> int",
        "Two samplers with one seed draw the same; setting it starts over.",
        |s: &mut Sampler| s.options().seed as i64,
    );
    sampler.set("seed", |s: &mut Sampler, v: Dynamic| -> Fallible<()> {
        let v = count("seed", &v)?;
        s.change(|o| o.seed = v)?;
        // Setting the same seed restarts it, too.
        let options = s.options();
        *s.0.borrow_mut() = SamplerState { sampler: generate::Sampler::new(options)?, uses: 0 };
        Ok(())
    });
    sampler
        .get("grammar -> bool", "Whether only what makes sense can be drawn.", |s: &mut Sampler| s.options().grammar);
    sampler.set("grammar", |s: &mut Sampler, v: Dynamic| -> Fallible<()> {
        let v =
            v.as_bool().map_err(|_| Error::mistake(format!("grammar must be true or false, not {}", article(&v))))?;
        s.change(|o| o.grammar = v)
    });
}

/// A property that is a number.
fn float(
    sampler: &mut Members<Sampler>,
    signature: &'static str,
    doc: &'static str,
    field: fn(&mut SamplerOptions) -> &mut f64,
) {
    let name = name_of(signature);
    sampler.get(signature, doc, move |s: &mut Sampler| *field(&mut s.options()));
    sampler.set(name, move |s: &mut Sampler, v: Dynamic| -> Fallible<()> {
        let v = number(name, &v)?;
        s.change(|o| *field(o) = v)
    });
}

/// A property that is a count.
fn int(
    sampler: &mut Members<Sampler>,
    signature: &'static str,
    doc: &'static str,
    field: fn(&mut SamplerOptions) -> &mut usize,
) {
    let name = name_of(signature);
    sampler.get(signature, doc, move |s: &mut Sampler| *field(&mut s.options()) as i64);
    sampler.set(name, move |s: &mut Sampler, v: Dynamic| -> Fallible<()> {
        let v = count(name, &v)? as usize;
        s.change(|o| *field(o) = v)
    });
}

/// "top_p" of "top_p -> float".
fn name_of(signature: &'static str) -> &'static str {
    signature.split(' ').next().unwrap_or(signature)
}

fn sample(sampler: &Sampler, logits: &Dynamic, earlier: &Array) -> Fallible<i64> {
    let logits: Vec<f32> = match (logits.read_lock::<Tensor>(), logits.as_array_ref()) {
        (Some(tensor), _) => tensor.values()?,
        (_, Ok(array)) => numbers("logits", &array)?.into_iter().map(|v| v as f32).collect(),
        _ => return Err(Error::mistake(format!("sample takes a Tensor or an array, not {}", article(logits))).into()),
    };
    if logits.is_empty() {
        return Err(Error::mistake("sample needs at least one logit").into());
    }
    let earlier = ids("history", earlier)?;
    Ok(i64::from(sampler.0.borrow_mut().sampler.sample(&logits, &earlier, None)))
}
