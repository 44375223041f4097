//! The course of a benchmark: peer after peer, shape after shape.

use std::sync::Arc;

use anyhow::Context;

use crate::load::{Data, Task};
use crate::machine::Machine;
use crate::peers::{self, Peer, Raw};
use crate::plan::{PeerKind, Settings, operations};
use crate::report::{Figure, Report};

/// Measures all peers and prints the report.
pub(crate) fn cluster(settings: &Settings) -> anyhow::Result<()> {
    let data = Arc::new(Data::new(settings.keys, settings.value_bytes));
    let mut figures = Vec::new();
    for &kind in &settings.peers {
        let measured = measure(kind, settings, &data);
        figures.extend(measured.with_context(|| format!("measure {}", kind.name()))?);
    }
    let wanted = settings.disk_records > 0 && settings.peers.contains(&PeerKind::Coterie);
    let overhead = wanted
        .then(|| peers::bytes_per_record(settings))
        .transpose()?;
    let report = Report::new(Machine::look(), settings.clone(), figures, overhead);
    println!("{report}");
    if let Some(path) = &settings.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn measure(kind: PeerKind, settings: &Settings, data: &Arc<Data>) -> anyhow::Result<Vec<Figure>> {
    eprintln!("{}: starting", kind.name());
    let dir = tempfile::Builder::new()
        .prefix("coterie-bench-")
        .tempdir()?;
    let mut peer = Peer::start(kind, settings, dir.path())?;
    peer.fill(data).context("write every key once")?;
    let mut figures = Vec::new();
    for &shape in &settings.shapes {
        for operation in operations(kind, shape) {
            let task = Task {
                operation,
                shape,
                data: Arc::clone(data),
            };
            let mut runs: Vec<Raw> = (0..settings.runs.max(1))
                .map(|_| peer.measure(task.clone(), settings))
                .collect::<anyhow::Result<_>>()?;
            runs.sort_by_key(|raw| raw.seen.latency.len());
            let figure = Figure::new(kind, operation, shape, &runs[runs.len() / 2]);
            eprintln!("{figure}");
            figures.push(figure);
        }
    }
    Ok(figures)
}
