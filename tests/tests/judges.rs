//! Tests of the judges: each workload finds a real redis-server honest, and catches a server that
//! breaks the promise that the workload checks.

use std::time::Duration;

use bytes::Bytes;
use coterie_tests::checker::{self, Verdict};
use coterie_tests::liar::{Liar, Lie};
use coterie_tests::redis_server::{self, RedisServer};
use coterie_tests::rng;
use coterie_tests::workload::{counters, ledger, registers};

const WITHIN: Duration = Duration::from_secs(60);

/// Starts a redis-server; prints SKIPPED and returns `None` if this machine has none.
fn redis(dir: &tempfile::TempDir) -> Option<RedisServer> {
    if !redis_server::is_installed() {
        eprintln!("SKIPPED: no redis-server on this machine");
        return None;
    }
    Some(RedisServer::start(dir.path(), "redis", &[]).expect("redis-server starts"))
}

fn judge_registers(addr: &str) -> Verdict {
    let plan = registers::Registers {
        addrs: vec![addr.to_owned()],
        clients: 8,
        keys: (0..3).map(|n| Bytes::from(format!("key:{n}"))).collect(),
        think: Duration::ZERO,
        operations_max: 400,
        seed: rng::seed(),
    };
    let load = plan.start().expect("starts");
    load.wait_for(8 * 400, WITHIN).expect("all operations done");
    let (history, troubles) = registers::finish(load, WITHIN).expect("stops");
    troubles.expect_none();
    assert_eq!(history.len(), 8 * 400);
    checker::check(&history)
}

#[test]
fn the_checker_believes_redis_and_no_liar() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(redis) = redis(&dir) else { return };
    judge_registers(&redis.addr()).expect_linearizable();
    for lie in [Lie::StaleRead, Lie::LostWrite, Lie::DoubleIncrement] {
        let liar = Liar::start(lie, &redis.addr()).expect("starts");
        // The keys have values of the previous run, and the checker expects absent keys.
        clear(&redis);
        let verdict = judge_registers(&liar.addr());
        assert!(
            matches!(verdict, Verdict::Violation { .. }),
            "{lie:?}: {verdict:?}"
        );
    }
}

#[test]
fn counts_are_exact_at_redis_and_off_at_a_liar() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(redis) = redis(&dir) else { return };
    let keys = ["one".to_owned(), "two".to_owned()];
    let judge = |addr: &str| {
        clear(&redis);
        let load = counters::start(&[addr.to_owned()], &keys, 4, 200, 1).expect("starts");
        load.wait_for(800, WITHIN).expect("all increments done");
        let (counts, troubles) = counters::finish(load, WITHIN).expect("stops");
        troubles.expect_none();
        counters::verify(&counts, addr)
    };
    judge(&redis.addr()).expect("exact");
    let liar = Liar::start(Lie::DoubleIncrement, &redis.addr()).expect("starts");
    judge(&liar.addr()).expect_err("double increments are found");
}

#[test]
fn every_write_is_found_at_redis_and_not_at_a_liar() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(redis) = redis(&dir) else { return };
    let judge = |addr: &str| {
        clear(&redis);
        let plan = ledger::Plan {
            addrs: vec![addr.to_owned()],
            clients: 4,
            name: String::new(),
            keys_per_client: 100,
            padding: 10,
            think: Duration::ZERO,
            operations_max: 200,
        };
        let load = plan.start().expect("starts");
        load.wait_for(800, WITHIN).expect("all writes done");
        let (ledger, troubles) = ledger::finish(load, WITHIN).expect("stops");
        troubles.expect_none();
        ledger.verify(addr)
    };
    judge(&redis.addr()).expect("all found");
    let liar = Liar::start(Lie::LostWrite, &redis.addr()).expect("starts");
    judge(&liar.addr()).expect_err("lost writes are found");
}

/// Clients wait for a paused process, and get errors of unknown fate from a killed process. The
/// judges accept both.
#[test]
fn pauses_and_kills_leave_an_honest_server_honest() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(mut redis) = redis(&dir) else { return };
    let plan = registers::Registers {
        addrs: vec![redis.addr()],
        clients: 6,
        keys: vec![Bytes::from_static(b"key")],
        think: Duration::ZERO,
        // More than the clients reach before the kill.
        operations_max: 200_000,
        seed: rng::seed(),
    };
    let load = plan.start().expect("starts");
    for _ in 0..3 {
        load.wait_for(200, WITHIN).expect("progress");
        redis.process.pause().expect("pauses");
        let before = load.acknowledged();
        redis.process.resume().expect("resumes");
        load.wait_for(50, WITHIN).expect("progress again");
        assert!(load.acknowledged() > before);
    }
    redis.process.kill();
    let (history, troubles) = registers::finish(load, WITHIN).expect("stops");
    assert!(troubles.rejected.is_empty() && !troubles.unknown.is_empty());
    checker::check(&history).expect_linearizable();
}

fn clear(redis: &RedisServer) {
    let mut connection =
        coterie_tests::connection::Connection::open(&redis.addr(), WITHIN).expect("connects");
    connection.call(&["FLUSHALL"]).expect("answers");
}
