//! A rate limiter of five calls, as applications run it all the time: the cost of the interpreter
//! without that of the commands.

#![allow(missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use bytes::Bytes;
use coterie_lua::{Call, Engine, Host, Level, Limits, Resp, Script, Stop, UnknownCommand};
use criterion::{Criterion, criterion_group, criterion_main};

const LIMITER: &str = "
local key = KEYS[1]
local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
local count = redis.call('ZCARD', key)
if count < limit then
    redis.call('ZADD', key, now, ARGV[4])
    redis.call('PEXPIRE', key, window)
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return {1, limit - count - 1, first[2]}
end
return {0, 0}";

/// Answers at once.
struct Dummy;

impl Host for Dummy {
    fn call(&mut self, args: Vec<Bytes>, _resp: Resp) -> Bytes {
        match args[0].as_ref() {
            b"ZRANGE" => Bytes::from_static(b"*2\r\n$6\r\nmember\r\n$10\r\n1700000000\r\n"),
            _ => Bytes::from_static(b":1\r\n"),
        }
    }

    fn log(&mut self, _level: Level, _text: &[u8]) {}

    fn acl_check(&mut self, _args: &[Bytes]) -> Result<bool, UnknownCommand> {
        Ok(true)
    }

    fn may_go_on(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}

fn run(criterion: &mut Criterion, name: &str, text: &'static str) {
    let mut engine = Engine::new(Limits::default());
    let script = Script::new(Bytes::from_static(text.as_bytes()));
    let keys = [Bytes::from_static(b"limiter:user:12345")];
    let args = ["1700000000123", "60000", "100", "1700000000123-17"].map(Bytes::from);
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let call = Call {
                keys: &keys,
                args: &args,
                resp: Resp::V2,
            };
            black_box(engine.run(&script, call, &mut Dummy))
        });
    });
}

fn limiter(criterion: &mut Criterion) {
    run(criterion, "five calls", LIMITER);
    run(criterion, "a call", "return redis.call('GET', KEYS[1])");
    run(criterion, "no call", "return 1");
    let json = "return cjson.encode(cjson.decode('{\"a\":[1,2,3],\"b\":{\"c\":\"text\"}}'))";
    run(criterion, "json", json);
}

criterion_group!(benches, limiter);
criterion_main!(benches);
