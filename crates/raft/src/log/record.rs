//! A log entry as raft-engine stores it: index and term (LEB128), a kind byte, the body.
//!
//! raft-engine accepts only protobuf 2 messages; the impl at the foot passes it the bytes above
//! without any protobuf in them (spike: "about 20 lines by hand").

use bytes::{Buf, BufMut, Bytes};
use coterie_types::varint;
use openraft::entry::RaftEntry;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, LogId as OpenraftLogId};
use protobuf::{CodedInputStream, CodedOutputStream, Message, ProtobufError, ProtobufResult};
use raft_engine::MessageExt;

use crate::type_config::{LogEntry, Payload};

const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// A log entry.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Record {
    pub(crate) index: u64,
    pub(crate) term: u64,
    kind: u8,
    body: Bytes,
    // protobuf's trait returns references to these; they stay empty.
    unknown: protobuf::UnknownFields,
}

impl Record {
    pub(crate) fn from_entry(entry: &LogEntry) -> Self {
        let log_id = entry.log_id();
        let (kind, body) = match &entry.payload {
            EntryPayload::Blank => (BLANK, Bytes::new()),
            EntryPayload::Normal(payload) => (NORMAL, payload.0.clone()),
            EntryPayload::Membership(membership) => {
                (MEMBERSHIP, coterie_protocol::encode(membership))
            }
        };
        Self {
            index: log_id.index,
            term: log_id.leader_id.term,
            kind,
            body,
            unknown: protobuf::UnknownFields::default(),
        }
    }

    pub(crate) fn into_entry(self) -> std::io::Result<LogEntry> {
        let payload = match self.kind {
            BLANK => EntryPayload::Blank,
            NORMAL => EntryPayload::Normal(Payload(self.body)),
            MEMBERSHIP => EntryPayload::Membership(
                coterie_protocol::decode(&self.body).map_err(std::io::Error::other)?,
            ),
            kind => {
                return Err(std::io::Error::other(format!(
                    "log entry {}: unknown kind {kind}: written by a newer version",
                    self.index
                )));
            }
        };
        Ok(LogEntry::new(log_id(self.term, self.index), payload))
    }
}

/// A log id of this crate's type configuration.
pub(crate) fn log_id(term: u64, index: u64) -> crate::type_config::LogId {
    // A committed leader is identified by its term alone; the voter's id no longer matters.
    let leader: LeaderId<u64, u64> = LeaderId::new(term, 0);
    OpenraftLogId::new(leader.to_committed(), index)
}

/// Tells raft-engine an entry's index.
#[derive(Clone)]
pub(crate) struct Records;

impl MessageExt for Records {
    type Entry = Record;

    fn index(record: &Record) -> u64 {
        record.index
    }
}

impl protobuf::Clear for Record {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Message for Record {
    fn write_to_vec(&self, out: &mut Vec<u8>) -> ProtobufResult<()> {
        varint::put(out, self.index);
        varint::put(out, self.term);
        out.put_u8(self.kind);
        out.put_slice(&self.body);
        Ok(())
    }

    fn parse_from_bytes(mut bytes: &[u8]) -> ProtobufResult<Self> {
        let cut_short = || ProtobufError::IoError(std::io::ErrorKind::UnexpectedEof.into());
        let index = varint::take(&mut bytes).ok_or_else(cut_short)?;
        let term = varint::take(&mut bytes).ok_or_else(cut_short)?;
        if bytes.is_empty() {
            return Err(cut_short());
        }
        let kind = bytes.get_u8();
        let unknown = protobuf::UnknownFields::default();
        Ok(Self {
            index,
            term,
            kind,
            body: Bytes::copy_from_slice(bytes),
            unknown,
        })
    }

    fn compute_size(&self) -> u32 {
        u32::try_from(self.body.len() + 21).unwrap_or(u32::MAX)
    }

    fn get_cached_size(&self) -> u32 {
        self.compute_size()
    }

    fn is_initialized(&self) -> bool {
        true
    }

    fn new() -> Self {
        Self::default()
    }

    fn get_unknown_fields(&self) -> &protobuf::UnknownFields {
        &self.unknown
    }

    fn mut_unknown_fields(&mut self) -> &mut protobuf::UnknownFields {
        &mut self.unknown
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    // raft-engine writes and reads through the two functions at the top. The streaming functions
    // call them, in case a later version of raft-engine streams.
    fn merge_from(&mut self, input: &mut CodedInputStream<'_>) -> ProtobufResult<()> {
        let mut bytes = Vec::new();
        while !input.eof()? {
            bytes.push(input.read_raw_byte()?);
        }
        *self = Self::parse_from_bytes(&bytes)?;
        Ok(())
    }

    fn write_to_with_cached_sizes(&self, out: &mut CodedOutputStream<'_>) -> ProtobufResult<()> {
        let mut bytes = Vec::with_capacity(self.body.len() + 21);
        self.write_to_vec(&mut bytes)?;
        out.write_raw_bytes(&bytes)
    }

    fn default_instance() -> &'static Self {
        static EMPTY: std::sync::OnceLock<Record> = std::sync::OnceLock::new();
        EMPTY.get_or_init(Self::default)
    }

    fn descriptor(&self) -> &'static protobuf::reflect::MessageDescriptor {
        Self::descriptor_static()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_the_round_trip() {
        let normal = EntryPayload::Normal(Payload(Bytes::from_static(b"payload")));
        for payload in [EntryPayload::Blank, normal] {
            let entry = LogEntry::new(log_id(3, 200), payload);
            let mut bytes = Vec::new();
            Record::from_entry(&entry).write_to_vec(&mut bytes).unwrap();
            let back = Record::parse_from_bytes(&bytes)
                .unwrap()
                .into_entry()
                .unwrap();
            assert_eq!(back, entry);
        }
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        let payload = EntryPayload::Normal(Payload(Bytes::from_static(b"x")));
        let mut bytes = Vec::new();
        let record = Record::from_entry(&LogEntry::new(log_id(2, 300), payload));
        record.write_to_vec(&mut bytes).unwrap();
        assert_eq!(bytes, [0xac, 0x02, 2, NORMAL, b'x']);
    }

    #[test]
    fn a_record_of_a_newer_version_is_refused() {
        let record = Record::parse_from_bytes(&[1, 1, 9]).unwrap();
        assert!(record.into_entry().is_err());
        assert!(Record::parse_from_bytes(&[1, 1]).is_err());
    }
}
