//! The course of a benchmark: peer after peer, shape after shape.

use std::sync::Arc;

use anyhow::Context;

use crate::load::{Data, Task};
use crate::origin::Origin;
use crate::peers::{self, Peer};
use crate::plan::{PeerKind, Settings, Shape, operations};
use crate::report::{Figure, Report, publish};

/// Measures all peers and prints the report.
pub(crate) fn cluster(settings: &Settings) -> anyhow::Result<()> {
    let data = Arc::new(Data::new(settings.keys, settings.value_bytes));
    let mut figures = Vec::new();
    for kinds in lineups(&settings.peers) {
        figures.extend(measure(&kinds, settings, &data)?);
    }
    let wanted = settings.disk_records > 0 && settings.peers.contains(&PeerKind::Coterie);
    let overhead = wanted
        .then(|| peers::bytes_per_record(settings))
        .transpose()?;
    let report = Report::new(Origin::look(), settings.clone(), figures, overhead);
    publish(&report, settings.json.as_deref())
}

/// The peers that are measured in turn: Coterie with balance off and on together, so that a machine
/// that gets slower or faster meanwhile does so for both; every other peer alone.
fn lineups(peers: &[PeerKind]) -> Vec<Vec<PeerKind>> {
    let (ours, others): (Vec<PeerKind>, Vec<PeerKind>) =
        peers.iter().partition(|kind| kind.is_ours());
    let ours = (!ours.is_empty()).then_some(ours);
    let others = others.into_iter().map(|kind| vec![kind]);
    ours.into_iter().chain(others).collect()
}

/// Measures each figure of all peers, a peer after the other, before the next figure.
fn measure(
    kinds: &[PeerKind],
    settings: &Settings,
    data: &Arc<Data>,
) -> anyhow::Result<Vec<Figure>> {
    // A peer that is measured alone keeps running from shape to shape.
    let shapes: Vec<&[Shape]> = match kinds {
        [_] => vec![&settings.shapes],
        _ => settings.shapes.chunks(1).collect(),
    };
    let mut figures = Vec::new();
    for shapes in shapes {
        let mut runs: Vec<Vec<Figure>> = Vec::new();
        let repeats = if kinds[0].is_ours() {
            settings.runs.max(1)
        } else {
            1
        };
        for _ in 0..repeats {
            for &kind in kinds {
                let measured = start_and_measure(kind, shapes, settings, data);
                let measured = measured.with_context(|| format!("measure {}", kind.name()))?;
                runs.push(measured);
            }
        }
        figures.extend(medians(runs));
    }
    Ok(figures)
}

/// The median by throughput of each figure, in the order in which figures were first measured.
fn medians(runs: Vec<Vec<Figure>>) -> Vec<Figure> {
    let mut all: Vec<Vec<Figure>> = Vec::new();
    for figure in runs.into_iter().flatten() {
        let mut known = all.iter_mut();
        match known.find(|same| same[0].is_same_as(&figure)) {
            Some(same) => same.push(figure),
            None => all.push(vec![figure]),
        }
    }
    let median = |mut same: Vec<Figure>| {
        same.sort_by(|a, b| a.operations_per_second.total_cmp(&b.operations_per_second));
        same.swap_remove(same.len() / 2)
    };
    all.into_iter().map(median).collect()
}

fn start_and_measure(
    kind: PeerKind,
    shapes: &[Shape],
    settings: &Settings,
    data: &Arc<Data>,
) -> anyhow::Result<Vec<Figure>> {
    eprintln!("{}: starting", kind.name());
    let dir = tempfile::Builder::new()
        .prefix("coterie-bench-")
        .tempdir()?;
    let mut peer = Peer::start(kind, settings, dir.path())?;
    peer.fill(data).context("write every key once")?;
    let warmup = settings.warmup(kind);
    let repeats = if kind.is_ours() {
        1
    } else {
        settings.runs.max(1)
    };
    let mut figures = Vec::new();
    for &shape in shapes {
        for operation in operations(kind, shape) {
            let task = Task {
                operation,
                shape,
                data: Arc::clone(data),
            };
            let runs = (0..repeats).map(|_| {
                let raw = peer.measure(task.clone(), warmup, settings)?;
                anyhow::Ok(vec![Figure::new(kind, operation, shape, &raw)])
            });
            let runs: Vec<_> = runs.collect::<anyhow::Result<_>>()?;
            for figure in medians(runs) {
                eprintln!("{figure}");
                figures.push(figure);
            }
        }
    }
    Ok(figures)
}
