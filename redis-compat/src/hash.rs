//! The hash commands: fields and their values under a key.
//!
//! A small hash is a single record, a large one has a record for each field (`txn/members.rs`).

mod all;
mod deadline;
mod del;
mod expiring;
mod get;
mod incr;
mod incr_float;
mod payload;
mod random;
mod scan;
mod set;
mod value;

pub(crate) use payload::{has_deadlines, is_payload, put_payload, take_payload};
pub(crate) use value::Hash;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    all::PART,
    deadline::PART,
    del::PART,
    expiring::PART,
    get::PART,
    incr::PART,
    incr_float::PART,
    random::PART,
    scan::PART,
    set::PART,
    crate::deadline::PART,
];

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use crate::txn::tests::{T, ctx};
    use crate::{MemView, Resolved, Resp, Txn, execute};

    fn run(txn: &mut Txn<'_>, line: &str) -> Bytes {
        let words = line.split(' ');
        let words = words.map(|w| Bytes::copy_from_slice(w.as_bytes()));
        let mut reply = BytesMut::new();
        let command = Resolved::new(T, words.collect());
        execute(txn, &command, Resp::V2, &mut reply).unwrap();
        reply.freeze()
    }

    #[test]
    fn fields_and_values_are_at_most_as_long_as_a_value() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        txn.set_value_bytes_max(3);
        let refused = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
        assert_eq!(run(&mut txn, "hset h abc def n 999"), ":2\r\n");
        let before = (txn.changed_bytes(), txn.next_change());
        for line in [
            "hset h ok 1 f long",
            "hset h long v",
            "hsetnx h f long",
            "hincrby h n 1",
        ] {
            assert_eq!(run(&mut txn, line), refused, "{line}");
        }
        assert_eq!((txn.changed_bytes(), txn.next_change()), before, "no trace");
        assert_eq!(run(&mut txn, "hincrby h n -5"), ":994\r\n");
    }

    #[test]
    fn replies_of_whole_hashes_end_where_their_room_does() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        run(&mut txn, "hset h a 1 b 2");
        for (line, room) in [
            ("hgetall h", 67),
            ("hkeys h", 33),
            ("hvals h", 33),
            ("hmget h a b", 33),
        ] {
            txn.set_reply_room(room);
            assert!(run(&mut txn, line).starts_with(b"-ERR reply"), "{line}");
            assert!(txn.reply_was_too_long());
            txn.set_reply_room(room + 1);
            assert!(run(&mut txn, line).starts_with(b"*"), "{line}");
        }
    }

    #[test]
    fn a_hash_that_does_not_change_keeps_its_version() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        run(&mut txn, "hset h a 1");
        let before = txn.next_change();
        for line in [
            "hsetnx h a 2",
            "hdel h x",
            "hdel absent a",
            "hincrby h a x",
            "hset h a",
        ] {
            run(&mut txn, line);
            assert_eq!(txn.next_change(), before, "{line}");
        }
        run(&mut txn, "hset h a 1");
        assert!(
            txn.next_change() > before,
            "the same value is a change, too"
        );
    }
}
