//! Commands that show names of keys which none of their words names.
//!
//! Redis lets them show everything to every user who may run them. Here a user with patterns of
//! keys sees only the names that its patterns fit: the proxy filters the replies of `KEYS`, `SCAN`
//! and `RANDOMKEY` ([`User::may_see`](super::User::may_see)). The commands below show words of
//! other clients, or bounds of ranges, which nothing could filter: they need a selector with all
//! keys.

use bytes::Bytes;

use crate::Command;

/// The subcommands of `COTERIE` that show keys.
const OF_COTERIE: [&str; 8] = [
    "ranges", "hotkeys", "jobs", "locate", "split", "merge", "move", "table",
];

/// Whether the command may show any key.
pub(super) fn shows_any_key(row: &Command, args: &[Bytes]) -> bool {
    match row.name {
        "monitor" | "slowlog|get" | "acl|log" => true,
        "coterie" => {
            let word = args.get(1).map_or(&b""[..], |word| word);
            OF_COTERIE
                .iter()
                .any(|sub| word.eq_ignore_ascii_case(sub.as_bytes()))
        }
        _ => false,
    }
}
