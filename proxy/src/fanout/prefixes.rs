//! Prefixes that cursors can name, so that keys with a long common beginning can be told apart by
//! 40 bits (`cursor`). A prefix gets its number once, for all proxies and for ever: it is a setting
//! of the cluster, `scan-prefix.N`. Few are needed: one covers all keys that differ within about
//! ten characters behind it.
//!
//! Two proxies must not give one number to two prefixes, and settings know no "if absent". So a
//! number is claimed first, under a name of the proxy's own, then everything is read from meta's
//! leader: the number is this proxy's only if there is no other claim and no prefix yet. Of two that
//! claim, at least one sees the other's claim, as each claims before it reads; who sees one lets go.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::{Command, Outcome};
use coterie_types::TableId;

use super::cursor::PREFIXES;
use crate::router::random;

/// Longer prefixes get no number.
const PREFIX_BYTES_MAX: usize = 512;
/// Numbers tried before giving up, this time.
const TRIES: usize = 3;
/// How long meta may take to give a number: a page without one is only longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// See the module's head.
pub(crate) struct Prefixes<'a> {
    pub(crate) meta: &'a MetaClient,
    pub(crate) catalog: &'a Catalog,
    /// Different for each proxy and start.
    pub(crate) claimant: &'a str,
    pub(crate) deadline: Instant,
}

impl Prefixes<'_> {
    /// The prefix with this number.
    pub(crate) async fn named(&self, number: u16, table: TableId) -> Option<Bytes> {
        if let Some(prefix) = in_catalog(self.catalog, number, table) {
            return Some(prefix);
        }
        // This proxy's copy may be older than the cursor, which is worth nothing without: as long as
        // the command has time, meta has.
        let catalog = self.meta.read(self.left()).await.ok()?;
        in_catalog(&catalog, number, table)
    }

    /// The numbered prefixes that `key` begins with.
    pub(crate) fn of_key(&self, table: TableId, key: &[u8]) -> Vec<(u16, Bytes)> {
        let settings = self.catalog.settings.range(PREFIX.to_owned()..);
        let named = settings.take_while(|(name, _)| name.starts_with(PREFIX));
        let parsed = named.filter_map(|(name, value)| {
            let number = name[PREFIX.len()..].parse().ok()?;
            Some((number, parse(value, table)?))
        });
        parsed
            .filter(|(_, prefix)| key.starts_with(prefix))
            .collect()
    }

    /// Gives a prefix a number; `None` if meta is away or numbers are used up.
    pub(crate) async fn number(&self, table: TableId, prefix: &[u8]) -> Option<u16> {
        if prefix.len() > PREFIX_BYTES_MAX {
            return None;
        }
        let value = format(table, prefix);
        for _ in 0..TRIES {
            let catalog = self.meta.read(self.timeout()).await.ok()?;
            let known = catalog
                .settings
                .iter()
                .find(|(name, known)| name.starts_with(PREFIX) && **known == value);
            if let Some((name, _)) = known {
                return name[PREFIX.len()..].parse().ok();
            }
            let number = free_number(&catalog)?;
            if self.take(number, &value).await? {
                return Some(number);
            }
        }
        None
    }

    /// Takes a number that seemed free; `Some(false)` if somebody else wants it, too.
    async fn take(&self, number: u16, value: &str) -> Option<bool> {
        let claim = format!("{CLAIM}{number}.{}", self.claimant);
        self.put(claim.clone(), Some(value)).await?;
        let catalog = self.meta.read(self.timeout()).await.ok()?;
        let is_mine = catalog.settings.keys().all(|name| {
            let others_claim = name.starts_with(&format!("{CLAIM}{number}.")) && *name != claim;
            !others_claim && *name != format!("{PREFIX}{number}")
        });
        if is_mine {
            self.put(format!("{PREFIX}{number}"), Some(value)).await?;
        }
        self.put(claim, None).await?;
        Some(is_mine)
    }

    async fn put(&self, name: String, value: Option<&str>) -> Option<()> {
        let value = value.map(str::to_owned);
        let command = Command::PutSetting { name, value };
        match self.meta.propose(command, self.timeout()).await.ok()? {
            Outcome::Rejected(_) => None,
            _ => Some(()),
        }
    }

    fn timeout(&self) -> Duration {
        self.left().min(TIMEOUT)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

const PREFIX: &str = "scan-prefix.";
const CLAIM: &str = "scan-claim.";

/// A number that no prefix has and nobody claims: any, so that two proxies seldom want the same.
fn free_number(catalog: &Catalog) -> Option<u16> {
    let first = (random() % u64::from(PREFIXES)) as u16;
    (0..PREFIXES)
        .map(|step| (first + step) % PREFIXES)
        .find(|number| {
            let claims = format!("{CLAIM}{number}.");
            let mut claimed = catalog.settings.range(claims.clone()..);
            !catalog.settings.contains_key(&format!("{PREFIX}{number}"))
                && !claimed
                    .next()
                    .is_some_and(|(name, _)| name.starts_with(&claims))
        })
}

fn in_catalog(catalog: &Catalog, number: u16, table: TableId) -> Option<Bytes> {
    parse(catalog.settings.get(&format!("{PREFIX}{number}"))?, table)
}

/// `table:hexadecimal`.
fn format(table: TableId, prefix: &[u8]) -> String {
    let digits: String = prefix.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{table}:{digits}")
}

/// The prefix in a setting, if it is one of this table.
fn parse(value: &str, table: TableId) -> Option<Bytes> {
    let (of, digits) = value.split_once(':')?;
    if of.parse() != Ok(table.0) || !digits.is_ascii() {
        return None;
    }
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<Vec<_>>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_survives_its_setting() {
        let prefix = b"user:\x00\xff";
        let value = format(TableId(3), prefix);
        assert_eq!(value, "3:757365723a00ff");
        assert_eq!(
            parse(&value, TableId(3)).as_deref(),
            Some(prefix.as_slice())
        );
        assert_eq!(parse(&value, TableId(4)), None);
        assert_eq!(parse("3:7x", TableId(3)), None);
        assert_eq!(parse("3", TableId(3)), None);
    }

    #[test]
    fn numbers_in_use_are_not_free() {
        let mut catalog = Catalog::default();
        for number in 0..PREFIXES {
            let name = match number % 2 {
                0 => format!("{PREFIX}{number}"),
                _ => format!("{CLAIM}{number}.x"),
            };
            catalog.settings.insert(name, String::new());
        }
        assert_eq!(free_number(&catalog), None);
        catalog.settings.remove("scan-claim.77.x");
        assert_eq!(free_number(&catalog), Some(77));
    }
}
