//! Random numbers for scripts, from the session's seed.

use rhai::{Array, Dynamic};

use crate::error::Error;
use crate::script::context::ScriptContext;
use crate::script::failure::Fallible;
use crate::script::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "random() -> float",
        "A random number from 0 up to, but without, 1. seed(n) starts the numbers anew.",
        move || random(&ctx),
    );
    let ctx = registry.ctx();
    registry.function(
        "randint(low: int, high: int) -> int",
        "A random whole number from low to high, both included.",
        move |low: i64, high: i64| -> Fallible<i64> {
            if low > high {
                return Err(Error::mistake(format!("randint: {low} is above {high}"))
                    .with_hint("randint(1, 6)")
                    .into());
            }
            let count = high.abs_diff(low).saturating_add(1);
            Ok(low.wrapping_add_unsigned(below(&ctx, count)))
        },
    );
    let ctx = registry.ctx();
    registry.method(
        "array",
        "choice() -> any",
        "One of its items, by chance.",
        move |items: &mut Array| -> Fallible<Dynamic> {
            if items.is_empty() {
                return Err(Error::mistake("an empty array has no item to choose").into());
            }
            Ok(items[below(&ctx, items.len() as u64) as usize].flatten_clone())
        },
    );
    let ctx = registry.ctx();
    registry.changing("array", "shuffle()", "Puts its items into a random order.", move |items: &mut Array| {
        // Fisher and Yates.
        for i in (1..items.len()).rev() {
            items.swap(i, below(&ctx, i as u64 + 1) as usize);
        }
    });
}

/// Uniform in [0, 1), a multiple of 2⁻⁵³.
fn random(ctx: &ScriptContext) -> f64 {
    (ctx.next_draw() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Uniform in 0..count, by the high half of a product (Lemire 2019); the bias is below count / 2⁶⁴.
fn below(ctx: &ScriptContext, count: u64) -> u64 {
    ((u128::from(ctx.next_draw()) * u128::from(count)) >> 64) as u64
}
