//! Large replies: whether clients that read much at once get their data, how much memory each
//! process takes for it, and how long small commands of other clients wait meanwhile. Measures
//! Coterie and a redis-server under the same load in the same run.
//!
//! Each load has a fresh peer: memory that an earlier load left would count as idle.
//!
//! - `pipelines`: clients that send GETs of large values and read all replies as they come;
//! - `mgets`: clients that read 10 MB by MGET, again and again;
//! - `walks`: DBSIZE and KEYS over a large table;
//! - `crowd`: a thousand clients that write and read large values.

mod clients;
mod fill;
mod peer;
mod report;
mod settings;
mod watch;

use anyhow::Context;

use crate::origin::Origin;
use crate::report::publish;
use clients::Seen;
use peer::Peer;
use report::{Figure, Report};
pub(crate) use settings::Settings;
use settings::{Load, PeerKind};

/// How often all large values are written before a crowd writes them.
const WARM_UP: usize = 10;

/// Measures all loads at all peers and prints the report.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let settings = settings.scaled();
    let mut figures = Vec::new();
    for &kind in &settings.peers {
        for &load in &settings.loads {
            let measured = measure(kind, load, &settings);
            let name = format!("measure {} under {}", kind.name(), load.name());
            for figure in measured.context(name)? {
                eprintln!("{figure}");
                figures.push(figure);
            }
        }
    }
    let report = Report::new(Origin::look(), settings.clone(), figures);
    publish(&report, settings.json.as_deref())
}

fn measure(kind: PeerKind, load: Load, settings: &Settings) -> anyhow::Result<Vec<Figure>> {
    eprintln!("{}: {}", kind.name(), load.name());
    let peer = Peer::start(kind, settings)?;
    let addr = peer.addr();
    let value = settings.value_bytes;
    let figure = |what: &str, expected: u64, run: &dyn Fn() -> anyhow::Result<Seen>| {
        let (seen, around) = watch::around(&peer, settings, run)?;
        anyhow::Ok(Figure::new((kind, load), what, expected, seen, around))
    };
    match load {
        Load::Pipelines => {
            fill::large(&addr, settings.values, value)?;
            let (clients, gets) = (settings.clients, settings.gets);
            let run = || clients::pipelines(&addr, clients, gets, settings.values);
            Ok(vec![figure("GET", (clients * gets) as u64, &run)?])
        }
        Load::Mgets => {
            fill::large(&addr, settings.mget_keys, value / 10)?;
            let run =
                || clients::mgets(&addr, settings.clients, settings.mget_keys, settings.mget());
            // As many as come in the time: at least a reply for each client.
            Ok(vec![figure("MGET", settings.clients as u64, &run)?])
        }
        Load::Walks => {
            fill::many(&addr, settings.keys)?;
            let walk = |words: &'static [&'static str]| {
                let run = || clients::walk(&addr, words, settings.walk_within());
                figure(words[0], settings.keys as u64, &run)
            };
            Ok(vec![walk(&["DBSIZE"])?, walk(&["KEYS", "*"])?])
        }
        Load::Crowd => {
            // Buffers that writes fill only once are full before the measurement.
            (0..WARM_UP).try_for_each(|_| fill::large(&addr, settings.values, value))?;
            let (crowd, rounds) = (settings.crowd, settings.crowd_rounds);
            let run = || clients::crowd(&addr, crowd, rounds, settings.values, value);
            Ok(vec![figure("SET, GET", 2 * (crowd * rounds) as u64, &run)?])
        }
    }
}
