//! Coterie compared with a real redis-server: both receive the same commands, and the replies are
//! compared.
//!
//! `grammar` makes random sequences, and `compare` judges replies. This file runs the sequences in
//! pipelines of varying length, and shortens a failing sequence before it shows it.

pub mod compare;
mod dump;
pub mod grammar;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;

use crate::connection::Connection;
use grammar::Command;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The most runs to shorten a failing sequence.
const SHRINK_RUNS_MAX: usize = 300;

/// The protocol of the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The default.
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Two servers to be compared; the replies of the first are right by definition.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The address of the server that is right by definition.
    pub right: String,
    /// The address of the server to be judged.
    pub judged: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The most commands that are sent before their replies are read.
    pub pipeline_max: usize,
}

/// A difference between two servers, at the last command of a sequence that is as short as could be
/// found.
#[derive(Debug, Clone)]
pub struct Difference {
    protocol: Protocol,
    sequence: Vec<Command>,
    right: Vec<u8>,
    judged: Vec<u8>,
}

impl Difference {
    /// The upper-case name of the command whose replies differ.
    #[must_use]
    pub fn command(&self) -> String {
        let name = self.sequence.last().and_then(|command| command.first());
        String::from_utf8_lossy(name.map_or(b"", |name| name)).to_uppercase()
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "replies differ over {:?} after", self.protocol)?;
        write!(f, "{}", render(&self.sequence))?;
        writeln!(f, "  a redis-server: {}", self.right.escape_ascii())?;
        writeln!(f, "  this server:    {}", self.judged.escape_ascii())
    }
}

impl Pair {
    /// Runs a sequence on both servers, on empty databases. A difference is returned with a short
    /// sequence that causes it.
    pub fn compare(&self, sequence: &[Command]) -> anyhow::Result<Option<Difference>> {
        match self.run(sequence)? {
            Some(found) => self.shrink(found).map(Some),
            None => Ok(None),
        }
    }

    fn run(&self, sequence: &[Command]) -> anyhow::Result<Option<Difference>> {
        let mut right = self.open(&self.right).context("the redis-server")?;
        let mut judged = self.open(&self.judged).context("the judged server")?;
        let mut at = 0;
        // The lengths of pipelines vary, but are the same for the same sequence.
        for (round, _) in sequence.iter().enumerate() {
            let len = 1 + round * 7 % self.pipeline_max;
            let sent = (at + len).min(sequence.len());
            let chunk = &sequence[at..sent];
            for command in chunk {
                right.send(command)?;
                judged.send(command)?;
            }
            for command in chunk {
                let left = right
                    .receive_raw()
                    .with_context(|| render(std::slice::from_ref(command)))?;
                // A server that hangs or closes differs as well; any command sent so far may be the
                // cause.
                let (other, last) = match judged.receive_raw() {
                    Ok(other) => (other, at),
                    Err(error) => (format!("{error:#}").into_bytes(), sent - 1),
                };
                if !compare::same(command, &left, &other) {
                    let found = Difference {
                        protocol: self.protocol,
                        sequence: sequence[..=last].to_vec(),
                        right: left,
                        judged: other,
                    };
                    // The commands already sent must not be executed during the next run.
                    let _ = (at + 1..sent).try_for_each(|_| {
                        right.receive_raw()?;
                        judged.receive_raw().map(drop)
                    });
                    return Ok(Some(found));
                }
                at += 1;
            }
        }
        Ok(None)
    }

    fn open(&self, addr: &str) -> anyhow::Result<Connection> {
        let mut connection = Connection::open(addr, TIMEOUT)?;
        connection.call(&["FLUSHALL"])?;
        if self.protocol == Protocol::Resp3 {
            connection.call(&["HELLO", "3"])?;
        }
        Ok(connection)
    }

    /// Removes commands that the difference does not need: halves first, single commands last.
    fn shrink(&self, found: Difference) -> anyhow::Result<Difference> {
        let mut best = found;
        let mut size = best.sequence.len() / 2;
        let mut runs = 0;
        while size > 0 && runs < SHRINK_RUNS_MAX {
            let mut start = 0;
            while start + size < best.sequence.len() && runs < SHRINK_RUNS_MAX {
                let mut shorter = best.sequence.clone();
                shorter.drain(start..start + size);
                runs += 1;
                match self.run(&shorter)? {
                    // A difference at another command is a different finding, and must not replace
                    // this one.
                    Some(shorter) if shorter.command() == best.command() => best = shorter,
                    _ => start += size,
                }
            }
            size /= 2;
        }
        Ok(best)
    }
}

fn render(sequence: &[Command]) -> String {
    sequence.iter().fold(String::new(), |mut text, command| {
        let words: Vec<String> = command
            .iter()
            .map(|word| format!("\"{}\"", word.escape_ascii()))
            .collect();
        let _ = writeln!(text, "  {}", words.join(" "));
        text
    })
}
