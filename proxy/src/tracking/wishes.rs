//! The wishes of a client for client-side caching: the options of CLIENT TRACKING, the rules of
//! Redis for them (`networking.c`), and CLIENT CACHING. Pure: the connection owns it.

use std::collections::BTreeSet;

use bytes::Bytes;
use coterie_protocol::Tracker;
use coterie_redis_compat::errors::{
    BCAST_AND_OPT, BCAST_SWITCHED, CACHING_NO_WITHOUT_OPTOUT, CACHING_YES_WITHOUT_OPTIN,
    NOT_TRACKING, OPT_SWITCHED, OPTIN_AND_OPTOUT, PREFIX_WITHOUT_BCAST, REDIRECTED_NOWHERE,
    REDIRECTED_TWICE, SYNTAX,
};
use coterie_redis_compat::{Command, CommandError, Words};

/// The options of a CLIENT TRACKING.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// Told of all keys with its prefixes, read or not.
    pub(crate) bcast: bool,
    /// Told of the keys that it reads behind CLIENT CACHING YES.
    pub(crate) optin: bool,
    /// Told of the keys that it reads, but not behind CLIENT CACHING NO.
    pub(crate) optout: bool,
    /// Not told of its own changes.
    pub(crate) noloop: bool,
    /// The client that is told in its place.
    pub(crate) redirect: Option<u64>,
    /// Of BCAST.
    pub(crate) prefixes: Vec<Bytes>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Set while tracking is on.
    on: Option<Options>,
    /// The proxy's link and the client's number, as frames name them.
    name: (u64, u64),
    /// CLIENT CACHING holds for the next command or transaction.
    caching: bool,
}

