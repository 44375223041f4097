//! Calls between processes: many at once over one connection per pair, each with a deadline.
//!
//! A connection opens with a handshake that proves the cluster token both ways (`handshake`); after
//! it, length-prefixed frames go in both directions and answers come in any order (`wire`). All
//! that waits is written in one go (`outbox`), so the price of a system call is shared by every
//! call under way. Nothing here knows what a call means: a method is a number, a body is bytes.
//!
//! Tasks: on the side that calls, one reader and one writer per connection and one sweeper for the
//! deadlines of all of them; on the side that answers, one reader and one writer per connection,
//! and the handler is called from the reader. No task is made for a call.
//!
//! A call that nobody waits for any more is cancelled: the side that answers is told, stops working
//! on it where it can, and drops what it has of the answer. One that takes long says that it is
//! being worked on, so that its caller does not take work for silence (`patience`).
//!
//! Bounds: calls in flight and bytes queued per connection, bytes of a frame, strangers at the
//! door; bytes of long answers of a connection, by a budget that handlers take from before they
//! make one. When one is reached, callers wait (within their deadline) and readers stop reading.

mod cancelled;
mod client;
mod connection;
mod error;
mod handler;
mod handshake;
mod limits;
mod long_answers;
mod outbox;
mod patience;
mod peer;
mod server;
mod socket;
mod sweeper;
mod token;
mod waiting;
mod wire;

pub use client::Client;
pub use error::CallError;
pub use handler::{Handler, Request, Responder};
pub use limits::Limits;
pub use patience::{Patience, Progress};
pub use server::Server;
pub use token::Token;
