//! The part of a score to generate anew.

use rhai::{Dynamic, Map};

use crate::error::Error;
use crate::generate::Refill;
use crate::midi::{self, Clock};
use crate::script::convert::{article, number};
use crate::script::failure::Fallible;
use crate::script::objects::Score;

/// The part that the options `score` and `refill` of `generate` select; `None` without both.
///
/// # Errors
/// One of the two alone, and a value that does not select a part of the score.
pub(super) fn refill(map: &Map) -> Fallible<Option<Refill>> {
    let given = |key: &str| map.get(key).filter(|value| !value.is_unit());
    let (score, part) = match (given("score"), given("refill")) {
        (None, None) => return Ok(None),
        (Some(score), Some(part)) => (score, part),
        (score, _) => {
            let missing = if score.is_some() { "refill" } else { "score" };
            let hint = "both are needed: #{ score: piece, refill: [4.0, 8.0] }";
            return Err(Error::mistake(format!("generate: {missing} is missing")).with_hint(hint).into());
        }
    };
    let Some(score) = score.read_lock::<Score>().map(|score| (*score.0).clone()) else {
        return Err(Error::mistake(format!("generate: score must be a Score, not {}", article(score))).into());
    };
    let (from, to) = match part.as_immutable_string_ref() {
        Ok(bars) => of_bars(&score, &bars)?,
        Err(_) => seconds(part)?,
    };
    Ok(Some(Refill { score, from, to }))
}

/// `[from, to]` in seconds.
fn seconds(part: &Dynamic) -> Fallible<(f64, f64)> {
    let number = |value: &Dynamic| number("generate: a moment of refill", value).ok();
    let pair = part.as_array_ref().ok().and_then(|pair| match &pair[..] {
        [from, to] => number(from).zip(number(to)),
        _ => None,
    });
    pair.ok_or_else(|| {
        Error::mistake(format!("generate: refill is two moments in seconds or a range of bars, not {}", article(part)))
            .with_hint("#{ refill: [4.0, 8.0] } or #{ refill: \"5..8\" }")
            .into()
    })
}

/// "5..8" as seconds of a score, from the start of the first bar to the end of the last.
fn of_bars(score: &midi::Score, text: &str) -> Fallible<(f64, f64)> {
    let lines = score.bars();
    let parsed = text.split_once("..").and_then(|(a, b)| a.trim().parse::<usize>().ok().zip(b.trim().parse().ok()));
    match parsed {
        Some((first, last)) if first >= 1 && first <= last && last <= lines.len() => {
            let clock = Clock::new(score);
            let end = lines.get(last).copied().unwrap_or_else(|| score.bar_line_from(score.end()));
            Ok((clock.seconds(lines[first - 1]), clock.seconds(end)))
        }
        _ => {
            let message = format!("generate: refill is '{text}', but the score has the bars 1..{}", lines.len());
            Err(Error::mistake(message).with_hint("write the first and the last bar: \"5..8\"").into())
        }
    }
}
