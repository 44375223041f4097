//! Effects of single commands, one rule per test; `tests/catalog.rs` has the properties.
use bytes::Bytes;
use coterie_protocol::meta::{Command, ControllerOp, Outcome, Rejection};
use coterie_protocol::objects::{
    Expected, KIND_OBJECTS_MAX, ObjectChange, ObjectKind, ObjectName, VALUE_BYTES_MAX,
};
use coterie_types::{
    Epoch, GroupDescriptor, GroupId, KeyRange, NodeId, NodeState, RangeDescriptor, RangeId,
    Replica, Role, TableId, UnixMillis,
};

use super::state::MetaState;

fn born() -> MetaState {
    let mut state = MetaState::default();
    state.apply(Command::Birth { cluster_id: 7 });
    state
}

fn register(state: &mut MetaState, token: u128, addr: &str) -> Outcome {
    let command = Command::RegisterNode {
        token,
        addr: addr.into(),
        zone: "a".into(),
        host: String::new(),
        capacity_bytes: 1,
    };
    state.apply(command).outcome
}

fn acquire(state: &mut MetaState, holder: u64, now: u64) -> Outcome {
    let command = Command::AcquireLease {
        holder,
        ttl_ms: 100,
        now: UnixMillis(now),
    };
    state.apply(command).outcome
}

fn rejected(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(_))
}

fn range(id: u64, epoch: u64, start: &'static str, end: Option<&'static str>) -> ControllerOp {
    ControllerOp::PutRange(RangeDescriptor {
        range_id: RangeId(id),
        epoch: Epoch(epoch),
        bounds: KeyRange {
            table: TableId(0),
            start: Bytes::from_static(start.as_bytes()),
            end: end.map(|end| Bytes::from_static(end.as_bytes())),
        },
        group_id: GroupId(1),
    })
}

/// A cluster with a node, a group, and table 0 as a single range.
fn with_a_range() -> MetaState {
    let mut state = born();
    register(&mut state, 1, "a:1");
    acquire(&mut state, 9, 0);
    let group = GroupDescriptor {
        group_id: GroupId(1),
        replicas: vec![Replica {
            node_id: NodeId(1),
            role: Role::Voter,
        }],
    };
    let ids = ControllerOp::AllocateIds {
        groups: 1,
        ranges: 3,
        jobs: 0,
    };
    let ops = vec![ids, ControllerOp::PutGroup(group), range(1, 1, "", None)];
    assert!(!rejected(&controller(&mut state, ops)));
    state
}

fn controller(state: &mut MetaState, ops: Vec<ControllerOp>) -> Outcome {
    state.apply(Command::Controller { fence: 1, ops }).outcome
}

#[test]
fn nothing_happens_before_birth_and_birth_happens_once() {
    let mut state = MetaState::default();
    assert!(rejected(&register(&mut state, 1, "a:1")));
    state.apply(Command::Birth { cluster_id: 7 });
    let again = state.apply(Command::Birth { cluster_id: 8 });
    assert_eq!((state.catalog.cluster_id, again.change), (7, None));
    assert_eq!(state.catalog.tables.len(), 16);
    assert_eq!(state.catalog.tables[&TableId(15)].name, "db15");
}

#[test]
fn a_token_keeps_its_node_and_a_wiped_disk_is_another() {
    let mut state = born();
    let first = Outcome::Registered {
        node_id: NodeId(1),
        cluster_id: 7,
    };
    assert_eq!(register(&mut state, 11, "a:1"), first);
    assert_eq!(register(&mut state, 11, "a:2"), first);
    assert_eq!(state.catalog.nodes[&NodeId(1)].addr, "a:2");
    let second = Outcome::Registered {
        node_id: NodeId(2),
        cluster_id: 7,
    };
    assert_eq!(register(&mut state, 12, "a:2"), second);
    assert_eq!(state.catalog.nodes[&NodeId(1)].addr, "", "no longer there");
}

#[test]
fn a_removed_node_stays_removed() {
    let mut state = born();
    register(&mut state, 11, "a:1");
    let set = |state: &mut MetaState, to| {
        let command = Command::SetNodeState {
            node_id: NodeId(1),
            state: to,
            fence: 0,
        };
        state.apply(command).outcome
    };
    assert!(
        rejected(&set(&mut state, NodeState::Down)),
        "not for an operator to say"
    );
    assert!(!rejected(&set(&mut state, NodeState::Removed)));
    assert!(rejected(&set(&mut state, NodeState::Up)));
    assert!(rejected(&register(&mut state, 11, "a:1")));
}

