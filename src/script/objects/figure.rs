//! Figure: lines over an index, as text and as SVG.

use std::path::Path;
use std::rc::Rc;

use rhai::{Dynamic, Map};

use crate::error::Error;
use crate::plot;
use crate::script::Bundle;
use crate::script::convert::{article, numbers, options};
use crate::script::failure::Fallible;
use crate::script::kit::{Kit, Object};
use crate::script::objects::{History, Tensor};

/// A handle on a figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure(Rc<plot::Figure>);

/// The options of `plot`.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    ("title", "above the picture"),
    ("x_label", "below the horizontal axis"),
    ("y_label", "beside the vertical axis"),
];

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Labels {
    title: Option<String>,
    x_label: Option<String>,
    y_label: Option<String>,
}

impl Figure {
    pub(crate) fn new(figure: plot::Figure) -> Self {
        Self(Rc::new(figure))
    }
}

impl Object for Figure {
    const NAME: &'static str = "Figure";
    const DOC: &'static str = "A picture of numbers: lines over an index. plot([1, 4, 9]) makes one.";

    fn line(&self) -> String {
        let names: Vec<&str> = self.0.series.iter().map(|(name, _)| name.as_str()).filter(|n| !n.is_empty()).collect();
        if names.is_empty() {
            format!("Figure: {} lines", self.0.series.len())
        } else {
            format!("Figure: {}", names.join(", "))
        }
    }

    fn text(&self, width: usize) -> String {
        self.0.text(width)
    }

    fn bundle(&self, width: usize) -> Bundle {
        let mut bundle = Bundle::text(self.text(width));
        if let Ok(svg) = self.0.svg() {
            bundle.forms.insert("image/svg+xml", svg);
        }
        bundle
    }
}

pub(super) fn register(kit: &mut Kit) {
    kit.function(
        "plot(values: array | map | Tensor | History) -> Figure",
        "Draws numbers as a line, an array of arrays or a map of arrays as several.",
        |values: Dynamic| draw(&values, &Map::new()),
    );
    let member = kit.function(
        "plot(values: array | map | Tensor | History, options: map) -> Figure",
        "Draws numbers as a line, an array of arrays or a map of arrays as several.\nOptions:",
        |values: Dynamic, map: Map| draw(&values, &map),
    );
    member.options = OPTIONS;
    let mut figure = kit.object::<Figure>();
    figure.method(
        "save(path: string)",
        "Writes it, by the ending of the path: .svg or .png.",
        |f: &mut Figure, path: &str| -> Fallible<()> { Ok(f.0.save(Path::new(path))?) },
    );
}

fn draw(values: &Dynamic, map: &Map) -> Fallible<Figure> {
    let labels: Labels = options("plot", map)?;
    let mut figure = match values.read_lock::<History>() {
        Some(history) => (*history.figure().0).clone(),
        None => plot::Figure { series: series(values)?, ..plot::Figure::default() },
    };
    figure.title = labels.title.unwrap_or(figure.title);
    figure.x_label = labels.x_label.unwrap_or(figure.x_label);
    figure.y_label = labels.y_label.unwrap_or(figure.y_label);
    if figure.series.iter().all(|(_, values)| values.is_empty()) {
        return Err(Error::mistake("there is nothing to plot").into());
    }
    Ok(Figure::new(figure))
}

fn series(values: &Dynamic) -> Fallible<Vec<(String, Vec<f64>)>> {
    if let Some(tensor) = values.read_lock::<Tensor>() {
        return Ok(vec![(String::new(), tensor.values()?.into_iter().map(f64::from).collect())]);
    }
    let line = |name: &str, value: &Dynamic| -> Fallible<Vec<f64>> {
        match value.as_array_ref() {
            Ok(items) => Ok(numbers(name, &items)?),
            Err(_) => Err(Error::mistake(format!("plot: {name} must be an array, not {}", article(value))).into()),
        }
    };
    if let Ok(map) = values.as_map_ref() {
        return map.iter().map(|(name, value)| Ok((name.to_string(), line(name, value)?))).collect();
    }
    let Ok(items) = values.as_array_ref() else {
        return Err(Error::mistake(format!(
            "plot draws an array, a map of arrays, a Tensor or a History, not {}",
            article(values)
        ))
        .into());
    };
    if items.iter().any(Dynamic::is_array) {
        return items.iter().enumerate().map(|(i, v)| Ok((format!("{i}"), line(&format!("line {i}"), v)?))).collect();
    }
    Ok(vec![(String::new(), numbers("plot: values", &items)?)])
}
