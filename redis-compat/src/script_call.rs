//! The words of a command that runs a script, as its leader reads them.

use bytes::Bytes;

use crate::errors::{NO_FUNCTION, NO_SCRIPT, NOT_AN_INTEGER, TOO_MANY_KEYS};
use crate::{CommandError, Resolved, number};

/// The code of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptSource<'a> {
    /// `EVAL`: the script.
    Script(&'a Bytes),
    /// `FCALL`: the code of a library, and the name of the function.
    Function {
        /// The library.
        code: &'a Bytes,
        /// The function.
        name: &'a Bytes,
    },
}

/// The words of a command that runs a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptCall<'a> {
    /// Its code.
    pub source: ScriptSource<'a>,
    /// `KEYS`.
    pub keys: &'a [Bytes],
    /// `ARGV`.
    pub args: &'a [Bytes],
    /// The command allows no writes.
    pub is_read_only: bool,
    /// The rules of its user (`acl`), unless that may do everything.
    pub rules: Option<&'a Bytes>,
}

impl<'a> ScriptCall<'a> {
    /// Reads the words. Errors: those of the command, and `NO_SCRIPT` or `NO_FUNCTION` where no
    /// code is sent along.
    pub fn of(command: &'a Resolved) -> Result<Self, CommandError> {
        let row = command.row().map_err(CommandError::clone)?;
        let words = command.args();
        row.validate(words)?;
        let keys = number::parse_int(&words[2]).and_then(|keys| usize::try_from(keys).ok());
        let keys = keys.ok_or(NOT_AN_INTEGER)?;
        let (words, rules) = match words.split_last() {
            Some((rules, words)) if row.name.ends_with("_as") => (words, Some(rules)),
            _ => (words, None),
        };
        let (source, rest) = match row.name {
            "eval" | "eval_ro" | "_eval_as" | "_eval_ro_as" => {
                (ScriptSource::Script(&words[1]), &words[3..])
            }
            "_fcall" | "_fcall_ro" | "_fcall_as" | "_fcall_ro_as" => {
                let (code, rest) = words[3..].split_last().ok_or(NO_FUNCTION)?;
                let name = &words[1];
                (ScriptSource::Function { code, name }, rest)
            }
            "fcall" | "fcall_ro" => return Err(NO_FUNCTION),
            _ => return Err(NO_SCRIPT),
        };
        let (keys, args) = rest.split_at_checked(keys).ok_or(TOO_MANY_KEYS)?;
        Ok(Self {
            source,
            keys,
            args,
            is_read_only: !row.is_write(),
            rules,
        })
    }
}

#[cfg(test)]
mod tests {
    use coterie_types::TableId;

    use super::*;
    use crate::errors::{BAD_KEYS, NEGATIVE_KEYS};

    fn resolved(line: &str) -> Resolved {
        let words = line.split(' ');
        let words = words.map(|word| Bytes::copy_from_slice(word.as_bytes()));
        Resolved::new(TableId(0), words.collect())
    }

    #[test]
    fn the_words_of_a_call_are_code_keys_and_arguments() {
        let command = resolved("eval return 2 a b c");
        let call = ScriptCall::of(&command).unwrap();
        assert_eq!(call.source, ScriptSource::Script(&Bytes::from("return")));
        assert_eq!((call.keys.len(), call.args), (2, &[Bytes::from("c")][..]));
        let mut keys = Vec::new();
        command.visit_keys(&mut |_, key| keys.push(key.clone()));
        assert_eq!(keys, ["a", "b"]);
        assert!(command.is_write() && command.is_script() && !call.is_read_only);
        let command = resolved("_fcall_ro f 1 a b code");
        let call = ScriptCall::of(&command).unwrap();
        let (code, name) = (&Bytes::from("code"), &Bytes::from("f"));
        assert_eq!(call.source, ScriptSource::Function { code, name });
        assert_eq!(
            (call.keys, call.args),
            (&[Bytes::from("a")][..], &[Bytes::from("b")][..])
        );
        assert!(!command.is_write() && call.is_read_only && call.rules.is_none());
        for (line, args) in [
            ("_eval_as return 1 a b rules", 1),
            ("_fcall_as f 1 a b code rules", 1),
        ] {
            let command = resolved(line);
            let call = ScriptCall::of(&command).unwrap();
            assert_eq!(call.rules, Some(&Bytes::from("rules")), "{line}");
            assert_eq!((call.keys.len(), call.args.len()), (1, args), "{line}");
        }
    }

    #[test]
    fn counts_of_keys_are_refused_in_redis_words() {
        for (line, error) in [
            ("eval x y", NOT_AN_INTEGER),
            ("eval x -1", NEGATIVE_KEYS),
            ("eval x 2 a", TOO_MANY_KEYS),
            ("evalsha x 0", NO_SCRIPT),
            ("fcall x y", BAD_KEYS),
            ("fcall x 0", NO_FUNCTION),
            ("_fcall f 1 code", TOO_MANY_KEYS),
            ("_eval_as x 1 rules", TOO_MANY_KEYS),
        ] {
            assert_eq!(ScriptCall::of(&resolved(line)), Err(error), "{line}");
        }
    }
}
