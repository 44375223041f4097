//! Rules and checks, one idea per test. `tests/acl.rs` compares them with a real Redis.

use bytes::Bytes;

use super::*;
use crate::{CommandError, resolve};

fn words(line: &str) -> Vec<Bytes> {
    line.split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

fn user(rules: &str) -> User {
    let user = User::new(Bytes::from_static(b"u"), Reading::default());
    user.changed(&words(rules), Reading::default()).unwrap()
}

fn refused(rules: &str) -> String {
    let user = User::new(Bytes::from_static(b"u"), Reading::default());
    let changed = user.changed(&words(rules), Reading::default());
    changed.unwrap_err().to_string()
}

fn check(user: &User, line: &str) -> Result<(), Denial> {
    let args = words(line);
    user.check(resolve(&args).unwrap(), &args)
}

fn rules(of: &str) -> String {
    String::from_utf8(user(of).rules().to_vec()).unwrap()
}

const COMMAND: Result<(), Denial> = Err(Denial {
    reason: Reason::Command,
    at: 0,
});

fn key(at: usize) -> Result<(), Denial> {
    let reason = Reason::Key;
    Err(Denial { reason, at })
}

#[test]
fn a_new_user_may_do_nothing_but_authenticate() {
    let user = user("");
    assert_eq!(check(&user, "get k"), COMMAND);
    assert_eq!(check(&user, "ping"), COMMAND);
    assert_eq!(check(&user, "auth x"), Ok(()));
    assert!(!user.lets_in(b"") && !user.is_unrestricted());
    assert_eq!(user.rules(), "off resetchannels -@all");
}

#[test]
fn the_default_user_may_do_everything() {
    let user = User::default_user(None);
    assert!(user.is_unrestricted() && user.lets_in(b"anything"));
    assert_eq!(user.rules(), "on nopass ~* &* +@all");
    let user = User::default_user(Some(b"pw"));
    assert!(user.lets_in(b"pw") && !user.lets_in(b"") && user.has_only(&Digest::of(b"pw")));
}

#[test]
fn passwords_are_added_and_removed() {
    let digits = Digest::of(b"two").to_string();
    let with_two = user(&format!("on >one #{digits} >one"));
    assert!(with_two.lets_in(b"one") && with_two.lets_in(b"two") && !with_two.lets_in(b"three"));
    assert_eq!(with_two.passwords().count(), 2);
    assert!(!user("on >one >two <one").lets_in(b"one"));
    assert!(!user(&format!("on >two !{digits}")).lets_in(b"two"));
    assert!(user("on >one nopass").lets_in(b"x") && !user("on nopass >one").lets_in(b"x"));
    assert!(!user("on nopass resetpass").lets_in(b"x") && !user("off nopass").lets_in(b"x"));
}

#[test]
fn errors_are_those_of_redis() {
    let of = |rule: &str, error: &str| {
        let line = format!("ERR Error in ACL SETUSER modifier '{rule}': {error}");
        assert_eq!(refused(rule), line);
    };
    let unknown = "Unknown command or category name in ACL";
    for rule in [
        "+nothing",
        "-nothing",
        "+@nothing",
        "-@nothing",
        "+",
        "-",
        "+@",
        "+client|nothing",
        "-select|0",
        "+get|a|b",
        "+_scan",
        "-_scan",
        "+nothing|x",
    ] {
        of(rule, unknown);
    }
    for rule in [
        "nothing", "%~x", "%RR~x", "%Rx~", "%", "+select|", "*", ")", "@all",
    ] {
        of(rule, "Syntax error");
    }
    of(
        "+config|get|x",
        "Allowing first-arg of a subcommand is not supported",
    );
    of(
        "<x",
        "The password you are trying to remove from the user does not exist",
    );
    of(
        "#abc",
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal \
        characters",
    );
    assert!(refused("~* ~x").ends_with("to start with an empty list of patterns"));
    assert!(refused("&* &x").ends_with("to start with an empty list of channels"));
    assert_eq!(
        refused("on (~a"),
        "ERR Unmatched parenthesis in acl selector starting at '(~a'."
    );
    of("(nonsense)", "Syntax error");
    of("(+nothing)", unknown);
}

#[test]
fn nothing_changes_when_a_rule_is_refused() {
    let before = user("on +get ~a");
    let changed = before.changed(&words("+set nonsense"), Reading::default());
    assert!(changed.is_err());
    assert_eq!(check(&before, "set a 1"), COMMAND);
}

#[test]
fn keys_are_allowed_by_pattern_and_access() {
    let user = user("+@all %R~r* %W~w* ~rw*");
    for line in [
        "get r1",
        "get rw1",
        "lpush w1 x",
        "set w1 x",
        "set rw1 x",
        "copy r1 w1",
        "exists r1 w1 rw1",
        "strlen w1",
        "type r1",
        "touch w1",
        "mget r1 r2",
    ] {
        assert_eq!(check(&user, line), Ok(()), "{line}");
    }
    for (line, at) in [
        ("get w1", 1),
        ("get other", 1),
        ("lpush r1 x", 1),
        ("set w1 x get", 1),
        ("copy w1 w2", 1),
        ("copy r1 r2", 2),
        ("mget r1 other r2", 2),
        ("type other", 1),
        ("zunionstore r1 1 r2", 1),
        ("sort r1 store r2", 3),
    ] {
        assert_eq!(check(&user, line), key(at), "{line}");
    }
    // Both are refused for their words.
    assert_eq!(check(&user, "zunionstore x 5 y"), Ok(()));
    assert_eq!(check(&user, "zunionstore x 0 y"), Ok(()));
}

#[test]
fn a_selector_must_allow_all_of_a_command() {
    let user = user("on +mget ~key (+mget ~key ~other) (+set ~x)");
    assert_eq!(check(&user, "mget key other"), Ok(()));
    assert_eq!(check(&user, "set key 1"), key(1));
    assert_eq!(check(&user, "get key"), COMMAND);
    assert_eq!(
        check(&user, "mget other third"),
        key(2),
        "the last key of all"
    );
    assert_eq!(check(&user, "mget key other third"), key(3));
}

#[test]
fn subcommands_and_first_words_are_rules_of_their_own() {
    let user = user("-@all +client -client|kill +config|get +select|0");
    assert_eq!(check(&user, "client id"), Ok(()));
    assert_eq!(check(&user, "client kill type normal"), COMMAND);
    assert_eq!(check(&user, "config get x"), Ok(()));
    assert_eq!(check(&user, "config set x y"), COMMAND);
    assert_eq!(check(&user, "select 0"), Ok(()));
    assert_eq!(check(&user, "select 1"), COMMAND);
}

#[test]
fn descriptions_are_those_of_redis() {
    assert_eq!(
        rules("+@all -client|kill"),
        "off resetchannels +@all -client|kill"
    );
    assert_eq!(
        rules("+@all -memory|doctor -memory"),
        "off resetchannels +@all -memory"
    );
    assert_eq!(
        rules("+memory|doctor +memory"),
        "off resetchannels -@all +memory"
    );
    assert_eq!(
        rules("+config -config|set"),
        "off resetchannels -@all +config -config|set"
    );
    assert_eq!(
        rules("+select|0 +select|1"),
        "off resetchannels -@all +select|0 +select|1"
    );
    assert_eq!(
        rules("%R~a %W~a %RW~b %R~c"),
        "off ~a ~b %R~c resetchannels -@all"
    );
    assert_eq!(rules("on &a &b"), "on resetchannels &a &b -@all");
    assert_eq!(rules("reset"), "off sanitize-payload resetchannels -@all");
    assert_eq!(
        rules("skip-sanitize-payload ~* (~x &y +get)"),
        "off skip-sanitize-payload ~* resetchannels -@all (~x resetchannels &y -@all +get)"
    );
    let with_commands = |one: &crate::Categories| of_category(*one).next().is_some();
    for category in crate::Categories::each().filter(with_commands) {
        let name = category.words().next().unwrap();
        let (all, none) = (format!("+@all -{name}"), format!("-@all +{name}"));
        assert_eq!(rules(&all), format!("off resetchannels {all}"));
        assert_eq!(rules(&none), format!("off resetchannels {none}"));
    }
}

#[test]
fn rules_of_a_newer_version_are_passed_over() {
    let stored = b"on ~* resetchannels -@all +get +newer +@newest (~x +newer|sub +set)";
    let user = User::of_rules(Bytes::from_static(b"u"), stored).unwrap();
    assert_eq!(check(&user, "get k"), Ok(()));
    assert_eq!(check(&user, "set x 1"), Ok(()));
    assert_eq!(check(&user, "set k 1"), key(1));
    assert_eq!(
        User::of_rules(Bytes::new(), b"on nonsense"),
        Err(RuleError::Syntax)
    );
}

#[test]
fn sort_by_patterns_needs_all_keys() {
    let options = |rules: &str, line: &str| {
        let args = words(line);
        user(rules).check_options(resolve(&args).unwrap(), &args)
    };
    for (line, error) in [
        ("sort l by w*", SORT_BY_DENIED),
        ("sort l limit 0 1 desc by w*", SORT_BY_DENIED),
        ("sort l by nosort get #", SORT_GET_DENIED),
        ("sort_ro l get v*", SORT_GET_DENIED),
    ] {
        for rules in ["+@all ~l ~w*", "+@all ~l %W~*", "+@all ~l (~*)"] {
            assert_eq!(options(rules, line), Err(error.clone()), "{rules} {line}");
        }
        assert_eq!(options("+@all %R~*", line), Ok(()), "{line}");
        assert_eq!(options("allkeys (+@all %R~*)", line), Ok(()), "{line}");
    }
    for line in [
        "sort l",
        "sort l by nosort",
        "sort l nonsense by w*",
        "get l",
    ] {
        assert_eq!(options("+@all ~l", line), Ok(()), "{line}");
    }
}

#[test]
fn commands_that_show_any_key_need_all_keys() {
    for line in [
        "slowlog get",
        "acl log",
        "coterie hotkeys",
        "coterie RANGES 0",
    ] {
        assert_eq!(check(&user("+@all ~x"), line), key(0), "{line}");
        assert_eq!(check(&user("+@all %R~*"), line), Ok(()), "{line}");
        assert_eq!(check(&user("allkeys"), line), COMMAND, "{line}");
    }
    for line in [
        "coterie nodes",
        "coterie help",
        "slowlog len",
        "keys *",
        "scan 0",
    ] {
        assert_eq!(check(&user("+@all ~x"), line), Ok(()), "{line}");
    }
    let user = user("+@all %W~x* (~y*)");
    assert!(user.may_see(b"x1") && user.may_see(b"y1") && !user.may_see(b"z"));
    assert_eq!(user.seen_patterns(), Some(vec!["x*".into(), "y*".into()]));
}

#[test]
fn a_denial_is_told_in_several_ways() {
    let denial = check(&user("+get"), "get k").unwrap_err();
    assert_eq!(denial.in_script(), SCRIPT_DENIED_KEY);
    let args = words("get k");
    let row = resolve(&args).unwrap();
    assert_eq!(
        denial.of_dry_run(row, &args),
        "This user has no permissions to access the 'k' key"
    );
    assert_eq!(denial.object(row, &args), "k");
    assert!(matches!(denial.error(row), CommandError::Fixed(line) if line.starts_with("NOPERM ")));
}

#[test]
fn a_script_gets_the_rights_of_its_user_without_its_passwords() {
    assert_eq!(User::default_user(Some(b"pw")).script_rules(), None);
    let limited = user("on >pw ~a* +@all -del (+del ~b)");
    let rules = limited.script_rules().unwrap();
    assert!(!String::from_utf8_lossy(&rules).contains('#'), "{rules:?}");
    let read = User::of_rules(Bytes::new(), &rules).unwrap();
    for line in ["get a", "del a", "del b", "get b"] {
        assert_eq!(check(&read, line), check(&limited, line), "{line}");
    }
    assert!(!read.lets_in(b"pw"));
    let more = limited.changed(&words("+del"), Reading::default()).unwrap();
    assert_ne!(more.script_rules(), limited.script_rules());
    assert_eq!(more.script_rules(), more.script_rules());
}
