//! Rows of the commands about the connection itself.

use crate::Flags as F;
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `HELLO` before `AUTH`, without credentials.
    pub NO_AUTH_HELLO = "NOAUTH HELLO must be called with the client already authenticated, \
        otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select \
        the RESP protocol version at the same time";
    /// Wrong credentials.
    pub WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    /// `AUTH` while no password is set.
    pub NO_PASSWORD_SET = "ERR AUTH <password> called without any password configured for the default \
        user. Are you sure your configuration is correct?";
    /// `HELLO` with a version other than 2 or 3.
    pub NO_PROTO = "NOPROTO unsupported protocol version";
    /// `HELLO` with a version that is no number.
    pub PROTO_NOT_A_NUMBER = "ERR Protocol version is not an integer or out of range";
    /// `CLIENT KILL` and friends on a client that is gone.
    pub NO_SUCH_CLIENT = "ERR No such client";
    /// `CLIENT SETNAME` with a name that would break `CLIENT LIST`.
    pub BAD_CLIENT_NAME = "ERR Client names cannot contain spaces, newlines or special characters.";
    /// `CLIENT LIST ID` with an id that is no number.
    pub INVALID_CLIENT_ID = "ERR Invalid client ID";
    /// `CLIENT KILL ID` with an id that no client can have.
    pub CLIENT_ID_TOO_SMALL = "ERR client-id should be greater than 0";
    /// `CLIENT KILL MAXAGE` with an age that is no number, in the words of Redis 7.4.
    pub AGE_NOT_AN_INTEGER = "ERR maxage is not an integer or out of range";
    /// `CLIENT KILL MAXAGE` with an age that every client has, in the words of Redis 7.4.
    pub AGE_TOO_SMALL = "ERR maxage should be greater than 0";
    /// `CLIENT PAUSE` with another mode.
    pub PAUSE_MODE = "ERR CLIENT PAUSE mode must be WRITE or ALL";
    /// The command of a client that `CLIENT UNBLOCK` ended with ERROR.
    pub UNBLOCKED = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    /// Coterie's own: so many clients of a proxy wait for keys of a group.
    pub TOO_MANY_WAIT = "ERR max number of clients that wait for keys of a group reached";
    /// `CLIENT UNBLOCK` with another reason.
    pub UNBLOCK_REASON = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
    /// `CLIENT TRACKING` that redirects twice.
    pub REDIRECTED_TWICE = "ERR A client can only redirect to a single other client";
    /// `CLIENT TRACKING` that redirects to a client that is gone.
    pub REDIRECTED_NOWHERE = "ERR The client ID you want redirect to does not exist";
    /// `CLIENT CACHING` without tracking.
    pub NOT_TRACKING = "ERR CLIENT CACHING can be called only when the client is in tracking mode \
        with OPTIN or OPTOUT mode enabled";
    /// `CLIENT CACHING YES` in another mode.
    pub CACHING_YES_WITHOUT_OPTIN = "ERR CLIENT CACHING YES is only valid when tracking is enabled \
        in OPTIN mode.";
    /// `CLIENT CACHING NO` in another mode.
    pub CACHING_NO_WITHOUT_OPTOUT = "ERR CLIENT CACHING NO is only valid when tracking is enabled \
        in OPTOUT mode.";
    /// `CLIENT TRACKING` with prefixes for nothing.
    pub PREFIX_WITHOUT_BCAST = "ERR PREFIX option requires BCAST mode to be enabled";
    /// `CLIENT TRACKING` that would change the mode.
    pub BCAST_SWITCHED = "ERR You can't switch BCAST mode on/off before disabling tracking for \
        this client, and then re-enabling it with a different mode.";
    /// `CLIENT TRACKING` that wants to be told of all keys, and of some.
    pub BCAST_AND_OPT = "ERR OPTIN and OPTOUT are not compatible with BCAST";
    /// `CLIENT TRACKING` with both.
    pub OPTIN_AND_OPTOUT = "ERR You can't specify both OPTIN mode and OPTOUT mode";
    /// `CLIENT TRACKING` that would change the mode.
    pub OPT_SWITCHED = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
        client, and then re-enabling it with a different mode.";
    /// Coterie's own: a proxy keeps no more prefixes.
    pub TOO_MANY_PREFIXES = "ERR max number of prefixes that clients of this proxy track reached";
}

