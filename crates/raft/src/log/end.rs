//! Where the acknowledged log ends: the file `END` beside the log's own files.
//!
//! The log alone cannot tell a last write that a crash tore, and that was never acknowledged, from a
//! last record that was acknowledged and has rotted. So the writer notes after each write, before it
//! acknowledges it, where the log ends now. The note is not synced: it outlasts the process, and not
//! the machine. It says which boot of the machine it is of, and whether the log was closed, which is
//! synced. From that a start knows whether the note is exact or only a lower bound ([`Known`]).
//!
//! Layout, integers little endian: eight bytes `COTEEND1`, boot (16), number of the log file (8),
//! offset in it (8), flags (1: closed; 2: the tail is lost, and not all groups know it yet), CRC32 of
//! all that (4).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use raft_engine::internals::{EventListener, FileBlockHandle, LogQueue};

const MAGIC: &[u8; 8] = b"COTEEND1";
const LEN: usize = 45;
const CLOSED: u8 = 1;
const LOST: u8 = 2;

/// A place in the log: the number of a file, and an offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    pub(super) file: u64,
    pub(super) offset: u64,
}

/// What is known of the log's end at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// All that was acknowledged ends here.
    Exactly(Position),
    /// At least up to here it was acknowledged: the machine has failed since.
    AtLeast(Position),
    /// An earlier start found the tail lost, and died before all groups knew it.
    Lost,
    Nothing,
}

/// The file, held by the log's one writer.
pub(super) struct End {
    file: File,
    boot: [u8; 16],
}

impl End {
    /// Opens the file in `dir`, or makes it; what it says.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Known)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(dir.join("END"))?;
        let boot = boot();
        let mut bytes = [0; LEN];
        let known = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => understand(&bytes, boot),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Known::Nothing,
            Err(error) => return Err(error),
        };
        let boot = boot.unwrap_or_default();
        Ok((Self { file, boot }, known))
    }

    /// All up to here is about to be acknowledged.
    pub(super) fn note(&self, at: Position) -> io::Result<()> {
        self.write(at, 0)
    }

    /// The log is in use from here on; durable when it returns. `is_lost`: until it is noted again,
    /// starts take the tail for lost.
    pub(super) fn note_opened(&self, at: Position, is_lost: bool) -> io::Result<()> {
        self.write(at, if is_lost { LOST } else { 0 })?;
        self.file.sync_data()
    }

    /// The log is closed, all of it durable.
    pub(super) fn note_closed(&self, at: Position) -> io::Result<()> {
        self.write(at, CLOSED)?;
        self.file.sync_data()
    }

    fn write(&self, at: Position, flags: u8) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.boot);
        bytes.extend_from_slice(&at.file.to_le_bytes());
        bytes.extend_from_slice(&at.offset.to_le_bytes());
        bytes.push(flags);
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

fn understand(bytes: &[u8; LEN], boot: Option<[u8; 16]>) -> Known {
    let fields = || {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        let is_whole = crc32fast::hash(content) == u32::from_le_bytes(*checksum);
        let rest = content.strip_prefix(MAGIC).filter(|_| is_whole)?;
        let (of_boot, rest) = rest.split_first_chunk::<16>()?;
        let (file, rest) = rest.split_first_chunk()?;
        let (offset, flags) = rest.split_first_chunk()?;
        let at = Position {
            file: u64::from_le_bytes(*file),
            offset: u64::from_le_bytes(*offset),
        };
        Some((*of_boot, at, *flags.first()?))
    };
    match fields() {
        Some((.., flags)) if flags & LOST != 0 => Known::Lost,
        Some((of, at, flags)) if flags & CLOSED != 0 || boot == Some(of) => Known::Exactly(at),
        Some((_, at, _)) => Known::AtLeast(at),
        None => Known::Nothing,
    }
}

/// What tells one boot of this machine from another; `None` if the system does not say.
fn boot() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16).ok()?;
    Some(id.to_le_bytes())
}

/// Learns from the log engine where it has written last.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Position>);

impl Written {
    pub(super) fn last(&self) -> Position {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, at: Position) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

impl EventListener for Written {
    fn on_append_log_file(&self, handle: FileBlockHandle) {
        if handle.id.queue == LogQueue::Append {
            self.set(Position {
                file: handle.id.seq,
                offset: handle.offset + handle.len as u64,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const AT: Position = Position {
        file: 7,
        offset: 300,
    };

    fn known(dir: &Path) -> Known {
        End::open(dir).unwrap().1
    }

    #[test]
    fn a_note_is_exact_until_the_machine_fails() {
        let dir = tempfile::tempdir().unwrap();
        let (mut end, nothing) = End::open(dir.path()).unwrap();
        assert_eq!(nothing, Known::Nothing);
        end.note(AT).unwrap();
        assert_eq!(known(dir.path()), Known::Exactly(AT));
        end.boot = [9; 16];
        end.note(AT).unwrap();
        assert_eq!(known(dir.path()), Known::AtLeast(AT));
        end.note_closed(AT).unwrap();
        assert_eq!(known(dir.path()), Known::Exactly(AT));
        end.note_opened(AT, true).unwrap();
        assert_eq!(known(dir.path()), Known::Lost);
        end.note_opened(AT, false).unwrap();
        assert_eq!(known(dir.path()), Known::AtLeast(AT));
    }

    #[test]
    fn a_note_that_is_damaged_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (end, _) = End::open(dir.path()).unwrap();
        end.note_closed(AT).unwrap();
        let file = dir.path().join("END");
        let sound = std::fs::read(&file).unwrap();
        assert_eq!(sound.len(), LEN);
        for at in 0..LEN {
            let mut bytes = sound.clone();
            bytes[at] ^= 4;
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(known(dir.path()), Known::Nothing);
        }
        std::fs::write(&file, &sound[..LEN - 1]).unwrap();
        assert_eq!(known(dir.path()), Known::Nothing);
    }
}
