//! The row of a command: all that is known of it apart from its function's body.
//!
//! Rows are constants (`table/`), written with the `const fn`s of `row.rs`. Adding a command is one
//! row, one function, one script.

mod row;

use bytes::Bytes;
use coterie_types::TableId;

use crate::{Args, Categories, CommandError, EvalError, Flags, KeySpec, Keys, Reply, Txn, number};

pub(crate) use row::{proxy, row, spec};

pub use crate::introspect::{
    command, docs, docs_of, getkeys, getkeysandflags, help, info, info_of, list, rows_of,
};

/// How many databases there are: tables 0 to 15.
pub const DATABASES: u32 = 16;

/// Who runs a command.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// The group that owns the keys, at apply or at read.
    Group(fn(&mut Txn<'_>, &Args<'_>) -> Result<Reply, EvalError>),
    /// The proxy: it answers alone, or asks groups by commands of its own.
    Proxy,
}

/// How the proxy finds the groups for a command, and puts their answers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Nowhere: the proxy answers.
    Local,
    /// All keys must be on one group, else `CROSSGROUP`.
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

/// The group of commands a command is documented in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the word Redis' documentation uses")]
pub enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Scripting,
    Server,
    String,
    Transactions,
    /// Coterie's own.
    Coterie,
}

impl Group {
    /// The word `COMMAND DOCS` uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Group::Bitmap => "bitmap",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::String => "string",
            Group::Transactions => "transactions",
            Group::Coterie => "coterie",
        }
    }
}

/// What of a command's words can be wrong whatever the store holds.
pub(crate) type Check = fn(&Args<'_>) -> Result<(), CommandError>;

/// One command or subcommand.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its full name in lower case; a subcommand's is `container|name`.
    pub name: &'static str,
    /// How many words it takes, the name included; `-n` is at least `n`.
    pub arity: i32,
    /// What it may do.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: Keys,
    /// What Redis says it does with them.
    pub key_specs: &'static [KeySpec],
    /// Who runs it.
    pub run: Run,
    /// How it finds its groups.
    pub route: Route,
    /// Where it is documented.
    pub group: Group,
    /// The first Redis version that had it.
    pub since: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The cost of one call.
    pub complexity: &'static str,
    /// ACL categories beyond those the flags imply.
    pub categories: Categories,
    /// Redis' hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// The subcommands of a container.
    pub subcommands: &'static [Command],
    /// How it differs from Redis; printed in `docs/COMPAT.md`.
    pub deviation: &'static str,
    /// Reads the options and throws them away; see [`Command::validate`].
    pub(crate) check: Option<Check>,
    /// The word with the number of another table that the command's keys are looked up in too.
    pub(crate) other_table: OtherTable,
}

/// A command that works on two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherTable {
    None,
    /// `MOVE key db`: the same key, in the table that word 2 names.
    Move,
    /// `COPY source destination DB db`: the destination, in the table after the word `DB`.
    Copy,
}

impl Command {
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

    /// Whether the words make sense, without looking at any key: what Redis refuses before it asks
    /// where the keys are. Only rows whose keys may be on several groups have something to check
    /// here; the group that gets all keys checks the same again.
    pub fn validate(&self, args: &[Bytes]) -> Result<(), CommandError> {
        match self.check {
            Some(check) => check(&Args::new(args, self.name)),
            None => Ok(()),
        }
    }

    /// Whether it may change a key, and so goes through the log.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }

    /// Whether a call only overwrites the keys it names: it does not matter what they hold.
    #[must_use]
    pub fn is_blind(&self, args: &[Bytes]) -> bool {
        // Source: the options of Redis' `t_string.c`, `parseExtendedStringArgumentsOrReply`.
        let reads = |word: &Bytes| {
            let options = ["nx", "xx", "get", "keepttl"];
            options
                .iter()
                .any(|option| word.eq_ignore_ascii_case(option.as_bytes()))
        };
        match self.name {
            "mset" | "setex" | "psetex" => true,
            "set" => !args.iter().skip(3).any(reads),
            _ => false,
        }
    }

    /// Whether only the proxy itself may send it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.flags.contains(Flags::INTERNAL)
    }

    /// All ACL categories: the row's, and those its flags imply (`acl.c`).
    #[must_use]
    pub fn all_categories(&self) -> Categories {
        let has = |flag| self.flags.contains(flag);
        let implied = [
            (has(Flags::WRITE), Categories::WRITE),
            (has(Flags::READ), Categories::READ),
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

    /// Names every key the command may touch, with its table: for routing and ownership checks.
    /// `MOVE` and `COPY ... DB` touch another table, too; if its number is not valid, the command
    /// will be refused, and the keys are taken to be of this table.
    pub fn visit_keys(
        &self,
        table: TableId,
        args: &[Bytes],
        visit: &mut dyn FnMut(TableId, &Bytes),
    ) -> Result<(), CommandError> {
        let other = self.other_key(args).filter(|(other, _)| *other != table);
        let elsewhere = |at| self.other_table == OtherTable::Copy && other.is_some() && at == 2;
        for at in self.keys.positions(args)?.filter(|at| !elsewhere(*at)) {
            visit(table, &args[at]);
        }
        if let Some((other, key)) = other {
            visit(other, key);
        }
        Ok(())
    }

    /// The key that a command names in a table of its own.
    fn other_key<'a>(&self, args: &'a [Bytes]) -> Option<(TableId, &'a Bytes)> {
        let (word, key) = match self.other_table {
            OtherTable::None => return None,
            OtherTable::Move => (args.get(2)?, args.get(1)?),
            OtherTable::Copy => {
                let options = args.get(3..)?;
                // The last one counts, as it does for the command.
                let at = options
                    .iter()
                    .rposition(|word| word.eq_ignore_ascii_case(b"db"))?;
                (options.get(at + 1)?, args.get(2)?)
            }
        };
        Some((parse_table(word)?, key))
    }
}

/// A database number that exists.
#[must_use]
pub fn parse_table(word: &[u8]) -> Option<TableId> {
    let number = number::parse_int(word).and_then(|number| u32::try_from(number).ok())?;
    (number < DATABASES).then_some(TableId(number))
}
