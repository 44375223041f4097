//! Flags of the xtask commands, read by hand: `--name value`, `--name=value`, `--switch`, words.

use std::str::FromStr;

use crate::Result;

/// The unread words of a command line; each reader removes the words that it understands.
pub(crate) struct Flags {
    words: Vec<String>,
}

impl Flags {
    /// All of `args` unread.
    pub(crate) fn new(args: &[String]) -> Flags {
        Flags {
            words: args.to_vec(),
        }
    }

    /// Takes `--name value` or `--name=value`; `default` when it is absent.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str, default: T) -> Result<T> {
        let Some(at) = self.words.iter().position(|word| {
            word == name
                || word
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('='))
        }) else {
            return Ok(default);
        };
        let word = self.words.remove(at);
        let text = match word.split_once('=') {
            Some((_, text)) => text.to_owned(),
            None if at < self.words.len() => self.words.remove(at),
            None => return Err(format!("{name} needs a value").into()),
        };
        text.parse()
            .map_err(|_| format!("{name} cannot be `{text}`").into())
    }

    /// Takes `--name`: whether it was there.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// Takes the next word that is no flag.
    pub(crate) fn word(&mut self) -> Option<String> {
        let at = self.words.iter().position(|word| !word.starts_with('-'))?;
        Some(self.words.remove(at))
    }

    /// Fails if a word was not read.
    pub(crate) fn done(self) -> Result {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(format!("do not understand `{word}`").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_in_any_order_and_the_rest_is_refused() {
        let args = ["kill", "--metas=5", "server-2", "--dir", "d", "--now"].map(str::to_owned);
        let mut flags = Flags::new(&args);
        assert_eq!(flags.value("--dir", String::new()).unwrap(), "d");
        assert_eq!(flags.value("--metas", 3).unwrap(), 5);
        assert_eq!(flags.value("--servers", 3).unwrap(), 3);
        assert!(flags.switch("--now") && !flags.switch("--now"));
        assert_eq!(flags.word().unwrap(), "kill");
        assert_eq!(flags.word().unwrap(), "server-2");
        flags.done().unwrap();

        let mut flags = Flags::new(&["--metas".to_owned()]);
        assert!(flags.value("--metas", 3).is_err());
        assert!(Flags::new(&["--metal".to_owned()]).done().is_err());
    }
}
