//! The set commands.

mod add;
mod algebra;
mod deadline;
mod get;
mod payload;
mod random;
mod scan;
mod store;
mod value;

pub(crate) use payload::{is_payload, put_payload, take_payload};
pub(crate) use random::random_count;
pub(crate) use value::Set;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    algebra::PART,
    deadline::PART,
    get::PART,
    random::PART,
    scan::PART,
    store::PART,
];

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use crate::txn::tests::{T, ctx};
    use crate::{MemView, Resolved, Resp, Txn, execute};

    fn run(txn: &mut Txn<'_>, line: &str) -> String {
        let words = line.split(' ');
        let words = words.map(|w| Bytes::copy_from_slice(w.as_bytes()));
        let mut reply = BytesMut::new();
        let command = Resolved::new(T, words.collect());
        execute(txn, &command, Resp::V2, &mut reply).unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }

    fn encoding(txn: &mut Txn<'_>, key: &str) -> String {
        let reply = run(txn, &format!("object encoding {key}"));
        reply.lines().last().unwrap_or_default().to_owned()
    }

    /// `sadd` of these members.
    fn sadd(txn: &mut Txn<'_>, key: &str, names: impl Iterator<Item = String>) {
        let names: Vec<_> = names.collect();
        run(txn, &format!("sadd {key} {}", names.join(" ")));
    }

    /// Redis 7.2 is not there to be compared with: its rules are in `t_set.c`.
    #[test]
    fn sets_are_kept_as_redis_7_2_keeps_them() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let txn = &mut txn;
        let ints = |count: usize| (0..count).map(|n| n.to_string());
        let words = |count: usize| (0..count).map(|n| format!("m{n}"));
        let cases = [
            (512, "intset", 128, "listpack"),
            (513, "hashtable", 129, "hashtable"),
        ];
        for (int_count, of_ints, word_count, of_words) in cases {
            sadd(txn, "ints", ints(int_count));
            assert_eq!(encoding(txn, "ints"), of_ints);
            sadd(txn, "words", words(word_count));
            assert_eq!(encoding(txn, "words"), of_words);
            run(txn, "del ints words");
        }
        // Each alone, and never back.
        sadd(txn, "ints", ints(512));
        sadd(txn, "ints", std::iter::once("600".to_owned()));
        assert_eq!(encoding(txn, "ints"), "hashtable");
        run(txn, "srem ints 600 1 2 3");
        assert_eq!(encoding(txn, "ints"), "hashtable");
        for (count, then) in [(127, "listpack"), (128, "hashtable")] {
            sadd(txn, "few", ints(count));
            run(txn, "sadd few word");
            assert_eq!(encoding(txn, "few"), then);
            run(txn, "srem few word");
            assert_eq!(encoding(txn, "few"), then);
            run(txn, "del few");
        }
        for (len, then) in [(64, "listpack"), (65, "hashtable")] {
            run(txn, &format!("sadd long {}", "x".repeat(len)));
            assert_eq!(encoding(txn, "long"), then);
            run(txn, "del long");
        }
        // A result begins as a set of integers.
        sadd(txn, "a", words(200).chain(ints(300)));
        sadd(txn, "b", ints(400));
        run(txn, "sinterstore r a b");
        assert_eq!(encoding(txn, "r"), "intset");
        run(txn, "sunionstore r b b");
        assert_eq!(encoding(txn, "r"), "intset");
        run(txn, "sdiffstore r a b");
        assert_eq!(encoding(txn, "r"), "hashtable");
    }

    #[test]
    fn a_change_of_a_large_set_is_a_change_of_its_key() {
        let mut view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        sadd(&mut txn, "s", (0..3000).map(|n| format!("m{n}")));
        let changes = txn.finish().unwrap();
        view.apply(&changes);
        let mut txn = Txn::new(&view, ctx(1));
        let before = txn.next_change();
        for line in [
            "sadd s m1",
            "srem s x",
            "smove s s m1",
            "spop s 0",
            "sadd s",
        ] {
            run(&mut txn, line);
            assert_eq!(txn.next_change(), before, "{line}");
        }
        for line in [
            "sadd s x",
            "srem s m1",
            "spop s",
            "sexpire s 9 members 1 m2",
        ] {
            let before = txn.next_change();
            run(&mut txn, line);
            assert_eq!(txn.next_change(), before + 1, "{line}");
        }
        assert_eq!(run(&mut txn, "scard s"), ":2999\r\n");
    }

    #[test]
    fn a_set_rebuilt_under_its_name_has_no_old_members() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let txn = &mut txn;
        for round in 0..3 {
            sadd(txn, "s", (0..2000).map(|n| format!("{round}:{n}")));
            assert_eq!(run(txn, "scard s"), ":2000\r\n");
            let old = format!("sismember s {}:7", round - 1);
            assert_eq!(run(txn, &old), ":0\r\n");
            run(txn, "del s");
            assert_eq!(run(txn, "sscan s 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
        }
    }

    #[test]
    fn replies_of_whole_sets_end_where_their_room_does() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        run(&mut txn, "sadd s a b");
        for line in ["smembers s", "sunion s", "srandmember s -2", "spop s 2"] {
            txn.set_reply_room(33);
            assert!(run(&mut txn, line).starts_with("-ERR reply"), "{line}");
            assert!(txn.reply_was_too_long());
        }
        txn.set_reply_room(1 << 29);
        let refused = run(&mut txn, "srandmember s -999999999999");
        assert!(refused.starts_with("-ERR reply"));
        assert_eq!(run(&mut txn, "scard s"), ":2\r\n", "nothing was popped");
    }
}
