//! Members of arrays, maps and strings beyond Rhai's: sums, sorting, pairs, slices.

use std::cmp::Ordering;
use std::ops::{Range, RangeInclusive};

use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map, NativeCallContext};

use crate::error::{Error, Result};
use crate::script::convert::{article, number};
use crate::script::failure::Fallible;
use crate::script::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    sums(registry);
    orders(registry);
    pairs(registry);
    slices(registry);
    repeats(registry);
    maps(registry);
}

fn sums(registry: &mut Registry) {
    registry.method(
        "array",
        "sum() -> int | float",
        "The sum of its numbers; 0 when it is empty.",
        |items: &mut Array| sum(items),
    );
    registry.method("array", "mean() -> float", "The mean of its numbers.", |items: &mut Array| -> Fallible<f64> {
        let sum = number("the sum", &sum(filled("mean", items)?)?)?;
        Ok(sum / items.len() as f64)
    });
    registry.method("array", "min() -> any", "The least of its items: numbers, texts.", |items: &mut Array| {
        extreme("min", items, Ordering::Less)
    });
    registry.method("array", "max() -> any", "The greatest of its items: numbers, texts.", |items: &mut Array| {
        extreme("max", items, Ordering::Greater)
    });
    registry.method("array", "count(value: any) -> int", "How many of its items are equal to a value.", {
        |items: &mut Array, value: Dynamic| {
            items.iter().filter(|item| order(item, &value).is_ok_and(Ordering::is_eq)).count() as i64
        }
    });
}

fn orders(registry: &mut Registry) {
    registry.method(
        "array",
        "sorted() -> array",
        "A new array with its items in order; sort() would change this one.",
        |items: &mut Array| -> Fallible<Array> {
            sorted(items.iter().map(|item| (item.flatten_clone(), item.flatten_clone())).collect())
        },
    );
    registry.method(
        "array",
        "sorted(key: function) -> array",
        "A new array with its items in the order of what a function gives for each: xs.sorted(|x| -x).",
        |context: NativeCallContext, items: &mut Array, key: FnPtr| -> Fallible<Array> {
            let keyed = items.iter().map(|item| {
                let item = item.flatten_clone();
                Ok((key.call_within_context::<Dynamic>(&context, (item.clone(),))?.flatten(), item))
            });
            sorted(keyed.collect::<Fallible<Vec<_>>>()?)
        },
    );
    registry.method(
        "array",
        "reversed() -> array",
        "A new array with its items from the last to the first.",
        |items: &mut Array| items.iter().rev().map(Dynamic::flatten_clone).collect::<Array>(),
    );
    registry.method(
        "array",
        "unique() -> array",
        "A new array with the first of all equal items.",
        |items: &mut Array| {
            let mut kept = Array::new();
            for item in items.iter() {
                if !kept.iter().any(|known| order(known, item).is_ok_and(Ordering::is_eq)) {
                    kept.push(item.flatten_clone());
                }
            }
            kept
        },
    );
}

fn pairs(registry: &mut Registry) {
    registry.method(
        "array",
        "enumerate() -> array",
        "Pairs of a number, from 0, and an item: for (i, x) in xs.enumerate() { print(i) }.",
        |items: &mut Array| {
            let numbered = items.iter().enumerate();
            numbered.map(|(i, item)| pair(Dynamic::from(i as i64), item.flatten_clone())).collect::<Array>()
        },
    );
    registry.method(
        "array",
        "zip(other: array) -> array",
        "Pairs of its items and those of another, as many as the shorter has: for (a, b) in xs.zip(ys) { print(a) }.",
        |items: &mut Array, other: Array| {
            items.iter().zip(other).map(|(a, b)| pair(a.flatten_clone(), b.flatten())).collect::<Array>()
        },
    );
    registry.method(
        "array",
        "join(separator: string) -> string",
        "Its items as one text, the separator between them.",
        |items: &mut Array, separator: &str| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator),
    );
    registry.method("array", "join() -> string", "Its items as one text.", |items: &mut Array| {
        items.iter().map(ToString::to_string).collect::<String>()
    });
}

fn slices(registry: &mut Registry) {
    const DOC: &str = "A part of it: xs[1..3] is items 1 and 2, xs[-2..] the last two, xs[..3] the first three.";
    registry.method("array", "slice(range: range) -> array", DOC, |items: &mut Array, range: Range<i64>| {
        part(items, &range)
    });
    registry.method("array", "slice(range: range) -> array", DOC, |items: &mut Array, range: RangeInclusive<i64>| {
        part(items, &half_open(&range))
    });
    const TEXT: &str = "A part of it: name[1..3] is characters 1 and 2, name[-2..] the last two.";
    registry.method(
        "string",
        "slice(range: range) -> string",
        TEXT,
        |text: &mut ImmutableString, range: Range<i64>| letters(text, &range),
    );
    registry.method(
        "string",
        "slice(range: range) -> string",
        TEXT,
        |text: &mut ImmutableString, range: RangeInclusive<i64>| letters(text, &half_open(&range)),
    );
    // What Rhai means by n[0..4].
    registry.method(
        "int",
        "slice(range: range) -> int",
        "Some of its bits: n[0..4] is the lowest four.",
        |n: &mut i64, range: Range<i64>| bits(*n, &range),
    );
    registry.method(
        "int",
        "slice(range: range) -> int",
        "Some of its bits.",
        |n: &mut i64, range: RangeInclusive<i64>| bits(*n, &half_open(&range)),
    );
}

