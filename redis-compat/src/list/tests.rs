//! Lists against a plain vector, packed and spread, and the bytes of their records.

use bytes::{Bytes, BytesMut};
use coterie_types::UnixMillis;
use proptest::prelude::*;

use super::place::End;
use super::value::LISTPACK_BYTES_MAX;
use crate::rdb::{self, listpack};
use crate::txn::spread::{COPY_BYTES_MAX, PACKED_BYTES_MAX};
use crate::txn::tests::{T, b, ctx};
use crate::{Changes, Context, EvalError, MemView, Resolved, Resp, Txn, View, execute};

/// A change of a list.
#[derive(Debug, Clone)]
enum Step {
    Push(End, Vec<Bytes>),
    Pop(End, u64),
    Set(usize, Bytes),
    Insert(usize, Bytes),
    Remove(Bytes, u64, End),
    Trim(usize, usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Left), Just(End::Right)]
}

/// A few short elements, and some as long as a leaf or more.
fn element() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        6 => (0..5u32).prop_map(|n| Bytes::from(n.to_string())),
        2 => (0..9usize).prop_map(|n| Bytes::from("x".repeat(n * 30))),
        1 => (0..3usize).prop_map(|n| Bytes::from("y".repeat(n * 700))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let some = |max| prop::collection::vec(element(), 1..max);
    prop_oneof![
        4 => (end(), some(4)).prop_map(|(end, elements)| Step::Push(end, elements)),
        2 => (end(), some(300)).prop_map(|(end, elements)| Step::Push(end, elements)),
        3 => (end(), 0..4u64).prop_map(|(end, count)| Step::Pop(end, count)),
        1 => (end(), 0..200u64).prop_map(|(end, count)| Step::Pop(end, count)),
        4 => (any::<usize>(), element()).prop_map(|(at, element)| Step::Set(at, element)),
        8 => (any::<usize>(), element()).prop_map(|(at, element)| Step::Insert(at, element)),
        2 => (element(), 0..9u64, end()).prop_map(|(e, max, from)| Step::Remove(e, max, from)),
        1 => (element(), end()).prop_map(|(e, from)| Step::Remove(e, u64::MAX, from)),
        1 => (0..30usize, 0..30usize).prop_map(|(before, after)| Step::Trim(before, after)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(before, after)| Step::Trim(before, after)),
    ]
}

/// The store of a group, and the vector that its list should be.
#[derive(Default)]
struct Both {
    view: MemView,
    next_change: u64,
    model: Vec<Bytes>,
    is_quicklist: bool,
}

