//! Runs frames with scripts at the leader, and proposes their effects (design §17).
//!
//! When frames with scripts wait, the proposer lets all that it has proposed be applied, and
//! proposes nothing meanwhile. The frames run in order, on a thread where they may block. Their
//! effects become a single entry. If the state has changed before that entry is applied, nothing of
//! it holds, and the frames run again.
//!
//! While scripts run the group clock stands still, as it does for a script of Redis: a tick for
//! readers would show them a later state than the scripts have seen. When a script runs for long,
//! the frames that wait for its end are refused as busy.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use coterie_group::{Body, ScriptEffects, ScriptEngine, ScriptRun, ScriptSeat, Slot, is_put_off};
use coterie_protocol::Refusal;
use coterie_raft::{Group, ProposeError};
use coterie_redis_compat::{Fault, Txn};
use coterie_storage::{Engine, Reader};
use coterie_types::{Term, UnixMillis, varint};
use tokio::task::JoinError;
use tracing::error;

use super::pending::Pending;
use super::propose::Batcher;
use super::refusal::{refusal_of, refuse};
use super::shared::{Published, Shared, seed};
use super::view::StoreView;
use super::waiting::{Waiting, term_of};
use crate::scripts::{Scripts, Watch};

/// How often the proposer looks whether the script that runs is busy.
const BUSY_PERIOD: Duration = Duration::from_millis(20);
/// How often the proxies of the frames hear that they are worked on.
const WORKING_PERIOD: Duration = Duration::from_millis(200);
/// How long frames run until those behind them wait for the next entry.
const RUN_TIME: Duration = Duration::from_millis(20);
/// How often a frame is run again before its proxy is told to come back later.
const RERUNS_MAX: u8 = 16;

/// The frames of a run, and what became of it.
struct Ran {
    frames: Vec<Pending>,
    run: Result<ScriptRun, Fault>,
    clock: UnixMillis,
    seed: u64,
}

impl Batcher {
    /// Runs the frames with scripts that wait, and answers them. All that was proposed before is
    /// applied. Frames that must run again are kept.
    pub(super) async fn run_scripts(&mut self) {
        let mut frames = self.take_scripts();
        if frames.is_empty() {
            return;
        }
        let Some(term) = term_of(&self.group) else {
            let (leader, term) = self.group.leader();
            return refuse_all(frames, &Refusal::NotLeader { leader, term });
        };
        if let Err(error) = self.propose_arrivals(&mut frames).await {
            return refuse_all(frames, &refusal_of(error));
        }
        let held = HeldClock::of(&self.shared);
        match self.run_apart(frames, term, held.clock).await {
            Ok(ran) => self.finish(ran).await,
            // Its frames are gone, and their proxies were told so.
            Err(error) => error!(group_id = %self.group.id(), %error, "a run of scripts was lost"),
        }
    }

    /// Lets the records that the frames lack arrive first.
    async fn propose_arrivals(&self, frames: &mut [Pending]) -> Result<(), ProposeError> {
        let arrivals = frames.iter_mut();
        let arrivals = arrivals.flat_map(|pending| std::mem::take(&mut pending.arrivals));
        let arrivals: Vec<_> = arrivals.collect();
        if arrivals.is_empty() {
            return Ok(());
        }
        let frames = Vec::new();
        let entry = self.shared.entry(Body::Fetched { arrivals, frames });
        self.group.propose(entry).await.map(drop)
    }

