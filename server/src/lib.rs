//! A node: a store of replicas.
//!
//! A process opens its directory (`directory`), gets its node id from meta (`register`), opens the
//! log for all groups (`coterie-raft`) and a RocksDB per replica (`replica`), takes calls
//! (`handler`, `admin`) and reports its status to meta (`heartbeat`). Data is served without meta:
//! all that a node must know to go on is in its directory.

mod addresses;
mod admin;
mod config;
mod cpu_time;
mod directory;
mod disk;
mod error;
mod fencing;
mod handler;
mod heartbeat;
mod host;
mod leave;
mod links;
mod mean;
mod metrics;
mod news;
mod node;
mod peers;
mod pubsub;
mod rate;
mod register;
mod rejoin;
mod reopen;
mod replica;
mod run;
mod scan_places;
mod scripts;

pub use config::Config;
pub use error::RunError;
pub use rejoin::{Service, run};
pub use replica::ReadMode;
pub use run::{Handle, start, start_with};
