//! The state shared by all objects of a session: host, seed, device, and hooks.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::Device;
use rhai::Dynamic;

use crate::error::Result;
use crate::nn;
use crate::progress::Progress;
use crate::script::catalog::Catalog;
use crate::script::sugar::{self, ColumnMap, KnownNames};
use crate::script::{Host, Output, Variable};
use crate::train::parallel::{Group, World};

/// A handle to the shared state of a session.
#[derive(Clone)]
pub(crate) struct ScriptContext(Rc<ContextState>);

struct ContextState {
    host: Host,
    width: Cell<usize>,
    /// Whether the host can show HTML and play sound.
    rich: Cell<bool>,
    /// Whether displays can be updated in place.
    live: Cell<bool>,
    /// The seed of the session, and the number of seeds drawn from it.
    seed: Cell<u64>,
    draws: Cell<u64>,
    device: RefCell<(String, Device)>,
    exit: Cell<Option<i32>>,
    last: RefCell<Dynamic>,
    wants_variables: Cell<bool>,
    variables: RefCell<Vec<Variable>>,
    catalog: OnceCell<Arc<Catalog>>,
    /// Receives the measurements of the running trial of a sweep, and returns whether to continue it.
    trial: RefCell<Option<Listener>>,
    group: OnceCell<Arc<Group>>,
    /// The known names, the running text, and the last text of `eval`.
    names: RefCell<KnownNames>,
    text: RefCell<Typed>,
    evaluated: RefCell<Typed>,
}

/// A text as typed, and the map of positions from its Rhai form.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(crate) text: Rc<str>,
    pub(crate) places: ColumnMap,
}

impl Default for Typed {
    fn default() -> Self {
        Self { text: "".into(), places: ColumnMap::default() }
    }
}

/// Receives a measurement; returns false to end the trial.
pub(crate) type Listener = Rc<dyn Fn(f64) -> bool>;

impl ScriptContext {
    pub(crate) fn new(host: Host) -> Self {
        Self(Rc::new(ContextState {
            width: Cell::new(host.width),
            rich: Cell::new(true),
            live: Cell::new(true),
            host,
            seed: Cell::new(0),
            draws: Cell::new(0),
            device: RefCell::new(("cpu".into(), Device::Cpu)),
            exit: Cell::new(None),
            last: RefCell::new(Dynamic::UNIT),
            wants_variables: Cell::new(false),
            variables: RefCell::new(Vec::new()),
            catalog: OnceCell::new(),
            trial: RefCell::new(None),
            group: OnceCell::new(),
            names: RefCell::default(),
            text: RefCell::default(),
            evaluated: RefCell::default(),
        }))
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.0.host.progress
    }

    /// The width of text in columns.
    pub(crate) fn width(&self) -> usize {
        self.0.width.get().max(20)
    }

    pub(crate) fn set_width(&self, columns: usize) {
        self.0.width.set(columns);
    }

    /// Whether values are shown in all formats, or only in those for terminals.
    pub(crate) fn rich(&self) -> bool {
        self.0.rich.get()
    }

    pub(crate) fn set_rich(&self, rich: bool) {
        self.0.rich.set(rich);
    }

    /// Whether displays can be updated in place: not in a pipe or a file.
    pub(crate) fn live(&self) -> bool {
        self.0.live.get()
    }

    pub(crate) fn set_live(&self, live: bool) {
        self.0.live.set(live);
    }

