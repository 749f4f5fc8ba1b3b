//! `format(x, ".2f")`: Python's format specification (docs.python.org/3/library/string.html#formatspec), as far as it
//! applies to numbers and texts: `[[fill]align][sign][0][width][,][.precision][type]`.

use rhai::Dynamic;

use crate::error::{Error, Result};
use crate::script::convert::{article, number};

/// A parsed specification.
#[derive(Debug, Default, PartialEq)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    plus: Option<char>,
    zeros: bool,
    width: usize,
    thousands: Option<char>,
    places: Option<usize>,
    kind: Option<char>,
}

/// The limit of width and precision.
const MOST: usize = 1000;

/// Formats a value.
///
/// # Errors
/// A specification that is invalid, or does not apply to the value.
pub(crate) fn formatted(x: &Dynamic, how: &str) -> Result<String> {
    let spec = read(how.strip_prefix(':').unwrap_or(how))?;
    let text =
        x.as_immutable_string_ref().map(|text| text.to_string()).ok().or(x.as_char().map(|c| c.to_string()).ok());
    let text = match (text, spec.kind) {
        (Some(text), None | Some('s')) => return Ok(padded(&cut(&text, spec.places), "", &spec, '<')),
        (Some(_), Some(kind)) => return Err(unfit(how, &format!("'{kind}' lays out numbers, and this is a string"))),
        (None, Some('s')) => return Err(unfit(how, &format!("'s' lays out strings, and this is {}", article(x)))),
        (None, _) if x.is_bool() || x.is_unit() || !(x.is_int() || x.is_float()) => {
            let text = if x.is_unit() { "()".into() } else { x.to_string() };
            return Ok(padded(&text, "", &spec, '<'));
        }
        (None, _) => digits(x, how, &spec)?,
    };
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest.to_string()),
        None => (spec.plus.map_or("", |c| if c == '+' { "+" } else { " " }), text),
    };
    let text = spec.thousands.map_or(text.clone(), |mark| grouped(&text, mark));
    Ok(padded(&text, sign, &spec, '>'))
}

fn unfit(how: &str, why: &str) -> Error {
    Error::mistake(format!("format: \"{how}\" does not fit: {why}")).with_hint("format(3.14159, \".2f\")")
}

fn read(how: &str) -> Result<Spec> {
    let mut spec = Spec::default();
    let mut rest: Vec<char> = how.chars().rev().collect();
    let is_align = |c: Option<&char>| matches!(c, Some('<' | '>' | '^' | '='));
    if rest.len() > 1 && is_align(rest.get(rest.len() - 2)) {
        spec.fill = rest.pop();
    }
    if is_align(rest.last()) {
        spec.align = rest.pop();
    }
    spec.plus = rest.pop_if(|c| matches!(c, '+' | '-' | ' ')).filter(|c| *c != '-');
    spec.zeros = rest.pop_if(|c| *c == '0').is_some();
    let count = |rest: &mut Vec<char>| {
        let mut n = None;
        while let Some(digit) = rest.last().and_then(|c| c.to_digit(10)) {
            n = Some((n.unwrap_or(0) * 10 + digit as usize).min(MOST));
            rest.pop();
        }
        n
    };
    spec.width = count(&mut rest).unwrap_or(0);
    spec.thousands = rest.pop_if(|c| matches!(c, ',' | '_'));
    if rest.pop_if(|c| *c == '.').is_some() {
        spec.places = Some(count(&mut rest).ok_or_else(|| unfit(how, "a number of places belongs behind the point"))?);
    }
    spec.kind = rest.pop();
    let known = spec.kind.is_none_or(|kind| "bdeEfFgGosxX%".contains(kind));
    if known && rest.is_empty() {
        Ok(spec)
    } else {
        Err(unfit(how, "it is not [align][width][,][.places][d f e g % s x]"))
    }
}

