//! Who wants the messages of which channels: the table that a server keeps for proxies.
//!
//! Pure. An entry says how many clients of a proxy subscribe to a name; proxies are told apart by
//! their links ([`crate::link::LinkId`]), and their entries end with the link. Bounded: the bytes
//! of each link's names.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::link::LinkId;
use crate::pubsub::{Kind, NAMES_BYTES_MAX, NAMES_PER_CALL_MAX};

/// Bytes of all names of a link, each with [`ENTRY_BYTES`].
pub const LINK_BYTES_MAX: usize = 256 << 20;
/// Approximate memory of an entry besides its name.
pub const ENTRY_BYTES: usize = 128;

/// Whether a channel's name (second) fits a pattern (first).
pub type Matches = fn(&[u8], &[u8]) -> bool;

/// See the module's head. `L` sends to a link.
#[derive(Debug)]
pub struct Interests<L> {
    links: BTreeMap<LinkId, Link<L>>,
    /// By [`Kind`]: each name, and the numbers of subscribers by link.
    names: [BTreeMap<Bytes, BTreeMap<LinkId, u32>>; 3],
    matches: Matches,
}

#[derive(Debug)]
struct Link<L> {
    sender: L,
    names: BTreeSet<(Kind, Bytes)>,
    bytes: usize,
}

/// A link that wants a message, and how many clients it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interested<L> {
    /// The link.
    pub link: LinkId,
    /// Sends to it.
    pub sender: L,
    /// A client that subscribes in several ways counts for each of them, as in Redis.
    pub receivers: u64,
}

impl<L: Clone> Interests<L> {
    /// No entries.
    #[must_use]
    pub fn new(matches: Matches) -> Self {
        Self {
            links: BTreeMap::new(),
            names: Default::default(),
            matches,
        }
    }

    /// Whether there is no entry at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeMap::is_empty)
    }

    /// Sets the numbers of a link's subscribers. Returns `false` if there is no room for all names;
    /// then none is set.
    pub fn register(&mut self, id: LinkId, sender: L, names: Vec<(Kind, Bytes, u32)>) -> bool {
        let link = self.links.entry(id).or_insert_with(|| Link {
            sender,
            names: BTreeSet::new(),
            bytes: 0,
        });
        let more = names.iter().filter(|(_, _, count)| *count > 0);
        let more = more.map(|(_, name, _)| name.len() + ENTRY_BYTES);
        if link.bytes + more.sum::<usize>() > LINK_BYTES_MAX {
            return false;
        }
        for (kind, name, count) in names {
            let of_kind = &mut self.names[kind as usize];
            if count > 0 {
                if link.names.insert((kind, name.clone())) {
                    link.bytes += name.len() + ENTRY_BYTES;
                }
                of_kind.entry(name).or_default().insert(id, count);
            } else {
                forget(of_kind, &name, id);
                if link.names.remove(&(kind, name.clone())) {
                    link.bytes -= name.len() + ENTRY_BYTES;
                }
            }
        }
        if link.names.is_empty() {
            self.links.remove(&id);
        }
        true
    }

    /// Forgets a link.
    pub fn remove(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        for (kind, name) in link.names {
            forget(&mut self.names[kind as usize], &name, id);
        }
    }

    /// Forgets the links that are not there any more.
    pub fn retain(&mut self, mut is_there: impl FnMut(&L) -> bool) {
        let gone = self
            .links
            .iter()
            .filter(|(_, link)| !is_there(&link.sender));
        let gone: Vec<LinkId> = gone.map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.remove(id));
    }

    /// The links that want a message on this channel.
    #[must_use]
    pub fn of_message(&self, kind: Kind, channel: &[u8]) -> Vec<Interested<L>> {
        let mut found: BTreeMap<LinkId, u64> = BTreeMap::new();
        let mut add = |links: &BTreeMap<LinkId, u32>| {
            for (id, count) in links {
                *found.entry(*id).or_default() += u64::from(*count);
            }
        };
        self.names[kind as usize]
            .get(channel)
            .into_iter()
            .for_each(&mut add);
        if kind == Kind::Channel {
            let patterns = self.names[Kind::Pattern as usize].iter();
            let fitting = patterns.filter(|(pattern, _)| (self.matches)(pattern, channel));
            fitting.for_each(|(_, links)| add(links));
        }
        let interested = found.into_iter().filter_map(|(id, receivers)| {
            let sender = self.links.get(&id)?.sender.clone();
            Some(Interested {
                link: id,
                sender,
                receivers,
            })
        });
        interested.collect()
    }

    /// Names behind `after` that fit a pattern, as many as an answer holds, and whether there are
    /// more.
    #[must_use]
    pub fn names(
        &self,
        kind: Kind,
        pattern: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> (Vec<Bytes>, bool) {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let names = self.names[kind as usize].range::<[u8], _>((from, Unbounded));
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (name, _) in names {
            if pattern.is_some_and(|pattern| !(self.matches)(pattern, name)) {
                continue;
            }
            if found.len() >= NAMES_PER_CALL_MAX || bytes >= NAMES_BYTES_MAX {
                return (found, true);
            }
            bytes += name.len();
            found.push(name.clone());
        }
        (found, false)
    }

    /// How many clients subscribe to a name.
    #[must_use]
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> u64 {
        let links = self.names[kind as usize].get(name);
        let counts = links.into_iter().flat_map(BTreeMap::values);
        counts.map(|count| u64::from(*count)).sum()
    }

    /// How many different patterns there are.
    #[must_use]
    pub fn patterns(&self) -> u64 {
        self.names[Kind::Pattern as usize].len() as u64
    }
}