impl Options {
    /// Reads the words behind ON or OFF. `exists` tells whether there is a client of this number.
    pub(crate) fn read(
        words: &[Bytes],
        exists: impl Fn(u64) -> bool,
    ) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut words = Words::new(words);
        while let Some(word) = words.next() {
            match word.keyword().as_str() {
                "bcast" => options.bcast = true,
                "optin" => options.optin = true,
                "optout" => options.optout = true,
                "noloop" => options.noloop = true,
                "prefix" => {
                    let prefix = Bytes::copy_from_slice(words.value()?);
                    options.prefixes.push(prefix);
                }
                "redirect" if options.redirect.is_some() && words.left() > 0 => {
                    return Err(REDIRECTED_TWICE);
                }
                "redirect" => {
                    let id = u64::try_from(words.int()?).ok();
                    let id = id.filter(|id| exists(*id));
                    options.redirect = Some(id.ok_or(REDIRECTED_NOWHERE)?);
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }
}

impl Wishes {
    /// The options, while tracking is on.
    pub(crate) fn options(&self) -> Option<&Options> {
        self.on.as_ref()
    }

    /// Whether these options may be turned on now. Returns them with the prefixes that the client
    /// has already.
    pub(crate) fn check(&self, mut options: Options) -> Result<Options, CommandError> {
        if !options.bcast && !options.prefixes.is_empty() {
            return Err(PREFIX_WITHOUT_BCAST);
        }
        let before = self.on.as_ref();
        if before.is_some_and(|before| before.bcast != options.bcast) {
            return Err(BCAST_SWITCHED);
        }
        if options.bcast && (options.optin || options.optout) {
            return Err(BCAST_AND_OPT);
        }
        if options.optin && options.optout {
            return Err(OPTIN_AND_OPTOUT);
        }
        let switched =
            |before: &Options| (options.optin && before.optout) || (options.optout && before.optin);
        if before.is_some_and(switched) {
            return Err(OPT_SWITCHED);
        }
        if options.bcast {
            let had = before.map_or(&[][..], |before| &before.prefixes);
            check_prefixes(&options.prefixes, had)?;
            if options.prefixes.is_empty() {
                options.prefixes.push(Bytes::new());
            }
            let all = had.iter().chain(&options.prefixes).cloned();
            let all: BTreeSet<Bytes> = all.collect();
            options.prefixes = all.into_iter().collect();
        }
        Ok(options)
    }

    /// Turns tracking on with options that were checked, for the client of this number.
    pub(crate) fn turn_on(&mut self, options: Options, link: u64, client: u64) {
        self.on = Some(options);
        self.name = (link, client);
    }

    /// Turns tracking off.
    pub(crate) fn turn_off(&mut self) {
        *self = Self::default();
    }

    /// `CLIENT CACHING YES|NO`.
    pub(crate) fn cache(&mut self, word: &[u8]) -> Result<(), CommandError> {
        let options = self.on.as_ref().ok_or(NOT_TRACKING)?;
        let (is_yes, is_no) = (is(word, b"yes"), is(word, b"no"));
        if is_yes && !options.optin {
            return Err(CACHING_YES_WITHOUT_OPTIN);
        }
        if is_no && !options.optout {
            return Err(CACHING_NO_WITHOUT_OPTOUT);
        }
        if !is_yes && !is_no {
            return Err(SYNTAX);
        }
        self.caching = true;
        Ok(())
    }

    /// A command has begun that CLIENT CACHING held for.
    pub(crate) fn end_caching(&mut self) {
        self.caching = false;
    }

    /// The head of a frame with this command: the client is to be told of the keys that it reads,
    /// or not of the keys that it writes. `caching`: a CLIENT CACHING was queued before it.
    pub(crate) fn tracker(&self, row: &Command, caching: bool) -> Option<Tracker> {
        let on = self.on.as_ref()?;
        let caching = self.caching || caching;
        let is_asked_for = (caching || !on.optin) && !(caching && on.optout);
        let keeps = is_asked_for && !on.bcast;
        let (link, client) = self.name;
        let tracker = Tracker {
            link,
            client,
            reads: keeps && row.is_tracked(),
            writes: on.noloop && row.is_write(),
        };
        (tracker.reads || tracker.writes).then_some(tracker)
    }

    /// The words of CLIENT TRACKINGINFO.
    pub(crate) fn flags(&self, is_broken: bool) -> Vec<&'static str> {
        let Some(on) = &self.on else {
            return vec!["off"];
        };
        let flags = [
            (true, "on"),
            (on.bcast, "bcast"),
            (on.optin, "optin"),
            (on.optin && self.caching, "caching-yes"),
            (on.optout, "optout"),
            (on.optout && self.caching, "caching-no"),
            (on.noloop, "noloop"),
            (is_broken, "broken_redirect"),
        ];
        let set = flags.into_iter().filter(|(set, _)| *set);
        set.map(|(_, word)| word).collect()
    }
}

fn is(word: &[u8], other: &[u8]) -> bool {
    word.eq_ignore_ascii_case(other)
}

/// No two prefixes of a client may tell of the same key.
fn check_prefixes(given: &[Bytes], had: &[Bytes]) -> Result<(), CommandError> {
    let overlap = |a: &Bytes, b: &Bytes| a.starts_with(b) || b.starts_with(a);
    for (at, prefix) in given.iter().enumerate() {
        if let Some(other) = had.iter().find(|other| overlap(prefix, other)) {
            return Err(CommandError::prefix_overlaps(prefix, other, true));
        }
        let mut later = given[at + 1..].iter();
        if let Some(other) = later.find(|other| overlap(prefix, other)) {
            return Err(CommandError::prefix_overlaps(prefix, other, false));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, CommandError> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        let words: Vec<Bytes> = words
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        Options::read(&words, |id| id == 7)
    }

    fn turn_on(wishes: &mut Wishes, line: &str) -> Result<(), CommandError> {
        let options = wishes.check(read(line)?)?;
        wishes.turn_on(options, 8, 9);
        Ok(())
    }

    #[test]
    fn options_are_read_as_redis_reads_them() {
        let all = read("redirect 7 NoLoop optin optout bcast prefix a prefix prefix").unwrap();
        assert!(all.bcast && all.optin && all.optout && all.noloop);
        assert_eq!(all.redirect, Some(7));
        assert_eq!(all.prefixes, ["a", "prefix"]);
        for (line, error) in [
            ("prefix", SYNTAX),
            ("redirect", SYNTAX),
            ("redirect 7 redirect", SYNTAX),
            ("redirect 7 redirect 8", REDIRECTED_TWICE),
            ("redirect 8", REDIRECTED_NOWHERE),
            ("redirect -1", REDIRECTED_NOWHERE),
            ("nothing", SYNTAX),
        ] {
            assert_eq!(read(line), Err(error), "{line}");
        }
    }

    #[test]
    fn modes_that_exclude_each_other_are_refused() {
        let mut wishes = Wishes::default();
        for (line, error) in [
            ("prefix a", PREFIX_WITHOUT_BCAST),
            ("bcast optin", BCAST_AND_OPT),
            ("optin optout", OPTIN_AND_OPTOUT),
        ] {
            assert_eq!(turn_on(&mut wishes, line), Err(error), "{line}");
        }
        assert_eq!(wishes.options(), None);
        turn_on(&mut wishes, "optin").unwrap();
        assert_eq!(turn_on(&mut wishes, "optout"), Err(OPT_SWITCHED));
        assert_eq!(turn_on(&mut wishes, "bcast"), Err(BCAST_SWITCHED));
        turn_on(&mut wishes, "").unwrap();
        turn_on(&mut wishes, "optout").unwrap();
        wishes.turn_off();
        turn_on(&mut wishes, "bcast").unwrap();
        assert_eq!(turn_on(&mut wishes, ""), Err(BCAST_SWITCHED));
    }

    #[test]
    fn prefixes_add_up_and_do_not_overlap() {
        let mut wishes = Wishes::default();
        let overlap = |a: &str, b: &str, had| {
            Err(CommandError::prefix_overlaps(
                a.as_bytes(),
                b.as_bytes(),
                had,
            ))
        };
        let given = turn_on(&mut wishes, "bcast prefix ab prefix a");
        assert_eq!(given, overlap("ab", "a", false));
        turn_on(&mut wishes, "bcast prefix b prefix a").unwrap();
        turn_on(&mut wishes, "bcast prefix c").unwrap();
        assert_eq!(wishes.options().unwrap().prefixes, ["a", "b", "c"]);
        let again = turn_on(&mut wishes, "bcast prefix bc");
        assert_eq!(again, overlap("bc", "b", true));
        turn_on(&mut wishes, "bcast").unwrap();
        assert_eq!(wishes.options().unwrap().prefixes, ["", "a", "b", "c"]);
    }

    fn row(name: &str) -> &'static Command {
        coterie_redis_compat::lookup(name.as_bytes()).unwrap()
    }

    fn remembers(wishes: &Wishes) -> bool {
        wishes.tracker(row("get"), false).is_some()
    }

    #[test]
    fn caching_chooses_what_is_remembered() {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.cache(b"yes"), Err(NOT_TRACKING));
        assert!(!remembers(&wishes));
        turn_on(&mut wishes, "").unwrap();
        assert!(remembers(&wishes));
        assert_eq!(wishes.cache(b"YES"), Err(CACHING_YES_WITHOUT_OPTIN));
        assert_eq!(wishes.cache(b"no"), Err(CACHING_NO_WITHOUT_OPTOUT));
        assert_eq!(wishes.cache(b"maybe"), Err(SYNTAX));
        turn_on(&mut wishes, "optin noloop").unwrap();
        assert!(!remembers(&wishes));
        assert!(wishes.tracker(row("get"), true).is_some());
        wishes.cache(b"yes").unwrap();
        assert!(remembers(&wishes));
        let flags = wishes.flags(false);
        assert_eq!(flags, ["on", "optin", "caching-yes", "noloop"]);
        wishes.end_caching();
        assert!(!remembers(&wishes));
        wishes.turn_off();
        turn_on(&mut wishes, "optout").unwrap();
        assert!(remembers(&wishes));
        wishes.cache(b"no").unwrap();
        assert!(!remembers(&wishes));
        let flags = wishes.flags(true);
        assert_eq!(flags, ["on", "optout", "caching-no", "broken_redirect"]);
        wishes.turn_off();
        assert_eq!(wishes.flags(true), ["off"]);
        turn_on(&mut wishes, "bcast").unwrap();
        assert!(!remembers(&wishes));
    }

    #[test]
    fn frames_name_the_client_only_where_it_matters() {
        let mut wishes = Wishes::default();
        turn_on(&mut wishes, "").unwrap();
        let of = |wishes: &Wishes, name| {
            let tracker = wishes.tracker(row(name), false)?;
            assert_eq!((tracker.link, tracker.client), (8, 9));
            Some((tracker.reads, tracker.writes))
        };
        assert_eq!(of(&wishes, "get"), Some((true, false)));
        for name in ["set", "ping", "_watch"] {
            assert_eq!(of(&wishes, name), None);
        }
        turn_on(&mut wishes, "noloop").unwrap();
        assert_eq!(of(&wishes, "set"), Some((false, true)));
        assert_eq!(of(&wishes, "get"), Some((true, false)));
        wishes.turn_off();
        turn_on(&mut wishes, "bcast noloop").unwrap();
        assert_eq!(of(&wishes, "set"), Some((false, true)));
        assert_eq!(of(&wishes, "get"), None);
    }
}
