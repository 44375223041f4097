//! Reclaims the elements that no header names: of collections that were deleted, replaced, or have
//! expired. Nobody sees them, and no digest counts them, so every replica removes them by itself,
//! outside the log.
//!
//! Applying tells which keys lost a header (`garbage`); their elements are looked for a moment
//! later. Where that could not be told, all elements are looked through, every few minutes, by two
//! seeks for each collection. An idle replica does nothing.
//!
//! A look decides over one view of the store ([`look`]). What it decides stays right: a version is
//! never an incarnation twice, so no later entry names the incarnation again. The one exception is
//! an arriving range, whose elements arrive before their headers, and whose collections may have
//! been here before. Nothing is removed there, and the removals of a look are dropped when a range
//! began to arrive since.
//!
//! The removals change no state, so each durable state is still the state after some entry,
//! whether it has them or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_group::Body;
use coterie_raft::{Fault, Group};
use coterie_storage::{Batch, Engine, Interval, layout};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
pub(crate) use garbage::Garbage;
use look::Found;

mod garbage;
mod look;

/// How long to wait after a hint: more of its kind come soon.
const DELAY: Duration = Duration::from_millis(500);
/// Pause between two looks, which bounds the rate: some fifty thousand elements a second.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for intervals to be cleared.
const CLEARED_WITHIN: Duration = Duration::from_secs(30);
/// How often to check whether intervals are cleared.
const CLEARED_POLL: Duration = Duration::from_millis(50);
/// Pause after the store could not be read or written.
const FAULT_PAUSE: Duration = Duration::from_secs(30);
/// Unflushed bytes above which nothing is removed: removals take memory until they are flushed.
const UNFLUSHED_MAX: usize = 16 << 20;

/// Runs until `stop`.
pub(super) async fn run(group: Group, shared: Arc<Shared>, stop: CancellationToken) {
    let reclaiming = async {
        loop {
            let whole = shared.garbage.wanted().await;
            tokio::time::sleep(DELAY).await;
            if let Err(fault) = reclaim(&group, &shared, whole).await {
                tracing::error!(group_id = %group.id(), error = %fault, "elements not reclaimed");
                tokio::time::sleep(FAULT_PAUSE).await;
                shared.garbage.want_all();
            }
        }
    };
    stop.run_until_cancelled(reclaiming).await;
}

/// Looks through the keys that lost a header, or through all elements.
async fn reclaim(group: &Group, shared: &Arc<Shared>, whole: bool) -> Result<(), Fault> {
    if whole {
        shared.garbage.begin_pass();
        let [_, all] = layout::all_intervals();
        return reclaim_in(group, shared, all).await;
    }
    for (table, key) in shared.garbage.take_keys() {
        reclaim_in(group, shared, layout::elements_interval(table, &key)).await?;
    }
    Ok(())
}

/// Reclaims the elements of an interval that no header names.
async fn reclaim_in(
    group: &Group,
    shared: &Arc<Shared>,
    (mut from, end): Interval,
) -> Result<(), Fault> {
    loop {
        make_room(group, shared).await;
        let (looking, interval) = (Arc::clone(shared), (from.clone(), end.clone()));
        let step = tokio::task::spawn_blocking(move || step(&looking, &interval));
        match step.await?? {
            Step::On { next, has_cleared } => {
                if has_cleared {
                    wait_until_cleared(group, shared).await;
                }
                match next {
                    Some(next) => from = next,
                    None => return Ok(()),
                }
            }
            Step::Again => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a step leaves to do.
enum Step {
    /// To go on at `next`, if it is not the end.
    On {
        next: Option<Vec<u8>>,
        /// Intervals are to be cleared with the next flush.
        has_cleared: bool,
    },
    /// To look again at the same place: a range began to arrive.
    Again,
}

/// Looks, and removes what was found.
fn step(shared: &Shared, interval: &Interval) -> Result<Step, Fault> {
    let garbage = &shared.garbage;
    let arriving = garbage.arriving();
    let published = shared.published();
    let engine = published.engine.as_ref();
    let mut looked = None;
    engine.read_consistently(&mut |reader| {
        looked = Some(look::look(reader, interval, &arriving.bounds));
    });
    let Found {
        removed,
        bytes,
        intervals,
        next,
    } = looked.ok_or("the store gave no view")??;
    // Whoever announces a range waits until nothing is being cleared.
    let may_clear = arriving.bounds.is_empty() && !engine.is_clearing();
    let next = match intervals.first() {
        Some((start, _)) if !may_clear => Some(start.clone()),
        _ => next,
    };
    let has_cleared = may_clear && !intervals.is_empty();
    let sizes = if has_cleared {
        engine.approximate_sizes(&intervals)
    } else {
        Vec::new()
    };
    let count = removed.len() as u64;
    let mut batch = Batch::default();
    removed.into_iter().for_each(|key| batch.delete(key));
    let done = garbage.unless_arriving(arriving.generation, || {
        if has_cleared {
            engine.clear_with_flush(intervals);
        }
        engine.write(batch)
    });
    match done {
        Some(written) => written?,
        None => return Ok(Step::Again),
    }
    garbage.count(count, sizes.len() as u64, bytes + sizes.iter().sum::<u64>());
    Ok(Step::On { next, has_cleared })
}

/// Waits while many bytes are not flushed.
async fn make_room(group: &Group, shared: &Shared) {
    let is_full = || shared.published().engine.unflushed_bytes() > UNFLUSHED_MAX;
    while is_full() {
        tick(group, shared).await;
        tokio::time::sleep(CLEARED_POLL.saturating_mul(20)).await;
    }
}

/// Waits until the announced intervals are cleared: the flush for that begins with an entry.
async fn wait_until_cleared(group: &Group, shared: &Shared) {
    let until = Instant::now() + CLEARED_WITHIN;
    while shared.published().engine.is_clearing() && Instant::now() < until {
        tick(group, shared).await;
        tokio::time::sleep(CLEARED_POLL).await;
    }
}

/// Has the state machine look whether a flush is due, also when nobody writes. The followers have
/// the same to do at the same time.
async fn tick(group: &Group, shared: &Shared) {
    if group.is_leader() {
        // An error is ignored: if leadership is lost, another node's ticks come.
        let ticking = group.propose(shared.entry(Body::Tick));
        let _ = tokio::time::timeout(CLEARED_WITHIN, ticking).await;
    }
}
