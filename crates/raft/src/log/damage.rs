//! Distinguishes a torn tail from damage, before the engine is opened.
//!
//! raft-engine silently truncates its newest append file at the first record that is not whole.
//! That is right when a crash tore the last write, since it was never acknowledged, and wrong when
//! a bit has flipped, since all later records were acknowledged. The two cases can be
//! distinguished: the writer begins a record only when the previous record is durable, so only the
//! last record can be torn. A whole record after a broken record therefore means damage, and the
//! log is refused. (raft-engine itself refuses older files that are not whole.)
//!
//! When the last record itself is broken or missing, the note of the acknowledged end (`end`)
//! decides whether it was acknowledged. If the note cannot decide, because the machine has failed
//! since, a broken record counts as acknowledged and lost ([`Tail::Lost`]): the groups then do not
//! vote before they have caught up (`lost_tail`).
//!
//! The format, raft-engine 0.4.2, V2: a file header (magic, version, alignment), then records:
//! eight bytes big endian of length (56 bits) and compression (8 bits), eight bytes of the footer's
//! offset, the entries with their checksum, the footer with its own. A footer's checksum is signed
//! with the file's number, so leftovers in a recycled file do not pass as whole records.

use std::fs;
use std::path::{Path, PathBuf};

use super::end::{Known, Position};
use crate::RaftError;

const MAGIC: &[u8] = b"RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
/// Magic, version, alignment.
const FILE_HEADER_LEN: usize = MAGIC.len() + 16;
const VERSION: u64 = 2;
const RECORD_HEADER_LEN: usize = 16;
const CHECKSUM_LEN: usize = 4;
/// No compression, LZ4.
const COMPRESSION_MAX: u64 = 1;

/// How the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// With all acknowledged records.
    Whole,
    /// Acknowledged entries, votes or other records may be missing at the very end.
    Lost,
}

/// How the log in `dir` ends, and where its last whole record ends; an error if its newest file is
/// damaged before its tail.
pub(super) fn check(dir: &Path, known: Known) -> Result<(Tail, Position), RaftError> {
    let Some((number, path)) = newest(dir)? else {
        let none = Position::default();
        return Ok((judge(known, none, false), none));
    };
    let bytes = fs::read(&path)?;
    // The signature is the low half.
    let signature = number as u32;
    let bad_at = first_bad(&bytes, signature);
    let end = Position {
        file: number,
        offset: bad_at as u64,
    };
    let later = bytes.get(bad_at..).unwrap_or_default();
    let whole = (1..later.len()).find(|at| record_len(&later[*at..], signature).is_some());
    if let Some(at) = whole {
        return Err(RaftError::Damaged {
            file: path,
            at: bad_at,
            whole_at: bad_at + at,
        });
    }
    // Preallocated space is zero and does not count as a torn record.
    let is_torn = later.iter().any(|byte| *byte != 0);
    let tail = judge(known, end, is_torn);
    match tail {
        Tail::Lost => tracing::warn!(file = %path.display(), at = bad_at,
            "the end of the log is lost: its groups do not vote before they have caught up"),
        Tail::Whole if is_torn => tracing::warn!(file = %path.display(), at = bad_at,
            "the log's last write was torn by a crash, or is left from a former file: cut"),
        Tail::Whole => {}
    }
    Ok((tail, end))
}

/// `end`: where the last whole record ends; `is_torn`: bytes other than zero follow it.
fn judge(known: Known, end: Position, is_torn: bool) -> Tail {
    let is_lost = match known {
        Known::Exactly(acknowledged) => acknowledged > end,
        Known::AtLeast(acknowledged) => acknowledged > end || is_torn,
        Known::Nothing => is_torn,
        Known::Lost => true,
    };
    if is_lost { Tail::Lost } else { Tail::Whole }
}

/// The append file with the highest number.
fn newest(dir: &Path) -> std::io::Result<Option<(u64, PathBuf)>> {
    let mut newest = None;
    if dir.exists() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let number = path
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix(".raftlog")?.parse().ok());
            newest = newest.max(number.map(|number: u64| (number, path)));
        }
    }
    Ok(newest)
}

