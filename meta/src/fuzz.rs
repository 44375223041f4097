//! Bytes of snapshots and backups: however they are damaged, reading them gives a state or an
//! error. Their checksums are made right, so that the damage comes to the decoder behind them.

use bytes::Bytes;
use coterie_fuzz::fuzz;
use coterie_protocol::meta::Command;
use coterie_types::LogIndex;

use crate::backup::records;
use crate::snapshot::Snapshot;

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot {
        index: LogIndex(7),
        applied: Some(Bytes::from_static(b"applied")),
        ..Snapshot::default()
    };
    for command in [
        Command::Birth { cluster_id: 7 },
        Command::CreateTable {
            name: "orders".to_owned(),
            split_at: vec![Bytes::from_static(b"m")],
        },
        Command::RegisterNode {
            token: 1,
            addr: "127.0.0.1:1".to_owned(),
            zone: "a".to_owned(),
            host: "b".to_owned(),
            capacity_bytes: 1 << 40,
        },
    ] {
        snapshot.state.apply(command);
    }
    snapshot
}

#[test]
fn snapshots() {
    fuzz(&[snapshot().to_bytes()], |input| {
        let _ = Snapshot::from_bytes(input);
    });
}

#[test]
fn states_in_snapshots() {
    let payload = coterie_protocol::encode(&snapshot()).to_vec();
    fuzz(&[payload], |payload| {
        let Ok(snapshot) = coterie_protocol::decode::<Snapshot>(payload) else {
            return;
        };
        let again = Snapshot::from_bytes(&snapshot.to_bytes()).unwrap();
        assert_eq!(again, snapshot);
    });
}

/// A record of a tail with a right length and checksum.
fn record(stamped: &[u8]) -> Vec<u8> {
    let mut bytes = (stamped.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32fast::hash(stamped).to_le_bytes());
    bytes.extend_from_slice(stamped);
    bytes
}

#[test]
fn tails() {
    let stamped = [&[7; 16][..], b"command"].concat();
    fuzz(&[record(&stamped), record(&stamped).repeat(3)], |input| {
        let read = records(Bytes::copy_from_slice(input));
        let bytes: usize = read.iter().map(|record| record.command.len()).sum();
        assert!(bytes <= input.len(), "more than there is");
    });
}

#[test]
fn records_with_a_right_checksum() {
    fuzz(&[[&[7; 16][..], b"command"].concat()], |stamped| {
        let read = records(Bytes::from(record(stamped)));
        assert_eq!(read.len(), usize::from(stamped.len() >= 16));
    });
}
