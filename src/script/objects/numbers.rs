//! Numbers: functions that also accept integers, rounding to decimal places, conversions from and to text.

use rhai::{Array, Dynamic, ImmutableString};

use crate::error::{Error, Result};
use crate::script::convert::{article, number, whole};
use crate::script::failure::Fallible;
use crate::script::layout::formatted;
use crate::script::one_line::thousands;
use crate::script::registry::Registry;

/// A function of one float.
type OfFloat = fn(f64) -> f64;

/// Rhai's functions of a float, which here also accept integers.
const OF_FLOATS: [(&str, OfFloat); 18] = [
    ("sqrt", f64::sqrt),
    ("exp", f64::exp),
    ("ln", f64::ln),
    ("log", f64::log10),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("asin", f64::asin),
    ("acos", f64::acos),
    ("atan", f64::atan),
    ("sinh", f64::sinh),
    ("cosh", f64::cosh),
    ("tanh", f64::tanh),
    ("floor", f64::floor),
    ("ceiling", f64::ceil),
    ("round", f64::round),
    ("int", f64::trunc),
    ("fraction", f64::fract),
];

pub(super) fn register(registry: &mut Registry) {
    for (name, f) in OF_FLOATS.into_iter().filter(|(name, _)| *name != "int") {
        registry.engine().register_fn(name, move |n: i64| f(n as f64));
    }
    registry.engine().register_fn("log", |n: i64, base: f64| (n as f64).log(base));
    registry.engine().register_fn("log", |n: f64, base: i64| n.log(base as f64));
    registry.engine().register_fn("log", |n: i64, base: i64| (n as f64).log(base as f64));
    rounding(registry);
    conversions(registry);
    texts(registry);
    ranges(registry);
}

/// The most items of a range that is an array.
const LONGEST_RANGE: f64 = 1e8;

fn ranges(registry: &mut Registry) {
    registry.function(
        "range(end: int) -> array",
        "The whole numbers from 0 up to, but without, the end. for i in 0..end counts without an array.",
        |end: i64| -> Fallible<Array> { Ok(whole_steps(0, end, 1)?) },
    );
    registry.function(
        "range(from: int, to: int) -> array",
        "The whole numbers from one up to, but without, another.",
        |from: i64, to: i64| -> Fallible<Array> { Ok(whole_steps(from, to, 1)?) },
    );
    registry.function(
        "range(from: int, to: int, step: int) -> array",
        "The whole numbers from one to another in steps: range(10, 0, -3) is [10, 7, 4, 1].",
        |from: i64, to: i64, step: i64| -> Fallible<Array> { Ok(whole_steps(from, to, step)?) },
    );
    registry.function(
        "range(from: float, to: float, step: float) -> array",
        "The numbers from one to another in steps, without the end: range(0.0, 1.0, 0.25).",
        |from: f64, to: f64, step: f64| -> Fallible<Array> {
            let count = steps(from, to, step)?;
            Ok((0..count).map(|i| Dynamic::from(from + i as f64 * step)).collect())
        },
    );
}

fn whole_steps(from: i64, to: i64, step: i64) -> Result<Array> {
    let count = steps(from as f64, to as f64, step as f64)?;
    Ok((0..count as i64).map(|i| Dynamic::from(from + i * step)).collect())
}

/// How many items a range has.
fn steps(from: f64, to: f64, step: f64) -> Result<usize> {
    if step == 0.0 || !step.is_finite() {
        return Err(Error::mistake(format!("range: a step of {step} leads nowhere")).with_hint("range(0, 10, 2)"));
    }
    // Rounding must not add a step: (1.0 - 0.0) / 0.1 is 10.
    let count = ((to - from) / step - 1e-9).ceil().max(0.0);
    if count <= LONGEST_RANGE {
        return Ok(count as usize);
    }
    Err(Error::mistake(format!("range: {} items would fill the memory", thousands(count as usize)))
        .with_hint("for i in 0..end counts without an array"))
}

fn rounding(registry: &mut Registry) {
    registry.function(
        "round(x: float, places: int) -> float",
        "A number rounded to decimal places: round(3.14159, 2) is 3.14.",
        |x: Dynamic, places: i64| -> Fallible<f64> { Ok(rounded(number("round: x", &x)?, places)) },
    );
    registry.function(
        "ceil(x: float) -> float",
        "The whole number above, as ceiling(x).",
        |x: Dynamic| -> Fallible<f64> { Ok(number("ceil: x", &x)?.ceil()) },
    );
    registry.function(
        "pow(base: float, exponent: float) -> float",
        "A power; base ** exponent keeps whole numbers whole.",
        |base: Dynamic, exponent: Dynamic| -> Fallible<f64> {
            Ok(number("pow: base", &base)?.powf(number("pow: exponent", &exponent)?))
        },
    );
    registry.function("log2(x: float) -> float", "The logarithm to base 2.", |x: Dynamic| -> Fallible<f64> {
        Ok(number("log2: x", &x)?.log2())
    });
    registry.function("log10(x: float) -> float", "The logarithm to base 10, as log(x); ln(x) is the natural one.", {
        |x: Dynamic| -> Fallible<f64> { Ok(number("log10: x", &x)?.log10()) }
    });
}

