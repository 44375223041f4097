//! Sorted sets against a real Redis: thousands of random commands on a key that grows from packed
//! to spread, and on a key that is large from the start.
//!
//! Scores are compared by their value: Redis 7.0 writes them with 17 digits. How seeds are chosen:
//! `common/both.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::both::{Both, each_seed};
use common::compare::{same_page, same_scores, same_shape};
use common::real::Connection;
use common::words;
use coterie_grammar::Rng;
use coterie_redis_compat::Resp;

/// The keys of a run: the set that commands are about, and another.
const KEYS: [&str; 2] = ["z", "y"];

/// The measures of a run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    steps: usize,
    /// Members at the start.
    fill: usize,
    /// How many names there are for members.
    names: usize,
    /// Bytes of a long name.
    long: usize,
    /// All members have the same score: for commands about ranges of members.
    one_score: bool,
}

struct Run<'a> {
    plan: Plan,
    rng: Rng,
    both: Both<'a>,
}

impl Run<'_> {
    fn member(&mut self) -> String {
        let name = self.rng.below(self.plan.names);
        match self.rng.below(40) {
            0 if self.plan.long > 0 => format!("{name}{}", "x".repeat(self.plan.long)),
            1 => format!("{}\u{0}{name}", self.rng.below(3)),
            _ => format!("m{name}"),
        }
    }

    fn score(&mut self) -> String {
        if self.plan.one_score {
            return "7".to_owned();
        }
        let number = self.rng.below(4000) as i64 - 1000;
        match self.rng.below(20) {
            0 => "-0".to_owned(),
            1 => ["inf", "-inf", "1e300", "5e-324", "0x1p-3"][self.rng.below(5)].to_owned(),
            2 => format!("{number}.{}", self.rng.below(1000)),
            3 => format!("{}e{}", self.rng.next(), self.rng.below(40) as i64 - 30),
            4..8 => (number % 10).to_string(),
            _ => number.to_string(),
        }
    }

    fn score_bound(&mut self) -> String {
        let bracket = if self.rng.percent(30) { "(" } else { "" };
        match self.rng.below(8) {
            0 => "-inf".to_owned(),
            1 => "+inf".to_owned(),
            _ => format!("{bracket}{}", self.score()),
        }
    }

    fn lex_bound(&mut self) -> String {
        let bracket = if self.rng.percent(50) { "[" } else { "(" };
        match self.rng.below(10) {
            0 => "-".to_owned(),
            1 => "+".to_owned(),
            2 => bracket.to_owned(),
            _ => format!("{bracket}{}", self.member()),
        }
    }

    fn rank(&mut self) -> i64 {
        let reach = self.plan.names as i64 * 2;
        self.rng.below(reach as usize) as i64 - reach / 2
    }

    fn limit(&mut self) -> String {
        match self.rng.below(4) {
            0 => String::new(),
            1 => format!(" limit {} {}", self.rng.below(200), self.rng.below(30)),
            2 => format!(" limit {} -1", self.rng.below(self.plan.names)),
            _ => format!(
                " limit {} {}",
                self.rng.below(4) as i64 - 1,
                self.rng.below(9)
            ),
        }
    }

    fn one_of(&mut self, of: &[&str]) -> String {
        of[self.rng.below(of.len())].to_owned()
    }

    fn command(&mut self) -> String {
        let (scores, dots) = (self.one_of(&["", " withscores"]), self.limit());
        match self.rng.below(34) {
            0..8 => {
                let pairs = (0..=self.rng.below(4)).map(|_| {
                    let (score, member) = (self.score(), self.member());
                    format!(" {score} {member}")
                });
                let pairs: String = pairs.collect();
                let options =
                    self.one_of(&["", "", "", " ch", " nx", " xx ch", " gt ch", " lt ch"]);
                format!("zadd z{options}{pairs}")
            }
            8 if self.plan.one_score => format!("zadd z incr nx 7 {}", self.member()),
            8 => format!("zincrby z {} {}", self.score(), self.member()),
            9 => format!(
                "zrem z {} {} {}",
                self.member(),
                self.member(),
                self.member()
            ),
            10 => format!("zscore z {}", self.member()),
            11 => format!("zmscore z {} {}", self.member(), self.member()),
            12 => format!("zrank z {}", self.member()),
            13 => format!("zrevrank z {}", self.member()),
            14 => format!("zcount z {} {}", self.score_bound(), self.score_bound()),
            15 => format!("zlexcount z {} {}", self.lex_bound(), self.lex_bound()),
            16 => format!("zrange z {} {}{scores}", self.rank(), self.rank()),
            17 => format!("zrevrange z {} {}{scores}", self.rank(), self.rank()),
            18 => {
                let start = self.rng.below(self.plan.names);
                format!("zrange z {start} {}{scores}", start + self.rng.below(20))
            }
            19 => {
                let (a, b) = (self.score_bound(), self.score_bound());
                format!("zrangebyscore z {a} {b}{scores}{dots}")
            }
            20 => {
                let (a, b) = (self.score_bound(), self.score_bound());
                format!("zrevrangebyscore z {a} {b}{scores}{dots}")
            }
            21 => format!(
                "zrangebylex z {} {}{dots}",
                self.lex_bound(),
                self.lex_bound()
            ),
            22 => format!(
                "zrevrangebylex z {} {}{dots}",
                self.lex_bound(),
                self.lex_bound()
            ),
            23 => {
                let start = self.rank();
                format!(
                    "zremrangebyrank z {start} {}",
                    start + self.rng.below(6) as i64
                )
            }
            24 => {
                let low = self.rng.below(3000) as i64 - 1000;
                format!(
                    "zremrangebyscore z ({low} {}",
                    low + self.rng.below(12) as i64
                )
            }
            25 => {
                let name = self.rng.below(self.plan.names);
                format!("zremrangebylex z [m{name} (m{name}5")
            }
            26 => format!("zpopmin z {}", self.rng.below(4)),
            27 => format!("zpopmax z {}", self.rng.below(4)),
            28 => format!(
                "zmpop 2 absent z {} count {}",
                self.one_of(&["min", "max"]),
                2
            ),
            29 => {
                let (a, b) = (self.rank(), self.rank());
                format!("zrangestore y z {a} {b}{}", self.one_of(&["", " rev"]))
            }
            30 => {
                let of = self.one_of(&["union", "inter", "diff"]);
                let weights = match of.as_str() {
                    "diff" => String::new(),
                    _ => self.one_of(&["", " weights 2 0.5", " aggregate max", " aggregate min"]),
                };
                let store = self.one_of(&["", "store y"]);
                let scores = if store.is_empty() {
                    scores
                } else {
                    String::new()
                };
                format!("z{of}{store} 2 z y{weights}{scores}")
            }
            31 => format!("zintercard 2 z y limit {}", self.rng.below(90)),
            32 => format!("zrandmember z {}", self.rng.below(40) as i64 - 20),
            _ => format!("zscan z 0 count {}", 1 + self.rng.below(100)),
        }
    }

    /// Whether nobody knows which members Redis finds: of a skip list with several scores.
    fn is_unknown(&mut self, line: &str) -> bool {
        line.contains("lex") && !self.plan.one_score && {
            let encoding = self.both.ours.run(0, &words("object encoding z"), Resp::V2);
            encoding.ends_with(b"skiplist\r\n")
        }
    }

    fn compare(&mut self, line: &str) {
        self.both.agree(line, |ours, theirs| {
            if line.starts_with("zrandmember") {
                same_shape(ours, theirs)
            } else if line.starts_with("zscan") {
                same_page(ours, theirs)
            } else {
                ours == theirs || same_scores(ours, theirs)
            }
        });
    }

    fn check(&mut self, keys: &[&str]) {
        for key in keys {
            self.compare(&format!("object encoding {key}"));
            self.compare(&format!("zrange {key} 0 -1 withscores"));
            self.compare(&format!("zrevrange {key} 0 -1"));
        }
    }
}

