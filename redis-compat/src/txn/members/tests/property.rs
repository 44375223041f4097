//! Members, packed and spread, against a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::UnixMillis;
use proptest::prelude::*;

use super::super::spread::{DEADLINES, MEMBERS, split_deadline, split_key};
use super::super::{Form, Members};
use super::{all, cell, load, name};
use crate::txn::tests::{b, ctx};
use crate::{Context, MemView, Txn, Walk};

type Value = (Bytes, Option<UnixMillis>);
type Model = BTreeMap<Bytes, Value>;

/// A change.
#[derive(Debug, Clone)]
enum Step {
    Put(u64, usize, Option<u64>),
    Remove(u64),
    Deadline(u64, Option<u64>),
    Purge(usize),
    Reload,
    /// Sets a savepoint, or goes back to it.
    Undo,
    /// Ends the entry.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let deadline = || prop::option::weighted(0.4, 1u64..200);
    let step = prop_oneof![
        8 => (0u64..60, prop_oneof![Just(0usize), 1..400usize], deadline())
            .prop_map(|(member, len, at)| Step::Put(member, len, at)),
        4 => (0u64..60).prop_map(Step::Remove),
        2 => (0u64..60, deadline()).prop_map(|(member, at)| Step::Deadline(member, at)),
        1 => (1u64..20).prop_map(Step::Wait),
        1 => (0usize..10).prop_map(Step::Purge),
        2 => Just(Step::Reload),
        1 => Just(Step::Undo),
    ];
    prop::collection::vec(step, 1..160)
}

/// The members of an entry, and the map that they should be.
struct Run<'a> {
    txn: Txn<'a>,
    members: Members,
    model: Model,
    now: u64,
    saved: Option<Model>,
}

impl<'a> Run<'a> {
    fn new(view: &'a MemView, model: Model, now: u64, next_change: u64) -> Self {
        let context = Context {
            next_change,
            ..ctx(now)
        };
        let mut txn = Txn::new(view, context);
        let members = load(&mut txn, &b("k"));
        // A key whose members are all past their deadlines is absent, and its record removed.
        let model = match members.stored_len() {
            0 => Model::new(),
            _ => model,
        };
        Self {
            txn,
            members,
            model,
            now,
            saved: None,
        }
    }