    /// An id for a display, unique in this process.
    pub(crate) fn display_id(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The listener of the running trial.
    pub(crate) fn trial(&self) -> Option<Listener> {
        self.0.trial.borrow().clone()
    }

    /// Sets the listener of the next trial and returns the previous one.
    pub(crate) fn set_trial(&self, listener: Option<Listener>) -> Option<Listener> {
        self.0.trial.replace(listener)
    }

    pub(crate) fn say(&self, output: Output) {
        (self.0.host.output)(output);
    }

    /// Restarts the sequence of seeds.
    pub(crate) fn set_seed(&self, seed: u64) {
        self.0.seed.set(seed);
        self.0.draws.set(0);
    }

    /// The next seed of the session, for random operations without a seed of their own. Sessions with the same seed
    /// return the same sequence. Below 2^31, so that it is readable and fits every file format.
    pub(crate) fn next_seed(&self) -> u64 {
        self.next_draw() >> 33
    }

    /// The next 64 random bits of the session.
    pub(crate) fn next_draw(&self) -> u64 {
        let draw = self.0.draws.get() + 1;
        self.0.draws.set(draw);
        mix(self.0.seed.get(), draw)
    }

    /// Sets the known names while a text is converted, and the text as typed.
    pub(crate) fn set_text(&self, text: &str, places: ColumnMap, names: KnownNames) {
        *self.0.names.borrow_mut() = names;
        *self.0.text.borrow_mut() = Typed { text: text.into(), places };
        *self.0.evaluated.borrow_mut() = Typed::default();
    }

    /// The running text.
    pub(crate) fn text(&self) -> Typed {
        self.0.text.borrow().clone()
    }

    /// Records the text of an `eval` and returns it in Rhai's grammar.
    pub(crate) fn ready(&self, code: &str) -> String {
        let plain = sugar::plain(code, &self.0.names.borrow());
        *self.0.evaluated.borrow_mut() = Typed { text: code.into(), places: plain.places };
        plain.text
    }

    /// The last text of `eval`.
    pub(crate) fn evaluated(&self) -> Typed {
        self.0.evaluated.borrow().clone()
    }

    pub(crate) fn device(&self) -> Device {
        self.0.device.borrow().1.clone()
    }

    pub(crate) fn device_name(&self) -> String {
        self.0.device.borrow().0.clone()
    }

    /// Sets the device for new models.
    pub(crate) fn set_device(&self, name: &str) -> Result<()> {
        // Ranks on one machine use different GPUs.
        let own = match (name, World::from_env()?) {
            ("cuda" | "auto", Some(world)) if world.local_rank > 0 => format!("cuda:{}", world.local_rank),
            _ => name.to_string(),
        };
        let device = match nn::device(&own) {
            Err(_) if name == "auto" => Device::Cpu,
            device => device?,
        };
        let name = match (&device, name) {
            (Device::Cpu, _) => "cpu",
            (_, "auto") if own == "auto" => "cuda",
            _ => own.as_str(),
        };
        *self.0.device.borrow_mut() = (name.into(), device);
        Ok(())
    }

    /// The group of ranks of this process; they connect at the first call.
    pub(crate) fn group(&self) -> Result<Arc<Group>> {
        if let Some(group) = self.0.group.get() {
            return Ok(group.clone());
        }
        let group = Group::join(World::from_env()?, &self.device(), self.progress().interrupt())?;
        Ok(self.0.group.get_or_init(|| group).clone())
    }

    pub(crate) fn set_exit(&self, code: Option<i32>) {
        self.0.exit.set(code);
    }

    pub(crate) fn exit(&self) -> Option<i32> {
        self.0.exit.get()
    }

    /// The value of the last cell: `_`.
    pub(crate) fn last(&self) -> Dynamic {
        self.0.last.borrow().clone()
    }

    pub(crate) fn set_last(&self, value: Dynamic) {
        let old = self.0.last.replace(value);
        drop(old);
    }

    /// Whether the running cell may call `vars()`, so that the list is needed.
    pub(crate) fn wants_variables(&self) -> bool {
        self.0.wants_variables.get()
    }

    pub(crate) fn want_variables(&self, wanted: bool) {
        self.0.wants_variables.set(wanted);
    }

    /// The variables for `vars()`.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        self.0.variables.borrow().clone()
    }

    pub(crate) fn set_variables(&self, variables: Vec<Variable>) {
        *self.0.variables.borrow_mut() = variables;
    }

    /// Sets the catalog, once, after all objects are registered.
    pub(crate) fn set_catalog(&self, catalog: Catalog) {
        // It is set once: every engine has its own context.
        let _ = self.0.catalog.set(Arc::new(catalog));
    }

    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        self.0.catalog.get_or_init(Arc::default)
    }
}

/// One step of SplitMix64 (Steele, Lea & Flood 2014) at `seed + draw * golden ratio`.
pub(crate) fn mix(seed: u64, draw: u64) -> u64 {
    let mut z = seed.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_hands_out_the_same_seeds() {
        let ctx = ScriptContext::new(Host::silent());
        ctx.set_seed(7);
        let first = [ctx.next_seed(), ctx.next_seed()];
        ctx.set_seed(7);
        assert_eq!(first, [ctx.next_seed(), ctx.next_seed()]);
        assert_ne!(first[0], first[1]);
        assert!(first.iter().all(|&s| s < 1 << 31));
    }
}
