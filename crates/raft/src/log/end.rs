//! The acknowledged end of the log: the file `END` beside the log's own files.
//!
//! The log alone cannot distinguish a last write torn by a crash, which was never acknowledged,
//! from a last record that was acknowledged and has rotted. So after each write, before
//! acknowledging it, the writer notes where the log ends. The note is not synced: it survives a
//! crash of the process, but not of the machine. It also holds the machine's boot id, and whether
//! the log was closed; the note of a close is synced. A start learns from these whether the note is
//! exact or only a lower bound ([`Known`]).
//!
//! Layout, integers little endian: eight bytes `COTEEND1`, boot (16), number of the log file (8),
//! offset in it (8), flags (1: closed; 2: the tail is lost, and not all groups have been marked
//! yet), CRC32 of all preceding bytes (4).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;
use raft_engine::internals::{EventListener, FileBlockHandle, LogQueue};

const MAGIC: &[u8; 8] = b"COTEEND1";
const LEN: usize = 45;
const CLOSED: u8 = 1;
const LOST: u8 = 2;

/// A position in the log: the number of a file, and an offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    pub(super) file: u64,
    pub(super) offset: u64,
}

/// The log's end as known at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The acknowledged log ends exactly here.
    Exactly(Position),
    /// The acknowledged log reaches at least to here: the machine has failed since the note.
    AtLeast(Position),
    /// An earlier start found the tail lost, and died before all groups were marked.
    Lost,
    Nothing,
}

/// The file, owned by the log's only writer.
pub(super) struct End {
    file: File,
    boot: [u8; 16],
}

impl End {
    /// Opens or creates the file in `dir`; also returns its content.
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

    /// Notes the end of a write that is about to be acknowledged.
    pub(super) fn note(&self, at: Position) -> io::Result<()> {
        self.write(at, 0)
    }

    /// Notes that the log is in use from here on; durable on return. `is_lost`: until the next
    /// note, starts consider the tail lost.
    pub(super) fn note_opened(&self, at: Position, is_lost: bool) -> io::Result<()> {
        self.write(at, if is_lost { LOST } else { 0 })?;
        self.file.sync_data()
    }

    /// Notes that the log is closed and all of it is durable.
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

/// The id of this boot of the machine; `None` if the system does not provide it.
fn boot() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16).ok()?;
    Some(id.to_le_bytes())
}

/// Records where the log engine has written last.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Position>);

impl Written {
    pub(super) fn last(&self) -> Position {
        *self.0.lock()
    }

    pub(super) fn set(&self, at: Position) {
        *self.0.lock() = at;
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
