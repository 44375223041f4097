//! The modules of a crate, and the modules whose items each of them uses.
//!
//! A path is followed to the file that defines its item: a name that `mod.rs` or `lib.rs` only
//! passes on belongs to the file it comes from. A use of a module's name alone (`use super::wire;`)
//! is followed at each path that begins with it.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{self, Names, Segments};

/// Re-exports of re-exports are followed this far.
const DEPTH_MAX: usize = 8;

/// The modules of a crate, by their path below its root.
pub(super) struct Modules {
    modules: BTreeMap<Segments, Names>,
}

impl Modules {
    /// The modules of the crate with these files, each by its path below `src/`. Modules that only
    /// tests have are left out.
    pub(super) fn of<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Modules {
        let mut modules: BTreeMap<Segments, Names> = files
            .map(|(path, source)| (module_of(path), imports::names(source)))
            .collect();
        let mut tests = Vec::new();
        for (module, names) in &modules {
            let children = names.test_modules.iter();
            tests.extend(children.map(|child| joined(module, child)));
        }
        modules.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Modules { modules }
    }

    /// Each module with the modules that it uses.
    pub(super) fn uses(&self) -> BTreeMap<&Segments, BTreeSet<&Segments>> {
        let used = self.modules.keys().map(|module| {
            let mut used = self.used_by(module);
            used.remove(module);
            (module, used)
        });
        used.collect()
    }

    fn used_by(&self, module: &Segments) -> BTreeSet<&Segments> {
        let names = &self.modules[module];
        let mut used = BTreeSet::new();
        let mut aliases: BTreeMap<&str, &Segments> = BTreeMap::new();
        for import in &names.uses {
            let Some((target, rest)) = self.find(module, &import.path) else {
                continue;
            };
            match rest.first() {
                None if import.name == "*" => {
                    used.extend((!import.reexport).then_some(target));
                }
                None => {
                    aliases.insert(&import.name, target);
                }
                Some(item) => {
                    let passed_on = import.reexport && !names.words.contains(&import.name);
                    used.extend((!passed_on).then(|| self.definer(target, item, 0)));
                }
            }
        }
        for path in &names.paths {
            let found = match aliases.get(path[0].as_str()) {
                Some(alias) => self.longest(&[alias.as_slice(), &path[1..]].concat()),
                None => self.find(module, path),
            };
            if let Some((target, [item, ..])) = found.as_ref().map(|(t, rest)| (*t, &rest[..])) {
                used.insert(self.definer(target, item, 0));
            }
        }
        used
    }

    /// The module that `path` in `module` leads to, and the rest of the path; none for a path into
    /// another crate or to an item of `module` itself.
    fn find(&self, module: &Segments, path: &[String]) -> Option<(&Segments, Segments)> {
        let (head, rest) = path.split_first()?;
        let mut base = module.clone();
        let mut rest = rest;
        match head.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop()?;
                while let Some(after) = rest.strip_prefix(&["super".to_owned()][..]) {
                    base.pop()?;
                    rest = after;
                }
            }
            child if self.modules.contains_key(&joined(module, child)) => rest = path,
            _ => return None,
        }
        base.extend_from_slice(rest);
        self.longest(&base)
    }

    /// The deepest module that `path` names, and the rest of the path.
    fn longest(&self, path: &[String]) -> Option<(&Segments, Segments)> {
        let lengths = (0..=path.len()).rev();
        let mut prefixes = lengths.map(|length| path.split_at(length));
        prefixes.find_map(|(prefix, rest)| {
            let (module, _) = self.modules.get_key_value(prefix)?;
            Some((module, rest.to_vec()))
        })
    }

    /// The module that defines `item` of `module`.
    fn definer<'a>(&'a self, module: &'a Segments, item: &str, depth: usize) -> &'a Segments {
        let names = &self.modules[module];
        if names.defines.contains(item) || depth == DEPTH_MAX {
            return module;
        }
        let named = names.uses.iter().find(|import| import.name == item);
        if let Some((target, rest)) = named.and_then(|import| self.find(module, &import.path)) {
            return match rest.first() {
                Some(item) => self.definer(target, item, depth + 1),
                None => target,
            };
        }
        let globs = names.uses.iter().filter(|import| import.name == "*");
        let mut targets = globs.filter_map(|glob| self.find(module, &glob.path));
        let found = targets.find_map(|(target, _)| {
            let definer = self.definer(target, item, depth + 1);
            let defines = self.modules[definer].defines.contains(item);
            defines.then_some(definer)
        });
        found.unwrap_or(module)
    }
}

fn joined(module: &[String], child: &str) -> Segments {
    [module, &[child.to_owned()]].concat()
}

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`, `lib.rs` and `main.rs` the root.
pub(super) fn module_of(path: &str) -> Segments {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => Segments::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The uses of a crate as text: `a::b -> c`.
    fn uses(files: &[(&str, &str)]) -> Vec<String> {
        let modules = Modules::of(files.iter().copied());
        let mut found = Vec::new();
        for (from, used) in modules.uses() {
            found.extend(
                used.iter()
                    .map(|to| format!("{} -> {}", from.join("::"), to.join("::"))),
            );
        }
        found
    }

    #[test]
    fn a_path_leads_to_the_file_that_defines_its_item() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use self::b::Thing;"),
            ("a.rs", "use crate::Thing; use super::b::deep::Other;"),
            ("b/mod.rs", "pub mod deep; pub use self::deep::*;"),
            ("b/deep.rs", "pub struct Thing; pub struct Other;"),
        ];
        assert_eq!(uses(&files), ["a -> b::deep"]);
    }

    #[test]
    fn a_module_is_used_where_a_path_begins_with_its_name() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; fn run() { a::go(); }"),
            (
                "a.rs",
                "use super::b; use crate::c; pub fn go() { b::go() }",
            ),
            (
                "b.rs",
                "use std::fmt; pub fn go() { crate::c::go(); fmt::x() }",
            ),
            (
                "c.rs",
                "pub fn go() { self::inner::go() } mod inner { pub fn go() {} }",
            ),
        ];
        assert_eq!(uses(&files), [" -> a", "a -> b", "b -> c"]);
    }

    #[test]
    fn a_name_that_is_passed_on_counts_where_it_is_used_too() {
        let files = [
            (
                "lib.rs",
                "mod a; mod b; pub use a::A; pub(crate) use b::B; fn x(_: B) {}",
            ),
            ("a.rs", "pub struct A;"),
            ("b.rs", "pub struct B; use crate::x;"),
        ];
        assert_eq!(uses(&files), [" -> b", "b -> "]);
    }

    #[test]
    fn the_name_of_a_module_is_no_use_of_an_item() {
        let files = [
            (
                "lib.rs",
                "mod start; pub use start::start; pub const VERSION: u8 = 1;",
            ),
            ("start.rs", "pub fn start() { crate::VERSION; }"),
        ];
        assert_eq!(uses(&files), ["start -> "]);
    }

    #[test]
    fn modules_of_tests_are_left_out() {
        let files = [
            ("lib.rs", "mod a;\n#[cfg(test)]\nmod tests;\npub fn x() {}"),
            ("a.rs", "#[cfg(test)]\nmod tests { use crate::x; }"),
            ("tests.rs", "mod more; use crate::x;"),
            ("tests/more.rs", "use crate::x;"),
        ];
        assert!(uses(&files).is_empty(), "{:?}", uses(&files));
    }
}
