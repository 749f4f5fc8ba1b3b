//! Sorting with a comparison function of the script. Rhai's own sort continues with an arbitrary order when the
//! function fails or the user cancels; this one stops.

use rhai::{Array, Dynamic, FnPtr, NativeCallContext};

use crate::error::Error;
use crate::script::convert::article;
use crate::script::failure::Fallible;
use crate::script::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "sort(items: array, order: function)",
        "Puts an array in the order of a function of two items: below 0 or true where the first comes first.\n\
         a.sort(|x, y| x.pitch - y.pitch). Equal items keep their order.",
        |context: NativeCallContext, items: &mut Array, order: FnPtr| sort(&context, items, &order),
    );
    registry.function(
        "sort_by(items: array, order: function)",
        "The same as sort(order).",
        |context: NativeCallContext, items: &mut Array, order: FnPtr| sort(&context, items, &order),
    );
}

fn sort(context: &NativeCallContext, items: &mut Array, order: &FnPtr) -> Fallible<()> {
    let behind = |a: usize, b: usize, items: &Array| -> Fallible<bool> {
        let answer: Dynamic = order.call_within_context(context, (items[a].clone(), items[b].clone()))?;
        match () {
            () if answer.is_int() => Ok(answer.as_int().unwrap_or(0) > 0),
            () if answer.is_float() => Ok(answer.as_float().unwrap_or(0.0) > 0.0),
            () if answer.is_bool() => Ok(!answer.as_bool().unwrap_or(true)),
            () => Err(Error::mistake(format!(
                "sort: the function must give a number or a bool, not {}",
                article(&answer)
            ))
            .with_hint("a.sort(|x, y| x - y)")
            .into()),
        }
    };
    let places = merged(items.len(), |a, b| behind(a, b, items))?;
    let mut sorted: Array = Vec::with_capacity(items.len());
    sorted.extend(places.into_iter().map(|at| std::mem::take(&mut items[at])));
    *items = sorted;
    Ok(())
}

/// A sorted permutation of `0..count` by bottom-up merge sort, which stays in bounds whatever `behind` answers, and
/// stops at its first error.
fn merged<E>(count: usize, mut behind: impl FnMut(usize, usize) -> Result<bool, E>) -> Result<Vec<usize>, E> {
    let mut from: Vec<usize> = (0..count).collect();
    let mut to = Vec::with_capacity(count);
    let mut run = 1;
    while run < count {
        to.clear();
        for pair in from.chunks(2 * run) {
            let (mut left, mut right) = pair.split_at(run.min(pair.len()));
            while let (Some(&a), Some(&b)) = (left.first(), right.first()) {
                if behind(a, b)? {
                    to.push(b);
                    right = &right[1..];
                } else {
                    to.push(a);
                    left = &left[1..];
                }
            }
            to.extend(left.iter().chain(right));
        }
        std::mem::swap(&mut from, &mut to);
        run *= 2;
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_is_stable_and_ends_at_a_failure() {
        let values: Vec<u64> = (0..1000).map(|i: u64| i * 7919 % 101).collect();
        let order = merged(values.len(), |a, b| Ok::<_, ()>(values[a] > values[b])).expect("no failure");
        assert!(order.windows(2).all(|w| (values[w[0]], w[0]) < (values[w[1]], w[1])));
        let mut left = 10;
        let stopped = merged(1000, |_, _| {
            left -= 1;
            if left == 0 { Err("stop") } else { Ok(true) }
        });
        assert_eq!((stopped, left), (Err("stop"), 0));
        assert_eq!(merged(0, |_, _| Ok::<_, ()>(true)), Ok(vec![]));
    }
}
