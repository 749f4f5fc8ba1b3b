//! Formatting of numbers in pictures.

use crate::progress::thousands;

/// A number in at most four significant digits: and all before the point: `0.0123`, `12.5`, `1,200`, `3.1e-7`.
pub(super) fn short(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() {
            "nan".into()
        } else if x > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        };
    }
    let size = x.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e7).contains(&size) {
        let text = format!("{x:.2e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trim(mantissa));
    }
    if size >= 1e3 {
        let sign = if x < 0.0 { "-" } else { "" };
        return format!("{sign}{}", thousands(size.round() as u64));
    }
    let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
    trim(&format!("{x:.decimals$}")).to_owned()
}

fn trim(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-12.3456, "-12.35"),
            (0.012_345, "0.01235"),
            (999.96, "1000"),
            (1234.4, "1,234"),
            (-1_234_567.0, "-1,234,567"),
            (3.1e-7, "3.1e-7"),
            (-2e9, "-2e9"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (x, text) in cases {
            assert_eq!(short(x), text, "{x}");
        }
    }
}