#[test]
fn a_node_that_is_lost_is_removed_though_groups_name_it() {
    let mut state = with_a_range();
    let row = state.catalog.groups[&GroupId(1)].clone();
    let lost = row.replicas[0].node_id;
    let fence = state.catalog.lease.fence;
    let command = Command::SetNodeState {
        node_id: lost,
        state: NodeState::Removed,
        fence,
    };
    assert!(
        rejected(&state.apply(command).outcome),
        "it holds a replica"
    );
    let lose = || vec![ControllerOp::LoseNode(lost)];
    assert!(!rejected(&controller(&mut state, lose())));
    assert!(!rejected(&controller(&mut state, lose())), "again");
    assert_eq!(state.catalog.nodes[&lost].state, NodeState::Removed);
    // The lost node stays a member until another node has its place, and joins no other group.
    assert!(!rejected(&controller(
        &mut state,
        vec![ControllerOp::PutGroup(row.clone())]
    )));
    let ids = ControllerOp::AllocateIds {
        groups: 1,
        ranges: 0,
        jobs: 0,
    };
    let Outcome::Ids { group, .. } = controller(&mut state, vec![ids]) else {
        panic!("no ids");
    };
    let other = GroupDescriptor {
        group_id: GroupId(group),
        ..row
    };
    assert!(rejected(&controller(
        &mut state,
        vec![ControllerOp::PutGroup(other)]
    )));
    let unknown = vec![ControllerOp::LoseNode(NodeId(99))];
    assert!(rejected(&controller(&mut state, unknown)));
}

#[test]
fn the_lease_passes_on_when_it_is_over_and_its_number_rises() {
    let mut state = born();
    assert_eq!(acquire(&mut state, 1, 1000), Outcome::Leased { fence: 1 });
    let held = Outcome::LeaseHeld {
        until: UnixMillis(1100),
    };
    assert_eq!(acquire(&mut state, 2, 1050), held);
    assert_eq!(
        acquire(&mut state, 1, 1050),
        Outcome::Leased { fence: 1 },
        "renewed"
    );
    assert!(matches!(
        acquire(&mut state, 2, 1149),
        Outcome::LeaseHeld { .. }
    ));
    assert_eq!(acquire(&mut state, 2, 1150), Outcome::Leased { fence: 2 });
    // A leader whose clock is behind does not bring the old holder back.
    assert!(matches!(
        acquire(&mut state, 1, 10),
        Outcome::LeaseHeld { .. }
    ));
    let stale = Command::Controller {
        fence: 1,
        ops: vec![],
    };
    let fenced = Outcome::Rejected(Rejection::Fenced { current: 2 });
    assert_eq!(state.apply(stale.clone()).outcome, fenced);
    state.apply(Command::ReleaseLease { holder: 2 });
    assert_eq!(acquire(&mut state, 1, 20), Outcome::Leased { fence: 3 });
    assert!(rejected(&state.apply(stale).outcome));
}

#[test]
fn a_renewal_is_no_revision() {
    let mut state = born();
    acquire(&mut state, 1, 1000);
    let before = state.catalog.revision;
    acquire(&mut state, 1, 1050);
    assert_eq!(state.catalog.revision, before);
    assert_eq!(state.catalog.lease.until, UnixMillis(1150));
}

#[test]
fn a_cut_is_one_proposal_that_leaves_no_gap() {
    let mut state = with_a_range();
    let before = state.clone();
    assert!(rejected(&controller(
        &mut state,
        vec![range(1, 2, "", Some("m"))]
    )));
    assert!(rejected(&controller(
        &mut state,
        vec![range(2, 2, "m", None)]
    )));
    let overlap = vec![range(1, 2, "", Some("n")), range(2, 2, "m", None)];
    assert!(rejected(&controller(&mut state, overlap)));
    let too_old = vec![range(1, 2, "", Some("m")), range(2, 1, "m", None)];
    assert!(rejected(&controller(&mut state, too_old)));
    let double = vec![range(2, 2, "", None)];
    assert!(
        rejected(&controller(&mut state, double)),
        "in the place of range 1"
    );
    assert_eq!(state, before);
    let cut = vec![range(1, 2, "", Some("m")), range(2, 2, "m", None)];
    assert!(!rejected(&controller(&mut state, cut.clone())));
    let revision = state.catalog.revision;
    assert_eq!(
        controller(&mut state, cut),
        Outcome::Done { revision },
        "again: no change"
    );
    let merge = vec![ControllerOp::DeleteRange(RangeId(2)), range(1, 3, "", None)];
    assert!(!rejected(&controller(&mut state, merge)));
    assert_eq!(state.catalog.ranges_of(TableId(0)).count(), 1);
}

