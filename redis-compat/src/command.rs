//! The row of a command: all that is known of it apart from its function's body.
//!
//! A row is a constant, written with the `const fn`s of `row.rs`. It stands above its function, or,
//! for commands that the proxy runs, in `table/`. To add a command, write a row, a
//! function and a script.

mod row;

use std::time::Duration;

use bytes::Bytes;
use coterie_types::TableId;

use crate::waits::{Timeout, Waits, block_millis, block_word, seconds};
use crate::{
    Args, Categories, CommandError, EvalError, Flags, KeyFlags, KeySpec, Positions, Reply, Txn,
    number,
};

pub(crate) use row::{command, is_subcommand};

/// How many databases there are: tables 0 to 15.
pub const DATABASES: u32 = 16;

/// The function of a command that groups run.
pub type Function = fn(&mut Txn<'_>, &Args<'_>) -> Result<Reply, EvalError>;

/// The process that runs a command.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// The group that owns the keys, at apply or at read.
    Group(Function),
    /// The leader of the group that owns the keys, once: a script. Its effects go through the log.
    /// Proxies send a script with its body ([`crate::ScriptCall`]).
    Script,
    /// The proxy: it answers alone, or asks groups by commands of its own. Its handler stands in
    /// `proxy/src/commands/`, under the same name.
    Proxy,
}

/// How the proxy finds the groups for a command, and puts their answers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Nowhere: the proxy answers.
    Local,
    /// All keys must be on the same group, else `CROSSGROUP`.
    Keys,
    /// Each group gets its keys; the integers add up.
    SumOverKeys,
    /// Each group gets its keys; the elements are put in the order of the keys.
    ArrayOverKeys,
    /// Each group gets its pairs of key and value; all answer OK.
    PairsOverKeys,
    /// The proxy walks the ranges of the table.
    EachRange,
}

/// How nulls in a reply tell which keys were absent, for the counts of hits and misses in `INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// They tell nothing.
    Nothing,
    /// A null is an absent key.
    Key,
    /// The reply has an element for each key; a null is an absent key.
    EachKey,
}

/// The part of the documentation that describes a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the word Redis' documentation uses")]
pub enum Topic {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    HyperLogLog,
    List,
    PubSub,
    Scripting,
    Server,
    Set,
    SortedSet,
    Stream,
    String,
    Transactions,
    /// Coterie's own.
    Coterie,
}

impl Topic {
    /// The word `COMMAND DOCS` uses: its key is `group`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Topic::Bitmap => "bitmap",
            Topic::Cluster => "cluster",
            Topic::Connection => "connection",
            Topic::Generic => "generic",
            Topic::Geo => "geo",
            Topic::Hash => "hash",
            Topic::HyperLogLog => "hyperloglog",
            Topic::List => "list",
            Topic::PubSub => "pubsub",
            Topic::Scripting => "scripting",
            Topic::Server => "server",
            Topic::Set => "set",
            Topic::SortedSet => "sorted-set",
            Topic::Stream => "stream",
            Topic::String => "string",
            Topic::Transactions => "transactions",
            Topic::Coterie => "coterie",
        }
    }

    /// The ACL categories that its commands have unless their rows say otherwise.
    const fn categories(self) -> Categories {
        match self {
            Topic::Bitmap => Categories::BITMAP,
            Topic::Connection => Categories::CONNECTION,
            Topic::Generic => Categories::KEYSPACE,
            Topic::Geo => Categories::GEO,
            Topic::Hash => Categories::HASH,
            Topic::HyperLogLog => Categories::HYPERLOGLOG,
            Topic::List => Categories::LIST,
            Topic::Scripting => Categories::SCRIPTING,
            Topic::Set => Categories::SET,
            Topic::SortedSet => Categories::SORTEDSET,
            Topic::Stream => Categories::STREAM,
            Topic::String => Categories::STRING,
            Topic::Transactions => Categories::TRANSACTION,
            Topic::Cluster | Topic::PubSub | Topic::Server | Topic::Coterie => Categories::NONE,
        }
    }
}

/// The rows of a file, and the error lines of its commands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) rows: &'static [Command],
    pub(crate) lines: &'static [CommandError],
}

impl Part {
    pub(crate) const fn new(rows: &'static [Command], lines: &'static [CommandError]) -> Self {
        Self { rows, lines }
    }
}

