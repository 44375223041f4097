//! How long a plan takes for 100 nodes, 1,000 groups and 100,000 ranges: the limit is 100 ms. And
//! how such a cluster with an uneven load comes to rest, and from then on moves no range twice
//! within ten minutes.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(missing_docs, reason = "a bench has no users")]

#[path = "../tests/world/mod.rs"]
mod world;

use std::hint::black_box;
use std::time::{Duration, Instant};

use coterie_controller::planner::plan_on;
use criterion::{Criterion, criterion_group, criterion_main};
use world::{Cost, World};

const NODES: u64 = 100;
const GROUPS: u64 = 1_000;
const RANGES: u64 = 100_000;

/// Seconds of the cluster's time: to even out, and then to stay even.
const TICKS: u64 = 300;
const STEADY_TICKS: u64 = 900;

/// The seconds within which no range may then move twice.
const DAMPING: u64 = 600;

fn large() -> World {
    let mut world = World::new(NODES, GROUPS, RANGES, 7);
    let rows: Vec<_> = world.catalog.ranges.values().cloned().collect();
    for range in rows {
        let of_group = 1 + range.group_id.0.wrapping_mul(0x9E37_79B9) % 8;
        let ops = 80 * of_group * (1 + world.chance(100)) / 230 + 1;
        let size = (8 << 20) + world.chance(16 << 20);
        world.costs.insert(range.range_id, Cost { size, ops });
    }
    world.settings.moves_max = 256;
    world.noise_permille = 100;
    world
}

fn plan_of_a_large_cluster(criterion: &mut Criterion) {
    let mut world = large();
    println!(
        "load: at most {:.1}% from even",
        100.0 * world.spread(|cost| cost.ops)
    );
    let (mut longest, mut all) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TICKS {
        let (view, begun) = (world.view(), Instant::now());
        let mut memory = world.memory.clone();
        black_box(plan_on(&view, &world.settings, &mut memory));
        let took = begun.elapsed();
        (longest, all) = (longest.max(took), all + took);
        world.tick();
    }
    println!(
        "after {TICKS} s and {} moves: at most {:.1}% from even; a plan took {:.1} ms, at most \
         {:.1} ms",
        world.moves.len(),
        100.0 * world.spread(|cost| cost.ops),
        all.as_secs_f64() * 1000.0 / TICKS as f64,
        longest.as_secs_f64() * 1000.0
    );
    stay_even(&mut world);
    let view = world.view();
    let mut memory = world.memory.clone();
    criterion.bench_function("a plan for 100 nodes, 1,000 groups, 100,000 ranges", |b| {
        b.iter(|| black_box(plan_on(&view, &world.settings, &mut memory)));
    });
}

/// Lets time pass with varying loads. Panics if a range moves twice or loads grow apart.
fn stay_even(world: &mut World) {
    let steady = world.ticks;
    for _ in 0..STEADY_TICKS {
        world.tick();
    }
    assert_eq!(world.moved_twice(steady, DAMPING), None);
    let moved = world.moves.iter().filter(|(tick, _)| *tick > steady);
    let spread = world.spread(|cost| cost.ops);
    println!(
        "{STEADY_TICKS} s more: {} moves, no range twice within {DAMPING} s; at most {:.1}% from \
         even",
        moved.count(),
        100.0 * spread
    );
    assert!(spread <= 0.10, "{spread}");
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = plan_of_a_large_cluster
}
criterion_main!(benches);
