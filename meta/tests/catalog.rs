//! Properties of the catalog under any commands, in any order.
use std::collections::BTreeSet;

use bytes::Bytes;
use coterie_meta::catalog::MetaState;
use coterie_protocol::catalog::{Catalog, JobDescriptor, JobState, Wish};
use coterie_protocol::meta::{Command, ControllerOp, Outcome};
use coterie_protocol::objects::{Expected, ObjectChange, ObjectKind, ObjectName};
use coterie_types::{
    Epoch, GroupDescriptor, GroupId, JobId, KeyRange, NodeId, NodeState, RangeDescriptor, RangeId,
    Replica, Role, TableId, UnixMillis,
};
use proptest::prelude::*;

const KEYS: [&str; 6] = ["", "b", "d", "f", "h", "j"];

fn key() -> impl Strategy<Value = Bytes> {
    proptest::sample::select(&KEYS[..]).prop_map(|key| Bytes::from_static(key.as_bytes()))
}

fn range() -> impl Strategy<Value = RangeDescriptor> {
    let end = proptest::option::of(key());
    (1..8u64, 1..6u64, 0..3u32, key(), end, 1..4u64).prop_map(
        |(range_id, epoch, table, start, end, group_id)| RangeDescriptor {
            range_id: RangeId(range_id),
            epoch: Epoch(epoch),
            bounds: KeyRange {
                table: TableId(if table == 2 { 16 } else { table }),
                start,
                end,
            },
            group_id: GroupId(group_id),
        },
    )
}

fn group() -> impl Strategy<Value = GroupDescriptor> {
    let nodes = proptest::collection::btree_set(1..5u64, 0..4);
    (1..5u64, nodes).prop_map(|(group_id, nodes)| GroupDescriptor {
        group_id: GroupId(group_id),
        replicas: nodes
            .into_iter()
            .map(|node| Replica {
                node_id: NodeId(node),
                role: Role::Voter,
            })
            .collect(),
    })
}