/// Refuses words that are wrong whatever the store holds.
pub(crate) type Check = fn(&Args<'_>) -> Result<(), CommandError>;

/// A command or subcommand.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its full name in lower case; a subcommand's is `container|name`.
    pub name: &'static str,
    /// The words it takes behind its name; see [`crate::syntax`].
    pub syntax: &'static str,
    /// How many words it takes, the name included; `-n` is at least `n`.
    pub arity: i32,
    /// The properties that clients and proxies need to know.
    pub flags: Flags,
    /// Where its keys are, and how it uses them.
    pub keys: &'static [KeySpec],
    /// Where it runs.
    pub run: Run,
    /// How it finds its groups.
    pub route: Route,
    /// Where it is documented.
    pub topic: Topic,
    /// The first Redis version that had it.
    pub since: &'static str,
    /// A sentence about it.
    pub summary: &'static str,
    /// The cost of a call.
    pub complexity: &'static str,
    /// ACL categories beyond those the flags imply.
    pub categories: Categories,
    /// Redis' hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// How it differs from Redis; printed in `docs/COMPAT.md`.
    pub deviation: &'static str,
    /// How random tests fill the syntax; see the crate `coterie-grammar`.
    pub hints: &'static str,
    /// How its reply tells which keys were absent.
    pub nulls: Nulls,
    /// The name that `SLOWLOG` shows instead of an internal name.
    pub shown_as: Option<&'static str>,
    /// Reads the options and throws them away; see [`Command::validate`].
    check: Option<Check>,
    /// Any of these words, behind the value, makes it read the key that it overwrites.
    blind_unless: Option<&'static [&'static str]>,
    /// The flags of its keys, where they depend on the options.
    key_flags: Option<fn(&[Bytes]) -> KeyFlags>,
    /// Words 1 and 2 are an interval of keys.
    is_interval: bool,
    /// It may wait for data.
    pub(crate) waits: Option<Waits>,
    /// It reads no order of members, so changes of orders need not be made before it.
    pub(crate) leaves_orders: bool,
    /// Its place in [`crate::ROWS`], and the places of its subcommands.
    pub(crate) number: u16,
    pub(crate) subcommands: (u16, u16),
}

impl Command {
    /// Its place in [`crate::ROWS`].
    #[must_use]
    pub fn number(&self) -> usize {
        self.number.into()
    }

    /// Whether it has subcommands.
    #[must_use]
    pub const fn is_container(&self) -> bool {
        self.subcommands.0 < self.subcommands.1
    }

