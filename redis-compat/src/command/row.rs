//! How a row is written: a constructor with what every command has, then what this one adds.

use super::{Check, Command, Group, OtherTable, Route, Run};
use crate::{Args, Categories, EvalError, Flags, KeyFlags, KeySpec, Keys, Reply, Txn};

impl Command {
    pub(crate) const fn since(mut self, since: &'static str, complexity: &'static str) -> Self {
        self.since = since;
        self.complexity = complexity;
        self
    }

    pub(crate) const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
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

    pub(crate) const fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    pub(crate) const fn specs(mut self, key_specs: &'static [KeySpec]) -> Self {
        self.key_specs = key_specs;
        self
    }

    pub(crate) const fn subcommands(mut self, subcommands: &'static [Command]) -> Self {
        self.subcommands = subcommands;
        self
    }

    pub(crate) const fn deviation(mut self, deviation: &'static str) -> Self {
        self.deviation = deviation;
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    pub(crate) const fn other_table(mut self, other_table: OtherTable) -> Self {
        self.other_table = other_table;
        self
    }
}

/// A row that the group with the keys runs.
pub(crate) const fn row(
    group: Group,
    name: &'static str,
    arity: i32,
    flags: Flags,
    keys: Keys,
    run: fn(&mut Txn<'_>, &Args<'_>) -> Result<Reply, EvalError>,
) -> Command {
    bare(
        group,
        name,
        arity,
        flags,
        keys,
        Run::Group(run),
        Route::Keys,
    )
}

/// A row that the proxy answers.
pub(crate) const fn proxy(group: Group, name: &'static str, arity: i32, flags: Flags) -> Command {
    bare(
        group,
        name,
        arity,
        flags,
        Keys::None,
        Run::Proxy,
        Route::Local,
    )
}

const fn bare(
    group: Group,
    name: &'static str,
    arity: i32,
    flags: Flags,
    keys: Keys,
    run: Run,
    route: Route,
) -> Command {
    Command {
        name,
        arity,
        flags,
        keys,
        key_specs: &[],
        run,
        route,
        group,
        since: "1.0.0",
        summary: "",
        complexity: "",
        categories: Categories::NONE,
        tips: &[],
        subcommands: &[],
        deviation: "",
        check: None,
        other_table: OtherTable::None,
    }
}

/// A run of keys from word `first`; `last` counts from it, or from the end if below 0.
pub(crate) const fn spec(
    flags: &'static [&'static str],
    first: usize,
    last: i32,
    step: usize,
) -> KeySpec {
    KeySpec {
        notes: None,
        flags: KeyFlags(flags),
        first,
        last,
        step,
    }
}
