//! Places and sorting against a real Redis: over a set of 3,000 members, with distances stored, and
//! with keys that patterns name. `DIFFERENTIAL_RUNS=n` makes n times as many commands.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::real::{Connection, Server};
use common::{Store, words};
use coterie_grammar::{Choice, Grammar};
use coterie_redis_compat::{ROWS, Resp, Topic};

/// Both servers, which must agree.
struct Both {
    ours: Store,
    real: Connection,
    resp: Resp,
}

impl Both {
    fn new(server: &mut Server, resp: Resp) -> Self {
        let mut real = server.connect();
        real.run(&words(if resp == Resp::V2 {
            "hello 2"
        } else {
            "hello 3"
        }));
        real.run(&words("flushall"));
        Self {
            ours: Store::default(),
            real,
            resp,
        }
    }

    fn run(&mut self, args: &[Bytes]) -> (Bytes, Bytes) {
        (self.ours.run(0, args, self.resp), self.real.run(args))
    }

    fn agree(&mut self, args: &[Bytes]) -> Bytes {
        let (ours, theirs) = self.run(args);
        let shown = || {
            let words = args.iter().map(|arg| format!("\"{}\"", arg.escape_ascii()));
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ours, theirs, "{}", shown());
        ours
    }
}

fn runs() -> usize {
    let setting = std::env::var("DIFFERENTIAL_RUNS").ok();
    setting.map_or(1, |runs| runs.parse().unwrap())
}

/// Adds members until there are 3,000.
fn fill(both: &mut Both, grammar: &mut Grammar) {
    for batch in 0..30 {
        let mut args = words("geoadd geo");
        for number in 0..100 {
            let place = grammar.form("longitude latitude");
            let degrees = |limit: f64, word: &Bytes| {
                let value = std::str::from_utf8(word)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let value: f64 = value
                    .filter(|value: &f64| value.abs() <= limit)
                    .unwrap_or(1.5);
                Bytes::from(value.to_string())
            };
            args.push(degrees(180.0, &place[0]));
            args.push(degrees(85.0, &place[1]));
            args.push(Bytes::from(format!("m{}", batch * 100 + number)));
        }
        both.agree(&args);
    }
}

#[test]
fn places_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let rows = ROWS.iter().filter(|row| row.topic == Topic::Geo);
    let rows = Choice::new(rows);
    for seed in 0..4 * runs() as u64 {
        let resp = if seed.is_multiple_of(2) {
            Resp::V2
        } else {
            Resp::V3
        };
        let (mut both, mut grammar) = (Both::new(&mut server, resp), Grammar::new(seed));
        if seed % 4 < 2 {
            fill(&mut both, &mut grammar);
        }
        let mut found = 0;
        for _ in 0..1500 {
            let args = rows
                .pick(&mut grammar)
                .map(|row| grammar.command(row))
                .unwrap();
            let reply = both.agree(&args);
            found += usize::from(reply.len() > 30 && !reply.starts_with(b"-"));
        }
        assert!(found > 100, "only {found} replies tell of places");
    }
}

/// The last bit of a distance may differ from that of the C library under Redis.
#[test]
fn stored_distances_are_nearly_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut grammar = Grammar::new(5);
    let mut both = Both::new(&mut server, Resp::V2);
    fill(&mut both, &mut grammar);
    let (mut compared, mut same) = (0, 0);
    for radius in ["500", "20000", "900000", "5000000", "30000000"] {
        for center in ["13.4 52.5", "-122 37", "179.99 0", "0.5 84"] {
            let line = format!(
                "geosearchstore near geo fromlonlat {center} byradius {radius} m storedist"
            );
            both.agree(&words(&line));
            let (ours, theirs) = both.run(&words("zrange near 0 -1 withscores"));
            let (ours, theirs) = (bulks(&ours), bulks(&theirs));
            assert_eq!(ours.len(), theirs.len(), "{line}");
            for (a, b) in ours.chunks(2).zip(theirs.chunks(2)) {
                assert_eq!(a[0], b[0], "{line}");
                let score = |text: &str| text.parse::<f64>().unwrap();
                let (a, b) = (score(&a[1]), score(&b[1]));
                assert!((a - b).abs() <= a.abs() * 1e-14, "{line}: {a} {b}");
                compared += 1;
                same += usize::from(a == b);
            }
        }
    }
    println!("{same} of {compared} distances have the same bits");
    assert!(
        compared > 3000 && same * 50 > compared * 49,
        "{same} of {compared}"
    );
}

fn bulks(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8(reply.to_vec()).unwrap();
    let lines = text
        .split("\r\n")
        .skip(1)
        .filter(|line| !line.starts_with('$'));
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Elements without a NUL, and weights that are there for all: the order of equals is nobody's.
#[test]
fn elements_are_sorted_as_redis_sorts_them() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut grammar = Grammar::new(9);
    for resp in [Resp::V2, Resp::V3] {
        let mut both = Both::new(&mut server, resp);
        for size in [5, 60, 1200] {
            for key in ["list", "set", "zset"] {
                both.agree(&words(&format!("del {key}")));
            }
            for number in 0..size {
                let element = number * 7 % 1009 - 300;
                both.agree(&words(&format!("rpush list {element}")));
                both.agree(&words(&format!("sadd set {element}")));
                both.agree(&words(&format!("zadd zset {number} {element}")));
                both.agree(&words(&format!("set w_{element} {}", number * 13 % 1201)));
                both.agree(&words(&format!(
                    "hset h_{element} f {} g x{number}",
                    -number
                )));
            }
            for _ in 0..150 * runs() {
                both.agree(&sort_command(&mut grammar));
            }
        }
    }
}

fn sort_command(grammar: &mut Grammar) -> Vec<Bytes> {
    let key = *grammar.pick(&["list", "set", "zset", "none", "text"]);
    let mut args = words(&format!("{} {key}", grammar.pick(&["sort", "sort_ro"])));
    let by: &[&str] = match key {
        // The order of a set is nobody's.
        "set" => &["", "by w_*", "by h_*->f", "by h_*->none"],
        _ => &["", "by w_*", "by h_*->f", "by h_*->none", "by nosort"],
    };
    let options = [
        *grammar.pick(by),
        *grammar.pick(&["", "", "desc", "asc"]),
        *grammar.pick(&["", "limit 0 10", "limit 3 -1", "limit -4 7", "limit 2000 5"]),
        *grammar.pick(&["", "", "get #", "get # get w_* get h_*->g get none get h_*"]),
    ];
    // Without a pattern, bytes have an order of their own.
    let alpha = if options[0].is_empty() {
        *grammar.pick(&["", "alpha"])
    } else {
        ""
    };
    for option in options
        .iter()
        .chain([&alpha])
        .filter(|option| !option.is_empty())
    {
        args.extend(words(option));
    }
    if args[0] == "sort" && grammar.one_in(3) {
        args.extend(words("store stored"));
    }
    args
}
