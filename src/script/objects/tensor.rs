//! `Tensor`: a multi-dimensional array of numbers, such as logits, weights, gradients or attention.

use candle_core::{DType, Tensor as Raw};
use rhai::{Array, Dynamic};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::plot;
use crate::progress::Progress;
use crate::script::Bundle;
use crate::script::convert::{place, whole};
use crate::script::failure::{Fallible, mistake};
use crate::script::html::{self, Cell};
use crate::script::registry::{Members, Object, Registry};

/// A handle to a tensor. Tensors are immutable.
#[derive(Debug, Clone)]
pub(crate) struct Tensor(pub(crate) Raw);

/// The height of the heat map in lines.
const MAP_HEIGHT: usize = 16;
/// The largest tensor that is converted to an array.
const MOST: usize = 50_000_000;

/// Summary statistics of a tensor.
struct Figures {
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
}

impl Tensor {
    /// All values, row-major.
    pub(crate) fn values(&self) -> Result<Vec<f32>> {
        Ok(self.0.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
    }

    fn figures(&self) -> Result<Figures> {
        let values = self.values()?;
        if values.is_empty() {
            return Err(Error::mistake("an empty tensor has no statistics"));
        }
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        // The sample standard deviation, over n − 1, as torch's std.
        let squares = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
        let std = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { f64::NAN };
        // NaN if any value is NaN.
        let broken = values.iter().any(|v| v.is_nan());
        let fold = |f: fn(f32, f32) -> f32| {
            if broken { f32::NAN } else { values.iter().copied().reduce(f).unwrap_or(f32::NAN) }
        };
        Ok(Figures { mean, std, min: fold(f32::min).into(), max: fold(f32::max).into() })
    }

    /// The last two dimensions at the first index of the others, for a picture.
    fn face(&self) -> Result<(Vec<f32>, usize, usize)> {
        let mut raw = self.0.clone();
        while raw.rank() > 2 {
            raw = raw.get(0)?;
        }
        let (rows, columns) = match raw.dims() {
            [] => (1, 1),
            [n] => (1, *n),
            [rows, columns, ..] => (*rows, *columns),
        };
        Ok((Self(raw).values()?, rows, columns))
    }

    fn shape(&self) -> String {
        self.0.dims().iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
    }
}

impl Object for Tensor {
    const NAME: &'static str = "Tensor";
    const DOC: &'static str = "Numbers in a grid: logits, weights, gradients, attention. Tensors of one shape add, subtract, \
        multiply and divide, with each other and with numbers.";

    fn line(&self) -> String {
        let shape = if self.0.rank() == 0 { "a number".into() } else { self.shape() };
        format!("Tensor: {shape}, {}", self.0.dtype().as_str())
    }

    fn text(&self, width: usize) -> String {
        let mut text = self.line();
        if let Ok(Figures { mean, std, min, max }) = self.figures() {
            text += &format!("\n  mean {mean:.3e}  std {std:.3e}  min {min:.3e}  max {max:.3e}");
        }
        if self.0.elem_count() <= 8 {
            if let Ok(values) = self.values() {
                text += &format!("\n  {values:?}");
            }
        } else if let Ok((values, rows, columns)) = self.face() {
            let rest = self.0.rank().saturating_sub(2);
            if rest > 0 {
                text += &format!("\n  [{}, …, …]:", vec!["0"; rest].join(", "));
            }
            text += &format!("\n{}", plot::heat_map(&values, rows, columns, width.min(100), MAP_HEIGHT));
        }
        text
    }

    fn svg(&self, _interrupt: &Interrupt) -> Option<String> {
        let (values, rows, columns) = self.face().ok().filter(|_| self.0.elem_count() > 8)?;
        plot::shades(&values, rows, columns)
    }

    fn html(&self) -> Option<String> {
        let Figures { mean, std, min, max } = self.figures().ok()?;
        let row = [mean, std, min, max].map(|x| Cell::Number(format!("{x:.3e}"))).into();
        let table = html::table(&["mean", "std", "min", "max"], &[row]);
        let rest = self.0.rank().saturating_sub(2);
        let part =
            if rest > 0 { html::note(&format!("[{}, …, …]", vec!["0"; rest].join(", "))) } else { String::new() };
        Some(format!("<div>{}{table}{part}</div>", html::heading(&self.line())))
    }

    fn besides(&self, progress: &Progress) -> Vec<Bundle> {
        let mut pictures: Vec<String> = self.svg(progress.interrupt()).into_iter().collect();
        if let (true, Ok(values)) = (self.0.elem_count() > 8, self.values()) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let classes = plot::histogram(&values, 40);
            pictures.extend((classes.len() > 1).then(|| plot::bars("values", &classes)));
        }
        pictures.into_iter().map(html::picture).collect()
    }
}