const ROWS: &[Command] = &[
    command(Topic::Connection, "auth")
        .syntax("[username] password")
        .flags(F::HANDSHAKE)
        .docs(
            "1.0.0",
            "O(N) where N is the number of passwords defined for the user",
            "Authenticates the connection.",
        ),
    command(Topic::Connection, "client")
        .container()
        .docs(
            "2.4.0",
            "Depends on subcommand",
            "A container for commands about connections.",
        )
        .deviation(
            "It shows and changes the clients of this proxy; `COTERIE ALL CLIENT ...` those of \
            all proxies. Ids are unique over all proxies.",
        ),
    command(Topic::Connection, "client|caching")
        .syntax("mode(YES|NO)")
        .flags(F::SESSION)
        .docs(
            "6.0.0",
            "O(1)",
            "Tells tracking whether to follow the keys of the next command.",
        ),
    command(Topic::Connection, "client|getname")
        .flags(F::SESSION)
        .docs("2.6.9", "O(1)", "Returns the name of the connection."),
    command(Topic::Connection, "client|getredir")
        .flags(F::SESSION)
        .docs(
            "6.0.0",
            "O(1)",
            "Returns the client that gets the tracking messages of this connection.",
        ),
    command(Topic::Connection, "client|help")
        .flags(F::ANY_TIME)
        .docs("5.0.0", "O(1)", "Lists the subcommands."),
    command(Topic::Connection, "client|id")
        .flags(F::SESSION)
        .docs("5.0.0", "O(1)", "Returns the id of the connection."),
    command(Topic::Connection, "client|info")
        .flags(F::SESSION)
        .tips(&["nondeterministic_output"])
        .docs("6.2.0", "O(1)", "Describes the connection.")
        .deviation("It has `watch=`, as Redis has since 7.4."),
    command(Topic::Connection, "client|kill")
        .syntax(
            "filter(ip:port|new-format([ID client-id]|[TYPE \
            normal_master_slave_pubsub(NORMAL|MASTER|SLAVE|REPLICA|PUBSUB)]|[USER \
            username]|[ADDR ip:port]|[LADDR ip:port]|[SKIPME yes/no]) ...)",
        )
        .flags(F::ADMINISTERS)
        .arity(-3)
        .docs(
            "2.4.0",
            "O(N) where N is the number of client connections",
            "Closes connections.",
        ),
    command(Topic::Connection, "client|list")
        .syntax(
            "[TYPE normal_master_replica_pubsub(NORMAL|MASTER|REPLICA|PUBSUB)] [ID id(client-id \
            ...)]",
        )
        .flags(F::ADMINISTERS)
        .tips(&["nondeterministic_output"])
        .docs(
            "2.4.0",
            "O(N) where N is the number of client connections",
            "Describes all connections.",
        )
        .deviation("It has `watch=`, as Redis has since 7.4."),
    command(Topic::Connection, "client|no-evict")
        .syntax("enabled(ON|OFF)")
        .flags(F::ADMINISTERS)
        .docs(
            "7.0.0",
            "O(1)",
            "Exempts the connection from being closed to free memory.",
        ),
    command(Topic::Connection, "client|no-touch")
        .syntax("enabled(ON|OFF)")
        .flags(F::SESSION)
        .docs(
            "7.2.0",
            "O(1)",
            "Decides whether reads of this connection count as accesses.",
        ),
    command(Topic::Connection, "client|pause")
        .syntax("timeout [mode(WRITE|ALL)]")
        .flags(F::ADMINISTERS)
        .docs("2.9.50", "O(1)", "Suspends commands for some time."),
    command(Topic::Connection, "client|reply")
        .syntax("on_off_skip(ON|OFF|SKIP)")
        .flags(F::SESSION)
        .docs("3.2.0", "O(1)", "Turns replies off and on."),
    command(Topic::Connection, "client|setinfo")
        .syntax("attr(LIB-NAME libname|LIB-VER libver)")
        .flags(F::SESSION)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .docs(
            "7.2.0",
            "O(1)",
            "Names the client's library and its version.",
        ),
    command(Topic::Connection, "client|setname")
        .syntax("connection-name")
        .flags(F::SESSION)
        .docs("2.6.9", "O(1)", "Names the connection."),
    command(Topic::Connection, "client|tracking")
        .syntax(
            "status(ON|OFF) [REDIRECT client-id] [PREFIX prefix] ... [BCAST] [OPTIN] [OPTOUT] \
            [NOLOOP]",
        )
        .flags(F::SESSION)
        .docs("6.0.0", "O(1)", "Turns client-side caching on and off.")
        .deviation(
            "After a failure, or when a group has another leader, clients are told to forget all \
            keys. A key that expires is named within about a second.",
        ),
    command(Topic::Connection, "client|trackinginfo")
        .flags(F::SESSION)
        .docs(
            "6.2.0",
            "O(1)",
            "Describes the state of client-side caching.",
        ),
    command(Topic::Connection, "client|unblock")
        .syntax("client-id [TIMEOUT|ERROR]")
        .flags(F::ADMINISTERS)
        .docs(
            "5.0.0",
            "O(log N) where N is the number of client connections",
            "Wakes a client that waits in a blocking command.",
        ),
    command(Topic::Connection, "client|unpause")
        .flags(F::ADMINISTERS)
        .docs(
            "6.2.0",
            "O(N) Where N is the number of paused clients",
            "Resumes suspended commands.",
        ),
    command(Topic::Connection, "echo")
        .syntax("message")
        .flags(F::ANY_TIME.with(F::FAST))
        .docs("1.0.0", "O(1)", "Returns the given string."),
    command(Topic::Connection, "hello")
        .syntax(
            "[arguments(protover [AUTH username_password(username password)] [SETNAME \
            clientname])]",
        )
        .flags(F::HANDSHAKE)
        .docs(
            "6.0.0",
            "O(1)",
            "Chooses the protocol version, and can authenticate.",
        ),
    command(Topic::Connection, "ping")
        .syntax("[message]")
        .flags(F::FAST)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .docs("1.0.0", "O(1)", "Returns PONG, or the given string."),
    command(Topic::Connection, "quit")
        .flags(F::HANDSHAKE)
        .arity(-1)
        .docs("1.0.0", "O(1)", "Closes the connection."),
    command(Topic::Connection, "reset")
        .flags(F::HANDSHAKE)
        .docs("6.2.0", "O(1)", "Resets the connection."),
    command(Topic::Connection, "select")
        .syntax("index")
        .flags(F::ANY_TIME.with(F::FAST))
        .docs("1.0.0", "O(1)", "Changes the database."),
];
