//! A cluster for the proxy to talk to (`cluster`, `moving`), and a client to talk to the proxy
//! (`client`).

pub(crate) mod client;
pub(crate) mod cluster;
mod meta;
mod moving;
mod places;

pub(crate) use client::Client;
pub(crate) use cluster::{Cluster, Fault, group_row, range};
