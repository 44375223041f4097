//! `CLUSTER`: truthful answers for tools that ask a Redis Cluster. To a client the cluster is a
//! single node with all slots, this proxy: it may send any command here. `COTERIE` describes the
//! nodes behind the proxy.

use std::net::SocketAddr;

use bytes::Bytes;
use coterie_redis_compat::errors::NOT_BY_SLOT;
use coterie_redis_compat::{CommandError, Reply};

use super::slot::{SLOTS, slot};
use super::{Answer, Handler, Local, Named, int, text, verbatim};

pub(super) const HANDLERS: &[Named] = &[
    ("cluster|countkeysinslot", Handler::Now(keys_in_slot)),
    ("cluster|getkeysinslot", Handler::Now(keys_in_slot)),
    ("cluster|help", Handler::Now(help)),
    ("cluster|info", Handler::Now(info)),
    ("cluster|keyslot", Handler::Now(keyslot)),
    ("cluster|links", Handler::Now(links)),
    ("cluster|myid", Handler::Now(myid)),
    ("cluster|myshardid", Handler::Now(myid)),
    ("cluster|nodes", Handler::Now(nodes)),
    ("cluster|replicas", Handler::Now(replicas)),
    ("cluster|shards", Handler::Now(shards)),
    ("cluster|slots", Handler::Now(slots)),
];

/// `CLUSTER INFO`.
fn info(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let map = local.shared.router.cache.load();
    let (state, slots) = if map.is_empty() {
        ("fail", 0)
    } else {
        ("ok", SLOTS)
    };
    let catalog = local.shared.catalog();
    let lines = format!(
        "cluster_enabled:0\r\ncluster_state:{state}\r\ncluster_slots_assigned:{slots}\r\n\
         cluster_slots_ok:{slots}\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n\
         cluster_known_nodes:1\r\ncluster_size:1\r\ncluster_current_epoch:{0}\r\n\
         cluster_my_epoch:{0}\r\n",
        catalog.revision
    );
    Ok(verbatim(lines).into())
}

/// `CLUSTER MYID`.
fn myid(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(text(local.shared.run_id.clone()).into())
}

/// `CLUSTER NODES`.
fn nodes(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let addr = address(local);
    let line = format!(
        "{} {}:{}@{} myself,master - 0 0 {} connected 0-{}\n",
        local.shared.run_id,
        addr.ip(),
        addr.port(),
        addr.port(),
        local.shared.catalog().revision,
        SLOTS - 1,
    );
    Ok(verbatim(line).into())
}

/// `CLUSTER SLOTS`.
fn slots(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let addr = address(local);
    let node = Reply::Array(vec![
        text(addr.ip().to_string()),
        int(addr.port().into()),
        text(local.shared.run_id.clone()),
        Reply::Array(Vec::new()),
    ]);
    let all = Reply::Array(vec![int(0), int(u64::from(SLOTS) - 1), node]);
    Ok(Reply::Array(vec![all]).into())
}

/// `CLUSTER SHARDS`.
fn shards(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let addr = address(local);
    let pair = |name, value| (Reply::text(name), value);
    let node = Reply::Map(vec![
        pair("id", text(local.shared.run_id.clone())),
        pair("port", int(addr.port().into())),
        pair("ip", text(addr.ip().to_string())),
        pair("endpoint", text(addr.ip().to_string())),
        pair("role", Reply::text("master")),
        pair("replication-offset", int(0)),
        pair("health", Reply::text("online")),
    ]);
    let shard = Reply::Map(vec![
        pair(
            "slots",
            Reply::Array(vec![int(0), int(u64::from(SLOTS) - 1)]),
        ),
        pair("nodes", Reply::Array(vec![node])),
    ]);
    Ok(Reply::Array(vec![shard]).into())
}

/// `CLUSTER KEYSLOT key`.
fn keyslot(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(int(slot(&args[2]).into()).into())
}

/// `CLUSTER LINKS`.
fn links(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(Vec::new()).into())
}

/// `CLUSTER REPLICAS node`.
fn replicas(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    if args[2] != local.shared.run_id {
        return Err(CommandError::quoting("Unknown node ", &args[2], ""));
    }
    Ok(Reply::Array(Vec::new()).into())
}

/// `CLUSTER COUNTKEYSINSLOT`, `CLUSTER GETKEYSINSLOT`.
fn keys_in_slot(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Err(NOT_BY_SLOT)
}

/// `CLUSTER HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "CLUSTER",
        &[
            "INFO",
            "    Return information about the cluster.",
            "KEYSLOT <key>",
            "    Return the hash slot for <key>.",
            "MYID",
            "    Return the node id.",
            "MYSHARDID",
            "    Return the node's shard id.",
            "NODES",
            "    Return cluster configuration seen by node. Output format:",
            "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
            "REPLICAS <node-id>",
            "    Return <node-id> replicas.",
            "SLOTS",
            "    Return information about slots range mappings. Each range is made of:",
            "    start, end, master and replicas IP addresses, ports and ids",
            "SHARDS",
            "    Return information about slot range mappings and the nodes associated with them.",
            "LINKS",
            "    Return information about all network links between this node and its peers.",
            "    Output format is an array where each array element is a map containing attributes of a link",
        ],
    )
    .into())
}

/// Where the client that asks reached this proxy: an address that works for it.
fn address(local: &Local<'_>) -> SocketAddr {
    local.client.local_addr
}
