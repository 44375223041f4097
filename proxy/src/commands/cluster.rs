//! `CLUSTER`: answers for clients of cluster mode and for tools. With `--cluster-announce` the
//! proxies are the nodes, else the asked proxy is the only node (`nodes`). Any node serves any key,
//! so nothing is ever redirected. `COTERIE` describes the nodes behind the proxies.

mod nodes;

use bytes::Bytes;
use coterie_redis_compat::errors::{
    INVALID_SLOT, INVALID_SLOT_OR_COUNT, NOT_AN_INTEGER, SLOTS_ARE_FIXED,
};
use coterie_redis_compat::{CommandError, Reply, number};

use super::slot::{SLOTS, slot};
use super::{Answer, Handler, Local, Named, Remote, int, text, verbatim};
use crate::fanout;
use nodes::{Node, nodes};

pub(super) const HANDLERS: &[Named] = &[
    ("asking", Handler::Now(ok)),
    ("cluster|addslots", Handler::Now(fixed)),
    ("cluster|addslotsrange", Handler::Now(fixed)),
    ("cluster|bumpepoch", Handler::Now(bumpepoch)),
    (
        "cluster|count-failure-reports",
        Handler::Now(count_failure_reports),
    ),
    ("cluster|countkeysinslot", alone!(countkeysinslot)),
    ("cluster|delslots", Handler::Now(fixed)),
    ("cluster|delslotsrange", Handler::Now(fixed)),
    ("cluster|failover", Handler::Now(fixed)),
    ("cluster|flushslots", Handler::Now(fixed)),
    ("cluster|forget", Handler::Now(fixed)),
    ("cluster|getkeysinslot", alone!(getkeysinslot)),
    ("cluster|help", Handler::Now(help)),
    ("cluster|info", Handler::Now(info)),
    ("cluster|keyslot", Handler::Now(keyslot)),
    ("cluster|links", Handler::Now(links)),
    ("cluster|meet", Handler::Now(fixed)),
    ("cluster|myid", Handler::Now(myid)),
    ("cluster|myshardid", Handler::Now(myid)),
    ("cluster|nodes", Handler::Now(list_nodes)),
    ("cluster|replicas", Handler::Now(replicas)),
    ("cluster|replicate", Handler::Now(fixed)),
    ("cluster|reset", Handler::Now(fixed)),
    ("cluster|saveconfig", Handler::Now(ok)),
    ("cluster|set-config-epoch", Handler::Now(fixed)),
    ("cluster|setslot", Handler::Now(fixed)),
    ("cluster|shards", Handler::Now(shards)),
    ("cluster|slaves", Handler::Now(replicas)),
    ("cluster|slots", Handler::Now(slots)),
];

/// `ASKING` and `CLUSTER SAVECONFIG`: there is nothing to do.
fn ok(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::OK.into())
}

/// Commands that change a cluster.
fn fixed(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Err(SLOTS_ARE_FIXED)
}

/// `CLUSTER BUMPEPOCH`: the epoch rises by itself.
fn bumpepoch(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let line = format!("STILL {}", local.shared.catalog().revision);
    Ok(Reply::Simple(line.into()).into())
}

/// `CLUSTER INFO`.
fn info(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let map = local.shared.router.cache.load();
    let (state, slots) = if map.is_empty() {
        ("fail", 0)
    } else {
        ("ok", SLOTS)
    };
    let epoch = local.shared.catalog().revision;
    let count = nodes(local).len();
    let enabled = u8::from(local.shared.is_cluster());
    let lines = format!(
        "cluster_enabled:{enabled}\r\ncluster_state:{state}\r\n\
         cluster_slots_assigned:{slots}\r\ncluster_slots_ok:{slots}\r\n\
         cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{count}\r\n\
         cluster_size:{count}\r\ncluster_current_epoch:{epoch}\r\ncluster_my_epoch:{epoch}\r\n\
         cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n"
    );
    Ok(verbatim(lines).into())
}

/// `CLUSTER MYID`, and `MYSHARDID`: each proxy is a shard.
fn myid(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(text(local.shared.run_id.clone()).into())
}

/// `CLUSTER NODES`.
fn list_nodes(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let epoch = local.shared.catalog().revision;
    let mut lines = String::new();
    for node in nodes(local) {
        let Node { id, host, .. } = &node;
        let port = port(&node);
        let flags = if node.is_asked {
            "myself,master"
        } else {
            "master"
        };
        let (first, last) = (node.slots.start(), node.slots.end());
        lines.push_str(&format!(
            "{id} {host}:{port}@{port} {flags} - 0 0 {epoch} connected {first}-{last}\n"
        ));
    }
    Ok(verbatim(lines).into())
}

/// `CLUSTER SLOTS`.
fn slots(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let ranges = nodes(local).into_iter().map(|node| {
        let of_node = Reply::Array(vec![
            text(node.host.clone()),
            int(port(&node).into()),
            text(node.id.clone()),
            Reply::Array(Vec::new()),
        ]);
        let (first, last) = (*node.slots.start(), *node.slots.end());
        Reply::Array(vec![int(first.into()), int(last.into()), of_node])
    });
    Ok(Reply::Array(ranges.collect()).into())
}

