//! The messages between roles: method numbers, requests, answers, refusals.
//!
//! There are two kinds of encoding. The data path (`frame`, `reply`) is written by hand, without
//! copying the client's bytes; everything else is postcard of the types here. Every connection
//! starts with the protocol version (`rpc`), so a change here is a change of `docs/wire-format.md`.
//!
//! Callers: proxy and controller call servers (`server`), servers call each other (Raft, in
//! `crates/raft`), every role calls meta (`meta`).

pub mod catalog;
mod codec;
mod frame;
pub mod frozen;
pub mod interests;
pub mod meta;
pub mod method;
pub mod news;
pub mod objects;
pub mod places;
pub mod pubsub;
mod refusal;
mod reply;
pub mod scripts;
pub mod server;
pub mod settings;
pub mod waits;

pub use codec::{DecodeError, decode, encode};
pub use frame::{Frame, FrameCommand, FrameFlags, Stage, Wait, WaitHead, Watch};
pub use refusal::Refusal;
pub use reply::{DoneReplies, FrameReply};
