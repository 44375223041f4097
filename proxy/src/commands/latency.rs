//! `LATENCY`: how long commands took, all of them (`HISTOGRAM`), and those that took long
//! (`latency_events`).

mod graph;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};

use super::{Answer, Handler, Local, Named, int};

pub(super) const HANDLERS: &[Named] = &[
    ("latency|doctor", Handler::Now(doctor)),
    ("latency|graph", Handler::Now(graph)),
    ("latency|help", Handler::Now(help)),
    ("latency|histogram", Handler::Now(histogram)),
    ("latency|history", Handler::Now(history)),
    ("latency|latest", Handler::Now(latest)),
    ("latency|reset", Handler::Now(reset)),
];

/// The first bound of a histogram.
const FIRST_NANOS: u64 = 1024;

/// `LATENCY LATEST`: of each event its name, the time and the milliseconds of its latest sample,
/// and the longest ever.
fn latest(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let events = local.shared.latency.all();
    let events = events.into_iter().filter_map(|(name, event)| {
        let (at, took) = *event.samples.back()?;
        let numbers = [at, took, event.longest].map(int);
        let fields = std::iter::once(Reply::text(name)).chain(numbers);
        Some(Reply::Array(fields.collect()))
    });
    Ok(Reply::Array(events.collect()).into())
}

/// `LATENCY HISTORY event`.
fn history(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let samples = local
        .shared
        .latency
        .get(&args[2])
        .unwrap_or_default()
        .samples;
    let samples = samples
        .into_iter()
        .map(|(at, took)| Reply::Array(vec![int(at), int(took)]));
    Ok(Reply::Array(samples.collect()).into())
}

/// `LATENCY HISTOGRAM [command ...]`: how many calls took at most so many microseconds, for each
/// bound that doubles; of the subcommands where a container is named. Source: Redis `latency.c`,
/// `latencyAllCommandsFillCDF`.
fn histogram(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let totals = local.shared.stats.calls.totals();
    let is_named = |name: &str| {
        let container = name.split('|').next().unwrap_or_default();
        args.len() == 2
            || args[2..].iter().any(|word| {
                let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
                is(name) || is(container)
            })
    };
    let named = totals.into_iter().filter(|(name, _)| is_named(name));
    let histograms = named.filter_map(|(name, counts)| {
        let times = counts.times?;
        let mut calls = 0;
        let mut buckets = Vec::new();
        for step in times.iter_log(FIRST_NANOS, 2.0) {
            calls += step.count_since_last_iteration();
            if step.count_since_last_iteration() > 0 {
                let micros = step.value_iterated_to() / 1000;
                buckets.push((int(micros), int(calls)));
            }
        }
        let histogram = Reply::Map(vec![
            (Reply::text("calls"), int(times.len())),
            (Reply::text("histogram_usec"), Reply::Map(buckets)),
        ]);
        Some((Reply::text(name), histogram))
    });
    Ok(Reply::Map(histograms.collect()).into())
}

/// `LATENCY RESET [event ...]`: how many events were forgotten.
fn reset(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let is_named = |name: &str| args.len() == 2 || args[2..].iter().any(|word| *word == name);
    Ok(int(local.shared.latency.reset(is_named) as u64).into())
}

/// `LATENCY GRAPH event`.
fn graph(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let name = String::from_utf8_lossy(&args[2]);
    match local.shared.latency.get(&args[2]) {
        Some(event) => Ok(super::verbatim(graph::graph(&name, &event)).into()),
        None => {
            let before = "No samples available for event '";
            Err(CommandError::quoting(before, &args[2], "'"))
        }
    }
}

/// `LATENCY DOCTOR`.
fn doctor(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let threshold = &local.shared.settings.latency_monitor_threshold;
    let threshold = threshold.load(Ordering::Relaxed);
    let report = graph::report(&local.shared.latency.all(), threshold);
    Ok(super::verbatim(report).into())
}

/// `LATENCY HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "LATENCY",
        &[
            "DOCTOR",
            "    Return a human readable latency analysis report.",
            "GRAPH <event>",
            "    Return an ASCII latency graph for the <event> class.",
            "HISTORY <event>",
            "    Return time-latency samples for the <event> class.",
            "LATEST",
            "    Return the latest latency samples for all events.",
            "RESET [<event> ...]",
            "    Reset latency data of one or more <event> classes.",
            "    (default: reset all data for all event classes)",
            "HISTOGRAM [COMMAND ...]",
            "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
            "    If no commands are specified then all histograms are replied.",
        ],
    )
    .into())
}
