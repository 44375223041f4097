//! Compares the replicas of a group by the records that each counted at the same log index. Pure.

use std::collections::BTreeMap;

use coterie_protocol::server::Digest;
use coterie_types::{GroupId, NodeId};

use super::finding::Finding;

/// The records of a replica, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Their digest.
    Digest(Digest),
    /// Why there is no digest.
    Not(String),
}

/// Differences between the replicas of a group.
pub(crate) fn compare(group_id: GroupId, counted: &BTreeMap<NodeId, Counted>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut first: Option<(NodeId, Digest)> = None;
    for (node, counted) in counted {
        let digest = match counted {
            Counted::Digest(digest) => *digest,
            Counted::Not(reason) => {
                let text = format!("group {group_id}: the records on node {node}: {reason}");
                findings.push(Finding::unchecked("checksum", text));
                continue;
            }
        };
        let (other, expected) = *first.get_or_insert((*node, digest));
        if digest.index != expected.index {
            // The same nonce at two indices: the request was repeated after an answer was lost.
            let text =
                format!("group {group_id}: nodes {other} and {node} counted at other indices");
            findings.push(Finding::unchecked("checksum", text));
        } else if digest != expected {
            let text = format!(
                "group {group_id} at log index {}: node {other} has {}, node {node} has {}",
                digest.index,
                shown(&expected),
                shown(&digest)
            );
            findings.push(Finding::wrong("checksum", text));
        }
    }
    findings
}

fn shown(digest: &Digest) -> String {
    let Digest {
        records,
        bytes,
        checksum,
        ..
    } = digest;
    format!("{records} records of {bytes} bytes with checksum {checksum:016x}")
}

#[cfg(test)]
mod tests {
    use coterie_types::LogIndex;

    use super::*;

    fn digest(index: u64, checksum: u64) -> Counted {
        Counted::Digest(Digest {
            index: LogIndex(index),
            records: 2,
            bytes: 30,
            checksum,
        })
    }

    fn compared(counted: [Counted; 3]) -> Vec<String> {
        let counted = (1..).map(NodeId).zip(counted).collect();
        let findings = compare(GroupId(4), &counted);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn replicas_that_counted_alike_are_well() {
        let alike = [digest(9, 7), digest(9, 7), digest(9, 7)];
        assert_eq!(compared(alike), Vec::<String>::new());
    }

    #[test]
    fn one_that_differs_is_wrong_and_one_that_did_not_count_is_unchecked() {
        let not = Counted::Not("node 2 does not answer".to_owned());
        assert_eq!(
            compared([digest(9, 7), not, digest(9, 8)]),
            [
                "UNCHECKED checksum: group 4: the records on node 2: node 2 does not answer",
                "WRONG checksum: group 4 at log index 9: node 1 has 2 records of 30 bytes with \
                 checksum 0000000000000007, node 3 has 2 records of 30 bytes with checksum \
                 0000000000000008",
            ]
        );
        assert_eq!(
            compared([digest(9, 7), digest(9, 7), digest(10, 7)]),
            ["UNCHECKED checksum: group 4: nodes 1 and 3 counted at other indices"]
        );
    }
}
