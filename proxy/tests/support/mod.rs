//! A cluster for the proxy to talk to (`cluster`, `moving`), and a client to talk to the proxy
//! (`client`).

pub(crate) mod client;
pub(crate) mod cluster;
mod listed;
mod meta;
mod moving;
mod places;
mod wait;
mod waits;

pub(crate) use client::{Client, NO_KEY, bulks, expect};
pub(crate) use cluster::{Cluster, Fault, group_row, range};
pub(crate) use listed::{Fields, listed};
pub(crate) use wait::{until, wait_until};
