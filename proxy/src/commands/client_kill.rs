//! `CLIENT KILL`: an address, or filters that must all fit (Redis `networking.c`, `clientKill`).

use std::sync::Arc;

use bytes::Bytes;
use coterie_redis_compat::errors::{
    AGE_NOT_AN_INTEGER, AGE_TOO_SMALL, CLIENT_ID_TOO_SMALL, NO_SUCH_CLIENT, SYNTAX,
};
use coterie_redis_compat::{CommandError, Reply, Word, Words, number};

use super::client::ClientType;
use super::{Answer, Handler, Local, Named};
use crate::clients::Client;

pub(super) const HANDLERS: &[Named] = &[("client|kill", Handler::OfClients(kill))];

/// Which clients are closed.
#[derive(Debug, Default)]
struct Filter {
    id: Option<u64>,
    addr: Option<Bytes>,
    local_addr: Option<Bytes>,
    user: Option<Bytes>,
    kind: Option<ClientType>,
    /// How many seconds a client has been connected, at least.
    age_min: Option<u64>,
    /// Whether the client that asks is spared.
    skip_me: bool,
}

/// `CLIENT KILL addr` answers OK; `CLIENT KILL filter value ...` how many were closed.
fn kill(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let by_address = args.len() == 3;
    let filter = if by_address {
        Filter {
            addr: Some(args[2].clone()),
            ..Filter::default()
        }
    } else {
        Filter::parse(local, &args[2..])?
    };
    let (mut killed, mut killed_me) = (0, false);
    for client in local.shared.clients.all() {
        let is_me = client.id == local.client.id;
        if !filter.fits(&client) || (is_me && filter.skip_me) {
            continue;
        }
        killed += 1;
        if is_me {
            // It gets its answer first.
            killed_me = true;
        } else {
            client.kill();
        }
    }
    if by_address && killed == 0 {
        return Err(NO_SUCH_CLIENT);
    }
    let reply = if by_address {
        Reply::OK
    } else {
        Reply::Integer(killed)
    };
    Ok(if killed_me {
        Answer::Close(reply)
    } else {
        Answer::Reply(reply)
    })
}

impl Filter {
    fn parse(local: &Local<'_>, words: &[Bytes]) -> Result<Self, CommandError> {
        let users = local.shared.rights.users();
        let is_user = |name: &Bytes| {
            users
                .as_ref()
                .is_some_and(|users| users.get(name).is_some())
        };
        let mut filter = Self {
            skip_me: true,
            ..Self::default()
        };
        let mut words = Words::new(words);
        while let Some(word) = words.next() {
            let value = words.value()?;
            match word.keyword().as_str() {
                "id" => filter.id = Some(client_id(value)?),
                "addr" => filter.addr = Some(value.clone()),
                "laddr" => filter.local_addr = Some(value.clone()),
                "user" if is_user(value) => filter.user = Some(value.clone()),
                "type" => filter.kind = Some(ClientType::parse(value)?),
                "user" => return Err(CommandError::quoting("No such user '", value, "'")),
                "maxage" => filter.age_min = Some(age(value)?),
                "skipme" => filter.skip_me = yes_or_no(value)?,
                _ => return Err(SYNTAX),
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &Arc<Client>) -> bool {
        let is_addr = |wanted: &Option<Bytes>, addr: std::net::SocketAddr| {
            wanted
                .as_ref()
                .is_none_or(|wanted| *wanted == addr.to_string())
        };
        self.id.is_none_or(|id| id == client.id)
            && is_addr(&self.addr, client.addr)
            && is_addr(&self.local_addr, client.local_addr)
            && self
                .user
                .as_ref()
                .is_none_or(|user| client.details().user == user)
            && self.kind.is_none_or(|kind| kind.fits(client))
            && self
                .age_min
                .is_none_or(|age| client.connected_at.elapsed().as_secs() >= age)
    }
}

fn client_id(word: &[u8]) -> Result<u64, CommandError> {
    let id = number::parse_int(word).and_then(|id| u64::try_from(id).ok());
    id.filter(|id| *id > 0).ok_or(CLIENT_ID_TOO_SMALL)
}

fn age(word: &[u8]) -> Result<u64, CommandError> {
    let age = number::parse_int(word).ok_or(AGE_NOT_AN_INTEGER)?;
    u64::try_from(age)
        .ok()
        .filter(|age| *age > 0)
        .ok_or(AGE_TOO_SMALL)
}

fn yes_or_no(word: &Bytes) -> Result<bool, CommandError> {
    match Word(word).keyword().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(SYNTAX),
    }
}