/// Offset of the first record that is not whole; the end of the file if all are whole.
fn first_bad(bytes: &[u8], signature: u32) -> usize {
    let mut header = bytes;
    let known = take(&mut header, MAGIC.len()) == Some(MAGIC)
        && take_u64(&mut header) == Some(VERSION)
        && take_u64(&mut header) == Some(0);
    if !known {
        return 0;
    }
    let mut at = FILE_HEADER_LEN;
    while let Some(len) = record_len(&bytes[at..], signature) {
        at += len;
    }
    at
}

/// The length of the record at the start of `bytes`, if it is whole.
fn record_len(bytes: &[u8], signature: u32) -> Option<usize> {
    let mut header = bytes;
    let len_and_compression = take_u64(&mut header)?;
    let footer_at = usize::try_from(take_u64(&mut header)?).ok()?;
    let len = usize::try_from(len_and_compression >> 8).ok()?;
    if len_and_compression & 0xff > COMPRESSION_MAX
        || footer_at < RECORD_HEADER_LEN
        || footer_at > len
    {
        return None;
    }
    let record = bytes.get(..len)?;
    let (entries, footer) = (&record[RECORD_HEADER_LEN..footer_at], &record[footer_at..]);
    let whole = is_whole(footer, signature) && (entries.is_empty() || is_whole(entries, 0));
    whole.then_some(len)
}

