//! `CLIENT KILL`: an address, or filters that must all fit (Redis `networking.c`, `clientKill`).

use std::sync::Arc;

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply, number};

use super::client::is_normal_type;
use super::{Answer, Handler, Local, Named, is};
use crate::clients::Client;

pub(super) const HANDLERS: &[Named] = &[("client|kill", Handler::OfClients(kill))];

/// Which clients are closed.
#[derive(Debug, Default)]
struct Filter {
    id: Option<u64>,
    addr: Option<Bytes>,
    local_addr: Option<Bytes>,
    user: Option<Bytes>,
    is_normal: Option<bool>,
    /// Whether the client that asks is spared.
    skip_me: bool,
}

/// `CLIENT KILL addr` answers OK; `CLIENT KILL filter value ...` how many were closed.
fn kill(local: &mut Local<'_>, args: &[Bytes]) -> Result<Answer, CommandError> {
    let by_address = args.len() == 3;
    let filter = match by_address {
        true => Filter {
            addr: Some(args[2].clone()),
            ..Filter::default()
        },
        false => Filter::parse(&args[2..])?,
    };
    let (mut killed, mut killed_me) = (0, false);
    for client in local.shared.clients.all() {
        let is_me = client.id == local.client.id;
        if !filter.fits(&client) || (is_me && filter.skip_me) {
            continue;
        }
        killed += 1;
        match is_me {
            // It gets its answer first.
            true => killed_me = true,
            false => client.kill(),
        }
    }
    let reply = match by_address {
        true if killed == 0 => return Err(CommandError::NoSuchClient),
        true => Reply::OK,
        false => Reply::Integer(killed),
    };
    Ok(match killed_me {
        true => Answer::Close(reply),
        false => Answer::Reply(reply),
    })
}

impl Filter {
    fn parse(words: &[Bytes]) -> Result<Self, CommandError> {
        let mut filter = Self {
            skip_me: true,
            ..Self::default()
        };
        // One by one: what is wrong first is told, even before a word that has no value.
        for pair in words.chunks(2) {
            filter.take(pair)?;
        }
        Ok(filter)
    }

    fn take(&mut self, pair: &[Bytes]) -> Result<(), CommandError> {
        let value = pair.get(1).ok_or(CommandError::Syntax)?;
        if is(pair, 0, "id") {
            let id = number::parse_int(value).and_then(|id| u64::try_from(id).ok());
            let id = id.filter(|id| *id > 0);
            let line = "ERR client-id should be greater than 0";
            self.id = Some(id.ok_or_else(|| CommandError::Other(line.to_owned()))?);
        } else if is(pair, 0, "addr") {
            self.addr = Some(value.clone());
        } else if is(pair, 0, "laddr") {
            self.local_addr = Some(value.clone());
        } else if is(pair, 0, "type") {
            self.is_normal = Some(is_normal_type(value)?);
        } else if is(pair, 0, "user") {
            if value.as_ref() != b"default" {
                return Err(CommandError::quoting("No such user '", value, "'"));
            }
            self.user = Some(value.clone());
        } else if is(pair, 0, "skipme") {
            self.skip_me = match (is(pair, 1, "yes"), is(pair, 1, "no")) {
                (true, _) => true,
                (_, true) => false,
                _ => return Err(CommandError::Syntax),
            };
        } else {
            return Err(CommandError::Syntax);
        }
        Ok(())
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
                .is_none_or(|_| client.details().authenticated)
            && self.is_normal.unwrap_or(true)
    }
}
