//! Commands of every type, beside SET and GET: how much of their speed is left, and how that
//! compares with Redis.
//!
//! Each type has a single large collection, as in `redis-benchmark`: a hash, a set and a sorted set
//! of as many members as there are keys, a list, a stream. So one group does all the work.

mod load;
mod queue;
mod report;
mod settings;
mod work;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::load::Data;
use crate::origin::Origin;
use crate::peers::Peer;
use crate::plan::{PeerKind, Shape};
use crate::report::publish;
use load::{Typed, fill};
use report::{Figure, Report};
pub(crate) use settings::Settings;
use work::WORK;

/// Measures and prints the report.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let data = Arc::new(Data::new(settings.plan.keys, settings.plan.value_bytes));
    let (mut figures, mut queues) = (Vec::new(), Vec::new());
    for kind in kinds(&settings.plan.peers) {
        let (more, queue) =
            measure(kind, settings, &data).with_context(|| format!("measure {}", kind.name()))?;
        figures.extend(more);
        queues.push(queue);
    }
    let report = Report::new(Origin::look(), settings.clone(), figures, queues);
    publish(&report, settings.plan.json.as_deref())
}

/// The peers that speak RESP, and Coterie with balance off.
fn kinds(peers: &[PeerKind]) -> Vec<PeerKind> {
    let is_measured = |kind: &PeerKind| !matches!(kind, PeerKind::AsItComes | PeerKind::Etcd);
    peers.iter().copied().filter(is_measured).collect()
}

fn measure(
    kind: PeerKind,
    settings: &Settings,
    data: &Arc<Data>,
) -> anyhow::Result<(Vec<Figure>, queue::Figure)> {
    eprintln!("{}: starting", kind.name());
    let dir = tempfile::Builder::new()
        .prefix("coterie-bench-")
        .tempdir()?;
    let plan = &settings.plan;
    let peer = Peer::start(kind, plan, dir.path())?;
    let (addr, wait) = peer.resp().context("it speaks RESP")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(fill(&addr, data))?;
    let mut figures = Vec::new();
    for &shape in shapes(&plan.shapes)? {
        for work in WORK {
            if work.drains {
                runtime.block_on(load::fill_list(&addr, data, settings.list_elements))?;
            }
            let runs = (0..plan.runs.max(1)).map(|_| {
                let target = Typed {
                    addr: addr.clone(),
                    waits: wait && work.writes,
                    work,
                    shape,
                    data: Arc::clone(data),
                };
                let times = (Duration::from_secs_f64(plan.warmup), plan.measured());
                let measured =
                    crate::load::run(&target, shape.clients, plan.threads, times, || Ok(()))?;
                let (seen, took, ..) = measured;
                anyhow::Ok(Figure::new(kind, work, shape, &seen, took))
            });
            let mut runs: Vec<Figure> = runs.collect::<anyhow::Result<_>>()?;
            runs.sort_by(|a, b| a.operations_per_second.total_cmp(&b.operations_per_second));
            let median = runs.swap_remove(runs.len() / 2);
            eprintln!("{median}");
            figures.push(median);
        }
    }
    let queue = runtime.block_on(queue::measure(kind, &addr, wait, plan.measured()))?;
    eprintln!("{queue}");
    Ok((figures, queue))
}

fn shapes(shapes: &[Shape]) -> anyhow::Result<&[Shape]> {
    ensure!(!shapes.is_empty(), "no shapes of load");
    Ok(shapes)
}
