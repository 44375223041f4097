//! Bytes from other processes: however they are damaged, decoding gives a message or an error, and
//! a decoded message survives the round trip.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use coterie_fuzz::fuzz;
use coterie_protocol::catalog::{Catalog, Change, Row};
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, FrozenRequest};
use coterie_protocol::meta::{Command, MetaAnswer, MetaRequest};
use coterie_protocol::server::{ServerAnswer, ServerRequest, Witness};
use coterie_protocol::{
    Frame, FrameCommand, FrameFlags, FrameReply, Refusal, Stage, Wait, WaitHead, Watch, decode,
    encode,
};
use coterie_types::{
    Epoch, FrameSeq, GroupId, KeyRange, NodeId, RangeDescriptor, RangeId, Replica, Revision, Role,
    SessionId, TableId, Term,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn range(id: u64) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(id),
        epoch: Epoch(3),
        bounds: KeyRange {
            table: TableId(1),
            start: Bytes::from_static(b"a"),
            end: Some(Bytes::from_static(b"m")),
        },
        group_id: GroupId(7),
    }
}

fn command(words: &[&'static str]) -> FrameCommand {
    FrameCommand {
        table: TableId(0),
        args: words.iter().map(|word| Bytes::from(*word)).collect(),
    }
}

fn bytes_of(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

#[test]
fn frames() {
    let write = Frame {
        flags: FrameFlags::RESP3,
        session: SessionId(9),
        seq: FrameSeq(300),
        acknowledged_below: FrameSeq(299),
        reply_room: None,
        tracker: None,
        wait: None,
        watches: Vec::new(),
        commands: vec![command(&["SET", "k", "value"]), command(&["GET", "k"])],
    };
    let transaction = Frame {
        flags: FrameFlags::TRANSACTION,
        reply_room: Some(70_000),
        tracker: None,
        wait: None,
        watches: vec![Watch {
            table: TableId(0),
            key: Bytes::from_static(b"w"),
            token: Bytes::from_static(b"token"),
        }],
        ..write.clone()
    };
    let waiting = Frame {
        wait: Some(Wait {
            stage: Stage::Waited,
            link: 77,
            waited_ms: 300,
        }),
        ..write.clone()
    };
    let seeds = [write, transaction, waiting].map(|frame| bytes_of(&frame).to_vec());
    fuzz(&seeds, |input| {
        let bytes = Bytes::copy_from_slice(input);
        let head = WaitHead::of(&bytes).map(|head| head.wait);
        if let Ok(frame) = Frame::decode(bytes) {
            assert_eq!(frame.wait, head);
            assert_eq!(Frame::decode(bytes_of(&frame)).unwrap(), frame);
        }
    });
}

#[test]
fn replies_to_frames() {
    let replies = ["+OK\r\n", "$5\r\nvalue\r\n", ""].map(Bytes::from);
    let seeds = [
        FrameReply::Done(replies.to_vec()),
        FrameReply::Done(Vec::new()),
        FrameReply::Refused(Refusal::Moved {
            ranges: vec![range(1)],
        }),
        FrameReply::Refused(Refusal::NotLeader {
            leader: Some(NodeId(3)),
            term: Term(8),
        }),
        FrameReply::Refused(Refusal::NeedsRoom { bytes: 1 << 40 }),
    ];
    fuzz(&seeds.map(|reply| reply.encode().to_vec()), |input| {
        if let Ok(reply) = FrameReply::decode(Bytes::copy_from_slice(input)) {
            assert_eq!(FrameReply::decode(reply.encode()).unwrap(), reply);
        }
    });
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(input: &[u8]) {
    if let Ok(message) = decode::<T>(input) {
        assert_eq!(decode::<T>(&encode(&message)).unwrap(), message);
    }
}

fn catalog() -> Catalog {
    let mut catalog = Catalog {
        cluster_id: 5,
        revision: Revision(9),
        ..Catalog::default()
    };
    catalog.ranges.insert(RangeId(1), range(1));
    catalog
}

#[test]
fn messages_to_servers_and_their_answers() {
    let requests = [
        ServerRequest::InitGroup {
            group_id: GroupId(7),
            voters: vec![NodeId(1), NodeId(2)],
            ranges: vec![range(1), range(2)],
            fence: 4,
        },
        ServerRequest::ChangeReplicas {
            group_id: GroupId(7),
            replicas: vec![Replica {
                node_id: NodeId(1),
                role: Role::Voter,
            }],
            fence: 4,
        },
    ];
    let answers = [
        ServerAnswer::Failed("no room".to_owned()),
        ServerAnswer::SplitPoint {
            at: Some(Bytes::from_static(b"k")),
            left_bytes: 1,
            right_bytes: 2,
        },
        ServerAnswer::Witness(Box::new(Witness {
            node_id: NodeId(1),
            token: 2,
            cluster_id: 5,
            catalog: catalog(),
        })),
    ];
    let mut seeds: Vec<Vec<u8>> = requests.iter().map(|m| encode(m).to_vec()).collect();
    seeds.extend(answers.iter().map(|m| encode(m).to_vec()));
    fuzz(&seeds, |input| {
        round_trip::<ServerRequest>(input);
        round_trip::<ServerAnswer>(input);
    });
}

#[test]
fn messages_to_meta_and_its_answers() {
    let requests = [
        MetaRequest::Propose(Command::CreateTable {
            name: "orders".to_owned(),
            split_at: vec![Bytes::from_static(b"m")],
        }),
        MetaRequest::Watch {
            after: Revision(9),
            wait_ms: 30_000,
        },
    ];
    let answers = [
        MetaAnswer::Catalog(Box::new(catalog())),
        MetaAnswer::Changes(vec![Change {
            revision: Revision(10),
            deletes: Vec::new(),
            upserts: vec![Row::Range(range(1)), Row::Cluster(5)],
        }]),
    ];
    let mut seeds: Vec<Vec<u8>> = requests.iter().map(|m| encode(m).to_vec()).collect();
    seeds.extend(answers.iter().map(|m| encode(m).to_vec()));
    fuzz(&seeds, |input| {
        round_trip::<MetaRequest>(input);
        round_trip::<MetaAnswer>(input);
    });
}

#[test]
fn reads_of_frozen_ranges() {
    let key = || Bytes::from_static(b"key");
    let request = FrozenRequest {
        group_id: GroupId(7),
        range_id: RangeId(1),
        epoch: Epoch(3),
        read: FrozenRead::Headers {
            from: key(),
            end: Some(Bytes::from_static(b"z")),
            count_max: 100,
        },
    };
    let answers = [
        FrozenAnswer::Keys(vec![Some(Bytes::from_static(b"record")), None]),
        FrozenAnswer::Records {
            records: vec![(key(), Bytes::from_static(b"record"))],
            next: Some(key()),
        },
    ];
    let mut seeds = vec![encode(&request).to_vec()];
    seeds.extend(answers.iter().map(|m| encode(m).to_vec()));
    fuzz(&seeds, |input| {
        round_trip::<FrozenRequest>(input);
        round_trip::<FrozenAnswer>(input);
    });
}