/// The digits of a number, preceded by `-` if negative.
fn digits(x: &Dynamic, how: &str, spec: &Spec) -> Result<String> {
    let real = number("format: x", x)?;
    let places = spec.places.unwrap_or(6);
    let integer = || {
        let n =
            x.as_int().or_else(|_| if real.fract() == 0.0 && real.abs() < 9.0e15 { Ok(real as i64) } else { Err("") });
        n.map_err(|_| unfit(how, &format!("{real} is not a whole number")))
    };
    let radix = |text: String, n: i64| if n < 0 { format!("-{text}") } else { text };
    Ok(match spec.kind {
        Some('d') => integer()?.to_string(),
        Some('x') => integer().map(|n| radix(format!("{:x}", n.unsigned_abs()), n))?,
        Some('X') => integer().map(|n| radix(format!("{:X}", n.unsigned_abs()), n))?,
        Some('o') => integer().map(|n| radix(format!("{:o}", n.unsigned_abs()), n))?,
        Some('b') => integer().map(|n| radix(format!("{:b}", n.unsigned_abs()), n))?,
        Some('e') => exponent(real, places),
        Some('E') => exponent(real, places).to_uppercase(),
        Some('%') => format!("{:.places$}%", real * 100.0),
        Some('f' | 'F') => format!("{real:.places$}"),
        Some(_) => general(real, places.max(1)),
        None if x.is_int() => x.to_string(),
        None => spec.places.map_or_else(|| format!("{real:?}"), |places| general(real, places.max(1))),
    })
}

/// `1.500000e+03`
fn exponent(x: f64, places: usize) -> String {
    let text = format!("{x:.places$e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text,
    }
}

/// A number with a precision in significant digits, without trailing zeros.
fn general(x: f64, digits: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    // The exponent after rounding: 9.99 with two digits is 10.
    let power: i32 = format!("{x:.*e}", digits - 1).split_once('e').and_then(|(_, p)| p.parse().ok()).unwrap_or(0);
    let trimmed = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    };
    if power < -4 || power >= digits as i32 {
        let text = exponent(x, digits - 1);
        return text.split_once('e').map_or(text.clone(), |(front, back)| format!("{}e{back}", trimmed(front.into())));
    }
    trimmed(format!("{x:.*}", (digits as i32 - 1 - power).max(0) as usize))
}

/// Adds a separator between groups of three digits.
fn grouped(text: &str, mark: char) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut out = String::with_capacity(text.len() * 4 / 3 + 1);
    for (i, c) in text[..end].chars().enumerate() {
        if i > 0 && (end - i) % 3 == 0 {
            out.push(mark);
        }
        out.push(c);
    }
    out + &text[end..]
}

fn cut(text: &str, most: Option<usize>) -> String {
    text.chars().take(most.unwrap_or(usize::MAX)).collect()
}

fn padded(text: &str, sign: &str, spec: &Spec, usual: char) -> String {
    let room = spec.width.saturating_sub(text.chars().count() + sign.len());
    let inside = spec.zeros && spec.align.is_none();
    let fill = spec.fill.unwrap_or(if inside { '0' } else { ' ' }).to_string();
    match spec.align.unwrap_or(if inside { '=' } else { usual }) {
        '<' => format!("{sign}{text}{}", fill.repeat(room)),
        '^' => format!("{}{sign}{text}{}", fill.repeat(room / 2), fill.repeat(room - room / 2)),
        '=' => format!("{sign}{}{text}", fill.repeat(room)),
        _ => format!("{}{sign}{text}", fill.repeat(room)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values as `python3 -c 'print(format(x, "…"))'` (3.12) lays them out.
    #[test]
    fn values_are_laid_out_as_python_does() {
        let real = [
            (2.71999, ".2f", "2.72"),
            (1_234_567.891, ",.1f", "1,234,567.9"),
            (-0.5, "+08.3f", "-000.500"),
            (0.256, ".1%", "25.6%"),
            (1500.0, "e", "1.500000e+03"),
            (0.000_012_34, ".2g", "1.2e-05"),
            (9.99, ".2g", "10"),
            (1234.5, ".3g", "1.23e+03"),
            (2.5, "*^7", "**2.5**"),
        ];
        for (x, how, text) in real {
            assert_eq!(formatted(&x.into(), how).ok().as_deref(), Some(text), "{x} {how}");
        }
        for (n, how, text) in [
            (42_i64, "05d", "00042"),
            (1_000_000, ",", "1,000,000"),
            (255, "x", "ff"),
            (7, ">4", "   7"),
            (2, ".2f", "2.00"),
            (-7, "b", "-111"),
        ] {
            assert_eq!(formatted(&n.into(), how).ok().as_deref(), Some(text), "{n} {how}");
        }
        for (s, how, text) in [("ab", "5", "ab   "), ("abc", ".2", "ab"), ("ab", "->4s", "--ab")] {
            assert_eq!(formatted(&s.into(), how).ok().as_deref(), Some(text), "{s} {how}");
        }
        for how in ["q", ".f", "5.2k", "s"] {
            assert!(formatted(&1.5.into(), how).is_err(), "{how}");
        }
    }
}
