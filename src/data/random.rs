//! Seeded random draws: one ChaCha stream for every purpose and index, so that no draw depends on another.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The purpose of a draw.
#[derive(Debug, Clone, Copy)]
pub(super) enum Draw {
    /// The pieces that are held out.
    Sides = 1,
    /// The copies that are made of a piece.
    Copies = 2,
    /// The order of the rows in an epoch.
    Order = 3,
    /// The files of a source that are read.
    Files = 4,
}

/// The generator of draw number `place` for a purpose.
pub(super) fn rng(seed: u64, draw: Draw, place: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((draw as u64) << 56) | (place & ((1 << 56) - 1)));
    rng
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn places_and_purposes_draw_differently() {
        let draw = |seed, what, place| rng(seed, what, place).random::<u64>();
        assert_eq!(draw(1, Draw::Order, 5), draw(1, Draw::Order, 5));
        assert_ne!(draw(1, Draw::Order, 5), draw(1, Draw::Order, 6));
        assert_ne!(draw(1, Draw::Order, 5), draw(1, Draw::Copies, 5));
        assert_ne!(draw(1, Draw::Order, 5), draw(2, Draw::Order, 5));
    }
}
