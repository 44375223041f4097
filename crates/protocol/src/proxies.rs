//! Proxies know one another: each reports itself to meta once a second, and learns of the others.
//!
//! Reports live in the memory of meta's leader alone, and expire ([`SILENCE_MAX_MS`]). A proxy asks
//! another proxy directly, over a port of its own ([`crate::method::PEER`]).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How often a proxy reports itself, milliseconds.
pub const BEAT_MS: u64 = 1000;
/// A proxy that was silent for so many milliseconds is gone.
pub const SILENCE_MAX_MS: u64 = 3000;
/// Most proxies that meta remembers.
pub const PROXIES_MAX: usize = 1024;
/// Most bytes of each text of a report.
pub const TEXT_BYTES_MAX: usize = 255;

/// A proxy, as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyReport {
    /// 40 hexadecimal digits, new with each start.
    pub id: String,
    /// Which client ids it gives out: its own ids are this number times 2^33 and more.
    pub number: u32,
    /// Where clients connect, by its own word; for people.
    pub listens: String,
    /// Where other proxies reach it; empty if they cannot.
    pub peer: String,
    /// The host and port that it announces to clients of cluster mode.
    pub announces: Option<(String, u16)>,
    /// The port for TLS that it announces.
    pub announces_tls: Option<u16>,
    /// Coterie's version.
    pub version: String,
}

impl ProxyReport {
    /// Whether each text is short enough to be remembered.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let host = self.announces.as_ref().map_or("", |(host, _)| host);
        let texts = [&self.id, &self.listens, &self.peer, &self.version];
        texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX) && host.len() <= TEXT_BYTES_MAX
    }
}

/// A question of a proxy to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// Run a command about the proxy itself. Answered by `Reply`.
    Run {
        /// The words.
        args: Vec<Bytes>,
        /// The selected table.
        table: u32,
        /// Reply in RESP3.
        resp3: bool,
    },
    /// The lines of MONITOR since the last question of this watcher. Answered by `Lines`, at the
    /// latest after half a second. A watcher that asks no more for some seconds is forgotten.
    Monitor {
        /// Random, for as long as a client watches.
        watcher: u64,
    },
}

/// The answer of a proxy to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerAnswer {
    /// The reply to a command, as its client would get it.
    Reply(Bytes),
    /// Lines of MONITOR, as their clients get them.
    Lines {
        /// The lines.
        lines: Bytes,
        /// How many lines were left out, as too many came.
        lost: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_pinned() {
        let report = ProxyReport {
            id: "ab".to_owned(),
            number: 300,
            listens: "l".to_owned(),
            peer: String::new(),
            announces: Some(("h".to_owned(), 7)),
            announces_tls: None,
            version: "1".to_owned(),
        };
        let bytes = crate::encode(&report);
        let expected = [2, b'a', b'b', 172, 2, 1, b'l', 0, 1, 1, b'h', 7, 0, 1, b'1'];
        assert_eq!(&bytes[..], expected);
        assert_eq!(crate::decode::<ProxyReport>(&bytes).unwrap(), report);
        let request = PeerRequest::Run {
            args: vec![Bytes::from_static(b"ping")],
            table: 1,
            resp3: true,
        };
        let bytes = crate::encode(&request);
        assert_eq!(&bytes[..], [0, 1, 4, b'p', b'i', b'n', b'g', 1, 1]);
        assert_eq!(crate::decode::<PeerRequest>(&bytes).unwrap(), request);
        let request = PeerRequest::Monitor { watcher: 9 };
        assert_eq!(&crate::encode(&request)[..], [1, 9]);
        let answer = PeerAnswer::Reply(Bytes::from_static(b"+"));
        assert_eq!(&crate::encode(&answer)[..], [0, 1, b'+']);
        let answer = PeerAnswer::Lines {
            lines: Bytes::from_static(b"x"),
            lost: 2,
        };
        assert_eq!(&crate::encode(&answer)[..], [1, 1, b'x', 2]);
    }

    #[test]
    fn a_report_with_a_long_text_is_not_remembered() {
        let mut report = ProxyReport {
            id: "a".to_owned(),
            number: 1,
            listens: String::new(),
            peer: String::new(),
            announces: None,
            announces_tls: None,
            version: String::new(),
        };
        assert!(report.is_bounded());
        report.announces = Some(("h".repeat(TEXT_BYTES_MAX + 1), 1));
        assert!(!report.is_bounded());
    }
}
