//! The rights of a user go with its scripts: the leader that runs a script checks its commands.
//!
//! A user with all rights sends none. Another's `EVAL` becomes `_EVAL_AS`, and `_FCALL`
//! becomes `_FCALL_AS`, with the rules as the last word; the keys stay where they are.

use bytes::Bytes;
use coterie_redis_compat::acl::User;

use super::call::Call;

/// The words that are sent for a user with all rights, and for others.
const NAMES: [(&str, &str); 4] = [
    ("EVAL", "_EVAL_AS"),
    ("EVAL_RO", "_EVAL_RO_AS"),
    ("_FCALL", "_FCALL_AS"),
    ("_FCALL_RO", "_FCALL_RO_AS"),
];

/// Gives a call the rights of its user, in place of those that it has.
pub(super) fn give_rights(call: &mut Call, user: Option<&User>) {
    let is = |word: &str| call.args[0].eq_ignore_ascii_case(word.as_bytes());
    if let Some((plain, _)) = NAMES.iter().find(|(_, name)| is(name)) {
        call.args.pop();
        call.args[0] = Bytes::from_static(plain.as_bytes());
    }
    let Some(rules) = user.and_then(User::script_rules) else {
        return;
    };
    // A call without its code keeps its words: the group refuses it.
    let is = |word: &str| call.args[0].eq_ignore_ascii_case(word.as_bytes());
    if let Some((_, name)) = NAMES.iter().find(|(plain, _)| is(plain)) {
        call.args[0] = Bytes::from_static(name.as_bytes());
        call.args.push(rules);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use coterie_redis_compat::acl::Reading;
    use coterie_redis_compat::lookup;

    use super::*;
    use crate::conn::session::Session;

    #[test]
    fn the_rights_are_those_of_the_present_user() {
        let user = |rule: &'static str| {
            let user = User::new(Bytes::from_static(b"u"), Reading::default());
            let rules = [Bytes::from_static(rule.as_bytes())];
            user.changed(&rules, Reading::default()).expect("a rule")
        };
        let (one, other) = (user("~a"), user("~b"));
        let words = |call: &Call| {
            let words = call.args.iter().map(|word| String::from_utf8_lossy(word));
            words.collect::<Vec<_>>().join(" ")
        };
        let args = ["eval", "return", "1", "a"].map(Bytes::from).to_vec();
        let now = Instant::now();
        let row = lookup(b"eval").expect("a row");
        let mut call = Session::new(true).call(row, args, false, now, now);
        give_rights(&mut call, None);
        assert_eq!(words(&call), "eval return 1 a");
        give_rights(&mut call, Some(&one));
        assert_eq!(words(&call), "_EVAL_AS return 1 a ~a resetchannels -@all");
        give_rights(&mut call, Some(&other));
        assert_eq!(words(&call), "_EVAL_AS return 1 a ~b resetchannels -@all");
        give_rights(&mut call, Some(&User::default_user(None)));
        assert_eq!(words(&call), "EVAL return 1 a");
    }
}
