//! How a row is written: its name and syntax, then the properties of this command.

use bytes::Bytes;

use super::{Check, Command, Function, Nulls, Route, Run, Topic};
use crate::waits::{ResolveWords, Timeout, WaitQueue, Waits};
use crate::{Categories, Flags, KeyFlags, KeySpec, syntax};

/// A row that the proxy answers, until it is told otherwise by [`Command::runs`]. The name of a
/// subcommand is `container|name`.
pub(crate) const fn command(topic: Topic, name: &'static str) -> Command {
    Command {
        name,
        syntax: "",
        arity: name_words(name),
        flags: Flags::NONE,
        keys: &[],
        run: Run::Proxy,
        route: Route::Local,
        topic,
        since: "",
        summary: "",
        complexity: "",
        categories: topic.categories(),
        tips: &[],
        deviation: "",
        hints: "",
        nulls: Nulls::Nothing,
        shown_as: None,
        check: None,
        blind_unless: None,
        key_flags: None,
        is_interval: false,
        waits: None,
        number: 0,
        subcommands: (0, 0),
    }
}

/// Whether this is the name of a subcommand.
pub(crate) const fn is_subcommand(name: &str) -> bool {
    let mut at = 0;
    while at < name.len() {
        if name.as_bytes()[at] == b'|' {
            return true;
        }
        at += 1;
    }
    false
}

/// How many words a name is.
const fn name_words(name: &str) -> i32 {
    if is_subcommand(name) { 2 } else { 1 }
}

impl Command {
    /// The words behind the name; without it there are none.
    pub(crate) const fn syntax(mut self, words: &'static str) -> Self {
        self.syntax = words;
        self.arity = syntax::arity(words, name_words(self.name));
        self
    }

    /// The first version, the cost of a call, and a sentence about it.
    pub(crate) const fn docs(
        mut self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        self.since = since;
        self.complexity = complexity;
        self.summary = summary;
        self
    }

    pub(crate) const fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// The group with the keys runs it, by this function.
    pub(crate) const fn runs(mut self, function: Function) -> Self {
        self.run = Run::Group(function);
        if matches!(self.route, Route::Local) {
            self.route = Route::Keys;
        }
        self
    }

    /// The leader of the group with the keys runs it as a script.
    pub(crate) const fn runs_script(mut self) -> Self {
        self.run = Run::Script;
        self.route = Route::Keys;
        self
    }

    pub(crate) const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self
    }

    /// Words 1 and 2 are an interval of keys, which lies in a single range.
    pub(crate) const fn over_interval(mut self) -> Self {
        self.is_interval = true;
        self.route = Route::EachRange;
        self
    }

    /// Redis' arity, where it is not that of Redis' own syntax.
    pub(crate) const fn arity(mut self, arity: i32) -> Self {
        self.arity = arity;
        self
    }

    /// The subcommands have rows of their own.
    pub(crate) const fn container(self) -> Self {
        self.arity(-2).categories(Categories::NONE)
    }

    pub(crate) const fn categories(mut self, categories: Categories) -> Self {
        self.categories = categories;
        self
    }

    pub(crate) const fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    pub(crate) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub(crate) const fn deviation(mut self, deviation: &'static str) -> Self {
        self.deviation = deviation;
        self
    }

    pub(crate) const fn hints(mut self, hints: &'static str) -> Self {
        self.hints = hints;
        self
    }

    /// Nulls in its reply are absent keys, which `INFO` counts.
    pub(crate) const fn nulls(mut self, nulls: Nulls) -> Self {
        self.nulls = nulls;
        self
    }

    pub(crate) const fn shown_as(mut self, name: &'static str) -> Self {
        self.shown_as = Some(name);
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// It overwrites its keys without reading them, unless any of these words follows the value.
    pub(crate) const fn blind_unless(mut self, words: &'static [&'static str]) -> Self {
        self.blind_unless = Some(words);
        self
    }

    /// It may wait for data: with its timeout there, and in the queue that its words choose.
    pub(crate) const fn waits(
        mut self,
        timeout: Timeout,
        queue: fn(&[Bytes]) -> WaitQueue,
    ) -> Self {
        let resolve = None;
        self.waits = Some(Waits {
            timeout,
            queue,
            resolve,
        });
        self
    }

    /// Words of it that depend on the moment are replaced before it waits.
    pub(crate) const fn resolves(mut self, resolve: ResolveWords) -> Self {
        if let Some(waits) = &mut self.waits {
            waits.resolve = Some(resolve);
        }
        self
    }

    pub(crate) const fn key_flags_of(mut self, of: fn(&[Bytes]) -> KeyFlags) -> Self {
        self.key_flags = Some(of);
        self
    }
}
