//! `COTERIE SETTING` and `COTERIE BALANCE`: the settings of the cluster, by their rows
//! (`coterie_protocol::settings`).

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::Command;
use coterie_protocol::settings::{BALANCE, SETTINGS, Setting};
use coterie_redis_compat::errors::SYNTAX;
use coterie_redis_compat::{CommandError, Reply, Word};

use super::change::propose;
use super::{error, name_at, pair, quoted};
use crate::commands::{Remote, text};

/// `COTERIE SETTING GET [name] | SET name [value]`.
pub(super) async fn setting(call: &Remote) -> Result<Reply, CommandError> {
    let word = call.args.get(2).ok_or(SYNTAX)?;
    match (Word(word).keyword().as_str(), call.args.len()) {
        ("get", 3) => Ok(list(&call.shared.catalog())),
        ("get", 4) => get(call),
        ("set", 4) => unset(call).await,
        ("set", 5) => set(call).await,
        _ => Err(SYNTAX),
    }
}

async fn set(call: &Remote) -> Result<Reply, CommandError> {
    let setting = known(call)?;
    let value = name_at(call, 4)
        .ok()
        .and_then(|value| setting.kind.parse(value));
    let value = value.ok_or_else(|| {
        let (name, values) = (setting.name, setting.kind.values());
        error(format!(
            "setting '{name}' is {values}, not {}",
            quoted(call, 4)
        ))
    })?;
    put(call, setting.name, Some(value)).await
}

/// `COTERIE BALANCE [ON|OFF]`: the setting of this name, in fewer words.
pub(super) async fn balance(call: &Remote) -> Result<Reply, CommandError> {
    if call.args.len() == 2 {
        return Ok(text(BALANCE.value(&call.shared.catalog().settings)));
    }
    let value = name_at(call, 2)
        .ok()
        .and_then(|value| BALANCE.kind.parse(value));
    let value = value.ok_or(SYNTAX)?;
    put(call, BALANCE.name, Some(value)).await
}

/// All settings, and after them those that are set and not known here.
fn list(catalog: &Catalog) -> Reply {
    let known = SETTINGS.iter().map(|setting| {
        Reply::Map(vec![
            pair("name", Reply::text(setting.name)),
            pair("value", text(setting.value(&catalog.settings))),
            pair("default", Reply::text(setting.default)),
            pair("values", Reply::text(setting.kind.values())),
            pair("meaning", Reply::text(setting.meaning)),
        ])
    });
    let others = catalog.settings.iter();
    let others = others.filter(|(name, _)| Setting::named(name).is_none());
    let others = others.map(|(name, value)| {
        Reply::Map(vec![
            pair("name", text(name.clone())),
            pair("value", text(value.clone())),
            pair("meaning", Reply::text("not known to this version")),
        ])
    });
    Reply::Array(known.chain(others).collect())
}

fn get(call: &Remote) -> Result<Reply, CommandError> {
    let settings = &call.shared.catalog().settings;
    match known(call) {
        Ok(setting) => Ok(text(setting.value(settings))),
        Err(unknown) => {
            let set = name_at(call, 3).ok().and_then(|name| settings.get(name));
            set.map(|value| text(value.clone())).ok_or(unknown)
        }
    }
}

/// Removes a setting: one that is known, or one that another version has set.
async fn unset(call: &Remote) -> Result<Reply, CommandError> {
    let name = match known(call) {
        Ok(setting) => setting.name,
        Err(unknown) => {
            let catalog = call.shared.catalog();
            let set = name_at(call, 3).ok();
            let set = set.filter(|name| catalog.settings.contains_key(*name));
            set.ok_or(unknown)?
        }
    };
    put(call, name, None).await
}

async fn put(call: &Remote, name: &str, value: Option<String>) -> Result<Reply, CommandError> {
    let name = name.to_owned();
    let command = Command::PutSetting { name, value };
    propose(call, command).await.map(|_| Reply::OK)
}

/// The setting that word 3 names.
fn known(call: &Remote) -> Result<&'static Setting, CommandError> {
    let setting = name_at(call, 3).ok().and_then(Setting::named);
    setting.ok_or_else(|| {
        let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        let names = names.join(", ");
        error(format!(
            "no such setting {}; there is: {names}",
            quoted(call, 3)
        ))
    })
}
