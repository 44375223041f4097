//! From the words of a command to its row.
//!
//! [`resolve`] finds the row and checks the number of words, in the order and with the words of
//! Redis (`server.c`, `processCommand`); the proxy calls it before it routes. A group looks the
//! command up again, since a log entry may come from a proxy of another version: once, as
//! [`Resolved`]. Everything behind takes that value: the checks of ownership and arrival, the
//! sample of the load, and [`crate::execute`].

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

use crate::errors::SYNTAX;
use crate::table::{lookup, lookup_subcommand};
use crate::waits::{Touch, WaitQueue};
use crate::{Command, CommandError, Flags, KeyFlags, KeySpec};

/// The row for `args`, a subcommand's where the command is a container.
pub fn resolve(args: &[Bytes]) -> Result<&'static Command, CommandError> {
    let name = args.first().ok_or(SYNTAX)?;
    let unknown = || CommandError::UnknownCommand(name.clone(), args[1..].to_vec());
    let mut command = lookup(name).ok_or_else(unknown)?;
    if command.is_container()
        && let Some(word) = args.get(1)
    {
        command = lookup_subcommand(command, word)
            .ok_or_else(|| CommandError::UnknownSubcommand(word.clone(), command.name))?;
    }
    if command.takes(args.len()) {
        Ok(command)
    } else {
        Err(CommandError::WrongArity(command.name))
    }
}

/// A command with its row, or with the error that is its reply. A command without a row, or with
/// too few or too many words, names no key and writes nothing; any group may run it.
#[derive(Debug, Clone)]
pub struct Resolved {
    table: TableId,
    args: Vec<Bytes>,
    row: Result<&'static Command, CommandError>,
}

impl Resolved {
    /// Looks the command up. `table` is the table that its connection has selected.
    #[must_use]
    pub fn new(table: TableId, args: Vec<Bytes>) -> Self {
        let row = resolve(&args);
        Self { table, args, row }
    }

    /// The table that the connection has selected.
    #[must_use]
    pub fn table(&self) -> TableId {
        self.table
    }

    /// Name and arguments.
    #[must_use]
    pub fn args(&self) -> &[Bytes] {
        &self.args
    }

    /// The row, or the error that is the command's reply.
    pub fn row(&self) -> Result<&'static Command, &CommandError> {
        self.row.as_ref().copied()
    }

    /// Whether it may change a key, and so goes through the log.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.row().is_ok_and(Command::is_write)
    }

    /// Whether it runs a script.
    #[must_use]
    pub fn is_script(&self) -> bool {
        self.row().is_ok_and(Command::is_script)
    }

    /// Whether it may make the data grow.
    #[must_use]
    pub fn needs_room(&self) -> bool {
        self.has(Flags::DENYOOM)
    }

    fn has(&self, flag: Flags) -> bool {
        self.row().is_ok_and(|row| row.flags.contains(flag))
    }

    /// Whether it names a single key, always in the same place.
    #[must_use]
    pub fn has_one_key(&self) -> bool {
        self.row().is_ok_and(Command::has_one_key)
    }

    /// Whether it may read keys that its words do not name, because elements of a collection name
    /// them.
    #[must_use]
    pub fn reads_named_keys(&self) -> bool {
        let mut specs = self.row().map_or(&[][..], |row| row.keys).iter();
        specs.any(KeySpec::is_named)
    }

    /// Whether it overwrites its keys without reading them.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.row().is_ok_and(|row| row.is_blind(&self.args))
    }

    /// Whether it works on an interval of keys instead of keys.
    #[must_use]
    pub fn is_interval(&self) -> bool {
        self.row().is_ok_and(Command::is_interval)
    }

    /// The interval it works on.
    #[must_use]
    pub fn interval(&self) -> Option<KeyRange> {
        let (start, end) = self.row().ok()?.interval(&self.args)?;
        let table = self.table;
        Some(KeyRange { table, start, end })
    }

    /// Names every key it may touch, with its table. It names none if it works on an interval, or
    /// if its keys cannot be found: then its reply is an error.
    pub fn visit_keys(&self, visit: &mut dyn FnMut(TableId, &Bytes)) {
        if let Ok(row) = self.row() {
            // The command returns the same error when it is executed.
            let _ = row.visit_keys(self.table, &self.args, visit);
        }
    }
}

impl Resolved {
    /// The queue that the command waits in, if it may wait.
    #[must_use]
    pub fn wait_queue(&self) -> Option<WaitQueue> {
        let waits = self.row().ok()?.waits?;
        Some((waits.queue)(self.args()))
    }