fn conversions(registry: &mut Registry) {
    registry.function(
        "int(x: any) -> int",
        "A whole number: of a float the part before the point, of a text the number it spells.",
        |x: Dynamic| -> Fallible<i64> { Ok(to_int(&x)?) },
    );
    // Rhai's own function of a float gives a float.
    registry.engine().register_fn("int", |x: f64| -> Fallible<i64> { Ok(to_int(&x.into())?) });
    registry.function(
        "float(x: any) -> float",
        "A number with a point: of a whole number or of the text that spells one.",
        |x: Dynamic| -> Fallible<f64> { Ok(to_float(&x)?) },
    );
    registry.function("str(x: any) -> string", "A value as text; `${x}` in backticks is the same.", |x: Dynamic| {
        x.to_string()
    });
}

fn texts(registry: &mut Registry) {
    registry.function(
        "format(x: any, how: string) -> string",
        "A value as text, laid out as Python does it: \".2f\" two places, \",\" commas between thousands, \".1%\" percent, \">8\" to the right of 8 columns, \"05\" zeros in front, \".3g\" three digits, \"e\" powers of ten, \"x\" hexadecimal.",
        |x: Dynamic, how: &str| -> Fallible<String> { Ok(formatted(&x, how)?) },
    );
    const DOC: &str = "The number as text with a number of decimal places.";
    registry.method("float", "to_string(places: int) -> string", DOC, |x: &mut f64, places: i64| fixed(*x, places));
    registry
        .method("int", "to_string(places: int) -> string", DOC, |x: &mut i64, places: i64| fixed(*x as f64, places));
    // Rhai's functions change a text and give nothing; here they also give it, so that they can be part of an expression.
    registry.engine().register_fn("trim", |text: &mut ImmutableString| {
        *text = text.trim().into();
        text.clone()
    });
    registry.engine().register_fn("replace", |text: &mut ImmutableString, old: &str, new: &str| {
        *text = if old.is_empty() { text.clone() } else { text.replace(old, new).into() };
        text.clone()
    });
    registry.engine().register_fn("replace", |text: &mut ImmutableString, old: char, new: char| {
        *text = text.replace(old, new.encode_utf8(&mut [0; 4])).into();
        text.clone()
    });
    registry.engine().register_fn("replace", |text: &mut ImmutableString, old: char, new: &str| {
        *text = text.replace(old, new).into();
        text.clone()
    });
    // Printing nothing would look like no output.
    registry.engine().register_fn("print", |(): ()| ImmutableString::from("()"));
    registry.engine().register_fn("print", |a: Dynamic, b: Dynamic| words(&[a, b]));
    registry.engine().register_fn("print", |a: Dynamic, b: Dynamic, c: Dynamic| words(&[a, b, c]));
    registry.engine().register_fn("print", |a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic| words(&[a, b, c, d]));
    registry
        .engine()
        .register_fn("print", |a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic, e: Dynamic| words(&[a, b, c, d, e]));
}

/// Values separated by spaces, as in `print(a, b)`.
fn words(values: &[Dynamic]) -> ImmutableString {
    let word = |value: &Dynamic| if value.is_unit() { "()".into() } else { value.to_string() };
    values.iter().map(word).collect::<Vec<_>>().join(" ").into()
}

fn fixed(x: f64, places: i64) -> String {
    format!("{x:.*}", places.clamp(0, 300) as usize)
}

/// A number rounded to decimal places; below 0, to tens, hundreds and so on.
fn rounded(x: f64, places: i64) -> f64 {
    if places >= 0 {
        return fixed(x, places).parse().unwrap_or(x);
    }
    let unit = 10_f64.powi(places.unsigned_abs().min(400) as i32);
    (x / unit).round() * unit
}

fn to_int(x: &Dynamic) -> Result<i64> {
    let unfit = |what: String| Error::mistake(format!("int: {what} is not a whole number"));
    if let Ok(text) = x.as_immutable_string_ref() {
        let digits = text.trim().replace('_', "");
        return digits
            .parse()
            .map_err(|_| unfit(format!("'{digits}'")).with_hint("of a text like \"2.5\": int(float(\"2.5\"))"));
    }
    if let Ok(truth) = x.as_bool() {
        return Ok(i64::from(truth));
    }
    if let Ok(n) = x.as_int() {
        return Ok(n);
    }
    whole("int: x", &Dynamic::from(number("int: x", x)?.trunc()))
}

fn to_float(x: &Dynamic) -> Result<f64> {
    if let Ok(text) = x.as_immutable_string_ref() {
        let digits = text.trim().replace('_', "");
        return digits.parse().map_err(|_| Error::mistake(format!("float: '{digits}' is not a number")));
    }
    number("float: x", x).map_err(|_| Error::mistake(format!("float makes no number of {}", article(x))))
}