fn repeats(registry: &mut Registry) {
    registry.method(
        "array",
        "repeat(times: int) -> array",
        "A new array that repeats the items `times` times; also xs * 3.",
        |items: &mut Array, times: i64| repeated(items, times),
    );
    registry.method("string", "repeat(times: int) -> string", "The text repeated `times` times; also text * 3.", {
        |text: &mut ImmutableString, times: i64| text.repeat(usize::try_from(times).unwrap_or(0))
    });
    registry.operator(
        "array",
        "*(times: int) -> array",
        "A new array that repeats the items.",
        |items: Array, times: i64| repeated(&items, times),
    );
    registry.operator(
        "string",
        "*(times: int) -> string",
        "The text repeated.",
        |text: ImmutableString, times: i64| text.repeat(usize::try_from(times).unwrap_or(0)),
    );
}

fn maps(registry: &mut Registry) {
    registry.method(
        "map",
        "get(key: string, default: any) -> any",
        "The value of a key; the default where there is none.",
        |map: &mut Map, key: &str, default: Dynamic| map.get(key).map_or(default, Dynamic::flatten_clone),
    );
    registry.method(
        "map",
        "items() -> array",
        "Pairs of its keys and values: for (key, value) in map { print(key) }.",
        {
            |map: &mut Map| {
                map.iter()
                    .map(|(key, value)| pair(Dynamic::from(key.to_string()), value.flatten_clone()))
                    .collect::<Array>()
            }
        },
    );
    registry.method(
        "array",
        "get(index: int, default: any) -> any",
        "The item at an index; the default where there is none.",
        {
            |items: &mut Array, index: i64, default: Dynamic| {
                let at = if index < 0 { index + items.len() as i64 } else { index };
                usize::try_from(at).ok().and_then(|i| items.get(i)).map_or(default, Dynamic::flatten_clone)
            }
        },
    );
}

/// The items; an error if there are none.
fn filled<'a>(what: &str, items: &'a Array) -> Result<&'a Array> {
    if items.is_empty() { Err(Error::mistake(format!("an empty array has no {what}"))) } else { Ok(items) }
}

fn sum(items: &Array) -> Fallible<Dynamic> {
    let (mut whole, mut real, mut exact) = (0_i64, 0.0, true);
    for (i, item) in items.iter().enumerate() {
        real += number(&format!("sum: item {i}"), &item.flatten_clone())?;
        match item.as_int().ok().filter(|_| exact).and_then(|n| whole.checked_add(n)) {
            Some(sum) => whole = sum,
            None => exact = false,
        }
    }
    Ok(if exact { whole.into() } else { real.into() })
}

fn extreme(what: &str, items: &Array, wanted: Ordering) -> Fallible<Dynamic> {
    let mut best = &filled(what, items)?[0];
    for item in items {
        if order(item, best)? == wanted {
            best = item;
        }
    }
    Ok(best.flatten_clone())
}

/// Items sorted by their keys; stable.
fn sorted(mut keyed: Vec<(Dynamic, Dynamic)>) -> Fallible<Array> {
    let mut fault = None;
    keyed.sort_by(|a, b| {
        order(&a.0, &b.0).unwrap_or_else(|error| {
            fault.get_or_insert(error);
            Ordering::Equal
        })
    });
    match fault {
        Some(error) => Err(error.into()),
        None => Ok(keyed.into_iter().map(|(_, item)| item).collect()),
    }
}

/// The order of two values: numbers, texts, booleans, arrays of these.
fn order(a: &Dynamic, b: &Dynamic) -> Result<Ordering> {
    if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
        return Ok(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (number("", a), number("", b)) {
        return Ok(a.total_cmp(&b));
    }
    let text = |value: &Dynamic| {
        let char = value.as_char().map(|c| c.to_string());
        value.as_immutable_string_ref().map(|text| text.to_string()).ok().or(char.ok())
    };
    if let (Some(a), Some(b)) = (text(a), text(b)) {
        return Ok(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (a.as_bool(), b.as_bool()) {
        return Ok(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (a.as_array_ref(), b.as_array_ref()) {
        for (a, b) in a.iter().zip(b.iter()) {
            let one = order(a, b)?;
            if one.is_ne() {
                return Ok(one);
            }
        }
        return Ok(a.len().cmp(&b.len()));
    }
    Err(Error::mistake(format!("{} and {} have no order", article(a), article(b)))
        .with_hint("sorted takes a function that gives what to order by: xs.sorted(|x| x.to_string())"))
}

fn half_open(range: &RangeInclusive<i64>) -> Range<i64> {
    *range.start()..range.end().saturating_add(1)
}

/// The positions of a range in a sequence; negative ones count from the end, and the range is clamped.
fn within(range: &Range<i64>, len: usize) -> Range<usize> {
    let len = len as i64;
    let place = |at: i64| (if at < 0 { at.saturating_add(len) } else { at }).clamp(0, len) as usize;
    let from = place(range.start);
    // ..=-1 ends after the last item.
    let to = if range.end == 0 && range.start < 0 { len as usize } else { place(range.end) };
    from..to.max(from)
}

fn part(items: &Array, range: &Range<i64>) -> Array {
    items[within(range, items.len())].iter().map(Dynamic::flatten_clone).collect()
}

fn letters(text: &str, range: &Range<i64>) -> String {
    let places = within(range, text.chars().count());
    text.chars().skip(places.start).take(places.len()).collect()
}

fn bits(n: i64, range: &Range<i64>) -> i64 {
    let places = within(range, 64);
    let ones = if places.len() >= 64 { u64::MAX } else { (1_u64 << places.len()) - 1 };
    ((n as u64).checked_shr(places.start as u32).unwrap_or(0) & ones) as i64
}

fn repeated(items: &Array, times: i64) -> Array {
    (0..times.max(0)).flat_map(|_| items.iter().map(Dynamic::flatten_clone)).collect()
}

fn pair(first: Dynamic, second: Dynamic) -> Dynamic {
    Dynamic::from_array(vec![first, second])
}
