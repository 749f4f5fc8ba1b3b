//! `Figure`: charts as text and as SVG.

use std::path::Path;
use std::rc::Rc;

use rhai::{Array, Dynamic, Map};

use crate::error::{Error, Result};
use crate::files::locate;
use crate::interrupt::Interrupt;
use crate::plot;
use crate::script::convert::{article, number, numbers, options};
use crate::script::failure::Fallible;
use crate::script::objects::{History, Score, Tensor};
use crate::script::one_line::counted;
use crate::script::registry::{Object, Registry};

/// A handle to a figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure(Rc<PlotContent>);

/// The content of a figure.
#[derive(Debug)]
enum PlotContent {
    Lines(plot::Figure),
    Parallel(plot::Parallel),
    Xy(plot::Xy),
    Bars(plot::Bars),
    Roll(Score),
}

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
        Self(Rc::new(PlotContent::Lines(figure)))
    }

    /// A chart of parallel coordinates.
    pub(crate) fn parallel(figure: plot::Parallel) -> Self {
        Self(Rc::new(PlotContent::Parallel(figure)))
    }

    /// The piano roll of a score.
    pub(crate) fn roll(score: Score) -> Self {
        Self(Rc::new(PlotContent::Roll(score)))
    }

    /// Writes it, by the extension of the path.
    pub(super) fn save(&self, path: &Path, interrupt: &Interrupt) -> Result<()> {
        plot::save(&self.drawn(interrupt)?, path)
    }

    fn drawn(&self, interrupt: &Interrupt) -> Result<String> {
        match &*self.0 {
            PlotContent::Lines(figure) => figure.svg(),
            PlotContent::Parallel(figure) => figure.svg(),
            PlotContent::Xy(figure) => figure.svg(),
            PlotContent::Bars(figure) => figure.svg(),
            PlotContent::Roll(score) => score
                .roll(interrupt)?
                .map(|roll| roll.svg)
                .ok_or_else(|| Error::mistake("there is nothing to draw: the score has no notes")),
        }
    }
}

impl Object for Figure {
    const NAME: &'static str = "Figure";
    const DOC: &'static str =
        "A picture: lines over an index, or a piano roll. plot([1, 4, 9]) and score.plot() make one.";

    fn line(&self) -> String {
        match &*self.0 {
            PlotContent::Roll(score) => format!("Figure: the piano roll of {}", counted(score.0.len(), "note")),
            PlotContent::Xy(figure) => format!("Figure: {}", counted(figure.points.len(), "point")),
            PlotContent::Bars(figure) => format!("Figure: {}", counted(figure.bars.len(), "bar")),
            PlotContent::Parallel(figure) => {
                let names: Vec<&str> = figure.columns.iter().map(|column| column.name.as_str()).collect();
                format!("Figure: {}", names.join(", "))
            }
            PlotContent::Lines(figure) => {
                let names: Vec<&str> =
                    figure.series.iter().map(|series| series.name.as_str()).filter(|n| !n.is_empty()).collect();
                if names.is_empty() {
                    format!("Figure: {} lines", figure.series.len())
                } else {
                    format!("Figure: {}", names.join(", "))
                }
            }
        }
    }

    fn text(&self, width: usize) -> String {
        match &*self.0 {
            PlotContent::Lines(figure) => figure.text(width),
            PlotContent::Parallel(figure) => figure.text(width),
            PlotContent::Xy(figure) => figure.text(width),
            PlotContent::Bars(figure) => figure.text(width),
            PlotContent::Roll(score) => score.roll_text(width),
        }
    }

    fn svg(&self, interrupt: &Interrupt) -> Option<String> {
        self.drawn(interrupt).ok()
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "plot(values: array | map | Tensor | History) -> Figure",
        "Draws numbers as a line, an array of arrays or a map of arrays as several.",
        |values: Dynamic| draw(&values, &Map::new()),
    );
    let member = registry.function(
        "plot(values: array | map | Tensor | History, options: map) -> Figure",
        "Draws numbers as a line, an array of arrays or a map of arrays as several.\nOptions:",
        |values: Dynamic, map: Map| draw(&values, &map),
    );
    member.options = OPTIONS;
    points(registry);
    counts(registry);
    let mut figure = registry.object::<Figure>();
    let ctx = figure.ctx();
    figure.method(
        "save(path: string)",
        "Writes it, by the ending of the path: .svg or .png.",
        move |f: &mut Figure, path: &str| -> Fallible<()> { Ok(f.save(&locate(path)?, ctx.progress().interrupt())?) },
    );
}

fn points(registry: &mut Registry) {
    registry.function(
        "plot(x: array, y: array) -> Figure",
        "Draws a line through the points of two arrays.",
        |x: Array, y: Array| xy(plot::Marks::Line, &x, &y, &Map::new()),
    );
    registry
        .function(
            "plot(x: array, y: array, options: map) -> Figure",
            "Draws a line through the points of two arrays.\nOptions:",
            |x: Array, y: Array, map: Map| xy(plot::Marks::Line, &x, &y, &map),
        )
        .options = OPTIONS;
    registry.function(
        "scatter(x: array, y: array) -> Figure",
        "Draws the points of two arrays.",
        |x: Array, y: Array| xy(plot::Marks::Dots, &x, &y, &Map::new()),
    );
    registry
        .function(
            "scatter(x: array, y: array, options: map) -> Figure",
            "Draws the points of two arrays.\nOptions:",
            |x: Array, y: Array, map: Map| xy(plot::Marks::Dots, &x, &y, &map),
        )
        .options = OPTIONS;
}

