//! Properties of the parts that take bytes from disks and strangers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::{
    Context, Header, Kind, MemView, Record, Resolved, Resp, Txn, View, execute, glob, number,
};
use coterie_types::{GroupId, TableId, UnixMillis, Version};
use proptest::collection::vec;
use proptest::prelude::*;

fn run(args: &[Bytes]) -> Bytes {
    let view = MemView::new();
    let ctx = Context {
        group: GroupId(1),
        now: UnixMillis(1),
        read_now: None,
        seed: 1,
        next_change: 1,
    };
    let mut out = BytesMut::new();
    let command = Resolved::new(TableId(0), args.to_vec());
    execute(&mut Txn::new(&view, ctx), &command, Resp::V3, &mut out).unwrap();
    out.freeze()
}

/// `glob::matches` for a text that is not empty, by plain recursion.
fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| matches_slowly(rest, &text[skip..])),
        (_, []) => false,
        ([b'?', rest @ ..], [_, text @ ..]) => matches_slowly(rest, text),
        ([b'\\', byte, rest @ ..], [first, text @ ..]) => {
            byte == first && matches_slowly(rest, text)
        }
        ([byte, rest @ ..], [first, text @ ..]) => byte == first && matches_slowly(rest, text),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn records_survive_the_round_trip(
        group: u64,
        change: u64,
        expires_at: Option<u64>,
        value in vec(any::<u8>(), 0..200),
    ) {
        let record = Record {
            kind: Kind::String,
            version: Version { group: GroupId(group), change },
            expires_at: expires_at.map(UnixMillis),
            kept: None,
            is_spread: false,
            value: Bytes::from(value),
        };
        let mut raw = Vec::new();
        record.encode(&mut raw);
        prop_assert_eq!(Header::decode(&raw).unwrap().0.expires_at, record.expires_at);
        prop_assert_eq!(Record::decode(Bytes::from(raw)).unwrap(), record);
    }

    #[test]
    fn no_bytes_make_a_record_panic(raw in vec(any::<u8>(), 0..40)) {
        let _ = Header::decode(&raw);
        let _ = Record::decode(Bytes::from(raw));
    }

    #[test]
    fn integers_are_read_back_and_nothing_else_is(value: i64, text in "[-+ 0-9.x]{0,21}") {
        prop_assert_eq!(number::parse_int(&number::format_int(value)), Some(value));
        match number::parse_int(text.as_bytes()) {
            Some(value) => prop_assert_eq!(number::format_int(value), text),
            None => prop_assert!(text.parse::<i64>().map(|v| v.to_string()).as_ref() != Ok(&text)),
        }
    }

    #[test]
    fn doubles_are_read_back(value: f64) {
        let text = number::double(value);
        if value.is_finite() {
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }

    #[test]
    fn globs_fit_as_plain_recursion_says(pattern in "[ab*?\\\\]{0,8}", text in "[ab]{0,8}") {
        prop_assume!(!pattern.ends_with('\\'));
        let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
        let fits = if text.is_empty() { pattern.is_empty() } else { matches_slowly(pattern, text) };
        prop_assert_eq!(glob::matches(pattern, text), fits);
    }

    #[test]
    fn globs_never_panic_and_keep_their_prefix(
        pattern in vec(prop_oneof![any::<u8>(), Just(b'['), Just(b'\\'), Just(b'-'), Just(b']')], 0..12),
        text in vec(any::<u8>(), 0..12),
    ) {
        if glob::matches(&pattern, &text) {
            prop_assert!(text.starts_with(&glob::literal_prefix(&pattern)));
        }
    }

    #[test]
    fn any_words_get_one_reply(args in vec(vec(any::<u8>(), 0..20), 1..6)) {
        let args: Vec<_> = args.into_iter().map(Bytes::from).collect();
        prop_assert!(run(&args).ends_with(b"\r\n"));
    }

    #[test]
    fn payloads_of_strangers_never_panic(payload in vec(any::<u8>(), 0..60)) {
        let mut args = ["restore", "k", "0"].map(Bytes::from).to_vec();
        args.push(Bytes::from(payload));
        prop_assert!(run(&args).starts_with(b"-ERR "));
    }

    #[test]
    fn values_survive_dump_and_restore(
        word in vec(any::<u8>(), 0..40),
        times in 1usize..50,
        number: Option<i64>,
    ) {
        let value = number.map_or_else(|| Bytes::from(word.repeat(times)), number::format_int);
        let mut view = MemView::new();
        let ctx = |next_change| Context {
            group: GroupId(1), now: UnixMillis(1), read_now: None, seed: 1, next_change,
        };
        let mut txn = Txn::new(&view, ctx(1));
        let mut reply = BytesMut::new();
        let set = vec![Bytes::from("set"), Bytes::from("k"), value.clone()];
        execute(&mut txn, &Resolved::new(TableId(0), set), Resp::V3, &mut reply).unwrap();
        reply.clear();
        let dump = Resolved::new(TableId(0), vec![Bytes::from("dump"), Bytes::from("k")]);
        execute(&mut txn, &dump, Resp::V3, &mut reply).unwrap();
        let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let payload = Bytes::copy_from_slice(&reply[start..reply.len() - 2]);
        let restore = vec![Bytes::from("restore"), Bytes::from("copy"), Bytes::from("0"), payload];
        execute(&mut txn, &Resolved::new(TableId(0), restore), Resp::V3, &mut reply).unwrap();
        let changes = txn.finish().unwrap();
        view.apply(&changes);
        let copied = view.record(TableId(0), b"copy").unwrap();
        prop_assert_eq!(copied.unwrap().value, value);
    }

    #[test]
    fn hashes_survive_dump_and_restore(
        pairs in prop::collection::btree_map(
            vec(any::<u8>(), 0..70),
            prop_oneof![vec(any::<u8>(), 0..200), any::<i64>().prop_map(|n| n.to_string().into())],
            1..20,
        ),
    ) {
        let view = MemView::new();
        let ctx = Context {
            group: GroupId(1), now: UnixMillis(1), read_now: None, seed: 1, next_change: 1,
        };
        let mut txn = Txn::new(&view, ctx);
        let mut run = |args: &[Bytes]| {
            let mut reply = BytesMut::new();
            let command = Resolved::new(TableId(0), args.to_vec());
            execute(&mut txn, &command, Resp::V3, &mut reply).unwrap();
            reply.freeze()
        };
        let words = |line: &str| line.split(' ').map(str::to_owned).map(Bytes::from).collect::<Vec<_>>();
        let pairs = pairs.into_iter().flat_map(|(field, value)| [field, value].map(Bytes::from));
        run(&[words("hset k"), pairs.collect()].concat());
        let reply = run(&words("dump k"));
        let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let payload = reply.slice(start..reply.len() - 2);
        let restored = run(&[words("restore copy 0"), vec![payload]].concat());
        prop_assert_eq!(restored, "+OK\r\n");
        prop_assert_eq!(run(&words("hgetall copy")), run(&words("hgetall k")));
        let encoding = run(&words("object encoding copy"));
        prop_assert_eq!(encoding, run(&words("object encoding k")));
    }

    #[test]
    fn error_lines_stay_lines(words in vec("[a-z\r\n]{0,6}", 1..4)) {
        let args: Vec<_> = words.into_iter().map(Bytes::from).collect();
        let reply = run(&args);
        let line_ends = reply.iter().filter(|byte| **byte == b'\n').count();
        prop_assert!(!reply.starts_with(b"-") || line_ends == 1);
    }
}