    /// Whether `words` words are right.
    #[must_use]
    pub fn takes(&self, words: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            words >= arity
        } else {
            words == arity
        }
    }

    /// Refuses words that make no sense, without looking at any key, as Redis does before it asks
    /// where the keys are. Only rows whose keys may be on several groups have something to check
    /// here; the group that gets all keys checks the same again.
    pub fn validate(&self, args: &[Bytes]) -> Result<(), CommandError> {
        match self.check {
            Some(check) => check(&Args::new(args, self.name)),
            None => Ok(()),
        }
    }

    /// How long a call may wait: `None` if it does not wait, `Some(None)` for as long as it takes.
    /// `now_ms` is the time since 1970: the wait must end within the numbers.
    ///
    /// Errors: a timeout that makes no sense. The command reports it itself, in its own order.
    pub fn wait_limit(
        &self,
        args: &[Bytes],
        now_ms: u64,
    ) -> Result<Option<Option<Duration>>, CommandError> {
        let Some(waits) = self.waits else {
            return Ok(None);
        };
        let millis = match waits.timeout {
            Timeout::First => seconds(args.get(1), now_ms)?,
            Timeout::Last => seconds(args.last(), now_ms)?,
            Timeout::Block => match block_word(args) {
                Some(word) => block_millis(word, now_ms)?,
                None => return Ok(None),
            },
        };
        Ok(Some((millis > 0).then(|| Duration::from_millis(millis))))
    }

    /// Whether calls may wait.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.waits.is_some()
    }

    /// Whether it may change a key, and so goes through the log.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE) || (self.is_script() && !self.flags.contains(Flags::READ))
    }

    /// Whether it runs a script.
    #[must_use]
    pub const fn is_script(&self) -> bool {
        matches!(self.run, Run::Script)
    }

    /// Whether a group runs it.
    #[must_use]
    pub const fn is_of_group(&self) -> bool {
        matches!(self.run, Run::Group(_) | Run::Script)
    }

    /// Whether the call overwrites its keys without reading them.
    #[must_use]
    pub fn is_blind(&self, args: &[Bytes]) -> bool {
        let Some(reading) = self.blind_unless else {
            return false;
        };
        let options = args.get(3..).unwrap_or_default();
        let reads = |word: &Bytes| {
            let mut reading = reading.iter();
            reading.any(|option| word.eq_ignore_ascii_case(option.as_bytes()))
        };
        reading.is_empty() || !options.iter().any(reads)
    }

    /// Whether a client may keep what it reads, and so is to be told when its keys change.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.flags.contains(Flags::READ) && !self.is_internal()
    }

    /// Whether only the proxy itself may send it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.flags.contains(Flags::INTERNAL)
    }

    /// Whether it works on an interval of keys instead of keys.
    #[must_use]
    pub const fn is_interval(&self) -> bool {
        self.is_interval
    }

    /// The interval it works on, as `(start, end)`; an empty end is the end of the table.
    #[must_use]
    pub fn interval(&self, args: &[Bytes]) -> Option<(Bytes, Option<Bytes>)> {
        if !self.is_interval {
            return None;
        }
        let (start, end) = (args.get(1)?.clone(), args.get(2)?.clone());
        Some((start, (!end.is_empty()).then_some(end)))
    }

    /// Whether it names a single key, always in the same place.
    #[must_use]
    pub fn has_one_key(&self) -> bool {
        let mut listed = self.keys.iter().filter(|spec| !spec.unlisted);
        listed.next().is_some_and(KeySpec::is_one_word) && listed.next().is_none()
    }

    /// All ACL categories: the row's, and those its flags imply (`acl.c`).
    #[must_use]
    pub fn all_categories(&self) -> Categories {
        let has = |flag| self.flags.contains(flag);
        let is_script = self.categories.contains(Categories::SCRIPTING);
        let implied = [
            (has(Flags::WRITE), Categories::WRITE),
            (has(Flags::READ) && !is_script, Categories::READ),
            (
                has(Flags::ADMIN),
                Categories::ADMIN.with(Categories::DANGEROUS),
            ),
            (has(Flags::PUBSUB), Categories::PUBSUB),
            (has(Flags::FAST), Categories::FAST),
            (has(Flags::BLOCKING), Categories::BLOCKING),
            (!has(Flags::FAST), Categories::SLOW),
        ];
        implied
            .into_iter()
            .filter(|(applies, _)| *applies)
            .fold(self.categories, |all, (_, category)| all.with(category))
    }

    /// The positions of its keys among `args`.
    ///
    /// Errors: `INVALID_ARGUMENTS`, where a word that counts the keys makes no sense.
    pub fn positions<'a>(&self, args: &'a [Bytes]) -> Result<Positions<'a>, CommandError> {
        Positions::new(self.keys, args)
    }

    /// How the keys of a run are used by a call: its options may decide.
    #[must_use]
    pub fn key_flags(&self, spec: &KeySpec, args: &[Bytes]) -> KeyFlags {
        self.key_flags.map_or(spec.flags, |of| of(args))
    }

    /// Names every key the command may touch, with its table: for routing and ownership checks.
    /// `MOVE` and `COPY ... DB` touch another table, too; if its number is not valid, the command
    /// will be refused, and the keys are taken to be of this table.
    pub fn visit_keys(
        &self,
        table: TableId,
        args: &[Bytes],
        visit: &mut dyn FnMut(TableId, &Bytes),
    ) -> Result<(), CommandError> {
        for spec in self.keys {
            let named = spec.table.and_then(|of| of(args)).unwrap_or(table);
            if spec.unlisted && named == table {
                continue;
            }
            for at in spec.positions(args)? {
                visit(named, &args[at]);
            }
        }
        Ok(())
    }
}

/// A database number that exists.
#[must_use]
pub fn parse_table(word: &[u8]) -> Option<TableId> {
    let number = number::parse_int(word).and_then(|number| u32::try_from(number).ok())?;
    (number < DATABASES).then_some(TableId(number))
}