fn run(plan: Plan, real: &mut Connection) {
    let mut run = Run {
        plan,
        rng: Rng::new(plan.seed),
        both: Both::new(real, plan.seed),
    };
    for _ in 0..plan.fill {
        let line = format!("zadd z {} {}", run.score(), run.member());
        run.compare(&line);
    }
    run.check(&KEYS);
    for step in 0..plan.steps {
        let line = run.command();
        if run.is_unknown(&line) {
            continue;
        }
        run.compare(&line);
        if step % (50 + plan.fill / 2) == 0 {
            run.check(&KEYS);
        }
    }
    run.check(&KEYS);
    if run.both.exchange("z") {
        run.check(&["restored"]);
    }
}

#[test]
fn small_sorted_sets_are_those_of_redis() {
    each_seed(12, |seed, real| {
        let plan = Plan {
            seed,
            steps: 500,
            fill: 0,
            names: [30, 160, 300][(seed % 3) as usize],
            long: [0, 70, 700][(seed / 2 % 3) as usize],
            one_score: seed % 4 == 3,
        };
        run(plan, real);
    });
}

#[test]
fn large_sorted_sets_are_those_of_redis() {
    each_seed(2, |seed, real| {
        let plan = Plan {
            seed,
            steps: 1_500,
            fill: 3_000,
            names: 4_000,
            long: [0, 100][(seed / 2 % 2) as usize],
            one_score: seed % 3 == 1,
        };
        run(plan, real);
    });
}
