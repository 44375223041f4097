//! What clients do: a command of each kind, over a single collection of its type.

use coterie_tests::resp::encode;
use coterie_tests::rng::Rng;
use serde::{Serialize, Serializer};

use crate::load::Data;

/// A kind of command, measured by itself.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) writes: bool,
    /// It takes elements away that have to be there.
    pub(crate) drains: bool,
    /// The command that it is compared with, and the least part of its speed.
    pub(crate) bar: Option<(&'static str, f64)>,
    pub(crate) put: fn(&mut Vec<u8>, &mut Rng, &Data),
}

impl Serialize for Work {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

const fn write(name: &'static str, put: fn(&mut Vec<u8>, &mut Rng, &Data)) -> Work {
    Work {
        name,
        writes: true,
        drains: false,
        bar: Some(("SET", 0.8)),
        put,
    }
}

const fn read(name: &'static str, put: fn(&mut Vec<u8>, &mut Rng, &Data)) -> Work {
    Work {
        writes: false,
        bar: Some(("GET", 0.7)),
        ..write(name, put)
    }
}

/// A score, or a place in a list of which half may be gone.
fn number(rng: &mut Rng, data: &Data) -> usize {
    rng.below(data.keys().max(40) / 2 - 10)
}

/// In the order in which they are measured.
pub(crate) static WORK: &[Work] = &[
    Work {
        bar: None,
        ..write("SET", |out, rng, data| {
            let key = data.random_key(rng);
            encode(out, &[&b"SET"[..], key.as_bytes(), data.random_value(rng)]);
        })
    },
    Work {
        bar: None,
        ..read("GET", |out, rng, data| {
            encode(out, &["GET", &data.random_key(rng)]);
        })
    },
    write("INCR", |out, rng, data| {
        encode(out, &["INCR", &format!("n:{}", data.random_key(rng))]);
    }),
    write("HSET", |out, rng, data| {
        let (field, value) = (data.random_key(rng), data.random_value(rng));
        encode(out, &[&b"HSET"[..], b"hash", field.as_bytes(), value]);
    }),
    read("HGET", |out, rng, data| {
        encode(out, &["HGET", "hash", &data.random_key(rng)]);
    }),
    write("LPUSH", |out, rng, data| {
        encode(out, &[&b"LPUSH"[..], b"list", data.random_value(rng)]);
    }),
    read("LRANGE 10", |out, rng, data| {
        let at = number(rng, data);
        encode(
            out,
            &["LRANGE", "list", &at.to_string(), &(at + 9).to_string()],
        );
    }),
    Work {
        drains: true,
        ..write("RPOP", |out, _, _| encode(out, &["RPOP", "list"]))
    },
    write("SADD", |out, rng, data| {
        encode(out, &["SADD", "set", &data.random_key(rng)]);
    }),
    read("SISMEMBER", |out, rng, data| {
        encode(out, &["SISMEMBER", "set", &data.random_key(rng)]);
    }),
    write("ZADD", |out, rng, data| {
        let (score, member) = (rng.below(1 << 30).to_string(), data.random_key(rng));
        encode(out, &["ZADD", "zset", &score, &member]);
    }),
    read("ZRANGE 10", |out, rng, data| {
        let at = number(rng, data);
        encode(
            out,
            &["ZRANGE", "zset", &at.to_string(), &(at + 9).to_string()],
        );
    }),
    Work {
        bar: Some(("ZADD", 0.6)),
        ..write("ZADD, ZRANGE", |out, rng, data| {
            if rng.below(2) == 0 {
                let (score, member) = (rng.below(1 << 30).to_string(), data.random_key(rng));
                return encode(out, &["ZADD", "zset", &score, &member]);
            }
            let at = number(rng, data);
            encode(
                out,
                &["ZRANGE", "zset", &at.to_string(), &(at + 9).to_string()],
            );
        })
    },
    write("XADD", |out, rng, data| {
        let value = data.random_value(rng);
        encode(out, &[&b"XADD"[..], b"stream", b"*", b"field", value]);
    }),
];
