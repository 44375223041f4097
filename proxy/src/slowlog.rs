//! SLOWLOG: the commands that took longer than `slowlog-log-slower-than`, newest first, bounded in
//! number and in bytes.
//!
//! The time of a frame runs from sending it to its replies, so it includes the way to the group,
//! the group's log and every retry; all commands of the frame share it. A command that runs alone
//! has its own time. Words are cut as in Redis (`slowlog.c`): at most 32, at most 128 bytes each.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use coterie_protocol::Frame;
use coterie_redis_compat::acl::redacted;
use coterie_redis_compat::{Flags, resolve};
use parking_lot::{Mutex, MutexGuard};

use crate::router::frame_of;

/// The command by which a transaction checks its watches if it sends no other to the group; the log
/// leaves it out.
pub(crate) const PROBE: &[u8] = b"exists";

const WORDS_MAX: usize = 32;
const WORD_BYTES_MAX: usize = 128;

/// A frame that took long.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) elapsed: Duration,
    /// The group's id and the frame.
    pub(crate) body: Bytes,
}

/// An entry of the log.
#[derive(Debug, Clone)]
pub(crate) struct SlowEntry {
    pub(crate) id: u64,
    pub(crate) at: SystemTime,
    pub(crate) elapsed: Duration,
    pub(crate) words: Vec<Bytes>,
    pub(crate) client_addr: String,
    pub(crate) client_name: Bytes,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct SlowLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    newest_first: VecDeque<SlowEntry>,
}

impl SlowLog {
    /// Adds the commands of a frame; keeps at most `len_max` entries.
    pub(crate) fn add_frame(&self, slow: &Slow, addr: &str, name: &Bytes, len_max: usize) {
        let Some(frame) = frame_of(&slow.body).filter(|frame| !only_watches(frame)) else {
            return;
        };
        for mut command in frame.commands {
            // By the name that the client knows: WATCH sends a `_watch` for each key to the key's
            // group.
            let row = resolve(&command.args).ok();
            if row.is_some_and(|row| row.is_script() && row.is_internal()) {
                // The code of the library, which the proxy has added.
                command.args.pop();
            }
            let shown_as = row.and_then(|row| row.shown_as);
            if let (Some(name), Some(shown_as)) = (command.args.first_mut(), shown_as) {
                *name = Bytes::from_static(shown_as.as_bytes());
            }
            self.add(&command.args, slow.elapsed, addr, name, len_max);
        }
    }

    /// Adds a command.
    pub(crate) fn add(
        &self,
        args: &[Bytes],
        elapsed: Duration,
        addr: &str,
        name: &Bytes,
        len_max: usize,
    ) {
        let skipped = |flags: Flags| flags.contains(Flags::SKIP_SLOWLOG);
        if resolve(args).is_ok_and(|row| skipped(row.flags)) {
            return;
        }
        let mut entries = self.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.newest_first.push_front(SlowEntry {
            id,
            at: SystemTime::now(),
            elapsed,
            words: shortened(&redacted(args)),
            client_addr: addr.to_owned(),
            client_name: name.clone(),
        });
        entries.newest_first.truncate(len_max);
    }

    /// The newest entries.
    pub(crate) fn newest(&self, count: usize) -> Vec<SlowEntry> {
        self.lock()
            .newest_first
            .iter()
            .take(count)
            .cloned()
            .collect()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().newest_first.len()
    }

    /// Removes all entries.
    pub(crate) fn reset(&self) {
        self.lock().newest_first.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics while holding it.
        self.0.lock()
    }
}

/// Whether the frame is an EXEC without commands for the group, whose watches must hold: its
/// command was added by the proxy (`conn::exec`). If a client queued the same command alone and in
/// lower case, its frame looks no different.
fn only_watches(frame: &Frame) -> bool {
    let watched = frame.watches.first().map(|watch| &watch.key);
    match (watched, frame.commands.as_slice()) {
        (Some(watched), [command]) => {
            matches!(command.args.as_slice(), [name, key] if name == PROBE && key == watched)
        }
        _ => false,
    }
}

fn shortened(args: &[Bytes]) -> Vec<Bytes> {
    let shown = if args.len() > WORDS_MAX {
        WORDS_MAX - 1
    } else {
        args.len()
    };
    let mut words: Vec<_> = args[..shown].iter().map(cut_word).collect();
    if args.len() > WORDS_MAX {
        let more = format!("... ({} more arguments)", args.len() - shown);
        words.push(Bytes::from(more));
    }
    words
}

/// A copy: an entry must not keep a whole frame in memory.
fn cut_word(word: &Bytes) -> Bytes {
    match word.len().checked_sub(WORD_BYTES_MAX) {
        None | Some(0) => Bytes::copy_from_slice(word),
        Some(more) => {
            let mut cut = word[..WORD_BYTES_MAX].to_vec();
            cut.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
            Bytes::from(cut)
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use coterie_protocol::{FrameCommand, FrameFlags, Watch};
    use coterie_types::{FrameSeq, SessionId, TableId};

    use super::*;

    #[test]
    fn entries_are_cut_and_bounded() {
        let log = SlowLog::default();
        let long = Bytes::from(vec![b'x'; 200]);
        let mut args = vec![Bytes::from_static(b"mset")];
        args.extend(std::iter::repeat_n(long, 40));
        for _ in 0..5 {
            log.add(&args, Duration::from_millis(1), "a", &Bytes::new(), 3);
        }
        let newest = log.newest(10);
        assert_eq!((newest.len(), newest[0].id, newest[2].id), (3, 4, 2));
        assert_eq!(newest[0].words.len(), 32);
        assert_eq!(newest[0].words[31].as_ref(), b"... (10 more arguments)");
        assert!(newest[0].words[1].ends_with(b"... (72 more bytes)"));
        log.reset();
        assert_eq!(log.len(), 0);
    }

    fn frame(watched: &[&'static str], commands: &[&'static str]) -> Slow {
        let table = TableId(0);
        let bytes = |word: &'static str| Bytes::from_static(word.as_bytes());
        let watch = |key: &&'static str| Watch {
            table,
            key: bytes(key),
            token: Bytes::new(),
        };
        let command = |line: &&'static str| FrameCommand {
            table,
            args: line.split(' ').map(bytes).collect(),
        };
        let frame = Frame {
            flags: FrameFlags::TRANSACTION,
            session: SessionId(1),
            seq: FrameSeq(1),
            acknowledged_below: FrameSeq(0),
            reply_room: None,
            wait: None,
            watches: watched.iter().map(watch).collect(),
            commands: commands.iter().map(command).collect(),
        };
        // The group's id comes first.
        let mut body = BytesMut::from(&[7][..]);
        frame.encode(&mut body);
        Slow {
            elapsed: Duration::from_millis(1),
            body: body.freeze(),
        }
    }

    #[test]
    fn what_the_proxy_asks_for_clients_is_shown_as_what_they_said() {
        let log = SlowLog::default();
        for slow in [
            frame(&[], &["get k", "_watch k", "_watch l"]),
            frame(&["k"], &["exists k"]),
            frame(&["k"], &["exists l"]),
            frame(&["k"], &["exists k", "get k"]),
        ] {
            log.add_frame(&slow, "a", &Bytes::new(), 9);
        }
        let shown: Vec<_> = log
            .newest(9)
            .iter()
            .rev()
            .map(|entry| entry.words.join(&b' '))
            .collect();
        let expected = [
            "get k", "WATCH k", "WATCH l", "exists l", "exists k", "get k",
        ];
        assert_eq!(shown, expected.map(|line| line.as_bytes().to_vec()));
    }
}
