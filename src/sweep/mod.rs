//! Sweeps: many trials with different values, W&B's `sweep_config.yaml` run on this machine.
//!
//! A [`SweepConfig`] says what is searched and how; a [`Sweep`] says which trial comes next, keeps what came of each in
//! `sweep.json`, and finds those that lag behind. Whoever runs the trials, a script or several processes, is a
//! [`Worker`]. The order of a grid and the decisions of [`Hyperband`] are those of W&B's own engine (`sweeps` 0.3.0);
//! what is drawn at random has its distributions, from a seed of ours.

mod config;
mod distribution;
mod draw;
mod grid;
mod hyperband;
mod keys;
mod pool;
mod space;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod trial;

pub use config::{Impute, Metric, SearchMethod, SweepConfig};
pub use distribution::{Distribution, QuantStep, RealShape};
pub use grid::Grid;
pub use hyperband::{Course, Hyperband};
pub use pool::Worker;
pub use space::{SearchParameter, Space};
pub use state::Sweep;
pub use trial::{Standing, Trial};