fn counts(registry: &mut Registry) {
    registry.function(
        "bars(values: array | map) -> Figure",
        "Draws a bar for each number of an array, or for each entry of a map.",
        |values: Dynamic| bars(&values, &Map::new()),
    );
    registry
        .function(
            "bars(values: array | map, options: map) -> Figure",
            "Draws a bar for each number of an array, or for each entry of a map.\nOptions:",
            |values: Dynamic, map: Map| bars(&values, &map),
        )
        .options = OPTIONS;
    registry.function(
        "bars(names: array, values: array) -> Figure",
        "Draws a bar for each number, with its name.",
        |names: Array, values: Array| -> Fallible<Figure> {
            let values = numbers("bars: values", &values)?;
            if names.len() != values.len() {
                return Err(unlike("bars", names.len(), values.len()).into());
            }
            let bars = names.iter().map(ToString::to_string).zip(values).collect();
            Ok(Figure(Rc::new(PlotContent::Bars(plot::Bars { title: String::new(), bars }))))
        },
    );
    registry.function(
        "histogram(values: array | Tensor) -> Figure",
        "Draws how many of the numbers lie between round borders.",
        |values: Dynamic| histogram(&values, &Map::new()),
    );
    registry
        .function(
            "histogram(values: array | Tensor, options: map) -> Figure",
            "Draws how many of the numbers lie between round borders.\nOptions:",
            |values: Dynamic, map: Map| histogram(&values, &map),
        )
        .options = OPTIONS;
}

fn unlike(what: &str, first: usize, second: usize) -> Error {
    Error::mistake(format!("{what}: the arrays have {first} and {second} items"))
        .with_hint("two arrays of one length make points: plot([1, 2, 3], [1, 4, 9])")
}

fn xy(marks: plot::Marks, x: &Array, y: &Array, map: &Map) -> Fallible<Figure> {
    let what = if marks == plot::Marks::Line { "plot" } else { "scatter" };
    let labels: Labels = options(what, map)?;
    let (x, y) = (numbers(&format!("{what}: x"), x)?, numbers(&format!("{what}: y"), y)?);
    if x.len() != y.len() {
        return Err(unlike(what, x.len(), y.len()).into());
    }
    let points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
    if points.is_empty() {
        return Err(Error::mistake("there is nothing to plot").into());
    }
    Ok(Figure(Rc::new(PlotContent::Xy(plot::Xy {
        title: labels.title.unwrap_or_default(),
        x_label: labels.x_label.unwrap_or_default(),
        y_label: labels.y_label.unwrap_or_default(),
        marks,
        points,
    }))))
}

fn bars(values: &Dynamic, map: &Map) -> Fallible<Figure> {
    let labels: Labels = options("bars", map)?;
    let bars: Vec<(String, f64)> = if let Ok(entries) = values.as_map_ref() {
        let entry = |(name, value): (&_, &Dynamic)| {
            let name = String::from(name as &str);
            Ok((name.clone(), number(&format!("bars: {name}"), &value.flatten_clone())?))
        };
        entries.iter().map(|(name, value)| entry((name, value))).collect::<Result<_>>()?
    } else if let Ok(items) = values.as_array_ref() {
        numbers("bars: values", &items)?.into_iter().enumerate().map(|(i, n)| (i.to_string(), n)).collect()
    } else {
        return Err(Error::mistake(format!("bars draws an array or a map, not {}", article(values))).into());
    };
    if bars.is_empty() {
        return Err(Error::mistake("there is nothing to plot").into());
    }
    Ok(Figure(Rc::new(PlotContent::Bars(plot::Bars { title: labels.title.unwrap_or_default(), bars }))))
}

/// The most classes of a histogram.
const CLASSES: usize = 24;

fn histogram(values: &Dynamic, map: &Map) -> Fallible<Figure> {
    let labels: Labels = options("histogram", map)?;
    let all = series(values)?.into_iter().flat_map(|(_, values)| values).collect::<Vec<_>>();
    let bars = plot::histogram(&all, CLASSES);
    if bars.is_empty() {
        return Err(Error::mistake("there is nothing to plot").into());
    }
    Ok(Figure(Rc::new(PlotContent::Bars(plot::Bars { title: labels.title.unwrap_or_default(), bars }))))
}

fn draw(values: &Dynamic, map: &Map) -> Fallible<Figure> {
    let labels: Labels = options("plot", map)?;
    let mut figure = match values.read_lock::<History>() {
        Some(history) => history.curves(),
        None => {
            plot::Figure { series: series(values)?.into_iter().map(Into::into).collect(), ..plot::Figure::default() }
        }
    };
    figure.title = labels.title.unwrap_or(figure.title);
    figure.x_label = labels.x_label.unwrap_or(figure.x_label);
    figure.y_label = labels.y_label.unwrap_or(figure.y_label);
    if figure.series.iter().all(|series| series.y.is_empty()) {
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
