//! The series of a figure.

/// How a series is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SeriesStyle {
    /// A line from value to value.
    #[default]
    Line,
    /// A faint line in the colour of the series that follows, which is a smoothed form of it.
    Faint,
    /// A dot for each value.
    Points,
}

/// A named series of values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend; "" for none.
    pub name: String,
    /// The x of each value; if `None`, its index.
    pub x: Option<Vec<f64>>,
    /// The values; those that are not finite are gaps.
    pub y: Vec<f64>,
    /// How it is drawn.
    pub style: SeriesStyle,
}

impl Series {
    /// A line over the index of the values.
    pub fn line(name: impl Into<String>, y: Vec<f64>) -> Self {
        Self { name: name.into(), y, ..Self::default() }
    }

    /// Values over given x values, as a line or as dots.
    pub fn over(name: impl Into<String>, x: Vec<f64>, y: Vec<f64>, style: SeriesStyle) -> Self {
        Self { name: name.into(), x: Some(x), y, style }
    }

    /// A series and its exponential moving average over about `span` values, the raw line faint; a short or smooth one
    /// is returned as it is.
    pub fn smoothed(name: impl Into<String>, y: Vec<f64>, span: usize) -> Vec<Self> {
        let name = name.into();
        if span < 2 || y.len() < 4 {
            return vec![Self::line(name, y)];
        }
        let mean = exponential_mean(&y, span);
        vec![Self { style: SeriesStyle::Faint, ..Self::line("", y) }, Self::line(name, mean)]
    }

    /// The points: x, and y where it is finite.
    pub(super) fn points(&self) -> impl Iterator<Item = (f64, Option<f64>)> + '_ {
        let x = |i: usize| match &self.x {
            Some(x) => x.get(i).copied().unwrap_or(f64::NAN),
            None => i as f64,
        };
        self.y.iter().enumerate().map(move |(i, &y)| (x(i), Some(y).filter(|y| y.is_finite() && x(i).is_finite())))
    }

    /// The least and the greatest place on the horizontal axis.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        match &self.x {
            Some(x) => range(x.iter().copied()),
            None => (!self.y.is_empty()).then(|| (0.0, (self.y.len() - 1) as f64)),
        }
    }
}

impl From<(String, Vec<f64>)> for Series {
    fn from((name, y): (String, Vec<f64>)) -> Self {
        Self::line(name, y)
    }
}

/// The least and the greatest finite value.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| v.is_finite()).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((f64::min(low, v), f64::max(high, v))),
    })
}

/// An exponential moving average with the factor `1 − 1/span`, with the bias of the first values corrected (Kingma and
/// Ba, "Adam", 2015, §3). Adding values does not change earlier means.
fn exponential_mean(values: &[f64], span: usize) -> Vec<f64> {
    let keep = 1.0 - 1.0 / span as f64;
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut next = |value: f64| {
        if !value.is_finite() {
            return f64::NAN;
        }
        sum = keep * sum + (1.0 - keep) * value;
        weight = keep * weight + (1.0 - keep);
        sum / weight
    };
    values.iter().map(|v| next(*v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_follows_and_keeps_its_past() {
        let values: Vec<f64> = (0..200).map(|i| 3.0 + if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let mean = exponential_mean(&values, 10);
        assert!((mean[0] - 4.0).abs() < 1e-12, "no bias at the start: {}", mean[0]);
        assert!(mean[50..].iter().all(|m| (m - 3.0).abs() < 0.1));
        assert_eq!(exponential_mean(&values[..100], 10)[..], mean[..100]);
        let gap = exponential_mean(&[1.0, f64::NAN, 1.0], 10);
        assert!(gap[1].is_nan() && (gap[2] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_short_line_is_not_smoothed() {
        assert_eq!(Series::smoothed("a", vec![1.0, 2.0], 10).len(), 1);
        let two = Series::smoothed("a", vec![1.0; 9], 10);
        assert_eq!((two[0].style, two[0].name.as_str(), two[1].name.as_str()), (SeriesStyle::Faint, "", "a"));
    }
}
