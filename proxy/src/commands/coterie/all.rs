//! `COTERIE PROXIES` and `COTERIE ALL`: every proxy of the cluster, not only the asked one.

use coterie_redis_compat::{CommandError, Reply, resolve};
use futures_util::future::join_all;

use super::super::{Remote, int, text};
use super::words::{Pair, pair};
use crate::clients::first_id;
use crate::peers::{ForAll, is_for_all, not_for_all};

/// `COTERIE PROXIES`: the live proxies.
pub(super) fn proxies(call: &Remote) -> Reply {
    let roster = &call.shared.roster;
    let own = roster.own();
    let all = roster.all();
    let proxies = all.iter().map(|proxy| {
        let announced = proxy.announces.as_ref();
        let announced = announced.map(|(host, port)| format!("{host}:{port}"));
        let fields: Vec<Pair> = vec![
            pair("id", text(proxy.id.clone())),
            pair("listens", text(proxy.listens.clone())),
            pair("announces", text(announced.unwrap_or_default())),
            pair("peer", text(proxy.peer.clone())),
            pair("version", text(proxy.version.clone())),
            pair("client_ids_from", int(first_id(proxy.number))),
            pair(
                "asked",
                Reply::text(if proxy.id == own.id { "yes" } else { "no" }),
            ),
        ];
        Reply::Map(fields)
    });
    Reply::Array(proxies.collect())
}

/// `COTERIE ALL command [argument ...]`: the replies of all proxies, each behind the address where
/// its proxy listens. A proxy that does not answer has an error there. The user must be allowed to
/// run the command.
pub(super) async fn all(call: &Remote) -> Result<Reply, CommandError> {
    let command = ForAll {
        args: call.args[2..].to_vec(),
        table: call.table,
        resp: call.resp,
    };
    let row = resolve(&command.args)?;
    if !is_for_all(row) {
        return Err(not_for_all(&command.args));
    }
    if let Some(user) = &call.user {
        let checked = user.check(row, &command.args);
        checked.map_err(|denial| denial.error(row))?;
    }
    let own = call.shared.roster.own();
    let all = call.shared.roster.all();
    let replies = all.iter().map(async |proxy| {
        let command = command.clone();
        let reply = if proxy.id == own.id {
            Reply::Raw(command.run(&call.shared, &call.client).await)
        } else {
            match command.ask(&call.shared, proxy).await {
                Ok(reply) => Reply::Raw(reply),
                Err(reason) => {
                    let line = format!("ERR the proxy cannot be asked: {reason}");
                    Reply::Error(line.into())
                }
            }
        };
        (text(proxy.listens.clone()), reply)
    });
    Ok(Reply::Map(join_all(replies).await))
}
