//! A range that is split and moved under full load: the latencies of clients before, meanwhile and
//! afterwards.
//!
//! Nothing else moves: balance is off. Three times a command splits the range, and another moves
//! the right part to another group. A move ends when the last record is copied and the source has
//! dropped its copy.

mod report;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Admin, Cluster, Role, To};

use crate::load::{self, Data, Seen, Task, resp::Resp};
use crate::origin::Origin;
use crate::peers::START_WITHIN;
use crate::plan::Operation;
use crate::report::publish;
use report::{Figure, Report};
pub(crate) use settings::Settings;

/// Where the keys are split in each round, in thousandths of them.
const CUTS: [usize; 3] = [500, 250, 750];

/// How long a job may take.
const JOB_WITHIN: Duration = Duration::from_secs(300);

/// The windows of the load: before, each round, after.
const BEFORE: u8 = 1;
const FIRST_ROUND: u8 = 2;
const AFTER: u8 = FIRST_ROUND + CUTS.len() as u8;

/// Measures and prints the report.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let figures = measure(settings)?;
    let report = Report::new(Origin::look(), settings.clone(), figures);
    publish(&report, settings.json.as_deref())
}

fn measure(settings: &Settings) -> anyhow::Result<Vec<Figure>> {
    let data = Arc::new(Data::new(settings.keys, settings.value_bytes));
    let server_flags: Vec<&str> = settings.server_flags.iter().map(String::as_str).collect();
    let cluster = Cluster::builder()
        .binary(settings.coterie.clone())
        .flags(Role::Server, &server_flags)
        .start()
        .context("start the cluster")?;
    cluster.hold_still(START_WITHIN)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let key = |nth| Data::key(nth).into_bytes();
    runtime.block_on(load::resp::fill(&cluster.proxy(), &data, key))?;
    let task = Task {
        operation: Operation::Set,
        shape: settings.shape,
        data,
    };
    let target = Resp {
        addr: cluster.proxy(),
        wait: false,
        task,
    };
    let running = load::start(&target, settings.shape.clients, settings.threads, AFTER)?;
    std::thread::sleep(settings.warmup());
    let mut took = vec![settings.calm()];
    running.enter(BEFORE);
    std::thread::sleep(settings.calm());
    let mut notes = vec![Vec::new()];
    for (window, permille) in (FIRST_ROUND..).zip(CUTS) {
        let (began, key) = (Instant::now(), Data::key(settings.keys * permille / 1000));
        running.enter(window);
        notes.push(cut_and_move(&cluster.admin(), &key).with_context(|| format!("move {key}"))?);
        took.push(began.elapsed());
    }
    running.enter(AFTER);
    std::thread::sleep(settings.calm());
    took.push(settings.calm());
    notes.push(Vec::new());
    let seen = running.stop()?;
    ensure!(
        seen.iter().all(|window| !window.latency.is_empty()),
        "a window without answers"
    );
    figures(&seen, &took, notes)
}

/// Splits the range that holds the key before it, and moves the right part to the next group.
/// Returns the lines of both jobs that tell of time.
fn cut_and_move(admin: &Admin, key: &str) -> anyhow::Result<Vec<String>> {
    let cut = admin.finish(admin.split(key)?, JOB_WITHIN)?;
    let from = admin.range_of(key)?.group;
    let groups: Vec<u64> = admin.groups()?.iter().map(|group| group.id).collect();
    let at = groups
        .iter()
        .position(|group| *group == from)
        .context("its group is not listed")?;
    let to = groups[(at + 1) % groups.len()];
    let moved = admin.finish(admin.move_range(key, To::Group(to))?, JOB_WITHIN)?;
    let lines = cut.log.into_iter().chain(moved.log);
    Ok(lines.filter(|line| line.contains(" ms")).collect())
}

/// A figure for each window, and a figure for all rounds together behind that of *before*.
fn figures(
    seen: &[Seen],
    took: &[Duration],
    notes: Vec<Vec<String>>,
) -> anyhow::Result<Vec<Figure>> {
    let rounds = usize::from(FIRST_ROUND) - 1..usize::from(AFTER) - 1;
    let mut all = seen[rounds.start].clone();
    for round in &seen[rounds.start + 1..rounds.end] {
        all.add(round)?;
    }
    let all_took = took[rounds.clone()].iter().sum();
    let mut figures = Vec::new();
    for (window, ((seen, took), notes)) in seen.iter().zip(took).zip(notes).enumerate() {
        let name = match window {
            0 => "before".to_owned(),
            _ if rounds.contains(&window) => format!("move {window}"),
            _ => "after".to_owned(),
        };
        figures.push(Figure::new(name, seen, *took, notes));
    }
    figures.insert(
        1,
        Figure::new("during".to_owned(), &all, all_took, Vec::new()),
    );
    Ok(figures)
}
