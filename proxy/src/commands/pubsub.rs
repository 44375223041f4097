//! Publish and subscribe (Redis `pubsub.c`), over all proxies: `pubsub`.

use bytes::{Bytes, BytesMut};
use coterie_protocol::pubsub::Kind;
use coterie_redis_compat::{Command, CommandError, Reply};

use super::{Answer, Handler, Local, Named, Remote, int};

pub(super) const HANDLERS: &[Named] = &[
    ("psubscribe", also_queued!(psubscribe)),
    ("publish", also_queued!(publish)),
    ("pubsub|channels", also_queued!(channels)),
    ("pubsub|help", Handler::Now(help)),
    ("pubsub|numpat", also_queued!(numpat)),
    ("pubsub|numsub", also_queued!(numsub)),
    ("pubsub|shardchannels", also_queued!(shardchannels)),
    ("pubsub|shardnumsub", also_queued!(shardnumsub)),
    ("punsubscribe", also_queued!(punsubscribe)),
    ("spublish", also_queued!(spublish)),
    ("ssubscribe", also_queued!(ssubscribe)),
    ("subscribe", also_queued!(subscribe)),
    ("sunsubscribe", also_queued!(sunsubscribe)),
    ("unsubscribe", also_queued!(unsubscribe)),
];

/// Whether a command begins or ends subscriptions: its replies are messages, which come even if
/// the client asked for no replies.
pub(crate) fn subscribes(row: &Command) -> bool {
    row.name.ends_with("subscribe")
}

/// Whether a client that subscribes may call a command in RESP2.
pub(crate) fn may_be_called_by_subscribers(row: &Command) -> bool {
    subscribes(row) || matches!(row.name, "ping" | "quit" | "reset")
}

/// The error of a command that a subscriber may not call in RESP2.
pub(crate) fn not_by_subscribers(row: &Command) -> CommandError {
    CommandError::Other(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        row.name
    ))
}

/// `PUBLISH channel message`.
async fn publish(call: Remote) -> Result<Reply, CommandError> {
    publish_on(&call, Kind::Channel).await
}

/// `SPUBLISH shardchannel message`.
async fn spublish(call: Remote) -> Result<Reply, CommandError> {
    publish_on(&call, Kind::Shard).await
}

async fn publish_on(call: &Remote, kind: Kind) -> Result<Reply, CommandError> {
    let message = (kind, &call.args[1], &call.args[2]);
    let rpc = &call.shared.router.rpc;
    let pubsub = &call.shared.pubsub;
    let receivers = pubsub.publish(rpc, &call.client, message, call.deadline);
    Ok(int(receivers.await?))
}

/// `SUBSCRIBE channel [channel ...]`.
async fn subscribe(call: Remote) -> Result<Reply, CommandError> {
    subscribe_to(&call, Kind::Channel).await
}

/// `PSUBSCRIBE pattern [pattern ...]`.
async fn psubscribe(call: Remote) -> Result<Reply, CommandError> {
    subscribe_to(&call, Kind::Pattern).await
}

/// `SSUBSCRIBE shardchannel [shardchannel ...]`.
async fn ssubscribe(call: Remote) -> Result<Reply, CommandError> {
    subscribe_to(&call, Kind::Shard).await
}

async fn subscribe_to(call: &Remote, kind: Kind) -> Result<Reply, CommandError> {
    let pubsub = &call.shared.pubsub;
    let replies = pubsub
        .subscribe(&call.client, kind, &call.args[1..])
        .await?;
    Ok(one_after_another(call, &replies))
}

/// `UNSUBSCRIBE [channel ...]`.
async fn unsubscribe(call: Remote) -> Result<Reply, CommandError> {
    unsubscribe_from(&call, Kind::Channel).await
}

/// `PUNSUBSCRIBE [pattern ...]`.
async fn punsubscribe(call: Remote) -> Result<Reply, CommandError> {
    unsubscribe_from(&call, Kind::Pattern).await
}

/// `SUNSUBSCRIBE [shardchannel ...]`.
async fn sunsubscribe(call: Remote) -> Result<Reply, CommandError> {
    unsubscribe_from(&call, Kind::Shard).await
}

async fn unsubscribe_from(call: &Remote, kind: Kind) -> Result<Reply, CommandError> {
    let pubsub = &call.shared.pubsub;
    let replies = pubsub
        .unsubscribe(&call.client, kind, &call.args[1..])
        .await;
    Ok(one_after_another(call, &replies))
}

/// Several replies to a command, as Redis sends them.
fn one_after_another(call: &Remote, replies: &[Reply]) -> Reply {
    let mut bytes = BytesMut::new();
    replies
        .iter()
        .for_each(|reply| reply.encode(call.resp, &mut bytes));
    Reply::Raw(bytes.freeze())
}

/// `PUBSUB CHANNELS [pattern]`.
async fn channels(call: Remote) -> Result<Reply, CommandError> {
    list(&call, Kind::Channel).await
}

/// `PUBSUB SHARDCHANNELS [pattern]`.
async fn shardchannels(call: Remote) -> Result<Reply, CommandError> {
    list(&call, Kind::Shard).await
}

async fn list(call: &Remote, kind: Kind) -> Result<Reply, CommandError> {
    if call.args.len() > 3 {
        return Err(super::subcommand_syntax(&call.args[1], "PUBSUB"));
    }
    let rpc = &call.shared.router.rpc;
    let pattern = call.args.get(2).cloned();
    let names = call
        .shared
        .pubsub
        .channels(rpc, kind, pattern, call.deadline);
    // Names of other channels are none of the user's business.
    let may_see = |name: &Bytes| {
        let user = call.user.as_ref();
        user.is_none_or(|user| user.may_use_channel(name, false))
    };
    let names = names.await?.into_iter().filter(may_see).map(Reply::Bulk);
    Ok(Reply::Array(names.collect()))
}

/// `PUBSUB NUMSUB [channel ...]`.
async fn numsub(call: Remote) -> Result<Reply, CommandError> {
    count(&call, Kind::Channel).await
}

/// `PUBSUB SHARDNUMSUB [shardchannel ...]`.
async fn shardnumsub(call: Remote) -> Result<Reply, CommandError> {
    count(&call, Kind::Shard).await
}

async fn count(call: &Remote, kind: Kind) -> Result<Reply, CommandError> {
    let (rpc, names) = (&call.shared.router.rpc, &call.args[2..]);
    let pubsub = &call.shared.pubsub;
    let counts = pubsub.subscribers(rpc, kind, names, call.deadline).await?;
    let pairs = names.iter().zip(counts);
    let words = pairs.flat_map(|(name, count)| [Reply::Bulk(name.clone()), int(count)]);
    Ok(Reply::Array(words.collect()))
}

/// `PUBSUB NUMPAT`.
async fn numpat(call: Remote) -> Result<Reply, CommandError> {
    let rpc = &call.shared.router.rpc;
    Ok(int(call.shared.pubsub.patterns(rpc, call.deadline).await?))
}

/// `PUBSUB HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: \
             '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    )
    .into())
}
