//! `LATENCY`: the subset that tools ask at start-up. The proxy samples no latency events; how long
//! frames take is in its metrics.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};

use super::{Answer, Local};

/// `LATENCY LATEST`.
pub(crate) fn latest(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(Vec::new()).into())
}

/// `LATENCY HISTORY event`.
pub(crate) fn history(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(Vec::new()).into())
}

/// `LATENCY HISTOGRAM [command ...]`.
pub(crate) fn histogram(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Map(Vec::new()).into())
}

/// `LATENCY RESET [event ...]`: how many events were forgotten.
pub(crate) fn reset(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Integer(0).into())
}

/// `LATENCY GRAPH event`.
pub(crate) fn graph(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let before = "No samples available for event '";
    Err(CommandError::quoting(before, &args[2], "'"))
}

/// `LATENCY DOCTOR`.
pub(crate) fn doctor(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let text = "The proxy samples no latency events. The time from a frame to its replies is the \
                metric coterie_proxy_frame_seconds; slow commands are in SLOWLOG.";
    Ok(super::verbatim(text).into())
}

/// `LATENCY HELP`.
pub(crate) fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
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