#[test]
fn a_table_is_created_once_under_a_name_that_is_no_number() {
    let mut state = MetaState::default();
    state.apply(Command::Birth { cluster_id: 7 });
    let mut create = |name: &str| {
        let command = Command::CreateTable {
            name: name.to_owned(),
            split_at: vec![Bytes::from_static(b"m")],
        };
        state.apply(command).outcome
    };
    assert!(matches!(create("users"), Outcome::Table(table) if table.table_id == TableId(16)));
    let reason = |outcome: Outcome| match outcome {
        Outcome::Rejected(rejection) => rejection.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason(create("users")),
        "table users is there already, as number 16"
    );
    assert_eq!(
        reason(create("db3")),
        "table db3 is there already, as number 3"
    );
    for name in ["0", "16", "17", "-1", "+5", "007", "99999999999999999999"] {
        let refused = reason(create(name));
        assert!(
            refused.starts_with(&format!("{name} is no name")),
            "{refused}"
        );
    }
    let long = "x".repeat(129);
    for name in ["", " ", "a b", "a\n", "a\u{85}", "\u{2003}", &long] {
        let refused = reason(create(name));
        assert!(
            refused.starts_with("a table's name has 1 to 128 bytes"),
            "{refused}"
        );
    }
    for (name, id) in [
        ("-", 17),
        ("16a", 18),
        ("1.5", 19),
        ("\u{fc}ber", 20),
        (&long[1..], 21),
    ] {
        assert!(matches!(create(name), Outcome::Table(table) if table.table_id == TableId(id)));
    }
}

#[test]
fn dropping_a_table_forgets_its_ranges_and_redis_tables_stay() {
    let mut state = with_a_range();
    let name = || "users".to_owned();
    let Outcome::Table(table) = state
        .apply(Command::CreateTable {
            name: name(),
            split_at: vec![],
        })
        .outcome
    else {
        panic!("no table");
    };
    assert_eq!(table.table_id, TableId(16));
    let own = ControllerOp::PutRange(RangeDescriptor {
        range_id: RangeId(2),
        epoch: Epoch(1),
        bounds: KeyRange::all(table.table_id),
        group_id: GroupId(1),
    });
    assert!(!rejected(&controller(&mut state, vec![own])));
    assert!(!rejected(
        &state.apply(Command::DropTable { name: name() }).outcome
    ));
    assert_eq!(state.catalog.ranges.len(), 1);
    // Until the group has removed its records.
    let dropped = &state.catalog.dropped[&RangeId(2)];
    assert_eq!(dropped.bounds, KeyRange::all(table.table_id));
    assert!(rejected(&controller(
        &mut state,
        vec![
            ControllerOp::DeleteRange(RangeId(1)),
            ControllerOp::DeleteGroup(GroupId(1))
        ]
    )));
    let forget = || vec![ControllerOp::ForgetDropped(RangeId(2))];
    assert!(!rejected(&controller(&mut state, forget())));
    assert!(!rejected(&controller(&mut state, forget())));
    assert!(state.catalog.dropped.is_empty());
    let db0 = Command::DropTable { name: "db0".into() };
    assert!(rejected(&state.apply(db0).outcome));
    let Outcome::Table(table) = state
        .apply(Command::CreateTable {
            name: name(),
            split_at: vec![],
        })
        .outcome
    else {
        panic!("no table");
    };
    assert_eq!(table.table_id, TableId(17), "its id is not used again");
}

