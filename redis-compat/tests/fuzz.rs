//! Bytes from disks and from clients: however records and the payloads of RESTORE are damaged,
//! reading them gives a value or an error, and a value that was read is kept as it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use coterie_fuzz::fuzz;
use coterie_redis_compat::{
    Context, Encoding, Header, Kind, MemView, Record, Resolved, Resp, Txn, execute,
};
use coterie_types::{GroupId, TableId, UnixMillis, Version};

/// The longest value in these tests.
const VALUE_BYTES_MAX: usize = 1 << 16;

#[test]
fn records() {
    let record = |change, expires_at: Option<u64>, kept| {
        let record = Record {
            kind: Kind::String,
            version: Version {
                group: GroupId(300),
                change,
            },
            expires_at: expires_at.map(UnixMillis),
            kept,
            is_spread: false,
            value: Bytes::from_static(b"value"),
        };
        let mut raw = Vec::new();
        record.encode(&mut raw);
        raw
    };
    let seeds = [
        record(1, None, None),
        record(u64::MAX, Some(1_700_000_000_000), Some(Encoding::Raw)),
        record(7, Some(1 << 50), Some(Encoding::Embstr)),
    ];
    fuzz(&seeds, |input| {
        let header = Header::decode(input);
        let record = Record::decode(Bytes::copy_from_slice(input));
        assert_eq!(
            header.is_ok(),
            record.is_ok(),
            "readers of keys and of values agree"
        );
        let (Ok((header, _)), Ok(record)) = (header, record) else {
            return;
        };
        assert_eq!(header.expires_at, record.expires_at);
        assert_eq!(header.version, record.version);
        let mut raw = Vec::new();
        record.encode(&mut raw);
        assert_eq!(Record::decode(Bytes::from(raw)).unwrap(), record);
    });
}

/// A store that keeps its changes only within the transaction.
fn run(lines: &[&[Bytes]]) -> Vec<Bytes> {
    let view = MemView::new();
    let context = Context {
        group: GroupId(1),
        now: UnixMillis(1),
        read_now: None,
        seed: 1,
        next_change: 1,
    };
    let mut txn = Txn::new(&view, context);
    txn.set_value_bytes_max(VALUE_BYTES_MAX);
    let replies = lines.iter().map(|line| {
        let mut out = BytesMut::new();
        let command = Resolved::new(TableId(0), line.to_vec());
        execute(&mut txn, &command, Resp::V3, &mut out).unwrap();
        out.freeze()
    });
    replies.collect()
}

fn line(name: &'static str, args: &[Bytes]) -> Vec<Bytes> {
    let mut words = vec![Bytes::from_static(name.as_bytes())];
    words.extend_from_slice(args);
    words
}

fn restore(payload: &Bytes) -> Vec<Bytes> {
    let key = Bytes::from_static(b"k");
    line("RESTORE", &[key, Bytes::from_static(b"0"), payload.clone()])
}

/// The content of a bulk string or an error line.
fn content(reply: &Bytes) -> Bytes {
    let end = reply.windows(2).position(|two| two == b"\r\n").unwrap();
    reply.slice((end + 2).min(reply.len())..reply.len().saturating_sub(2).max(end + 2))
}

/// Redis' CRC-64, bit by bit.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            let carry = crc & 1;
            (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 * carry)
        })
    })
}

/// A payload with this body: the version and the checksum are right.
fn payload(body: &[u8]) -> Bytes {
    let mut payload = [body, &[10, 0]].concat();
    payload.extend_from_slice(&crc64(&payload).to_le_bytes());
    Bytes::from(payload)
}

/// Bodies of payloads from `DUMP`: a string, integers of each width, compressed strings.
const BODIES: [&[u8]; 7] = [
    b"\x00\x05hello",
    b"\x00\xc0\x0c",
    b"\x00\xc1\x39\x30",
    b"\x00\xc2\x90\xee\xfe\xff",
    b"\x00\xc3\x09\x28\x01aa\xe0\x1b\x00\x01aa",
    b"\x00\x40\x48aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"\x00\x80\x00\x00\x00\x05hello",
];

#[test]
fn the_bodies_are_good() {
    for body in BODIES {
        let replies = run(&[&restore(&payload(body))]);
        assert_eq!(replies[0], "+OK\r\n", "b\"{}\"", body.escape_ascii());
    }
}

#[test]
fn bodies_of_payloads() {
    fuzz(&BODIES.map(<[u8]>::to_vec), |body| {
        let get = line("GET", &[Bytes::from_static(b"k")]);
        let dump = line("DUMP", &[Bytes::from_static(b"k")]);
        let replies = run(&[&restore(&payload(body)), &get, &dump]);
        if replies[0] != "+OK\r\n" {
            assert!(replies[0].starts_with(b"-"), "{:?}", replies[0]);
            assert_eq!(replies[1], "_\r\n", "a refused payload stores nothing");
            return;
        }
        assert!(content(&replies[1]).len() <= VALUE_BYTES_MAX);
        let again = run(&[&restore(&content(&replies[2])), &get]);
        assert_eq!(again, [Bytes::from_static(b"+OK\r\n"), replies[1].clone()]);
    });
}

#[test]
fn payloads() {
    let seeds = BODIES.map(|body| payload(body).to_vec());
    fuzz(&seeds, |input| {
        let reply = &run(&[&restore(&Bytes::copy_from_slice(input))])[0];
        assert!(*reply == "+OK\r\n" || reply.starts_with(b"-"), "{reply:?}");
    });
}
