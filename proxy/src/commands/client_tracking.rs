//! `CLIENT TRACKING`, `CACHING`, `TRACKINGINFO` and `GETREDIR` (Redis `networking.c`): client-side
//! caching (`tracking`).

use bytes::Bytes;
use coterie_redis_compat::errors::SYNTAX;
use coterie_redis_compat::{CommandError, Reply};

use super::{Answer, Handler, Local, Named, is};
use crate::tracking::Options;

pub(super) const HANDLERS: &[Named] = &[
    ("client|caching", Handler::OfClients(caching)),
    ("client|getredir", Handler::OfClients(getredir)),
    ("client|tracking", Handler::OfClients(tracking)),
    ("client|trackinginfo", Handler::OfClients(trackinginfo)),
];

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`.
fn tracking(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let clients = &local.shared.clients;
    let options = Options::read(&args[3..], |id| clients.get(id).is_some())?;
    let tracking = &local.shared.tracking;
    if is(args, 2, "off") {
        local.session.wishes.turn_off();
        tracking.turn_off(local.client);
        return Ok(Reply::OK.into());
    }
    if !is(args, 2, "on") {
        return Err(SYNTAX);
    }
    let options = local.session.wishes.check(options)?;
    let named = tracking.turn_on(local.client, &options)?;
    let (link, client) = (tracking.link(), local.client.id);
    local.session.wishes.turn_on(options, link, client);
    Ok(match named {
        Some(named) => Answer::After(Reply::OK, Box::pin(named)),
        None => Reply::OK.into(),
    })
}

/// `CLIENT CACHING YES|NO`.
fn caching(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    local.session.wishes.cache(&args[2])?;
    Ok(Reply::OK.into())
}

/// `CLIENT TRACKINGINFO`.
fn trackinginfo(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    let wishes = &local.session.wishes;
    let flags = wishes.flags(local.client.is_redirect_broken());
    let flags = flags.into_iter().map(Reply::text).collect();
    let prefixes = wishes.options().map(|options| options.prefixes.clone());
    let prefixes = prefixes.unwrap_or_default().into_iter();
    Ok(Reply::Map(vec![
        (Reply::text("flags"), Reply::Set(flags)),
        (Reply::text("redirect"), redirect(local)),
        (
            Reply::text("prefixes"),
            Reply::Array(prefixes.map(Reply::Bulk).collect()),
        ),
    ])
    .into())
}

/// `CLIENT GETREDIR`: the client that is told in place of this one; 0 for none, -1 without
/// tracking.
fn getredir(local: &mut Local<'_>, _: &[Bytes]) -> Result<Answer, CommandError> {
    Ok(redirect(local).into())
}

fn redirect(local: &Local<'_>) -> Reply {
    match local.session.wishes.options() {
        Some(options) => super::int(options.redirect.unwrap_or(0)),
        None => Reply::Integer(-1),
    }
}
