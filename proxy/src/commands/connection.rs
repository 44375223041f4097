//! Commands about the connection itself (Redis `networking.c`, `acl.c`, `db.c`).

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use coterie_redis_compat::acl::{DEFAULT_USER, USERS_UNKNOWN};
use coterie_redis_compat::errors::{
    DB_OUT_OF_RANGE, NO_AUTH_HELLO, NO_PASSWORD_SET, NO_PROTO, NOT_AN_INTEGER, PROTO_NOT_A_NUMBER,
    SYNTAX, WRONG_PASS,
};
use coterie_redis_compat::{CommandError, Reply, Resp, Words};

use super::client::{check_name, set_name};
use super::{Answer, Handler, Local, Named, table_named};
use crate::VERSION;
use crate::rights::{Context, Denied, What};

pub(super) const HANDLERS: &[Named] = &[
    ("auth", Handler::Now(auth)),
    ("echo", Handler::Now(echo)),
    ("hello", Handler::Now(hello)),
    ("ping", Handler::Now(ping)),
    ("readonly", Handler::Now(readonly)),
    ("readwrite", Handler::Now(readwrite)),
    ("select", Handler::ChoosesTable(select)),
    ("unwatch", Handler::Now(unwatch)),
];

/// `PING [message]`.
fn ping(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    if local.session.resp == Resp::V2 && local.client.is_subscriber() && args.len() <= 2 {
        // The form of a message, which is all that such a client expects.
        let message = args.get(1).cloned().unwrap_or_default();
        let words = vec![Reply::text("pong"), Reply::Bulk(message)];
        return Ok(Reply::Array(words).into());
    }
    match args {
        [_] => Ok(Reply::simple("PONG").into()),
        [_, message] => Ok(Reply::Bulk(message.clone()).into()),
        _ => Err(CommandError::WrongArity("ping")),
    }
}

/// `ECHO message`.
fn echo(_: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(Reply::Bulk(args[1].clone()).into())
}

/// `SELECT index`, or the name of a table that is not Redis'.
fn select(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let table = table_named(&local.shared.catalog(), &args[1]);
    let number = coterie_redis_compat::number::parse_int(&args[1]);
    local.session.table = table.ok_or(match number.map(i32::try_from) {
        None => NOT_AN_INTEGER,
        Some(Err(_)) => CommandError::int_out_of_range(i32::MIN, i32::MAX),
        Some(Ok(_)) => DB_OUT_OF_RANGE,
    })?;
    Ok(Reply::OK.into())
}

/// `UNWATCH`.
fn unwatch(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    local.session.unwatch();
    Ok(Reply::OK.into())
}

/// `READONLY`: followers may serve this connection's reads.
fn readonly(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    local.session.follower_reads = true;
    Ok(Reply::OK.into())
}

/// `READWRITE`.
fn readwrite(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    local.session.follower_reads = false;
    Ok(Reply::OK.into())
}

/// `AUTH [username] password`.
fn auth(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let users = local.shared.users()?;
    let default = Bytes::from_static(DEFAULT_USER);
    match args {
        [_, _] if users.default_user().needs_no_password() => Err(NO_PASSWORD_SET),
        [word, password] => authenticate(local, word, &default, password),
        [word, user, password] => authenticate(local, word, user, password),
        _ => Err(SYNTAX),
    }
    .map(|()| Reply::OK.into())
}

/// Makes the connection that of a user. `word` is the command, for `ACL LOG`.
fn authenticate(
    local: &mut Local<'_>,
    word: &Bytes,
    name: &Bytes,
    password: &[u8],
) -> Result<(), CommandError> {
    let rights = &local.shared.rights;
    // Before the users: if they change meanwhile, the connection looks again.
    let generation = rights.generation();
    let users = local.shared.users()?;
    let user = users.get(name).filter(|user| user.lets_in(password));
    if let Some(user) = user {
        local.session.authenticated = true;
        local.session.rights_seen = generation;
        local.session.user = Some(Arc::clone(user));
        local.client.details().user = user.name().clone();
        return Ok(());
    }
    let denied = Denied {
        what: What::Auth,
        context: match local.session.multi {
            Some(_) => Context::Multi,
            None => Context::Toplevel,
        },
        object: word.clone(),
        user: name.clone(),
        client: local.client.line().into(),
    };
    local.shared.count_denial(What::Auth);
    rights.denials.add(denied, SystemTime::now());
    Err(WRONG_PASS)
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`.
fn hello(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let resp = match args.get(1) {
        None => local.session.resp,
        Some(word) => match coterie_redis_compat::number::parse_int(word) {
            None => return Err(PROTO_NOT_A_NUMBER),
            Some(2) => Resp::V2,
            Some(3) => Resp::V3,
            Some(_) => return Err(NO_PROTO),
        },
    };
    let (mut user, mut name) = (None, None);
    let mut words = Words::new(args.get(2..).unwrap_or_default());
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "auth" if words.left() >= 2 => user = Some(words.values::<2>()?),
            "setname" if words.left() >= 1 => {
                // A wrong name is reported before any password is looked at.
                let given = words.value()?;
                check_name(given)?;
                name = Some(given);
            }
            _ => return Err(CommandError::hello_option(word.0)),
        }
    }
    if let Some([user, password]) = user {
        authenticate(local, &args[0], user, password)?;
    }
    if local.session.user.is_none() {
        return Err(USERS_UNKNOWN);
    }
    if !local.session.authenticated {
        return Err(NO_AUTH_HELLO);
    }
    if let Some(name) = name {
        set_name(local, name)?;
    }
    local.session.resp = resp;
    let pair = |name, value| (Reply::text(name), value);
    Ok(Reply::Map(vec![
        pair("server", Reply::text("redis")),
        pair("version", Reply::text(VERSION)),
        pair(
            "proto",
            Reply::Integer(if resp == Resp::V3 { 3 } else { 2 }),
        ),
        pair("id", super::int(local.client.id)),
        pair("mode", Reply::text("standalone")),
        pair("role", Reply::text("master")),
        pair("modules", Reply::Array(Vec::new())),
    ])
    .into())
}
