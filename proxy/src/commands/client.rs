//! `CLIENT` and its subcommands, but for KILL and those of client-side caching (Redis
//! `networking.c`). They see and touch the clients of this proxy only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_redis_compat::errors::{
    BAD_CLIENT_NAME, INVALID_CLIENT_ID, NOT_AN_INTEGER, PAUSE_MODE, SYNTAX, UNBLOCK_REASON,
};
use coterie_redis_compat::{CommandError, Reply, Word, number};

use super::{Answer, Handler, Local, Named, is};
use crate::clients::{Client, Unblock};
use crate::conn::ReplyMode;

pub(super) const HANDLERS: &[Named] = &[
    ("client|getname", Handler::OfClients(getname)),
    ("client|help", Handler::OfClients(help)),
    ("client|id", Handler::OfClients(id)),
    ("client|info", Handler::OfClients(info)),
    ("client|list", Handler::OfClients(list)),
    ("client|no-evict", Handler::OfClients(no_evict)),
    ("client|no-touch", Handler::OfClients(no_touch)),
    ("client|pause", Handler::OfClients(pause)),
    ("client|reply", Handler::OfClients(reply)),
    ("client|setinfo", Handler::OfClients(setinfo)),
    ("client|setname", Handler::OfClients(setname)),
    ("client|unblock", Handler::OfClients(unblock)),
    ("client|unpause", Handler::OfClients(unpause)),
];

/// `CLIENT ID`.
fn id(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(super::int(local.client.id).into())
}

/// `CLIENT GETNAME`.
fn getname(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let name = local.client.details().name.clone();
    Ok(Reply::bulk_or_null((!name.is_empty()).then_some(name)).into())
}

/// `CLIENT SETNAME name`; an empty name is none.
fn setname(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    set_name(local, &args[2])?;
    Ok(Reply::OK.into())
}

/// A name must not break the lines of CLIENT LIST.
pub(super) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if is_printable(name) {
        Ok(())
    } else {
        Err(BAD_CLIENT_NAME)
    }
}

/// Names the client.
pub(super) fn set_name(local: &Local<'_>, name: &[u8]) -> Result<(), CommandError> {
    check_name(name)?;
    local.client.details().name = Bytes::copy_from_slice(name);
    Ok(())
}