fn op() -> impl Strategy<Value = ControllerOp> {
    prop_oneof![
        3 => group().prop_map(ControllerOp::PutGroup),
        1 => (1..5u64).prop_map(|id| ControllerOp::DeleteGroup(GroupId(id))),
        6 => range().prop_map(ControllerOp::PutRange),
        2 => (1..8u64).prop_map(|id| ControllerOp::DeleteRange(RangeId(id))),
        1 => (1..4u64, any::<bool>()).prop_map(|(id, running)| ControllerOp::PutJob(JobDescriptor {
            job_id: JobId(id),
            kind: "test".into(),
            step: Bytes::new(),
            wish: None,
            progress: None,
            effect: None,
            state: if running { JobState::Running } else { JobState::Done },
            log: vec![],
            started_at: UnixMillis(0),
        })),
        1 => (1..4u64).prop_map(|id| ControllerOp::DeleteJob(JobId(id))),
        1 => (1..8u64).prop_map(|id| ControllerOp::ForgetDropped(RangeId(id))),
        1 => (0..3u64, 0..3u64, 0..3u64).prop_map(|(groups, ranges, jobs)| {
            ControllerOp::AllocateIds { groups, ranges, jobs }
        }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let state = prop_oneof![
        Just(NodeState::Up),
        Just(NodeState::Draining),
        Just(NodeState::Down),
        Just(NodeState::Removed),
    ];
    let ops = proptest::collection::vec(op(), 1..5);
    let names = || proptest::sample::select(&["db3", "users", "carts", ""][..]);
    prop_oneof![
        2 => (1..6u128, 0..3u8).prop_map(|(token, addr)| Command::RegisterNode {
            token,
            addr: format!("127.0.0.1:{addr}"),
            zone: String::new(),
            host: String::new(),
            capacity_bytes: 0,
        }),
        1 => (1..6u64, 0..3u8).prop_map(|(node, addr)| Command::SetNodeAddr {
            node_id: NodeId(node),
            addr: format!("127.0.0.1:{addr}"),
        }),
        1 => (1..6u64, state, 0..4u64).prop_map(|(node, state, fence)| Command::SetNodeState {
            node_id: NodeId(node),
            state,
            fence,
        }),
        1 => (0..3u64, 0..100u64, 0..1000u64).prop_map(|(holder, ttl_ms, now)| {
            Command::AcquireLease { holder, ttl_ms, now: UnixMillis(now) }
        }),
        1 => (0..3u64).prop_map(|holder| Command::ReleaseLease { holder }),
        1 => names().prop_map(|name| Command::CreateTable { name: name.into(), split_at: vec![] }),
        1 => names().prop_map(|name| Command::DropTable { name: name.into() }),
        1 => (names(), proptest::option::of("[a-z]{0,3}")).prop_map(|(name, value)| {
            Command::PutSetting { name: name.into(), value }
        }),
        1 => (names(), proptest::option::of("[a-z]{0,3}")).prop_map(|(name, value)| {
            let name = ObjectName::new(ObjectKind::Config, name);
            let expected = vec![Expected { object: name.clone(), value: None }];
            let change = match value {
                Some(value) => ObjectChange::Put(name, value.into()),
                None => ObjectChange::Clear(ObjectKind::Config),
            };
            Command::PutObjects { expected, changes: vec![change] }
        }),
        12 => (0..4u64, ops).prop_map(|(fence, ops)| Command::Controller { fence, ops }),
        1 => names().prop_map(|key| Command::Ask {
            wish: Wish::Split { table: TableId(0), at: key.into() },
            now: UnixMillis(0),
        }),
    ]
}

/// A state with nodes, groups and two tiled tables, so that random commands have something to hit.
fn born() -> MetaState {
    let mut state = MetaState::default();
    state.apply(Command::Birth { cluster_id: 7 });
    for token in 1..5 {
        state.apply(Command::RegisterNode {
            token,
            addr: format!("127.0.0.1:{token}"),
            zone: String::new(),
            host: String::new(),
            capacity_bytes: 0,
        });
    }
    state.apply(Command::CreateTable {
        name: "users".into(),
        split_at: vec![],
    });
    state.apply(Command::AcquireLease {
        holder: 1,
        ttl_ms: 500,
        now: UnixMillis(1),
    });
    let mut ops = vec![ControllerOp::AllocateIds {
        groups: 4,
        ranges: 7,
        jobs: 2,
    }];
    for group_id in 1..3 {
        ops.push(ControllerOp::PutGroup(GroupDescriptor {
            group_id: GroupId(group_id),
            replicas: vec![Replica {
                node_id: NodeId(group_id),
                role: Role::Voter,
            }],
        }));
    }
    let bounds = [("", Some("d"), 0), ("d", None, 0), ("", None, 1)];
    for (index, (start, end, table)) in bounds.into_iter().enumerate() {
        ops.push(ControllerOp::PutRange(RangeDescriptor {
            range_id: RangeId(index as u64 + 1),
            epoch: Epoch(1),
            bounds: KeyRange {
                table: TableId(table),
                start: Bytes::from_static(start.as_bytes()),
                end: end.map(|end: &str| Bytes::from_static(end.as_bytes())),
            },
            group_id: GroupId(1),
        }));
    }
    let done = state.apply(Command::Controller { fence: 1, ops });
    assert!(matches!(done.outcome, Outcome::Ids { .. }), "{done:?}");
    state
}

/// The rules of the module's head, checked from outside and without cleverness.
fn check(catalog: &Catalog) {
    for table in catalog.tables.keys() {
        let ranges: Vec<_> = catalog
            .ranges
            .values()
            .filter(|range| range.bounds.table == *table)
            .collect();
        let mut sorted = ranges.clone();
        sorted.sort_by(|a, b| a.bounds.start.cmp(&b.bounds.start));
        let mut from = Some(Bytes::new());
        for range in &sorted {
            assert_eq!(Some(&range.bounds.start), from.as_ref(), "{sorted:?}");
            assert!(!range.bounds.is_empty(), "{range:?}");
            assert!(catalog.groups.contains_key(&range.group_id), "{range:?}");
            from = range.bounds.end.clone();
        }
        assert!(sorted.is_empty() || from.is_none(), "{sorted:?}");
        let indexed: Vec<_> = catalog.ranges_of(*table).collect();
        assert_eq!(indexed, sorted, "the index by start");
    }
    assert_eq!(catalog.range_starts.len(), catalog.ranges.len());
    for range in catalog.dropped.values() {
        assert!(
            !catalog.tables.contains_key(&range.bounds.table),
            "{range:?}"
        );
        assert!(catalog.groups.contains_key(&range.group_id), "{range:?}");
    }
    assert!(
        catalog
            .ranges
            .values()
            .all(|range| catalog.tables.contains_key(&range.bounds.table))
    );
    let names: BTreeSet<&str> = catalog.tables.values().map(|t| t.name.as_str()).collect();
    assert_eq!(names.len(), catalog.tables.len(), "unique names");
    assert!((0..16).all(|number| names.contains(format!("db{number}").as_str())));
    let addrs: Vec<&str> = catalog.nodes.values().map(|n| n.addr.as_str()).collect();
    let reachable = addrs.iter().filter(|addr| !addr.is_empty());
    assert_eq!(
        reachable.clone().count(),
        reachable.collect::<BTreeSet<_>>().len(),
        "one node per address"
    );
}

fn epoch_at(catalog: &Catalog, table: u32, key: &str) -> Option<Epoch> {
    catalog
        .locate(TableId(table), key.as_bytes())
        .map(|range| range.epoch)
}

/// A copy knows everything but the time to which the lease was renewed.
fn without_lease_end(catalog: &Catalog) -> Catalog {
    let mut catalog = catalog.clone();
    catalog.lease.until = UnixMillis(0);
    catalog
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_whatever_is_asked(commands in proptest::collection::vec(command(), 1..60)) {
        let mut state = born();
        let mut copy = state.catalog.clone();
        let mut twin = state.clone();
        for command in commands {
            let before = state.clone();
            let applied = state.apply(command.clone());
            prop_assert_eq!(&applied, &twin.apply(command), "members agree");
            check(&state.catalog);
            if matches!(applied.outcome, Outcome::Rejected(_)) {
                prop_assert_eq!(&state, &before, "a rejection changes nothing");
            }
            match &applied.change {
                Some(change) => {
                    prop_assert_eq!(change.revision, before.catalog.revision.next());
                    copy.apply(change);
                }
                None => prop_assert_eq!(state.catalog.revision, before.catalog.revision),
            }
            prop_assert_eq!(without_lease_end(&copy), without_lease_end(&state.catalog));
            for table in 0..2 {
                for key in KEYS {
                    let (old, new) =
                        (epoch_at(&before.catalog, table, key), epoch_at(&state.catalog, table, key));
                    prop_assert!(new >= old, "the epoch at {}:{} went back", table, key);
                }
            }
            let (old, new) = (before.next, state.next);
            prop_assert!(
                old.node <= new.node && old.group <= new.group && old.range <= new.range
                    && old.job <= new.job && old.table <= new.table,
                "ids are not used again"
            );
            prop_assert!(state.catalog.nodes.keys().all(|id| id.0 < new.node));
            prop_assert!(state.catalog.groups.keys().all(|id| id.0 < new.group));
            prop_assert!(state.catalog.ranges.keys().all(|id| id.0 < new.range));
            prop_assert!(state.catalog.lease.fence >= before.catalog.lease.fence);
            prop_assert!(state.clock >= before.clock);
        }
    }
}
