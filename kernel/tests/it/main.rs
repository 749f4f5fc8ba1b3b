//! The host driven over real sockets by a fake front end; the tests read as protocol traces.

mod cells;
mod client;
mod control;
mod questions;