/// Whether the last four bytes are the checksum of the bytes before them.
fn is_whole(block: &[u8], signature: u32) -> bool {
    let Some((content, checksum)) = block.split_last_chunk::<CHECKSUM_LEN>() else {
        return false;
    };
    !content.is_empty() && crc32fast::hash(content) == u32::from_le_bytes(*checksum) ^ signature
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RaftConfig;
    use crate::log::LogEngine;
    use crate::log::engine::Job;
    use coterie_types::GroupId;

    const RECORDS: u8 = 20;
    const KEY: &[u8] = b"key";

    /// Writes a log of `RECORDS` records, each larger than the previous; returns its newest file.
    async fn write(dir: &Path) -> PathBuf {
        let engine = LogEngine::open(dir, &RaftConfig::default(), &[]).unwrap();
        for number in 1..=RECORDS {
            let put = |done| Job::Put {
                group: GroupId(1),
                key: KEY,
                value: vec![number; 100 * usize::from(number)],
                done: Some(done),
            };
            engine.submit_and_wait(put).await.unwrap();
        }
        engine.close().await.unwrap();
        newest(dir).unwrap().unwrap().1
    }

    async fn last_value(dir: &Path) -> Option<u8> {
        let engine = LogEngine::open(dir, &RaftConfig::default(), &[]).unwrap();
        let value = engine.get(GroupId(1), KEY);
        engine.close().await.unwrap();
        value.map(|value| value[0])
    }

    fn records(file: &Path) -> Vec<usize> {
        let bytes = fs::read(file).unwrap();
        let mut starts = vec![FILE_HEADER_LEN];
        while let Some(len) = record_len(&bytes[starts[starts.len() - 1]..], 1) {
            starts.push(starts[starts.len() - 1] + len);
        }
        assert_eq!(starts.pop(), Some(bytes.len()), "the format is known");
        starts
    }

    #[tokio::test]
    async fn a_file_with_any_damage_is_read_up_to_a_record_that_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let whole = fs::read(write(dir.path()).await).unwrap();
        coterie_fuzz::fuzz(std::slice::from_ref(&whole), |input| {
            let bad_at = first_bad(input, 1);
            assert!(bad_at <= input.len(), "within the file");
            let same = input.iter().zip(&whole).take_while(|(a, b)| a == b).count();
            if same == whole.len() {
                assert!(bad_at >= whole.len(), "nothing before the end is damaged");
            }
        });
    }

    #[tokio::test]
    async fn a_flipped_bit_before_the_tail_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path()).await;
        let sound = fs::read(&file).unwrap();
        let starts = records(&file);
        assert_eq!(starts.len(), usize::from(RECORDS));
        // In the file's header, a record's length, its footer's offset, its content, its checksum.
        let middle = starts[10];
        let flips = [
            3,
            MAGIC.len() + 7,
            middle + 5,
            middle + 15,
            middle + 60,
            starts[11] - 1,
        ];
        for flipped in flips {
            let mut bytes = sound.clone();
            bytes[flipped] ^= 0x10;
            fs::write(&file, &bytes).unwrap();
            let refused = LogEngine::open(dir.path(), &RaftConfig::default(), &[]);
            let error = refused.err().unwrap().to_string();
            let at = if flipped < FILE_HEADER_LEN { 0 } else { middle };
            assert!(error.contains(&format!("at byte {at} ")), "{error}");
            // Nothing was truncated: the file is unchanged.
            assert!(fs::read(&file).unwrap() == bytes);
        }
        fs::write(&file, &sound).unwrap();
        assert_eq!(last_value(dir.path()).await, Some(RECORDS));
    }

    /// Whether this start, or an earlier one, considers the tail lost.
    async fn is_lost(dir: &Path) -> bool {
        let engine = LogEngine::open(dir, &RaftConfig::default(), &[]).unwrap();
        let lost = engine.lost_groups();
        engine.close().await.unwrap();
        lost.contains(&GroupId(1))
    }

    #[tokio::test]
    async fn a_last_record_that_was_acknowledged_and_is_not_whole_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path()).await;
        let sound = fs::read(&file).unwrap();
        let end = fs::read(dir.path().join("END")).unwrap();
        let last = *records(&file).last().unwrap();
        for (keep, flipped) in [
            (last, None),
            (last + 30, None),
            (sound.len() - 1, None),
            (sound.len(), Some(last + 1)),
            (sound.len(), Some(last + 30)),
            (sound.len(), Some(sound.len() - 1)),
        ] {
            let mut bytes = sound[..keep].to_vec();
            if let Some(at) = flipped {
                bytes[at] ^= 1;
            }
            fs::write(&file, bytes).unwrap();
            fs::write(dir.path().join("END"), &end).unwrap();
            assert!(
                is_lost(dir.path()).await,
                "{keep} bytes kept, {flipped:?} flipped"
            );
            // The loss is remembered, though the tail is whole now.
            assert!(is_lost(dir.path()).await);
        }
    }

    #[test]
    fn where_it_cannot_be_known_a_torn_tail_counts_as_lost() {
        let at = |offset| Position { file: 3, offset };
        let is_lost = |known, is_torn| judge(known, at(500), is_torn) == Tail::Lost;
        assert!(!is_lost(Known::Exactly(at(500)), true));
        assert!(
            !is_lost(Known::Exactly(at(400)), true),
            "written, not acknowledged"
        );
        assert!(is_lost(Known::Exactly(at(501)), false));
        assert!(is_lost(Known::AtLeast(at(400)), true));
        assert!(!is_lost(Known::AtLeast(at(400)), false));
        assert!(is_lost(Known::AtLeast(at(501)), false));
        assert!(is_lost(Known::Nothing, true) && !is_lost(Known::Nothing, false));
        assert!(is_lost(Known::Lost, false));
        let former_file = Position {
            file: 2,
            offset: 900,
        };
        assert!(!is_lost(Known::Exactly(former_file), true));
    }

    #[tokio::test]
    async fn a_torn_tail_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path()).await;
        let sound = fs::read(&file).unwrap();
        let last = *records(&file).last().unwrap();
        for keep in [last + 1, last + 16, last + 40, sound.len() - 1] {
            fs::write(&file, &sound[..keep]).unwrap();
            assert_eq!(
                last_value(dir.path()).await,
                Some(RECORDS - 1),
                "{keep} bytes kept"
            );
            // The same with preallocated space behind it, or with leftovers of a former file.
            for behind in [&[0; 5000][..], &sound[last - 50..][..40]] {
                fs::write(&file, [&sound[..keep], behind].concat()).unwrap();
                assert_eq!(
                    last_value(dir.path()).await,
                    Some(RECORDS - 1),
                    "{keep} bytes kept"
                );
            }
        }
    }
}
