//! Catalogs that are assembled from the servers' knowledge.

use std::collections::BTreeMap;

use coterie_protocol::server::Witness;
use coterie_types::{Epoch, GroupId, NodeId, RangeId, TableId};

use super::assemble::{Assembled, assemble};
use super::heard::Heard;
use crate::check::tests::{range, status, well};

const CLUSTER: u128 = 7;

/// Three servers with the same copy, and the replicas of two groups; all is well.
fn heard() -> BTreeMap<NodeId, Heard> {
    let mut look = well();
    look.catalog.cluster_id = CLUSTER;
    let (catalog, said) = (look.catalog, look.said);
    let server = |(node_id, replicas): (NodeId, Result<Vec<_>, String>)| {
        let witness = Witness {
            node_id,
            token: u128::from(node_id.0) * 11,
            cluster_id: CLUSTER,
            catalog: catalog.clone(),
        };
        let replicas = replicas.unwrap_or_default();
        (node_id, Heard { witness, replicas })
    };
    said.into_iter().map(server).collect()
}

fn assembled(heard: &BTreeMap<NodeId, Heard>) -> Assembled {
    match assemble(heard) {
        Ok(assembled) => assembled,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_all_know_is_what_comes_of_it() {
    let heard = heard();
    let of = assembled(&heard);
    let before = &heard[&NodeId(1)].witness.catalog;
    assert_eq!(of.notes, [""; 0]);
    assert_eq!(of.catalog.groups, before.groups);
    assert_eq!(of.catalog.ranges, before.ranges);
    assert_eq!(of.catalog.range_starts, before.range_starts);
    assert!(of.catalog.revision > before.revision);
    let tokens = [(11, NodeId(1)), (22, NodeId(2)), (33, NodeId(3))];
    assert_eq!(of.tokens, BTreeMap::from(tokens));
}

#[test]
fn the_newest_copy_counts_and_groups_go_before_it() {
    let mut heard = heard();
    let Some(second) = heard.get_mut(&NodeId(2)) else {
        panic!("node 2 was heard");
    };
    second.witness.catalog.revision.0 += 10;
    let newest = second
        .witness
        .catalog
        .settings
        .insert("a".into(), "b".into());
    assert_eq!(newest, None);
    // Since then group 1 has split its range, has two members left, and owns a range of a table
    // that no copy knows.
    let Some(leader) = heard.get_mut(&NodeId(1)) else {
        panic!("node 1 was heard");
    };
    let word = &mut leader.replicas[0];
    let mut of_table_20 = range(9, 1, "", "", 1);
    of_table_20.bounds.table = TableId(20);
    word.ranges = vec![
        range(1, 2, "", "f", 1),
        range(5, 2, "f", "m", 1),
        of_table_20,
    ];
    word.replicas.pop();
    let of = assembled(&heard);
    assert_eq!(of.catalog.settings["a"], "b");
    let ranges: Vec<_> = of
        .catalog
        .ranges_of(TableId(0))
        .map(|r| r.range_id)
        .collect();
    assert_eq!(ranges, [RangeId(1), RangeId(5), RangeId(2)]);
    assert_eq!(of.catalog.ranges[&RangeId(1)].epoch, Epoch(2));
    assert_eq!(of.catalog.groups[&GroupId(1)].replicas.len(), 2);
    assert_eq!(of.catalog.tables[&TableId(20)].name, "recovered-20");
    assert_eq!(of.notes.len(), 1);
}

#[test]
fn while_a_range_changes_hands_or_a_group_has_no_leader_the_copy_stands() {
    let mut changing = heard();
    for heard in changing.values_mut() {
        heard.replicas[0].ranges.clear();
    }
    let of = assembled(&changing);
    assert!(
        of.notes[0].contains("just changing hands"),
        "{:?}",
        of.notes
    );
    assert_eq!(
        of.catalog.ranges,
        changing[&NodeId(1)].witness.catalog.ranges
    );
    let mut leaderless = heard();
    for heard in leaderless.values_mut() {
        heard.replicas[1] = status(2, false, vec![]);
    }
    let of = assembled(&leaderless);
    assert!(
        of.notes[0].contains("group 2 has no leader"),
        "{:?}",
        of.notes
    );
    assert_eq!(
        of.catalog.ranges,
        leaderless[&NodeId(1)].witness.catalog.ranges
    );
}

#[test]
fn servers_of_two_clusters_are_not_mixed() {
    let mut heard = heard();
    assert!(assemble(&BTreeMap::new()).is_err());
    let Some(third) = heard.get_mut(&NodeId(3)) else {
        panic!("node 3 was heard");
    };
    third.witness.cluster_id = 8;
    let error = assemble(&heard).err().map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.contains(" is of cluster 0000")));
}