pub(super) fn register(registry: &mut Registry) {
    let mut tensor = registry.object::<Tensor>();
    tensor.get("shape -> array", "Its dimensions.", |t: &mut Tensor| -> Array {
        t.0.dims().iter().map(|&d| Dynamic::from(d as i64)).collect()
    });
    tensor
        .get("dtype -> string", "The type of its numbers: \"f32\".", |t: &mut Tensor| t.0.dtype().as_str().to_string());
    tensor.method("abs() -> Tensor", "Without signs.", |t: &mut Tensor| -> Fallible<Tensor> {
        Ok(Tensor(t.0.abs().map_err(Error::from)?))
    });
    let figure = |t: &Tensor, f: fn(Figures) -> f64| -> Fallible<f64> { Ok(f(t.figures()?)) };
    tensor.method("mean() -> float", "The mean of all values.", move |t: &mut Tensor| figure(t, |f| f.mean));
    tensor.method("std() -> float", "The standard deviation of all values, as torch's.", move |t: &mut Tensor| {
        figure(t, |f| f.std)
    });
    tensor.method("min() -> float", "The least value.", move |t: &mut Tensor| figure(t, |f| f.min));
    tensor.method("max() -> float", "The greatest value.", move |t: &mut Tensor| figure(t, |f| f.max));
    tensor.method("sum() -> float", "The sum of all values.", |t: &mut Tensor| -> Fallible<f64> {
        Ok(t.values()?.into_iter().map(f64::from).sum())
    });
    tensor.method("to_array() -> array", "Its values as arrays in arrays.", |t: &mut Tensor| -> Fallible<Dynamic> {
        if t.0.elem_count() > MOST {
            return mistake(format!("{} values are too many for an array; take a part with at()", t.0.elem_count()));
        }
        let mut values = t.values()?.into_iter();
        Ok(nested(t.0.dims(), &mut values))
    });
    places(&mut tensor);
    arithmetic(&mut tensor);
}

fn nested(dims: &[usize], values: &mut impl Iterator<Item = f32>) -> Dynamic {
    match dims {
        [] => f64::from(values.next().unwrap_or(f32::NAN)).into(),
        [n, rest @ ..] => (0..*n).map(|_| nested(rest, values)).collect::<Array>().into(),
    }
}

/// `at` with one to four indices, and `[i]`.
fn places(tensor: &mut Members<Tensor>) {
    const DOC: &str =
        "The value at a place, or the part of the tensor there when indices are left out; -1 is the last.";
    tensor.method("at(i: int) -> float | Tensor", DOC, |t: &mut Tensor, i: Dynamic| at(t, &[i]));
    tensor.method("at(i: int, j: int) -> float | Tensor", DOC, |t: &mut Tensor, i: Dynamic, j: Dynamic| at(t, &[i, j]));
    tensor.method(
        "at(i: int, j: int, k: int) -> float | Tensor",
        DOC,
        |t: &mut Tensor, i: Dynamic, j: Dynamic, k: Dynamic| at(t, &[i, j, k]),
    );
    tensor.method(
        "at(i: int, j: int, k: int, l: int) -> float | Tensor",
        DOC,
        |t: &mut Tensor, i: Dynamic, j: Dynamic, k: Dynamic, l: Dynamic| at(t, &[i, j, k, l]),
    );
    tensor.index("[](index: int) -> float | Tensor", "The same as at(index).", |t: &mut Tensor, i: i64| {
        at(t, &[i.into()])
    });
}

fn at(tensor: &Tensor, indices: &[Dynamic]) -> Fallible<Dynamic> {
    if indices.len() > tensor.0.rank() {
        return mistake(format!("a tensor of {} dimensions takes no {} indices", tensor.0.rank(), indices.len()));
    }
    let mut part = tensor.0.clone();
    for (i, index) in indices.iter().enumerate() {
        let index = whole("an index", index)?;
        let index = place(&format!("index in dimension {i}:"), index, part.dims()[0])?;
        part = part.get(index).map_err(Error::from)?;
    }
    let part = Tensor(part);
    match part.0.rank() {
        0 => Ok(part.values()?.first().map_or(f64::NAN, |&v| f64::from(v)).into()),
        _ => Ok(Dynamic::from(part)),
    }
}

