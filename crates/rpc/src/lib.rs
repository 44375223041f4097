//! Calls between processes: many at once over a connection per pair, each with a deadline.
//!
//! A connection opens with a handshake that proves the cluster token both ways (`handshake`),
//! within mutual TLS if the process has a certificate (`tls`): then it speaks nothing else. After
//! it, length-prefixed frames go in both directions and answers come in any order (`wire`). All
//! queued frames are written together (`outbox`), so that all calls in flight share the cost of a
//! system call. This crate does not interpret calls: a method is a number, a body is bytes.
//!
//! Tasks: the calling side has a reader and a writer per connection, and a sweeper for the
//! deadlines of all connections. The answering side has a reader and a writer per connection, and
//! calls the handler from the reader. No task is created per call.
//!
//! A call whose caller no longer waits is cancelled: the answering side is told, stops working on
//! it where it can, and drops the rest of the answer. The handler of a slow call reports that it is
//! working on it, so that its caller does not mistake work for silence (`patience`).
//!
//! Bounds: calls in flight and bytes queued per connection, bytes of a frame, connections before
//! their handshake; bytes of long answers of a connection, by a budget that handlers draw from
//! before they produce an answer. When a bound is reached, callers wait (within their deadline) and
//! readers stop reading.

mod caller;
mod cancelled;
mod client;
mod connection;
mod credentials;
mod door;
mod error;
#[cfg(test)]
mod fuzz;
mod handler;
mod handshake;
mod limits;
mod long_answers;
mod outbox;
mod patience;
mod peer;
mod server;
mod sink;
mod socket;
mod stream;
mod sweeper;
mod tls;
mod token;
mod waiting;
mod wire;

pub use client::Client;
pub use credentials::{Credentials, CredentialsError};
pub use door::Door;
pub use error::CallError;
pub use handler::{Handler, Request, Responder};
pub use limits::Limits;
pub use patience::{Patience, Progress};
pub use server::Server;
pub use token::Token;
