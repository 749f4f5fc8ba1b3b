//! The two tables of NF4 with double quantisation: 16 values for weights, 256 for the scales of blocks.

use std::sync::LazyLock;

/// The values of the 4-bit codes: quantiles of the normal distribution, scaled into [−1, 1] (`quant_map`).
pub const NF4_MAP: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// The values of the 8-bit codes of scales (`nested_quant_map`), made once.
pub static NESTED_MAP: LazyLock<[f32; 256]> = LazyLock::new(nested_map);

/// Midpoints between neighbours of a table: values above are nearer to the upper one.
pub(super) fn midpoints<const N: usize>(map: &[f32]) -> [f32; N] {
    std::array::from_fn(|i| (map[i] + map[i + 1]) / 2.0)
}

/// The signed dynamic map of 8 bits: for each of 7 decades, the middles of 2ⁱ equal steps of [0.1, 1], with both signs;
/// and 0 and 1. Every operation is rounded to f32 as in `bitsandbytes.functional.create_dynamic_map`.
fn nested_map() -> [f32; 256] {
    let mut map = [0.0; 256];
    let mut n = 0;
    for i in 0..7 {
        let (steps, decade) = (1usize << i, 10f64.powi(i - 6) as f32);
        let width = (1.0f32 - 0.1) / steps as f32;
        // As torch.linspace: from the left end in the first half, from the right end in the second, rounded once.
        let edge = |j: usize| {
            if 2 * j < steps { width.mul_add(j as f32, 0.1) } else { (-width).mul_add((steps - j) as f32, 1.0) }
        };
        for j in 0..steps {
            let middle = (edge(j) + edge(j + 1)) / 2.0;
            map[n] = decade * middle;
            map[n + 1] = -decade * middle;
            n += 2;
        }
    }
    map[255] = 1.0; // map[254] stays 0
    map.sort_by(f32::total_cmp);
    map
}