    fn is_live(&self, (_, deadline): &Value) -> bool {
        deadline.is_none_or(|at| at.0 > self.now)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(member, len, at) => {
                let (name, value) = (name(member), Bytes::from(vec![b'v'; len]));
                let deadline = at.map(|at| UnixMillis(self.now + at));
                let old = self.model.insert(name.clone(), (value.clone(), deadline));
                let was_there = old.is_some_and(|old| self.is_live(&old));
                let new = cell(&value, deadline);
                let is_new = self.members.put(&mut self.txn, &name, &new).unwrap();
                assert_eq!(is_new, !was_there);
            }
            Step::Remove(member) => {
                let name = name(member);
                let was_there = self.model.get(&name).is_some_and(|old| self.is_live(old));
                if was_there {
                    self.model.remove(&name);
                }
                let removed = self.members.remove(&mut self.txn, &name).unwrap();
                assert_eq!(removed.is_some(), was_there);
            }
            Step::Deadline(member, at) => {
                let name = name(member);
                let deadline = at.map(|at| UnixMillis(self.now + at));
                let is_there = self.model.get(&name).is_some_and(|old| self.is_live(old));
                if let Some((_, old)) = self.model.get_mut(&name)
                    && is_there
                {
                    *old = deadline;
                }
                let set = self.members.set_deadline(&mut self.txn, &name, deadline);
                set.unwrap();
            }
            Step::Purge(max) => {
                let purged = self.members.purge(&mut self.txn, max).unwrap();
                assert!(purged <= max);
                self.purge_model(purged);
            }
            Step::Reload => {
                self.store();
                self.members = load(&mut self.txn, &b("k"));
                if self.members.stored_len() == 0 {
                    self.model.clear();
                }
                self.check();
            }
            Step::Undo => match self.saved.take() {
                None => {
                    self.store();
                    self.txn.set_savepoint();
                    self.saved = Some(self.model.clone());
                }
                Some(before) => {
                    self.txn.roll_back();
                    self.model = before;
                    self.members = load(&mut self.txn, &b("k"));
                    if self.members.stored_len() == 0 {
                        self.model.clear();
                    }
                    self.check();
                }
            },
            Step::Wait(_) => {}
        }
    }

    /// Stores the members, which purges some of them.
    fn store(&mut self) {
        let before = self.members.stored_len();
        self.members.store(&mut self.txn, &b("k")).unwrap();
        self.purge_model((before - self.members.stored_len()) as usize);
    }

    /// Removes from the map the members that are not stored any more: `count` of those past their
    /// deadlines.
    fn purge_model(&mut self, count: usize) {
        let stored = self.stored();
        let is_gone = |name: &Bytes| !stored.contains(name);
        let gone: Vec<_> = self
            .model
            .keys()
            .filter(|name| is_gone(name))
            .cloned()
            .collect();
        assert_eq!(gone.len(), count);
        for name in gone {
            let old = self.model.remove(&name).unwrap();
            assert!(!self.is_live(&old));
        }
    }

    fn stored(&self) -> Vec<Bytes> {
        let names = match &self.members.form {
            Form::Packed(elements) => elements.to_vec().unwrap(),
            Form::Spread(spread) => {
                let found = self.txn.some_elements(&spread.of, MEMBERS, Walk::ALL, 9999);
                let name = |key: Bytes| key.slice_ref(split_key(&key).unwrap().1);
                let named = found.unwrap().into_iter();
                named.map(|(key, cell)| (name(key), cell)).collect()
            }
        };
        names.into_iter().map(|(name, _)| name).collect()
    }

    /// Whatever the members say of themselves agrees with the map, and with a walk.
    fn check(&mut self) {
        let live = self.model.iter().filter(|(_, value)| self.is_live(value));
        let live: Model = live
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let found: Model = all(&mut self.txn, &self.members)
            .into_iter()
            .map(|member| (member.name, (member.value, member.deadline)))
            .collect();
        assert_eq!(found, live);
        assert_eq!(self.members.len(&mut self.txn).unwrap(), live.len() as u64);
        assert_eq!(self.members.stored_len(), self.model.len() as u64);
        for (name, (value, deadline)) in &live {
            let cell = self.members.get(&mut self.txn, name).unwrap().unwrap();
            assert_eq!((&cell.value, &cell.deadline), (value, deadline));
        }
        let deadlines: Vec<_> = self.model.values().filter_map(|(_, at)| *at).collect();
        let head = self.members.head.deadlines;
        let counted = head.map_or(0, |head| head.count);
        assert_eq!(counted, deadlines.len() as u64);
        let lowest = head.map(|head| head.lowest);
        assert_eq!(lowest, deadlines.iter().min().copied());
        self.check_elements(deadlines.len());
    }

    fn check_elements(&self, deadlines: usize) {
        let Form::Spread(spread) = &self.members.form else {
            return;
        };
        let elements = |family| {
            let found = self.txn.some_elements(&spread.of, family, Walk::ALL, 9999);
            found.unwrap()
        };
        let members = elements(MEMBERS);
        assert_eq!(members.len() as u64, spread.count);
        for (key, _) in &members {
            assert_eq!(spread.key_of(split_key(key).unwrap().1), key);
        }
        let mut before = UnixMillis(0);
        let places = elements(DEADLINES);
        assert_eq!(places.len(), deadlines);
        for (place, _) in &places {
            let (at, key) = split_deadline(place).unwrap();
            let (_, member) = split_key(key).unwrap();
            assert_eq!(self.model[member].1, Some(at));
            assert!(before <= at);
            before = at;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn members_are_those_of_a_map(steps in steps()) {
        let mut view = MemView::new();
        let (mut model, mut now, mut next_change) = (Model::new(), 1, 1);
        let entries = steps.split_inclusive(|step| matches!(step, Step::Wait(_)));
        for entry in entries {
            let mut run = Run::new(&view, model, now, next_change);
            for step in entry {
                run.step(step.clone());
            }
            run.store();
            run.check();
            model = run.model;
            let changes = run.txn.finish().unwrap();
            next_change = changes.next_change;
            view.apply(&changes);
            if let Some(Step::Wait(millis)) = entry.last() {
                now += millis;
            }
        }
    }
}