impl Both {
    /// Runs a function as a log entry.
    fn enter<T>(
        &mut self,
        run: impl FnOnce(&mut Txn<'_>, &mut Vec<Bytes>) -> Result<T, EvalError>,
    ) -> (T, Changes) {
        let next_change = self.next_change.max(1);
        let ctx = Context {
            next_change,
            ..ctx(1)
        };
        let mut txn = Txn::new(&self.view, ctx);
        let found = run(&mut txn, &mut self.model).unwrap();
        let changes = txn.finish().unwrap();
        self.view.apply(&changes);
        self.next_change = changes.next_change;
        (found, changes)
    }

    fn step(&mut self, step: Step) {
        // A list that is not written to is not looked at, even if it is a little too long.
        if let Some(grown) = self.grown(&step) {
            self.is_quicklist |= listpack_bytes(&self.model) + grown > LISTPACK_BYTES_MAX;
        }
        let may_shrink = !matches!(step, Step::Push(..) | Step::Insert(..));
        let len = self.model.len();
        self.enter(|txn, model| {
            let mut list = txn.list(&b("l"))?;
            match step {
                Step::Push(end, elements) => {
                    list.push(txn, end, &elements)?;
                    for element in elements {
                        model.insert(end.pick(0, model.len()), element);
                    }
                }
                Step::Pop(end, count) => {
                    let popped = list.pop(txn, end, count)?;
                    let expected = (0..count.min(len as u64))
                        .map(|_| model.remove(end.pick(0, model.len() - 1)));
                    assert_eq!(popped, expected.collect::<Vec<_>>());
                }
                Step::Set(at, element) => {
                    let at = at % (len + 2);
                    assert_eq!(list.set(txn, at as u64, &element)?, at < len);
                    if at < len {
                        model[at] = element;
                    }
                }
                Step::Insert(at, element) => {
                    let at = at % (len + 1);
                    list.insert(txn, at as u64, &element)?;
                    model.insert(at, element);
                }
                Step::Remove(element, max, from) => {
                    let removed = list.remove_equal(txn, &element, max, from)?;
                    assert_eq!(removed, remove(model, &element, max, from));
                }
                Step::Trim(before, after) => {
                    let start = before % (len + 1);
                    let end = len - (after % (len - start + 1));
                    list.trim(txn, start as u64..end as u64)?;
                    model.truncate(end);
                    model.drain(..start);
                }
            }
            Ok(txn.put_list(&list)?)
        });
        if may_shrink && listpack_bytes(&self.model) <= LISTPACK_BYTES_MAX / 2 {
            self.is_quicklist = false;
        }
        if self.model.is_empty() {
            self.is_quicklist = false;
        }
    }

    /// Bytes that Redis expects to be added; `None` if no element is to come.
    fn grown(&self, step: &Step) -> Option<u64> {
        match step {
            Step::Push(_, elements) => {
                Some(elements.iter().map(|element| element.len() as u64).sum())
            }
            Step::Insert(_, element) => Some(element.len() as u64),
            Step::Set(at, element) if at % (self.model.len() + 2) < self.model.len() => {
                Some(element.len() as u64)
            }
            _ => None,
        }
    }

    /// Compares all that can be read, by walks and in turn.
    fn check(&mut self) {
        let is_quicklist = self.is_quicklist;
        let stored = self.view.record(T, b"l").unwrap();
        assert_eq!(stored.is_none(), self.model.is_empty());
        if let Some(record) = stored {
            let name = if is_quicklist {
                "quicklist"
            } else {
                "listpack"
            };
            assert_eq!(record.encoding().name(), name);
        }
        self.enter(|txn, model| {
            let list = txn.list(&b("l"))?;
            assert_eq!(list.len(), model.len() as u64);
            for at in 0..model.len() + 1 {
                assert_eq!(list.get(txn, at as u64)?.as_ref(), model.get(at), "{at}");
            }
            for from in [0, model.len() / 3, model.len().saturating_sub(1)] {
                let mut up = Vec::new();
                list.scan(txn, from as u64, End::Right, &mut |_, at, element| {
                    assert_eq!(at, (from + up.len()) as u64);
                    up.push(element);
                    Ok(true)
                })?;
                assert_eq!(up, model[from.min(model.len())..]);
                let mut down = Vec::new();
                list.scan(txn, from as u64, End::Left, &mut |_, at, element| {
                    down.push((at, element));
                    Ok(true)
                })?;
                let expected = (0..).zip(model.iter().cloned()).take(from + 1);
                let mut expected: Vec<_> = expected.collect();
                expected.reverse();
                assert_eq!(down, expected);
            }
            Ok(())
        });
    }
}

fn listpack_bytes(elements: &[Bytes]) -> u64 {
    let bytes = elements
        .iter()
        .map(|element| listpack::entry_bytes(element));
    (listpack::EMPTY_BYTES + bytes.sum::<usize>()) as u64
}

fn remove(model: &mut Vec<Bytes>, element: &Bytes, max: u64, from: End) -> u64 {
    let equal = (0..model.len()).filter(|at| model[*at] == element);
    let mut places: Vec<_> = equal.collect();
    if from == End::Right {
        places.reverse();
    }
    places.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    let removed = places.len() as u64;
    places.sort_unstable();
    for at in places.into_iter().rev() {
        model.remove(at);
    }
    removed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 48 } else { 400 }))]

    #[test]
    fn a_list_is_what_a_vector_is(steps in prop::collection::vec(step(), 1..60)) {
        let mut both = Both::default();
        for step in steps {
            both.step(step);
            both.check();
        }
    }

    #[test]
    fn a_list_that_is_used_up_leaves_no_record(
        elements in prop::collection::vec(element(), 1..1500),
        pops in prop::collection::vec((end(), 1..90u64), 1..40),
    ) {
        let mut both = Both::default();
        both.step(Step::Push(End::Right, elements));
        for (end, count) in pops {
            both.step(Step::Pop(end, count));
        }
        both.check();
        while !both.model.is_empty() {
            both.step(Step::Pop(End::Left, 50));
        }
        prop_assert_eq!(both.view.elements_len(), 0);
        prop_assert!(both.view.is_empty());
    }
}

