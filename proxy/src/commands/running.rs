//! The scripts and functions that run anywhere in the cluster: asked for, and ended.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::scripts::{KilledScripts, RunningScript};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_redis_compat::errors::{BUSY_FUNCTION, BUSY_SCRIPT, NOT_BUSY};
use coterie_redis_compat::{CommandError, Reply};
use futures_util::future::join_all;

use super::Remote;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A script or a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Script,
    Function,
}

/// Ends those of a kind that run for long, on every node.
pub(super) async fn kill(call: &Remote, kind: Kind) -> Result<Reply, CommandError> {
    let functions = kind == Kind::Function;
    let answers = ask_all(call, &ServerRequest::KillScripts { functions }).await;
    let mut all = KilledScripts::default();
    for answer in answers {
        if let ServerAnswer::KilledScripts(killed) = answer {
            all.killed += killed.killed;
            all.others += killed.others;
        }
    }
    match (all.killed, all.others, kind) {
        (1.., ..) => Ok(Reply::OK),
        (0, 0, _) => Err(NOT_BUSY),
        (0, _, Kind::Script) => Err(BUSY_FUNCTION),
        (0, _, Kind::Function) => Err(BUSY_SCRIPT),
    }
}

/// The script or function that has run for the longest time, if any runs for long.
pub(super) async fn longest(call: &Remote) -> Option<RunningScript> {
    let answers = ask_all(call, &ServerRequest::BusyScripts).await;
    let running = answers.into_iter().flat_map(|answer| match answer {
        ServerAnswer::BusyScripts(running) => running,
        _ => Vec::new(),
    });
    running.max_by_key(|running| running.millis)
}

/// Asks every node at once. Nodes that do not answer run nothing that could be ended.
async fn ask_all(call: &Remote, request: &ServerRequest) -> Vec<ServerAnswer> {
    let catalog = call.shared.catalog();
    let body = encode(request);
    let left = call.deadline.saturating_duration_since(Instant::now());
    let asked = catalog.nodes.values().map(|node| {
        let rpc = &call.shared.router.rpc;
        rpc.call(
            &node.addr,
            method::SERVER_ADMIN,
            Bytes::clone(&body),
            left.min(TIMEOUT),
        )
    });
    let answers = join_all(asked).await;
    let answers = answers.into_iter().filter_map(Result::ok);
    answers.filter_map(|body| decode(&body).ok()).collect()
}
