//! A client's line in `CLIENT LIST` and `CLIENT INFO` (Redis `networking.c`,
//! `catClientInfoString`).
//!
//! Memory fields: `qbuf` counts the bytes read of commands that have not begun, `argv-mem` the
//! words of the command that waits or runs, `obl` and `rbs` the used and allocated bytes of the
//! buffer of small replies, `oll` and `omem` the number and bytes of all other replies and of
//! messages. `tot-mem` is the sum of these, MULTI, watches, commands on their way to groups, and
//! the connection itself.

use bytes::Bytes;
use coterie_protocol::pubsub::Kind;

use crate::clients::{Client, Details};

impl Client {
    /// See the module's head.
    pub(crate) fn line(&self) -> Vec<u8> {
        let details = self.details().clone();
        let memory = self.memory();
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let subscriptions = self.subscriptions.lock();
        let count = |kind| subscriptions.of(kind).len();
        let who = format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={}",
            self.id,
            self.addr,
            self.local_addr,
            self.fd,
            text(&details.name),
            self.connected_at.elapsed().as_secs(),
            details.active_at.elapsed().as_secs(),
            self.flags(&details),
            details.table,
            count(Kind::Channel),
            count(Kind::Pattern),
            count(Kind::Shard),
        );
        let input = format!(
            "multi={} watch={} qbuf={} qbuf-free={} argv-mem={} multi-mem={}",
            details.queued.map_or(-1, |count| count as i64),
            details.watches,
            memory.input_bytes,
            memory.input_free_bytes,
            memory.argument_bytes,
            memory.queued_bytes,
        );
        let output = format!(
            "rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={}",
            memory.buffer.1,
            details.peak.buffer_bytes,
            memory.buffer.0,
            memory.listed,
            memory.listed_bytes,
            memory.total(),
            if details.writes { "rw" } else { "r" },
        );
        let caching = self.caching();
        let last = format!(
            "cmd={} user={} redir={} resp={} lib-name={} lib-ver={}",
            details.command,
            text(&details.user),
            caching.map_or(-1, |caching| caching.redirect.unwrap_or(0) as i64),
            details.resp,
            text(&details.lib_name),
            text(&details.lib_ver),
        );
        [who, input, output, last].join(" ").into_bytes()
    }

    fn flags(&self, details: &Details) -> String {
        let caching = self.caching();
        let caching = caching.as_ref();
        let letters = [
            (details.watches_all, 'O'),
            (self.is_subscriber(), 'P'),
            (details.queued.is_some(), 'x'),
            (details.blocked.is_some(), 'b'),
            (caching.is_some(), 't'),
            (self.is_redirect_broken(), 'R'),
            (caching.is_some_and(|caching| caching.bcast), 'B'),
            (details.closes, 'c'),
            (details.read_only, 'r'),
            (details.no_evict, 'e'),
            (details.no_touch, 'T'),
        ];
        let set = letters.iter().filter(|(set, _)| *set);
        let set: String = set.map(|(_, letter)| *letter).collect();
        if set.is_empty() { "N".to_owned() } else { set }
    }
}
