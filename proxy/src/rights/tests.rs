//! Tests of the users that a proxy takes from catalogs.

use clap::Parser;
use coterie_protocol::objects::ObjectName;

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

fn rights(flags: &str) -> Rights {
    let line = format!("x --meta 127.0.0.1:1 --cluster-token t {flags}");
    let config = Cli::parse_from(line.split_whitespace()).config;
    Rights::new(&config, None)
}

fn catalog(revision: u64, users: &[(&'static str, &'static str)]) -> Catalog {
    let object = |(name, rules): &(&'static str, &'static str)| {
        let name = ObjectName::new(ObjectKind::User, *name);
        (name, Bytes::from_static(rules.as_bytes()))
    };
    Catalog {
        revision: Revision(revision),
        objects: users.iter().map(object).collect(),
        ..Catalog::default()
    }
}

fn take(rights: &Rights, revision: u64, users: &[(&'static str, &'static str)]) -> bool {
    rights.take(&catalog(revision, users))
}

#[test]
fn users_are_those_of_the_newest_catalog() {
    let rights = rights("");
    assert!(rights.users().is_none() && rights.generation() == 0 && rights.need_password());
    let alice = ("alice", "on +get ~*");
    assert!(take(&rights, 1, &[alice]));
    let users = rights.users().unwrap();
    let known = Arc::clone(users.get(b"alice").unwrap());
    assert!(users.default_user().is_unrestricted() && !rights.need_password());
    // Other rows of the catalog change much more often.
    assert!(!take(&rights, 2, &[alice]));
    assert!(take(&rights, 4, &[alice, ("bob", "off")]));
    assert_eq!(rights.generation(), 2);
    let users = rights.users().unwrap();
    assert!(Arc::ptr_eq(users.get(b"alice").unwrap(), &known));
    assert!(!take(&rights, 3, &[]), "it is older");
    assert!(rights.users().unwrap().get(b"bob").is_some());
}

#[test]
fn a_password_holds_until_meta_keeps_the_default_user() {
    let rights = rights("--requirepass pw");
    assert!(take(&rights, 1, &[]));
    assert!(rights.need_password() && rights.requirepass() == "pw");
    assert!(rights.users().unwrap().default_user().lets_in(b"pw"));
    assert!(take(&rights, 2, &[("default", "on nopass ~* &* +@all")]));
    assert!(!rights.need_password() && rights.requirepass().is_empty());
}

#[test]
fn a_user_whose_rules_cannot_be_read_may_do_nothing() {
    let rights = rights("");
    assert!(take(&rights, 1, &[("default", "on nopass nonsense")]));
    let users = rights.users().unwrap();
    assert!(!users.default_user().is_on() && rights.need_password());
    assert!(!users.default_user().is_unrestricted());
}
