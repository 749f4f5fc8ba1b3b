//! `Runs`: a folder of runs, for comparison.

use std::rc::Rc;

use rhai::{Dynamic, Map};

use crate::error::Error;
use crate::files::locate;
use crate::interrupt::Interrupt;
use crate::plot;
use crate::progress::Progress;
use crate::script::convert::place;
use crate::script::failure::Fallible;
use crate::script::html::{self, Cell};
use crate::script::objects::{Figure, Text};
use crate::script::registry::{Object, Registry};
use crate::script::{Bundle, Output};
use crate::track::{self, Summary};

/// The default folder of `run`.
const FOLDER: &str = "experiments";

/// The most differences shown beside the runs.
const DIFFERENCES: usize = 12;

/// A handle to recorded runs.
#[derive(Debug, Clone)]
pub(crate) struct Runs(Rc<track::Runs>);

impl Object for Runs {
    const NAME: &'static str = "Runs";
    const DOC: &'static str = "Runs side by side: their last values, runs.plot(\"loss\") their curves, \
        runs.differences() what they were made with.\nruns(\"experiments\") reads them.";

    fn line(&self) -> String {
        format!("Runs: {}", self.0.all.len())
    }

    fn text(&self, width: usize) -> String {
        let (headings, rows) = self.0.table();
        let mut text = plot::table_within(&plain(&headings), &rows, width);
        let (headings, mut rows) = self.0.differences();
        let more = rows.len().saturating_sub(DIFFERENCES);
        rows.truncate(DIFFERENCES);
        if !rows.is_empty() {
            text += &format!("\n\nwhat differs\n{}", plot::table_within(&plain(&headings), &rows, width));
        }
        if more > 0 {
            text += &format!("\n… {more} more: differences()");
        }
        text
    }

    fn bundle(&self, width: usize, interrupt: &Interrupt) -> Bundle {
        let mut bundle = self.usual().first().map_or_else(Bundle::default, |figure| figure.bundle(width, interrupt));
        bundle.forms.insert("text/plain", self.text(width));
        bundle
    }

    fn html(&self) -> Option<String> {
        let page = |(headings, rows): (Vec<String>, Vec<Vec<String>>)| {
            let row = |row: Vec<String>| row.into_iter().map(Cell::Word).collect();
            html::table(&plain(&headings), &rows.into_iter().map(row).collect::<Vec<Vec<Cell>>>())
        };
        let differences = self.0.differences();
        let differences = if differences.1.is_empty() {
            String::new()
        } else {
            html::folded("what differs", &page(differences), true)
        };
        Some(format!("<div>{}{differences}</div>", page(self.0.table())))
    }

    fn besides(&self, progress: &Progress) -> Vec<Bundle> {
        self.usual().iter().filter_map(|figure| figure.svg(progress.interrupt())).map(html::picture).collect()
    }
}

fn plain(headings: &[String]) -> Vec<&str> {
    headings.iter().map(String::as_str).collect()
}

impl Runs {
    /// The default curves: both losses, or the most frequent values.
    fn usual(&self) -> Vec<Figure> {
        let names = self.0.names();
        let losses = ["loss", "val_loss"].into_iter().filter(|name| names.contains(name));
        let mut figures: Vec<Figure> = losses.filter_map(|name| self.curves(name).ok()).collect();
        if figures.is_empty() {
            figures.extend(names.first().and_then(|name| self.curves(name).ok()));
        }
        figures
    }

    fn curves(&self, name: &str) -> Fallible<Figure> {
        let (series, stride) = self.0.curves(name);
        if series.is_empty() {
            return Err(Error::unknown("value", name, &self.0.names()).into());
        }
        let x_label = if stride == 1 { "step".to_string() } else { format!("{stride} steps") };
        Ok(Figure::new(plot::Figure {
            title: name.into(),
            x_label,
            series: series.into_iter().map(Into::into).collect(),
            ..plot::Figure::default()
        }))
    }

    fn differences(&self) -> Text {
        let (headings, rows) = self.0.differences();
        if rows.is_empty() { Text("no differences".into()) } else { Text(plot::table(&plain(&headings), &rows)) }
    }
}

/// A run as a script map.
fn map(run: &Summary) -> Map {
    let mut map = Map::new();
    let mut put = |name: &str, value: Dynamic| {
        map.insert(name.into(), value);
    };
    put("name", run.name.clone().into());
    put("id", run.id.clone().into());
    put("folder", run.folder.display().to_string().into());
    put("status", run.status.map_or("open", |status| status.name()).into());
    put("step", Dynamic::from(run.step() as i64));
    let config = run.config.iter().map(|(key, value)| (key.as_str().into(), value.clone().into()));
    put("config", config.collect::<Map>().into());
    let last = run.values.keys().filter_map(|name| Some((name.as_str().into(), run.last(name)?.into())));
    put("last", last.collect::<Map>().into());
    map
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    let read = move |dir: &str| -> Fallible<Runs> {
        let runs = track::Runs::read(&locate(dir)?)?;
        for (folder, reason) in &runs.broken {
            ctx.say(Output::Warning(format!("{} is left out: {reason}\n", folder.display())));
        }
        Ok(Runs(Rc::new(runs)))
    };
    let usual = read.clone();
    registry.function("runs() -> Runs", "The runs in experiments.", move || usual(FOLDER));
    registry.function("runs(dir: string) -> Runs", "The runs in a folder, by the time they began.", read);
    let mut runs = registry.object::<Runs>();
    runs.get("len -> int", "How many there are.", |r: &mut Runs| r.0.all.len() as i64);
    runs.get("names -> array", "The names of the runs.", |r: &mut Runs| {
        r.0.all.iter().map(|run| Dynamic::from(run.name.clone())).collect::<rhai::Array>()
    });
    runs.index(
        "[](index: int) -> map",
        "One of them: name, id, folder, status, step, config, last.",
        |r: &mut Runs, index: i64| -> Fallible<Map> { Ok(map(&r.0.all[place("run", index, r.0.all.len())?])) },
    );
    runs.index("[](name: string) -> map", "The run of this name.", |r: &mut Runs, name: &str| -> Fallible<Map> {
        Ok(map(r.0.get(name)?))
    });
    runs.method(
        "plot(value: string) -> Figure",
        "The curves of one value, a line a run: runs.plot(\"loss\").",
        |r: &mut Runs, name: &str| r.curves(name),
    );
    runs.method("differences() -> Text", "What differs in the configurations, a column a run.", |r: &mut Runs| {
        r.differences()
    });
}