fn arithmetic(tensor: &mut Members<Tensor>) {
    tensor.operator("+(other: Tensor) -> Tensor", "Element by element.", |a: &mut Tensor, b: Tensor| {
        both(a, &b, "+", |a, b| a.broadcast_add(b))
    });
    tensor.operator("-(other: Tensor) -> Tensor", "Element by element.", |a: &mut Tensor, b: Tensor| {
        both(a, &b, "-", |a, b| a.broadcast_sub(b))
    });
    tensor.operator("*(other: Tensor) -> Tensor", "Element by element.", |a: &mut Tensor, b: Tensor| {
        both(a, &b, "*", |a, b| a.broadcast_mul(b))
    });
    tensor.operator("/(other: Tensor) -> Tensor", "Element by element.", |a: &mut Tensor, b: Tensor| {
        both(a, &b, "/", |a, b| a.broadcast_div(b))
    });
    macro_rules! with_numbers {
        ($number:ty, $right:literal, $left:literal) => {
            tensor.operator(concat!("+", $right), "With a number.", |a: &mut Tensor, x: $number| {
                affine(a, 1.0, x as f64)
            });
            tensor.operator(concat!("-", $right), "With a number.", |a: &mut Tensor, x: $number| {
                affine(a, 1.0, -(x as f64))
            });
            tensor.operator(concat!("*", $right), "With a number.", |a: &mut Tensor, x: $number| {
                affine(a, x as f64, 0.0)
            });
            tensor.operator(concat!("/", $right), "With a number.", |a: &mut Tensor, x: $number| {
                affine(a, 1.0 / x as f64, 0.0)
            });
            tensor.operator(concat!("*", $left), "With a number.", |x: $number, a: Tensor| affine(&a, x as f64, 0.0));
            tensor.operator(concat!("+", $left), "With a number.", |x: $number, a: Tensor| affine(&a, 1.0, x as f64));
            tensor.operator(concat!("-", $left), "With a number.", |x: $number, a: Tensor| affine(&a, -1.0, x as f64));
        };
    }
    with_numbers!(f64, "(number: float) -> Tensor", "(number: float, tensor: Tensor) -> Tensor");
    with_numbers!(i64, "(number: int) -> Tensor", "(number: int, tensor: Tensor) -> Tensor");
    tensor.operator("-() -> Tensor", "With the other sign.", |a: &mut Tensor| affine(a, -1.0, 0.0));
}

fn both(a: &Tensor, b: &Tensor, op: &str, f: fn(&Raw, &Raw) -> candle_core::Result<Raw>) -> Fallible<Tensor> {
    if a.0.shape().broadcast_shape_binary_op(b.0.shape(), "script").is_err() {
        return mistake(format!("{} {op} {} does not fit: the shapes differ", a.shape(), b.shape()));
    }
    Ok(Tensor(f(&a.0, &b.0).map_err(Error::from)?))
}

fn affine(tensor: &Tensor, factor: f64, term: f64) -> Fallible<Tensor> {
    Ok(Tensor(tensor.0.affine(factor, term).map_err(Error::from)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Host, Session};

    fn session() -> Session {
        let mut session = Session::new(Host::silent());
        let raw = Raw::arange(0f32, 24f32, &candle_core::Device::Cpu).and_then(|t| t.reshape((2, 3, 4)));
        session.scope.push("t", Tensor(raw.expect("24 values")));
        session
    }

    fn value(code: &str) -> String {
        let shown = session().eval(code).unwrap_or_else(|fault| panic!("{code}: {fault}"));
        shown.map_or_else(String::new, |bundle| bundle.plain().to_string())
    }

    #[test]
    fn places_are_found() {
        assert_eq!(value("t.shape"), "[2, 3, 4]");
        assert_eq!(value("t.at(1, 2, 3)"), "23.0");
        assert_eq!(value("t.at(-1, -1).shape"), "[4]");
        assert_eq!(value("t[1][0].to_array()"), "[12.0, 13.0, 14.0, 15.0]");
        assert!(session().eval("t.at(2, 0)").is_err_and(|f| f.message.contains("dimension 0")));
        assert!(session().eval("t.at(0, 0, 0, 0)").is_err_and(|f| f.message.contains("3 dimensions")));
    }

    #[test]
    fn tensors_calculate() {
        assert_eq!(value("(t - t).abs().max()"), "0.0");
        assert_eq!(value("(t * 2 + 1).at(0, 0, 3)"), "7.0");
        assert_eq!(value("(1 - t / 2.0).at(0, 0, 2)"), "0.0");
        assert_eq!(value("(-t).min()"), "-23.0");
        assert_eq!(value("t.mean()"), "11.5");
        // torch.arange(24.).std() -> 7.0711
        assert_eq!(value("(t.std() * 10000).round() / 10000"), "7.071");
        assert!(session().eval("t + t[0][0][0] * t + t.at(0, 0).at(0)").is_ok());
        assert!(session().eval("t + t.at(0, 0, 0)").is_ok());
    }

    #[test]
    fn a_tensor_is_shown_with_figures_and_shades() {
        let text = value("t");
        assert!(text.contains("2 × 3 × 4") && text.contains("mean 1.15"), "{text}");
    }
}