#[test]
fn records_on_disk_are_pinned() {
    let mut both = Both::default();
    both.step(Step::Push(End::Right, vec![b("a"), b("12"), b("")]));
    let record = both.view.record(T, b"l").unwrap().unwrap();
    // Three elements, of 3, 2 and 2 bytes in a listpack.
    assert_eq!(record.value, &b"\x03\x07\x01a\x0212\0"[..]);
    assert!(!record.is_spread);
    let long = Bytes::from("x".repeat(PACKED_BYTES_MAX));
    both.step(Step::Push(End::Right, vec![long, b("z")]));
    let record = both.view.record(T, b"l").unwrap().unwrap();
    assert!(record.is_spread);
    // Incarnation 1.2, 5 elements; weight 8209, next node 5; no leaf at the left end; leaf 4 at the
    // right end, of a single element; a page, number 2, above the leaves between.
    assert_eq!(
        record.value.escape_ascii().to_string(),
        "\\x01\\x02\\x05\\x91@\\x05\\x00\\x00\\x04\\x01\\x01\\x02"
    );
}

#[test]
fn a_list_is_spread_when_its_packed_value_would_be_too_long() {
    for (last, is_spread) in [(0, false), (1, true)] {
        let mut both = Both::default();
        // Two bytes for the length of each long element, and four for both numbers.
        let first = Bytes::from("x".repeat(4000));
        let rest = Bytes::from("x".repeat(PACKED_BYTES_MAX - 4000 - 4 - 3 + last));
        both.step(Step::Push(End::Right, vec![first]));
        both.step(Step::Push(End::Left, vec![rest]));
        let record = both.view.record(T, b"l").unwrap().unwrap();
        assert_eq!(record.is_spread, is_spread, "{}", record.value.len());
        assert!(is_spread || record.value.len() == PACKED_BYTES_MAX);
        both.check();
        both.step(Step::Pop(End::Left, 1));
        let record = both.view.record(T, b"l").unwrap().unwrap();
        assert_eq!(record.is_spread, is_spread, "never packed again");
        both.check();
    }
}

/// A queue changes the header and the leaf at the end, and now and then a page.
#[test]
fn pushes_and_pops_change_few_records() {
    let mut both = Both::default();
    let elements = (0..3000).map(|n| Bytes::from(format!("element {n}")));
    both.step(Step::Push(End::Right, elements.collect()));
    let (mut records, mut most) = (0, 0);
    let rounds = 600;
    for n in 0..rounds {
        let (_, changes) = both.enter(|txn, _| {
            let mut list = txn.list(&b("l"))?;
            list.push(txn, End::Left, &[Bytes::from(format!("more {n}"))])?;
            list.pop(txn, End::Right, 1)?;
            Ok(txn.put_list(&list)?)
        });
        records += changes.elements.len();
        most = most.max(changes.elements.len());
    }
    assert!(records < 3 * rounds, "{records} records");
    assert!(most < 20, "{most} records");
}

#[test]
fn a_trim_to_a_few_elements_makes_a_long_list_anew() {
    let mut both = Both::default();
    let elements = (0..20_000).map(|n| Bytes::from(n.to_string()));
    both.step(Step::Push(End::Right, elements.collect()));
    let (_, changes) = both.enter(|txn, model| {
        let mut list = txn.list(&b("l"))?;
        list.trim(txn, 5000..5100)?;
        *model = model[5000..5100].to_vec();
        Ok(txn.put_list(&list)?)
    });
    assert!(changes.elements.len() < 20, "{}", changes.elements.len());
    both.is_quicklist = false;
    both.check();
}

