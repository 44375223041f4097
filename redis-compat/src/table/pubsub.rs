//! Rows of the commands to publish and subscribe.

use crate::command::{Command, Part, Topic, command};
use crate::{Flags as F, KeyFlags as K};

pub(super) const PART: Part = Part::new(ROWS, &[]);

/// Publishes.
const PUBLISHES: F = F::PUBSUB
    .with(F::ANY_TIME)
    .with(F::FAST)
    .with(F::MAY_REPLICATE);
/// Begins or ends subscriptions.
const SUBSCRIBES: F = F::PUBSUB.with(F::SESSION);
/// Asks who subscribes.
const ASKS: F = F::PUBSUB.with(F::ANY_TIME);

const SHARD: &str = "Shard channels have homes as other channels have, whatever their slots.";

const ROWS: &[Command] = &[
    command(Topic::PubSub, "psubscribe")
        .syntax("pattern(pattern) ...")
        .flags(SUBSCRIBES)
        .docs(
            "2.0.0",
            "O(N) where N is the number of patterns",
            "Subscribes to the channels that fit patterns.",
        ),
    command(Topic::PubSub, "publish")
        .syntax("channel message")
        .flags(PUBLISHES)
        .docs(
            "2.0.0",
            "O(N+M) where N is the number of subscribers and M the number of patterns",
            "Sends a message to the subscribers of a channel.",
        )
        .deviation(
            "A client that subscribes to its own channel (RESP3) gets the reply before the message.",
        ),
    command(Topic::PubSub, "pubsub")
        .container()
        .docs(
            "2.8.0",
            "Depends on subcommand",
            "A container for commands about channels and patterns.",
        )
        .deviation("It answers for all proxies; `CHANNELS` lists names in byte order."),
    command(Topic::PubSub, "pubsub|channels")
        .syntax("[pattern]")
        .flags(ASKS)
        .docs(
            "2.8.0",
            "O(N) where N is the number of channels with subscribers",
            "Lists the channels that have subscribers.",
        ),
    command(Topic::PubSub, "pubsub|help")
        .flags(F::ANY_TIME)
        .docs("6.2.0", "O(1)", "Prints the subcommands."),
    command(Topic::PubSub, "pubsub|numpat")
        .flags(ASKS)
        .docs("2.8.0", "O(1)", "Counts the different patterns that have subscribers."),
    command(Topic::PubSub, "pubsub|numsub")
        .syntax("[channel ...]")
        .flags(ASKS)
        .docs(
            "2.8.0",
            "O(N) where N is the number of channels",
            "Counts the subscribers of channels.",
        ),
    command(Topic::PubSub, "pubsub|shardchannels")
        .syntax("[pattern]")
        .flags(ASKS)
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels with subscribers",
            "Lists the shard channels that have subscribers.",
        ),
    command(Topic::PubSub, "pubsub|shardnumsub")
        .syntax("[shardchannel ...]")
        .flags(ASKS)
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels",
            "Counts the subscribers of shard channels.",
        ),
    command(Topic::PubSub, "punsubscribe")
        .syntax("[pattern ...]")
        .flags(SUBSCRIBES)
        .docs(
            "2.0.0",
            "O(N) where N is the number of patterns",
            "Ends subscriptions to patterns, or to all of them.",
        ),
    command(Topic::PubSub, "spublish")
        .syntax("shardchannel message")
        .flags(PUBLISHES)
        .keys(&[K::NOT_KEY.at(1)])
        .docs(
            "7.0.0",
            "O(N) where N is the number of subscribers",
            "Sends a message to the subscribers of a shard channel.",
        )
        .deviation(SHARD),
    command(Topic::PubSub, "ssubscribe")
        .syntax("shardchannel ...")
        .flags(SUBSCRIBES)
        .keys(&[K::NOT_KEY.at(1).every(1)])
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels",
            "Subscribes to shard channels.",
        )
        .deviation(SHARD),
    command(Topic::PubSub, "subscribe")
        .syntax("channel ...")
        .flags(SUBSCRIBES)
        .docs(
            "2.0.0",
            "O(N) where N is the number of channels",
            "Subscribes to channels.",
        )
        .deviation(
            "It replies when the servers of its channels know of it, or after two seconds if one \
            does not answer. A client has 262144 channels and patterns at most, the clients of a \
            proxy 1048576; a name has 64 KiB at most.",
        ),
    command(Topic::PubSub, "sunsubscribe")
        .syntax("[shardchannel ...]")
        .flags(SUBSCRIBES)
        .keys(&[K::NOT_KEY.at(1).every(1)])
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels",
            "Ends subscriptions to shard channels, or to all of them.",
        ),
    command(Topic::PubSub, "unsubscribe")
        .syntax("[channel ...]")
        .flags(SUBSCRIBES)
        .docs(
            "2.0.0",
            "O(N) where N is the number of channels",
            "Ends subscriptions to channels, or to all of them.",
        ),
];