    /// Names every key that the command may change, and how.
    pub fn visit_touched(&self, visit: &mut dyn FnMut(TableId, &Bytes, Touch)) {
        let Ok(row) = self.row() else {
            return;
        };
        let (table, args) = (self.table(), self.args());
        for spec in row.keys {
            let named = spec.table.and_then(|of| of(args)).unwrap_or(table);
            let (Some(touch), Ok(positions)) = (touch(row, spec, args), spec.positions(args))
            else {
                continue;
            };
            if spec.unlisted && named == table {
                continue;
            }
            for at in positions {
                visit(named, &args[at], touch);
            }
        }
    }
}

fn touch(row: &Command, spec: &KeySpec, args: &[Bytes]) -> Option<Touch> {
    let flags = row.key_flags(spec, args);
    let has = |flag| flags.contains(flag);
    if has(KeyFlags::RO) || !row.is_write() {
        return None;
    }
    if has(KeyFlags::RM) || (has(KeyFlags::DELETE) && !spec.unlisted) {
        return Some(Touch::Removes);
    }
    // A command that overwrites a key may bring a collection of any size; others add what stands
    // behind the key.
    let is_whole = has(KeyFlags::OW) || spec.unlisted;
    let added = args.len().saturating_sub(2).max(1);
    Some(Touch::Fills((!is_whole).then_some(added)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(line: &str) -> Resolved {
        let words = line.split(' ');
        let words = words.map(|word| Bytes::copy_from_slice(word.as_bytes()));
        Resolved::new(TableId(3), words.collect())
    }

    fn keys(line: &str) -> Vec<(TableId, Bytes)> {
        let mut keys = Vec::new();
        resolved(line).visit_keys(&mut |table, key| keys.push((table, key.clone())));
        keys
    }

    #[test]
    fn a_command_is_known_by_its_row() {
        let set = resolved("SET k v");
        assert!(set.is_write() && set.needs_room() && set.is_blind() && set.has_one_key());
        assert!(!resolved("set k v get").is_blind());
        let get = resolved("get k");
        assert!(!get.is_write() && !get.needs_room() && !get.is_blind() && get.has_one_key());
        assert!(!resolved("del k").needs_room() && !resolved("mget a b").has_one_key());
    }

    #[test]
    fn keys_and_intervals_are_of_their_table() {
        let named = |names: &[(u32, &'static str)]| -> Vec<_> {
            let names = names.iter();
            names
                .map(|(table, key)| (TableId(*table), Bytes::from(*key)))
                .collect()
        };
        assert_eq!(keys("mset a 1 b 2"), named(&[(3, "a"), (3, "b")]));
        assert_eq!(keys("move a 5"), named(&[(3, "a"), (5, "a")]));
        let walk = resolved("_flush a ");
        assert!(walk.is_interval() && keys("_flush a c").is_empty());
        let bounds = walk.interval();
        let bounds = bounds.map(|bounds| (bounds.table, bounds.start, bounds.end));
        assert_eq!(bounds, Some((TableId(3), Bytes::from("a"), None)));
        assert_eq!(resolved("get a").interval(), None);
    }

    #[test]
    fn a_command_without_a_row_names_nothing() {
        for line in ["nonsense k", "get", "get a b", "object nonsense k"] {
            let command = resolved(line);
            assert!(command.row().is_err() && keys(line).is_empty(), "{line}");
            assert!(!command.is_write() && !command.is_interval(), "{line}");
        }
    }

    fn touched(line: &str) -> Vec<(String, Touch)> {
        let mut touched = Vec::new();
        resolved(line).visit_touched(&mut |_, key, touch| {
            touched.push((String::from_utf8_lossy(key).into_owned(), touch));
        });
        touched
    }

    #[test]
    fn keys_are_touched_as_their_flags_say() {
        let of = |key: &str, touch| (key.to_owned(), touch);
        let (fills, removes) = (Touch::Fills, Touch::Removes);
        assert_eq!(touched("get k"), []);
        assert_eq!(touched("del a b"), [of("a", removes), of("b", removes)]);
        assert_eq!(touched("set k v"), [of("k", fills(None))]);
        assert_eq!(touched("hset k f v"), [of("k", fills(Some(2)))]);
        let renamed = [of("a", removes), of("b", fills(None))];
        assert_eq!(touched("rename a b"), renamed);
        assert_eq!(touched("copy a b"), [of("b", fills(None))]);
        let moved = [of("k", fills(Some(1))), of("k", fills(None))];
        assert_eq!(touched("move k 4"), moved);
        assert_eq!(touched("move k 3"), moved[..1], "it is refused");
        assert_eq!(touched("nonsense k"), []);
    }

    #[test]
    fn a_command_without_a_timeout_does_not_wait() {
        let get = resolved("get k");
        let row = get.row().unwrap();
        assert_eq!(row.wait_limit(get.args(), 1), Ok(None));
        assert!(!row.may_wait() && get.wait_queue().is_none());
    }
}
