//! What `COTERIE NODES` and `COTERIE GROUPS` say, asked through a proxy as an operator would.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::connection::Connection;
use crate::resp::Reply;

/// How long an administrative question may take.
const WITHIN: Duration = Duration::from_secs(5);

/// The address of each node, by id.
pub(super) fn node_addrs(proxy: &str) -> anyhow::Result<BTreeMap<u64, String>> {
    let rows = ask(proxy, "NODES")?;
    let node = |row: &Reply| -> anyhow::Result<_> {
        let addr = row.field("addr").or_else(|| row.field("address"));
        let addr = addr
            .and_then(Reply::text)
            .with_context(|| format!("no address: {row:?}"))?;
        Ok((number(row, &["node", "node_id", "id"])?, addr))
    };
    rows.elements().iter().map(node).collect()
}

/// The node that leads each group, `None` where none is known.
pub(super) fn group_leaders(proxy: &str) -> anyhow::Result<BTreeMap<u64, Option<u64>>> {
    let rows = ask(proxy, "GROUPS")?;
    let group = |row: &Reply| -> anyhow::Result<_> {
        let leader = number(row, &["leader"]).ok().filter(|&leader| leader != 0);
        Ok((number(row, &["group", "group_id", "id"])?, leader))
    };
    rows.elements().iter().map(group).collect()
}

/// Where the log of the leader of each group begins.
pub(super) fn first_indexes(proxy: &str) -> anyhow::Result<BTreeMap<u64, u64>> {
    let rows = ask(proxy, "GROUPS")?;
    let group = |row: &Reply| -> anyhow::Result<_> {
        let leader = number(row, &["leader"])?;
        let replicas = row.field("replicas").context("no replicas")?.elements();
        let leads = |replica: &&Reply| number(replica, &["node"]).is_ok_and(|node| node == leader);
        let replica = replicas.iter().find(leads).context("no replica leads")?;
        let first = number(replica, &["first_index"])?;
        Ok((number(row, &["group", "group_id", "id"])?, first))
    };
    rows.elements().iter().map(group).collect()
}

fn ask(proxy: &str, subcommand: &str) -> anyhow::Result<Reply> {
    let mut connection = Connection::open(proxy, WITHIN)?;
    match connection.call(&["COTERIE", subcommand])? {
        Reply::Error(text) => bail!("COTERIE {subcommand} answered: {text}"),
        reply => Ok(reply),
    }
}

fn number(row: &Reply, names: &[&str]) -> anyhow::Result<u64> {
    let value = names.iter().find_map(|name| row.field(name));
    let text = value.and_then(Reply::text);
    let text = text.with_context(|| format!("none of {names:?} in {row:?}"))?;
    text.parse()
        .with_context(|| format!("{names:?} is {text:?}"))
}