    /// Runs frames on a thread where they may block, and meanwhile refuses others if that takes
    /// long.
    async fn run_apart(
        &mut self,
        frames: Vec<Pending>,
        term: Term,
        clock: UnixMillis,
    ) -> Result<Ran, JoinError> {
        let run = Run {
            group: self.group.clone(),
            shared: Arc::clone(&self.shared),
            scripts: Arc::clone(&self.scripts),
            waiting_frames: Arc::clone(&self.waiting_frames),
            term,
            seat: ScriptSeat {
                clock,
                seed: seed(),
                value_bytes_max: self.shared.value_bytes_max(),
                has_room: self.disk.has_room_for(&self.group),
            },
        };
        let mut job = tokio::task::spawn_blocking(move || run.run(frames));
        let mut reassured_at = Instant::now();
        loop {
            if let Ok(ran) = tokio::time::timeout(BUSY_PERIOD, &mut job).await {
                return ran;
            }
            if reassured_at.elapsed() >= WORKING_PERIOD {
                reassured_at = Instant::now();
                self.reassure_waiting();
            }
            let busy = self.shared.busy.is_over(|| self.scripts.busy_threshold());
            if let Some(function) = busy {
                self.refuse_waiting(&Refusal::Busy { function });
            }
        }
    }

    /// Proposes the effects of a run, and answers its frames.
    async fn finish(&mut self, ran: Ran) {
        let Ran {
            frames,
            run,
            clock,
            seed,
        } = ran;
        let run = match run {
            Ok(run) => run,
            Err(fault) => {
                error!(group_id = %self.group.id(), error = %fault, "scripts could not read");
                for pending in frames {
                    let reason = "the replica could not read its store";
                    pending.responder.fail(reason);
                }
                return;
            }
        };
        let mut again = VecDeque::new();
        let mut sent = Vec::new();
        for (pending, slot) in frames.into_iter().zip(run.slots) {
            match slot {
                Slot::InEntry => sent.push(pending),
                Slot::Answered(answer) => pending.responder.send(answer),
                Slot::PutOff => again.push_back(pending),
            }
        }
        if let Some(effects) = run.effects {
            let rerun = self.propose_effects(effects, (clock, seed), sent).await;
            // They came before those that were put off.
            for pending in rerun.into_iter().rev() {
                again.push_front(pending);
            }
        }
        self.return_scripts(again);
    }

    /// Proposes effects and hands the answers out; returns the frames that must run again.
    async fn propose_effects(
        &self,
        effects: ScriptEffects,
        (clock, seed): (UnixMillis, u64),
        sent: Vec<Pending>,
    ) -> Vec<Pending> {
        let changes = &effects.changes;
        let changed: Vec<_> = changes.records.keys().cloned().collect();
        let entry = self
            .shared
            .entry_of(clock, seed, Body::Effects(Box::new(effects)));
        let answered = match self.group.start_proposal(entry).await {
            Ok(pending) => pending.await.map_err(|error| self.group.with_term(error)),
            Err(error) => Err(error),
        };
        let answers = match answered {
            Ok(answers) => answers,
            Err(error) => {
                refuse_all(sent, &refusal_of(error));
                return Vec::new();
            }
        };
        let changed = changed.iter().map(|(table, key)| (*table, key));
        self.waiting_frames.touch(changed);
        self.hand_out(answers, sent)
    }

    fn hand_out(&self, mut answers: Bytes, sent: Vec<Pending>) -> Vec<Pending> {
        let (mut again, mut answered) = (Vec::new(), 0);
        for mut pending in sent {
            let Some(answer) = varint::take_bytes(&mut answers) else {
                let reason = "the entry had fewer answers than frames";
                pending.responder.fail(reason);
                continue;
            };
            if !is_put_off(&answer) {
                answered += 1;
                if let Some(timed) = pending.due.timed {
                    self.shared.loads.answered(timed);
                }
                pending.responder.send(answer);
            } else if pending.reruns < RERUNS_MAX {
                pending.reruns += 1;
                again.push(pending);
            } else {
                refuse(pending.responder, Refusal::Overloaded);
            }
        }
        debug_assert!(!answers.has_remaining(), "an answer for each frame");
        let reruns = &self.shared.script_reruns_total;
        reruns.fetch_add(again.len() as u64, Ordering::Relaxed);
        self.shared
            .writes_total
            .fetch_add(answered, Ordering::Relaxed);
        again
    }
}

