//! Words of `COTERIE` read, and pieces of its answers.

use coterie_redis_compat::errors::NOT_AN_INTEGER;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::TableId;

use super::super::{Remote, table_named};

/// A number among the words.
pub(super) fn number(call: &Remote, at: usize) -> Result<u64, CommandError> {
    let word = call
        .args
        .get(at)
        .map(|word| word.as_ref())
        .unwrap_or_default();
    let number = coterie_redis_compat::number::parse_int(word);
    number
        .and_then(|number| u64::try_from(number).ok())
        .ok_or(NOT_AN_INTEGER)
}

/// A name: text, or an error.
pub(super) fn name_at(call: &Remote, at: usize) -> Result<&str, CommandError> {
    let word = call.args.get(at).map(|word| word.as_ref());
    std::str::from_utf8(word.unwrap_or_default())
        .map_err(|_| error(format!("{} is no UTF-8 text", quoted(call, at))))
}

/// The beginning of a word as an error shows it.
pub(super) fn quoted(call: &Remote, at: usize) -> String {
    const SHOWN: usize = 128;
    let word = call
        .args
        .get(at)
        .map(|word| word.as_ref())
        .unwrap_or_default();
    let dots = if word.len() > SHOWN { "..." } else { "" };
    format!("'{}{dots}'", word[..word.len().min(SHOWN)].escape_ascii())
}

/// Words as text.
pub(super) fn word(call: &Remote, at: usize) -> String {
    String::from_utf8_lossy(&call.args[at]).into_owned()
}

/// A field of an answer.
pub(super) type Pair = (Reply, Reply);

pub(super) fn pair(name: &'static str, value: Reply) -> Pair {
    (Reply::text(name), value)
}

/// The table that a word names: by its name, or by any number, as lists show numbers.
pub(super) fn table(call: &Remote, at: usize) -> Result<TableId, CommandError> {
    let catalog = call.shared.catalog();
    let numbered = || number(call, at).ok().and_then(|n| u32::try_from(n).ok());
    let named = table_named(&catalog, &call.args[at]).or_else(|| numbered().map(TableId));
    named
        .filter(|table| catalog.tables.contains_key(table))
        .ok_or_else(|| error(format!("no such table '{}'", word(call, at))))
}

pub(super) fn error(line: impl Into<String>) -> CommandError {
    CommandError::Other(format!("ERR {}", line.into()))
}