/// `CLUSTER SHARDS`.
fn shards(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let pair = |name, value| (Reply::text(name), value);
    let shards = nodes(local).into_iter().map(|node| {
        let mut fields = vec![
            pair("id", text(node.id.clone())),
            pair("port", int(node.port.into())),
        ];
        fields.extend(node.tls_port.map(|port| pair("tls-port", int(port.into()))));
        fields.extend([
            pair("ip", text(node.host.clone())),
            pair("endpoint", text(node.host.clone())),
            pair("role", Reply::text("master")),
            pair("replication-offset", int(0)),
            pair("health", Reply::text("online")),
        ]);
        let (first, last) = (*node.slots.start(), *node.slots.end());
        let slots = vec![int(first.into()), int(last.into())];
        Reply::Map(vec![
            pair("slots", Reply::Array(slots)),
            pair("nodes", Reply::Array(vec![Reply::Map(fields)])),
        ])
    });
    Ok(Reply::Array(shards.collect()).into())
}

/// `CLUSTER KEYSLOT key`.
fn keyslot(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(int(slot(&args[2]).into()).into())
}

/// `CLUSTER LINKS`: proxies keep no links with each other.
fn links(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Array(Vec::new()).into())
}

/// `CLUSTER REPLICAS node` and `CLUSTER SLAVES node`: no proxy has a replica.
fn replicas(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    check_node(local, &args[2])?;
    Ok(Reply::Array(Vec::new()).into())
}

/// `CLUSTER COUNT-FAILURE-REPORTS node`: a proxy that failed is no longer a node.
fn count_failure_reports(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    check_node(local, &args[2])?;
    Ok(int(0).into())
}

fn check_node(local: &Local<'_>, id: &[u8]) -> Result<(), CommandError> {
    if nodes(local).iter().any(|node| node.id.as_bytes() == id) {
        Ok(())
    } else {
        Err(CommandError::quoting("Unknown node ", id, ""))
    }
}

/// `CLUSTER COUNTKEYSINSLOT slot`.
async fn countkeysinslot(call: Remote) -> Result<Reply, CommandError> {
    let asked = number::parse_int(&call.args[2]).ok_or(NOT_AN_INTEGER)?;
    let asked = slot_number(asked).ok_or(INVALID_SLOT)?;
    let mut count = 0;
    let mut is_there = |key: &Bytes| {
        count += u64::from(slot(key) == asked);
        true
    };
    fanout::each_key(&call.calls(), call.table, &mut is_there).await?;
    Ok(int(count))
}

/// `CLUSTER GETKEYSINSLOT slot count`: in key order.
async fn getkeysinslot(call: Remote) -> Result<Reply, CommandError> {
    let number = |at: usize| number::parse_int(&call.args[at]).ok_or(NOT_AN_INTEGER);
    let (asked, most) = (number(2)?, number(3)?);
    let most = usize::try_from(most).map_err(|_| INVALID_SLOT_OR_COUNT)?;
    let asked = slot_number(asked).ok_or(INVALID_SLOT_OR_COUNT)?;
    let (mut keys, mut bytes) = (Vec::new(), 0);
    let mut take = |key: &Bytes| {
        if keys.len() < most && slot(key) == asked {
            bytes += key.len();
            keys.push(Reply::Bulk(Bytes::copy_from_slice(key)));
        }
        keys.len() < most && bytes < KEYS_BYTES_MAX
    };
    if most > 0 {
        fanout::each_key(&call.calls(), call.table, &mut take).await?;
    }
    Ok(Reply::Array(keys))
}

/// Bytes of keys after which `CLUSTER GETKEYSINSLOT` ends early.
const KEYS_BYTES_MAX: usize = 8 << 20;

fn slot_number(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|slot| *slot < SLOTS)
}

/// `CLUSTER HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "CLUSTER",
        &[
            "ADDSLOTS <slot> [<slot> ...]",
            "    Assign slots to current node.",
            "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
            "    Assign slots which are between <start-slot> and <end-slot> to current node.",
            "BUMPEPOCH",
            "    Advance the cluster config epoch.",
            "COUNT-FAILURE-REPORTS <node-id>",
            "    Return number of failure reports for <node-id>.",
            "COUNTKEYSINSLOT <slot>",
            "    Return the number of keys in <slot>.",
            "DELSLOTS <slot> [<slot> ...]",
            "    Delete slots information from current node.",
            "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
            "    Delete slots information which are between <start-slot> and <end-slot> from current node.",
            "FAILOVER [FORCE|TAKEOVER]",
            "    Promote current replica node to being a master.",
            "FORGET <node-id>",
            "    Remove a node from the cluster.",
            "GETKEYSINSLOT <slot> <count>",
            "    Return key names stored by current node in a slot.",
            "FLUSHSLOTS",
            "    Delete current node own slots information.",
            "INFO",
            "    Return information about the cluster.",
            "KEYSLOT <key>",
            "    Return the hash slot for <key>.",
            "MEET <ip> <port> [<bus-port>]",
            "    Connect nodes into a working cluster.",
            "MYID",
            "    Return the node id.",
            "MYSHARDID",
            "    Return the node's shard id.",
            "NODES",
            "    Return cluster configuration seen by node. Output format:",
            "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
            "REPLICATE <node-id>",
            "    Configure current node as replica to <node-id>.",
            "RESET [HARD|SOFT]",
            "    Reset current node (default: soft).",
            "SET-CONFIG-EPOCH <epoch>",
            "    Set config epoch of current node.",
            "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
            "    Set slot state.",
            "REPLICAS <node-id>",
            "    Return <node-id> replicas.",
            "SAVECONFIG",
            "    Force saving cluster configuration on disk.",
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

/// The port that a client uses.
fn port(node: &Node) -> u16 {
    node.port
}