/// The group clock stands still while this is held.
struct HeldClock {
    shared: Arc<Shared>,
    clock: UnixMillis,
}

impl HeldClock {
    fn of(shared: &Arc<Shared>) -> Self {
        let clock = shared.hold_clock();
        let shared = Arc::clone(shared);
        Self { shared, clock }
    }
}

impl Drop for HeldClock {
    fn drop(&mut self) {
        self.shared.release_clock();
    }
}

fn refuse_all(frames: Vec<Pending>, refusal: &Refusal) {
    for pending in frames {
        refuse(pending.responder, refusal.clone());
    }
}

/// What a run needs on its thread.
struct Run {
    group: Group,
    shared: Arc<Shared>,
    scripts: Arc<Scripts>,
    waiting_frames: Arc<Waiting>,
    term: Term,
    seat: ScriptSeat,
}

impl Run {
    fn run(self, frames: Vec<Pending>) -> Ran {
        let seed = self.seat.seed;
        // Before any view of the store: a view must not be older than the state.
        let published = Arc::clone(&self.shared.published());
        // The clock of the entry: never before that of the state.
        let clock = self.seat.clock.max(published.read.clock());
        let run = self.run_frames(&published, &frames);
        Ran {
            frames,
            run,
            clock,
            seed,
        }
    }

    fn run_frames(&self, published: &Published, frames: &[Pending]) -> Result<ScriptRun, Fault> {
        let mut watch = Callers {
            frames,
            at: 0,
            worked_at: Instant::now(),
            group: &self.group,
            term: self.term,
        };
        let busy = Some(&self.shared.busy);
        self.scripts.with_engine(busy, &mut watch, |engine| {
            let mut run = None;
            let is_unchanged = published.engine.read_unchanged(&mut |reader| {
                run = Some(self.run_over(published, reader, frames, engine))
            });
            match run {
                // Otherwise a script may have met half of a change.
                Some(Ok(run)) if is_unchanged => Ok(run),
                Some(Err(fault)) if is_unchanged => Err(fault),
                _ => {
                    let mut run = None;
                    let mut read = |reader: &dyn Reader| {
                        run = Some(self.run_over(published, reader, frames, engine));
                    };
                    published.engine.read_consistently(&mut read);
                    run.unwrap_or_else(|| Err(Fault::corrupt("the store gave no view")))
                }
            }
        })
    }

    fn run_over(
        &self,
        published: &Published,
        reader: &dyn Reader,
        frames: &[Pending],
        engine: &mut dyn ScriptEngine,
    ) -> Result<ScriptRun, Fault> {
        let began = Instant::now();
        let frames = frames.iter().map(|pending| pending.frame.clone());
        let mut is_last =
            |txn: &Txn<'_>| began.elapsed() >= RUN_TIME || self.waiting_frames.waits_for(txn);
        published.read.run_scripts(
            frames.collect(),
            &StoreView(reader),
            self.seat,
            engine,
            &mut is_last,
        )
    }
}

/// The callers of the frames of a run.
struct Callers<'a> {
    frames: &'a [Pending],
    at: usize,
    worked_at: Instant,
    group: &'a Group,
    term: Term,
}

impl Watch for Callers<'_> {
    fn begin_frame(&mut self, frame: usize) {
        self.at = frame;
    }

    fn look(&mut self) -> Option<Refusal> {
        if self.worked_at.elapsed() >= WORKING_PERIOD {
            self.worked_at = Instant::now();
            for pending in self.frames {
                pending.responder.working();
            }
        }
        if term_of(self.group) != Some(self.term) {
            let (leader, term) = self.group.leader();
            return Some(Refusal::NotLeader { leader, term });
        }
        let current = self.frames.get(self.at);
        let is_given_up = current.is_none_or(Pending::is_given_up);
        is_given_up.then_some(Refusal::Overloaded)
    }
}
