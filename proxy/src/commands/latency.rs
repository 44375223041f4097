//! `LATENCY`: how long commands took. The proxy samples no latency events; how long frames take is
//! in its metrics.

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

/// `LATENCY LATEST`.
fn latest(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(Vec::new()).into())
}

/// `LATENCY HISTORY event`.
fn history(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(Vec::new()).into())
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
fn reset(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Integer(0).into())
}

/// `LATENCY GRAPH event`.
fn graph(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let before = "No samples available for event '";
    Err(CommandError::quoting(before, &args[2], "'"))
}

/// `LATENCY DOCTOR`.
fn doctor(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let text = "The proxy samples no latency events. The time from a frame to its replies is the \
                metric coterie_proxy_frame_seconds; slow commands are in SLOWLOG.";
    Ok(super::verbatim(text).into())
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
