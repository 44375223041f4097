//! Bytes of the log on disk and of Raft's calls: however they are damaged, decoding gives a value
//! or an error.

use bytes::Bytes;
use coterie_fuzz::fuzz;
use coterie_types::{GroupId, NodeId};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use protobuf::Message;

use super::record::{Record, log_id};
use crate::type_config::{Applied, LogEntry, Payload};
use crate::wire;

#[test]
fn entries() {
    let normal = EntryPayload::Normal(Payload(Bytes::from_static(b"payload")));
    let seeds = [EntryPayload::Blank, normal].map(|payload| {
        let mut bytes = Vec::new();
        let record = Record::from_entry(&LogEntry::new(log_id(3, 200), payload));
        record.write_to_vec(&mut bytes).unwrap();
        bytes
    });
    fuzz(&seeds, |input| {
        let Ok(record) = Record::parse_from_bytes(input) else {
            return;
        };
        let Ok(entry) = record.into_entry() else {
            return;
        };
        let mut bytes = Vec::new();
        Record::from_entry(&entry).write_to_vec(&mut bytes).unwrap();
        let again = Record::parse_from_bytes(&bytes).unwrap();
        assert_eq!(again.into_entry().unwrap(), entry);
    });
}

#[test]
fn positions_of_state_machines() {
    let applied = Applied {
        log_id: Some(log_id(3, 200)),
        ..Applied::default()
    };
    let seeds = [applied, Applied::default()].map(|applied| applied.encode().to_vec());
    fuzz(&seeds, |input| {
        if let Ok(applied) = Applied::decode(input) {
            assert_eq!(Applied::decode(&applied.encode()).unwrap(), applied);
        }
    });
}

#[test]
fn heads_of_calls() {
    let seeds = [
        wire::request(GroupId(300), NodeId(4), b"body").to_vec(),
        wire::request(GroupId(u64::MAX), NodeId(0), b"").to_vec(),
    ];
    fuzz(&seeds, |input| {
        if let Some((group, node, body)) = wire::split(Bytes::copy_from_slice(input)) {
            let again = wire::split(wire::request(group, node, &body));
            assert_eq!(again, Some((group, node, body)));
        }
    });
}