#[test]
fn an_expiry_stays_with_a_list_that_changes() {
    let view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let (key, at) = (b("l"), Some(UnixMillis(50)));
    txn.restore_list(&key, &[b("a")], at).unwrap();
    let mut list = txn.list(&key).unwrap();
    list.push(
        &mut txn,
        End::Right,
        &[Bytes::from(vec![0; PACKED_BYTES_MAX])],
    )
    .unwrap();
    txn.put_list(&list).unwrap();
    assert_eq!(txn.record(&key).unwrap().unwrap().expires_at, at);
}

fn words(line: &str) -> Vec<Bytes> {
    let words = line.split(' ');
    words
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

fn run(txn: &mut Txn<'_>, args: Vec<Bytes>) -> Bytes {
    let mut reply = BytesMut::new();
    execute(txn, &Resolved::new(T, args), Resp::V2, &mut reply).unwrap();
    reply.freeze()
}

#[test]
fn replies_end_where_their_room_does() {
    let view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    run(&mut txn, words("rpush l a b a"));
    let before = txn.next_change();
    // 16 bytes beside each element, and 8 for a place.
    for (line, room) in [
        ("lrange l 0 -1", 51),
        ("lpos l a count 0", 48),
        ("lpop l 2", 34),
        ("lmpop 1 l left count 2", 34),
        ("lmovem l other left left count 2 obo", 34),
        ("dump l", 51),
    ] {
        txn.set_reply_room(room - 1);
        let reply = run(&mut txn, words(line));
        assert!(reply.starts_with(b"-ERR reply"), "{line}");
        assert_eq!(txn.next_change(), before, "{line}");
        txn.set_savepoint();
        txn.set_reply_room(room);
        let reply = run(&mut txn, words(line));
        assert!(!reply.starts_with(b"-"), "{line}: {reply:?}");
        txn.roll_back();
    }
}

#[test]
fn what_a_command_changes_is_bounded() {
    let mut view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let half = COPY_BYTES_MAX / 2 + (64 << 10);
    let long = Bytes::from("x".repeat(1000));
    let elements = vec![long; half / 1000];
    for _ in 0..2 {
        // A push has the room of its request.
        run(&mut txn, [words("rpush l"), elements.clone()].concat());
        run(&mut txn, words("rpush l y"));
    }
    let changes = txn.finish().unwrap();
    view.apply(&changes);
    let mut txn = Txn::new(&view, ctx(2));
    txn.set_value_bytes_max(1 << 20);
    let before = (txn.next_change(), run(&mut txn, words("llen l")));
    let too_large = "-ERR the collection is too large to be copied by a single command\r\n";
    let len = 2 * elements.len();
    let refused = run(
        &mut txn,
        words(&format!("lmovem l m left right count {len} obo")),
    );
    assert!(refused == too_large, "{} bytes", refused.len());
    let mut payload = b"\x01".to_vec();
    rdb::put_len(&mut payload, len);
    for element in elements.iter().chain(&elements) {
        // Not compressed.
        rdb::put_len(&mut payload, element.len());
        payload.extend_from_slice(element);
    }
    payload.extend(10u16.to_le_bytes());
    payload.extend(rdb::crc64(&payload).to_le_bytes());
    let restore = [words("restore r 0"), vec![Bytes::from(payload)]].concat();
    assert_eq!(run(&mut txn, restore), too_large);
    assert_eq!(run(&mut txn, words("copy l m")), too_large);
    assert_eq!((txn.next_change(), run(&mut txn, words("llen l"))), before);
    assert_eq!(run(&mut txn, words("lrem l -1 y")), ":1\r\n");
    assert_eq!(run(&mut txn, words("ltrim l 5 100")), "+OK\r\n");
    assert_eq!(run(&mut txn, words("llen l")), ":96\r\n");
}