fn forget(names: &mut BTreeMap<Bytes, BTreeMap<LinkId, u32>>, name: &[u8], id: LinkId) {
    let Some(links) = names.get_mut(name) else {
        return;
    };
    links.remove(&id);
    if links.is_empty() {
        names.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: LinkId = LinkId { link: 1, epoch: 7 };
    const TWO: LinkId = LinkId { link: 2, epoch: 7 };

    fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// Patterns of these tests are beginnings.
    fn interests() -> Interests<char> {
        Interests::new(|pattern, name| name.starts_with(pattern))
    }

    fn wants(interests: &Interests<char>, kind: Kind, channel: &str) -> Vec<(char, u64)> {
        let found = interests.of_message(kind, channel.as_bytes());
        found.iter().map(|i| (i.sender, i.receivers)).collect()
    }

    #[test]
    fn a_message_goes_once_to_each_link_and_counts_each_subscription() {
        let mut all = interests();
        let names = vec![(Kind::Channel, b("news"), 2), (Kind::Pattern, b("ne"), 3)];
        assert!(all.register(ONE, 'a', names));
        assert!(all.register(TWO, 'b', vec![(Kind::Shard, b("news"), 1)]));
        assert_eq!(wants(&all, Kind::Channel, "news"), [('a', 5)]);
        assert_eq!(wants(&all, Kind::Channel, "next"), [('a', 3)]);
        assert_eq!(wants(&all, Kind::Shard, "news"), [('b', 1)]);
        assert_eq!(wants(&all, Kind::Channel, "old"), []);
        assert_eq!(all.subscribers(Kind::Channel, b"news"), 2);
        assert_eq!(all.patterns(), 1);
    }

    #[test]
    fn entries_end_by_zero_and_with_their_link() {
        let mut all = interests();
        let names = || vec![(Kind::Channel, b("x"), 1), (Kind::Pattern, b("x"), 1)];
        assert!(all.register(ONE, 'a', names()) && all.register(TWO, 'b', names()));
        assert!(all.register(ONE, 'a', vec![(Kind::Channel, b("x"), 0)]));
        assert_eq!(wants(&all, Kind::Channel, "x"), [('a', 1), ('b', 2)]);
        all.retain(|sender| *sender == 'a');
        assert_eq!(wants(&all, Kind::Channel, "x"), [('a', 1)]);
        assert!(all.register(ONE, 'a', vec![(Kind::Pattern, b("x"), 0)]));
        assert!(all.is_empty() && all.links.is_empty());
    }

    #[test]
    fn names_come_in_pages() {
        let mut all = interests();
        let count = NAMES_PER_CALL_MAX + 10;
        let name = |n: usize| (Kind::Channel, Bytes::from(format!("{n:06}")), 1);
        assert!(all.register(ONE, 'a', (0..count).map(name).collect()));
        let (first, more) = all.names(Kind::Channel, None, None);
        assert!(more && first.len() == NAMES_PER_CALL_MAX);
        let (rest, more) = all.names(Kind::Channel, None, first.last().map(|name| &name[..]));
        assert!(!more && rest.len() == 10);
        let (some, more) = all.names(Kind::Channel, Some(b"00000"), None);
        assert!(!more && some.len() == 10);
    }

    #[test]
    fn the_names_of_a_link_are_bounded() {
        let mut all = interests();
        let long = |n: u32| {
            let mut name = n.to_be_bytes().to_vec();
            name.resize(60_000, 0);
            (Kind::Channel, Bytes::from(name), 1)
        };
        let fits = LINK_BYTES_MAX / (60_000 + ENTRY_BYTES);
        let taken = (0..fits as u32 + 5).filter(|n| all.register(ONE, 'a', vec![long(*n)]));
        assert_eq!(taken.count(), fits);
        assert!(
            all.register(TWO, 'b', vec![long(0)]),
            "another link has room of its own"
        );
    }
}
