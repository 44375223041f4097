//! Words that no log shows: passwords (Redis `redactClientCommandArgument`).

use std::borrow::Cow;

use bytes::Bytes;

use crate::resolve;

/// The word that stands for a secret.
const REDACTED: Bytes = Bytes::from_static(b"(redacted)");

/// The words of a command as logs and `MONITOR` may show them.
#[must_use]
pub fn redacted(args: &[Bytes]) -> Cow<'_, [Bytes]> {
    let Ok(row) = resolve(args) else {
        return Cow::Borrowed(args);
    };
    match row.name {
        "auth" => hide(args, |at| at > 0),
        // All of its words are about the user.
        "acl|setuser" => hide(args, |at| at > 1),
        "hello" => {
            let is_auth = |arg: &Bytes| arg.eq_ignore_ascii_case(b"auth");
            match args.iter().position(is_auth) {
                Some(auth) => hide(args, |at| at == auth + 1 || at == auth + 2),
                None => Cow::Borrowed(args),
            }
        }
        "config|set" => hide(args, |at| {
            at % 2 == 1 && at > 2 && args[at - 1].eq_ignore_ascii_case(b"requirepass")
        }),
        _ => Cow::Borrowed(args),
    }
}

fn hide(args: &[Bytes], is_secret: impl Fn(usize) -> bool) -> Cow<'_, [Bytes]> {
    let shown = args
        .iter()
        .enumerate()
        .map(|(at, arg)| match is_secret(at) {
            true => REDACTED,
            false => arg.clone(),
        });
    Cow::Owned(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let args: Vec<_> = line.split(' ').map(|w| Bytes::from(w.to_owned())).collect();
        let words = redacted(&args);
        let words: Vec<_> = words.iter().map(|w| String::from_utf8_lossy(w)).collect();
        words.join(" ")
    }

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(shown("AUTH pw"), "AUTH (redacted)");
        assert_eq!(shown("auth alice pw"), "auth (redacted) (redacted)");
        assert_eq!(
            shown("acl setuser a on"),
            "acl setuser (redacted) (redacted)"
        );
        assert_eq!(
            shown("hello 3 auth alice pw setname x"),
            "hello 3 auth (redacted) (redacted) setname x"
        );
        assert_eq!(
            shown("config set timeout 1 RequirePass pw"),
            "config set timeout 1 RequirePass (redacted)"
        );
        for line in ["get k", "acl list", "config get requirepass", "hello 3"] {
            assert_eq!(shown(line), line);
        }
    }
}