fn is_printable(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`.
fn setinfo(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let mut details = local.client.details();
    let slot = if is(args, 2, "lib-name") {
        &mut details.lib_name
    } else if is(args, 2, "lib-ver") {
        &mut details.lib_ver
    } else {
        return Err(CommandError::quoting(
            "Unrecognized option '",
            &args[2],
            "'",
        ));
    };
    if !is_printable(&args[3]) {
        let after = " cannot contain spaces, newlines or special characters.";
        return Err(CommandError::quoting("", &args[2], after));
    }
    *slot = Bytes::copy_from_slice(&args[3]);
    Ok(Reply::OK.into())
}

/// `CLIENT INFO`.
fn info(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(lines(&[Arc::clone(local.client)]).into())
}

/// `CLIENT LIST [TYPE type] [ID id ...]`.
fn list(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let clients = &local.shared.clients;
    let client_of_id = |id| clients.get(u64::try_from(id).ok()?);
    let listed = if args.len() == 2 {
        clients.all()
    } else if args.len() == 4 && is(args, 2, "type") {
        let kind = ClientType::parse(&args[3])?;
        let mut listed = clients.all();
        listed.retain(|client| kind.fits(client));
        listed
    } else if args.len() > 3 && is(args, 2, "id") {
        let ids = args[3..].iter().map(|word| number::parse_int(word));
        let ids = ids.collect::<Option<Vec<_>>>();
        let ids = ids.ok_or(INVALID_CLIENT_ID)?;
        ids.into_iter().filter_map(client_of_id).collect()
    } else {
        return Err(SYNTAX);
    };
    Ok(lines(&listed).into())
}

fn lines(clients: &[Arc<Client>]) -> Reply {
    let mut lines = Vec::new();
    for client in clients {
        lines.extend(client.line());
        lines.push(b'\n');
    }
    super::verbatim(lines)
}

/// A type of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    /// It subscribes to something.
    PubSub,
    /// No client of a proxy is one.
    Replication,
}

impl ClientType {
    pub(super) fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(ClientType::Normal),
            b"pubsub" => Ok(ClientType::PubSub),
            b"master" | b"slave" | b"replica" => Ok(ClientType::Replication),
            _ => Err(CommandError::quoting("Unknown client type '", word, "'")),
        }
    }

    /// Whether a client is of this type.
    pub(super) fn fits(self, client: &Client) -> bool {
        match self {
            ClientType::Normal => !client.is_subscriber(),
            ClientType::PubSub => client.is_subscriber(),
            ClientType::Replication => false,
        }
    }
}

/// `CLIENT NO-EVICT ON|OFF`: remembered and shown; clients are not evicted for memory.
fn no_evict(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    local.client.details().no_evict = on_or_off(args, 2)?;
    Ok(Reply::OK.into())
}

/// `CLIENT NO-TOUCH ON|OFF`: remembered and shown; there are no access times to touch.
fn no_touch(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    local.client.details().no_touch = on_or_off(args, 2)?;
    Ok(Reply::OK.into())
}

fn on_or_off(args: &[Bytes], at: usize) -> Result<bool, CommandError> {
    match Word(&args[at]).keyword().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(SYNTAX),
    }
}

/// `CLIENT PAUSE timeout [WRITE|ALL]`.
fn pause(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let writes_only = match args.len() {
        3 => false,
        4 if is(args, 3, "write") => true,
        4 if is(args, 3, "all") => false,
        4 => {
            return Err(PAUSE_MODE);
        }
        _ => return Err(super::subcommand_syntax(&args[1], "CLIENT")),
    };
    let millis = super::timeout_millis(&args[2])?;
    // A pause of ages is as good as an endless pause, and does not overflow.
    let longest = Duration::from_secs(100 * 365 * 86_400);
    local
        .shared
        .pause
        .begin(Duration::from_millis(millis).min(longest), writes_only);
    Ok(Reply::OK.into())
}

/// `CLIENT UNPAUSE`.
fn unpause(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    local.shared.pause.end();
    Ok(Reply::OK.into())
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`: 1 if the client's command waited for data.
fn unblock(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let how = match args.len() {
        3 => Unblock::TimedOut,
        4 if is(args, 3, "timeout") => Unblock::TimedOut,
        4 if is(args, 3, "error") => Unblock::Error,
        4 => {
            return Err(UNBLOCK_REASON);
        }
        _ => return Err(super::subcommand_syntax(&args[1], "CLIENT")),
    };
    let id = number::parse_int(&args[2]).ok_or(NOT_AN_INTEGER)?;
    let client = u64::try_from(id).ok();
    let client = client.and_then(|id| local.shared.clients.get(id));
    let unblocked = client.is_some_and(|client| client.unblock(how));
    Ok(Reply::Integer(unblocked.into()).into())
}

/// `CLIENT REPLY ON|OFF|SKIP`.
fn reply(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    if is(args, 2, "on") {
        local.session.reply_mode = ReplyMode::On;
        return Ok(Answer::Always(Reply::OK));
    }
    if is(args, 2, "off") {
        local.session.reply_mode = ReplyMode::Off;
    } else if is(args, 2, "skip") {
        if local.session.reply_mode == ReplyMode::On {
            local.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(SYNTAX);
    }
    Ok(Answer::Nothing)
}

/// `CLIENT HELP`.
fn help(_: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::help(
        "CLIENT",
        &[
            "CACHING (YES|NO)",
            "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
            "GETREDIR",
            "    Return the client ID we are redirecting to when tracking is enabled.",
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "KILL <ip:port>",
            "    Kill connection made from <ip:port>.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Kill connections. Options are:",
            "    * ADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made from the specified address",
            "    * LADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made to specified local address",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Kill connections by type.",
            "    * USER <username>",
            "      Kill connections authenticated by <username>.",
            "    * SKIPME (YES|NO)",
            "      Skip killing current connection (default: yes).",
            "LIST [options ...]",
            "    Return information about client connections. Options:",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Return clients of specified type.",
            "UNPAUSE",
            "    Stop the current client pause, resuming traffic.",
            "PAUSE <timeout> [WRITE|ALL]",
            "    Suspend all, or just write, clients for <timeout> milliseconds.",
            "REPLY (ON|OFF|SKIP)",
            "    Control the replies sent to the current connection.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "SETINFO <option> <value>",
            "    Set client meta attr. Options are:",
            "    * LIB-NAME: the client lib name.",
            "    * LIB-VER: the client lib version.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    Unblock the specified blocked client.",
            "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
            "         [OPTIN] [OPTOUT] [NOLOOP]",
            "    Control server assisted client side caching.",
            "TRACKINGINFO",
            "    Report tracking status for the current connection.",
            "NO-EVICT (ON|OFF)",
            "    Protect current client connection from eviction.",
            "NO-TOUCH (ON|OFF)",
            "    Will not touch LRU/LFU stats when this mode is on.",
        ],
    )
    .into())
}