#[test]
fn a_group_that_was_removed_stays_known_and_of_many_the_newest_do() {
    let mut state = with_a_range();
    state.catalog.removed_groups = (100..10_100).map(GroupId).collect();
    let before = state.clone();
    let remove = || {
        let group = ControllerOp::DeleteGroup(GroupId(20_000));
        vec![group]
    };
    assert!(rejected(&controller(&mut state, remove())), "not there");
    assert_eq!(state, before);
    let group = state.catalog.groups[&GroupId(1)].clone();
    let group_id = GroupId(20_000);
    let ids = ControllerOp::AllocateIds {
        groups: 20_000,
        ranges: 0,
        jobs: 0,
    };
    let put = ControllerOp::PutGroup(GroupDescriptor { group_id, ..group });
    assert!(!rejected(&controller(&mut state, vec![ids, put])));
    let mut copy = state.catalog.clone();
    let ops = remove();
    let applied = state.apply(Command::Controller { fence: 1, ops });
    let removed = &state.catalog.removed_groups;
    assert!(removed.contains(&group_id) && removed.contains(&GroupId(101)));
    assert!(removed.len() == 10_000 && !removed.contains(&GroupId(100)));
    copy.apply(&applied.change.unwrap());
    assert_eq!(copy, state.catalog, "who follows knows it, too");
}

/// A machine that boots again is another host; the node is the same.
#[test]
fn a_node_says_anew_on_which_host_it_is() {
    let mut state = born();
    let register = |state: &mut MetaState, host: &str| {
        let command = Command::RegisterNode {
            token: 1,
            addr: "a:1".into(),
            zone: String::new(),
            host: host.into(),
            capacity_bytes: 1,
        };
        state.apply(command).outcome
    };
    let first = register(&mut state, "boot-1");
    assert_eq!(register(&mut state, "boot-2"), first);
    assert_eq!(state.catalog.nodes[&NodeId(1)].host, "boot-2");
    assert!(rejected(&register(&mut state, &"h".repeat(257))));
    assert_eq!(state.catalog.nodes[&NodeId(1)].host, "boot-2");
}

fn object(name: &'static str) -> ObjectName {
    ObjectName::new(ObjectKind::User, name)
}

fn put(name: &'static str, value: &'static str) -> ObjectChange {
    ObjectChange::Put(object(name), Bytes::from_static(value.as_bytes()))
}

#[test]
fn objects_change_together_and_only_as_expected() {
    let mut state = born();
    let mut change = |expected: Vec<Expected>, changes: Vec<ObjectChange>| {
        let applied = state.apply(Command::PutObjects { expected, changes });
        let all: Vec<_> = state.catalog.objects_of(ObjectKind::User).collect();
        (applied.outcome, all.len())
    };
    let expect = |name, value: Option<&'static str>| Expected {
        object: object(name),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
    };
    let changed = Outcome::Rejected(Rejection::Changed);
    let both = vec![put("a", "1"), put("b", "2")];
    let none_yet = vec![expect("a", None), expect("b", None)];
    assert_eq!(change(none_yet.clone(), both.clone()).1, 2);
    assert_eq!(change(none_yet, both), (changed.clone(), 2));
    let as_read = vec![expect("a", Some("1"))];
    let swap = vec![ObjectChange::Delete(object("a")), put("c", "3")];
    assert_eq!(change(as_read.clone(), swap.clone()).1, 2);
    assert_eq!(change(as_read, swap), (changed, 2));
    let clear = vec![ObjectChange::Clear(ObjectKind::User), put("d", "4")];
    assert_eq!(change(vec![], clear).1, 1);
}

#[test]
fn objects_are_bounded() {
    let mut state = born();
    let mut put = |objects: Vec<(Bytes, Bytes)>| {
        let put =
            |(name, value)| ObjectChange::Put(ObjectName::new(ObjectKind::Script, name), value);
        let changes = objects.into_iter().map(put).collect();
        let expected = Vec::new();
        rejected(
            &state
                .apply(Command::PutObjects { expected, changes })
                .outcome,
        )
    };
    let large = Bytes::from(vec![0; VALUE_BYTES_MAX]);
    let named = |number: usize| Bytes::from(number.to_string());
    assert!(put(vec![(Bytes::new(), Bytes::new())]));
    assert!(put(vec![(named(0), [&large[..], b"x"].concat().into())]));
    assert!(put((0..4)
        .map(|number| (named(number), large.clone()))
        .collect()));
    assert!(!put((0..3)
        .map(|number| (named(number), large.clone()))
        .collect()));
    let many = |count: usize| {
        (3..count)
            .map(|number| (named(number), Bytes::new()))
            .collect()
    };
    assert!(!put(many(KIND_OBJECTS_MAX)));
    assert!(put(vec![(named(KIND_OBJECTS_MAX), Bytes::new())]));
}
