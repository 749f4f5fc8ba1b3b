//! How much memory the program takes.

use rhai::Dynamic;

use crate::script::kit::Kit;
use crate::train;

pub(super) fn register(kit: &mut Kit) {
    kit.function(
        "peak_memory() -> int",
        "The most bytes of memory the program has had since it began or since reset_peak_memory(); () where the system does not say.",
        || train::peak_memory().map_or(Dynamic::UNIT, |bytes| Dynamic::from(bytes as i64)),
    );
    kit.function("reset_peak_memory()", "Begins to measure peak_memory() anew.", train::reset_peak_memory);
}
