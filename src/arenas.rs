//! Test of `malloc.c`: the number of arenas of glibc's malloc in this process.

use std::fs;
use std::sync::Barrier;

/// Size and alignment of an arena's reservations: `HEAP_MAX_SIZE` in glibc's `arena.c`.
const HEAP_BYTES: u64 = 64 << 20;

/// Counts the heaps of arenas, without the main arena. A heap begins at a multiple of `HEAP_BYTES`.
/// Its used part is writable, and nobody may access the rest. The kernel may show the used part and
/// other memory that ends where the heap begins as a single mapping.
fn heaps() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let ranges = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?, rest.get(..4)?.to_owned()))
    });
    let ranges: Vec<_> = ranges.collect();
    let is_heap = |pair: &&[(u64, u64, String)]| {
        let [(start, end, access), (next, next_end, rest)] = pair else {
            return false;
        };
        let heap = (end - 1) / HEAP_BYTES * HEAP_BYTES;
        heap >= *start
            && access == "rw-p"
            && next == end
            && rest == "---p"
            && *next_end >= heap + HEAP_BYTES
    };
    ranges.windows(2).filter(is_heap).count()
}

/// The cores that are online, as `malloc.c` counts them: a process may be allowed fewer.
fn online_cores() -> usize {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let names = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
    names.filter(|name| !name.starts_with(' ')).count()
}

#[test]
fn threads_share_an_arena_per_core() {
    const THREADS: usize = 32;
    let cores = online_cores();
    let barrier = Barrier::new(THREADS);
    // Listing a directory allocates its buffer by glibc's malloc. All threads hold a buffer at the
    // same time, so no thread takes over the arena of a thread that ended.
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let listed = fs::read_dir("/proc").unwrap();
                barrier.wait();
                drop(listed);
            });
        }
    });
    assert!(
        heaps() < cores.max(2),
        "{} arenas beside the main one",
        heaps()
    );
    // None would mean that this test does not recognize heaps.
    assert!(heaps() > 0);
}
