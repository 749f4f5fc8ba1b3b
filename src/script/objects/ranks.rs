//! The rank of this process.

use crate::script::failure::Fallible;
use crate::script::registry::Registry;
use crate::train::parallel::World;

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "rank() -> int",
        "The number of this process among those that train together, from 0; 0 for one that was started alone.",
        || -> Fallible<i64> { Ok(World::from_env()?.map_or(0, |world| world.rank as i64)) },
    );
    registry.function(
        "world_size() -> int",
        "How many processes train together: those that mpirun, torchrun or srun started.",
        || -> Fallible<i64> { Ok(World::from_env()?.map_or(1, |world| world.size as i64)) },
    );
}
