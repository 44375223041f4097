//! `docs/COMPAT.md` is written from the command table; this fails when it is stale.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p coterie-redis-compat --test compat_md` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;

use coterie_redis_compat::{Command, Route, Run, Topic, introspect::rows_of};

const HEAD: &str = "\
# Commands of Coterie

<!-- Written from the rows of redis-compat/src/ by redis-compat/tests/compat_md.rs; do not edit. -->

Commands are tracked against **Redis 7.2**. Replies are compared byte by byte, in RESP2 and RESP3,
with a real redis-server 7.0.15 (`redis-compat/tests/differential.rs`); where an error line that is
compared has changed between the two, Coterie has the line of 7.0.15. Anything that is not listed
here does not exist yet: `SWAPDB`, `MIGRATE`, `SAVE` and `BGSAVE`. A
difference that is not listed here is a bug.
[For applications](applications.md) explains the replies that Redis does not have, and the limits.

## Everywhere

- A command whose keys are in several groups answers `CROSSGROUP`, except where the table below says
  that it is *scattered* over the groups. It is then not atomic as a whole. A transaction runs in a
  single group, too. `COTERIE LOCATE key` shows the group of a key: all keys of a range are in the
  same group, and ranges are intervals of keys in byte order. Hash tags (`{...}`) place nothing.
  Atomic commands and transactions over several groups do not exist yet.
- Errors in the words of a command come before `CROSSGROUP`. Errors that depend on the values, for
  example `WRONGTYPE`, are unknown then.
- A key is at most 1 MiB and a value at most `--max-value-bytes` (1 MiB unless set), where Redis has
  512 MiB for both. A command that would build a longer value is refused with Redis' words for its
  own limit: `SETBIT` and `BITFIELD` with those about the offset.
- Fields and values of hashes and members of sets are at most as long as a value; hashes and sets
  have no limit. Those of at most 8 KiB list their fields in the order in which they were first set,
  and HSCAN and SSCAN return them whole. Larger ones list them in the order of a hash. Commands that
  copy elements copy at most 16 MiB
  (`ERR the collection is too large to be copied by a single command`).
- Deadlines of fields (Redis 7.4) and members (8.12) hold by the group clock: from then on a field
  is absent to every command, and a key whose fields are all past their deadlines is absent, too.
- A list has no limit but for that of each element. `OBJECT ENCODING` answers as Redis 7.2 does with
  its own `list-max-listpack-size` of -2, but for a list that has shrunk: it is a `listpack` again
  from 4 KiB on, where Redis may wait until the rest lies in a single node.
- A write that timed out answers `UNKNOWN` if it may have happened, `TRYAGAIN` if it has not.
- Expired keys are absent at once, by the group clock, and are removed in the background.
- The group clock never goes back and may stand still: after a leader whose clock was ahead, `TTL`
  and `PTTL` stay the same until the new leader's clock has reached it, and keys live that much
  longer.
- There are 16 databases, tables 0 to 15.
- Commands that ask all groups, or wait, are refused within MULTI
  (`Command not allowed inside a transaction`): `DBSIZE`, `KEYS`, `SCAN`, `RANDOMKEY`, `FLUSHDB`,
  `FLUSHALL`, `INFO`, `WAIT`, `DEBUG`, `COTERIE`, and `ACL` where it changes users.
- Users belong to the cluster, and see no names of keys and channels that their patterns do not fit:
  [users and rights](users.md).
- Replies are limited: 64 MiB for a transaction, 512 MiB for a command.
- A request has at most 1,048,576 words, and 64 MiB in total unless a single value may be longer;
  send more keys or bytes in several commands. The keys that a connection watches count for the
  transaction.
- A client that shuts down its sending side is answered as long as its commands make progress; Redis
  answers the commands it ran before it read that end, and drops the rest.
- `COMMAND` lists commands in alphabetical order; `COMMAND DOCS` has no `history`, and no `since` of
  arguments. Where Redis 7.0 and 7.2 document arguments differently, it replies as 7.0.15 does.

";

const FOOT: &str = "\
## Figures of INFO

Figures are those of this proxy; memory and processor time are those of its process. The `usec` of a
command runs from the moment the proxy begins it to its complete reply. It includes the way to the
group and the group's log, where Redis counts the execution alone. Each command of a transaction
counts the time of the whole transaction. `keyspace_hits` and `keyspace_misses` count GET, GETDEL,
GETEX and MGET.
";

fn file() -> String {
    let topics = [
        (Topic::String, "Strings"),
        (Topic::Bitmap, "Bitmaps"),
        (Topic::Hash, "Hashes"),
        (Topic::Set, "Sets"),
        (Topic::List, "Lists"),
        (Topic::HyperLogLog, "HyperLogLogs"),
        (Topic::SortedSet, "Sorted sets"),
        (Topic::Stream, "Streams"),
        (Topic::Generic, "Keys of any type"),
        (Topic::Transactions, "Transactions"),
        (Topic::PubSub, "Publish and subscribe"),
        (Topic::Connection, "Connection"),
        (Topic::Server, "Server"),
        (Topic::Cluster, "Cluster"),
        (Topic::Coterie, "Coterie's own"),
    ];
    let mut out = HEAD.to_owned();
    for (topic, title) in topics {
        writeln!(out, "## {title}\n").unwrap();
        writeln!(
            out,
            "| command | since | runs | differs from Redis |\n|---|---|---|---|"
        )
        .unwrap();
        for row in rows_of(topic) {
            let name = row.name.to_uppercase().replace('|', " ");
            writeln!(
                out,
                "| `{name}` | {} | {} | {} |",
                row.since,
                place(row),
                row.deviation
            )
            .unwrap();
        }
        writeln!(out).unwrap();
    }
    out.push_str(FOOT);
    out
}

/// Where a command runs, in a word.
fn place(row: &Command) -> &'static str {
    match (row.run, row.route) {
        (_, Route::SumOverKeys | Route::ArrayOverKeys | Route::PairsOverKeys) => "scattered",
        (_, Route::EachRange) => "range by range",
        (Run::Group(_), _) => "in a group",
        (Run::Script, _) => "in a group, by its leader",
        (Run::Proxy, _) => "in the proxy",
    }
}

#[test]
fn compat_md_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMPAT.md");
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, file()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == file(),
        "docs/COMPAT.md is stale: run with UPDATE_GOLDENFILES=1"
    );
}
