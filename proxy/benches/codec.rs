//! The time to parse 64 pipelined commands.

#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use coterie_proxy::conn::codec::{Limits, Parser};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn pipeline(words: &[&[u8]]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend(format!("${}\r\n", word.len()).bytes());
        command.extend_from_slice(word);
        command.extend(b"\r\n");
    }
    command.repeat(64)
}

fn parse(input: &mut BytesMut, args: &mut Vec<Bytes>) -> usize {
    let limits = Limits {
        bulk_bytes_max: 512 << 20,
        value_bytes_max: 1 << 20,
        trusted: true,
    };
    let (mut parser, mut words) = (Parser::default(), 0);
    while let Ok(true) = parser.next(input, &limits, args) {
        words += args.len();
    }
    words
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(64));
    let (small, large) = (vec![b'v'; 128], vec![b'v'; 4096]);
    let cases: [(&str, Vec<u8>); 4] = [
        (
            "set 16+128 B",
            pipeline(&[b"SET", b"key:000000012345", &small]),
        ),
        ("get 16 B", pipeline(&[b"GET", b"key:000000012345"])),
        (
            "set 16+4096 B",
            pipeline(&[b"SET", b"key:000000012345", &large]),
        ),
        ("inline get", b"GET key:000000012345\r\n".repeat(64)),
    ];
    for (name, bytes) in cases {
        let mut args = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || BytesMut::from(bytes.as_slice()),
                |mut input| black_box(parse(&mut input, &mut args)),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
