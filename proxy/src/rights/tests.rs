//! Tests of the users that a proxy takes from catalogs.

use clap::Parser;
use coterie_protocol::objects::ObjectName;

use super::*;
use crate::pushes::PushRules;

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

#[test]
fn users_are_those_of_the_newest_catalog() {
    let (rights, clients) = (rights(""), Clients::new(PushRules::for_tests(1 << 20)));
    assert!(rights.users().is_none() && rights.generation() == 0);
    rights.take(&catalog(1, &[("alice", "on +get ~*")]), &clients);
    let users = rights.users().unwrap();
    let alice = Arc::clone(users.get(b"alice").unwrap());
    assert!(users.default_user().is_unrestricted() && !rights.need_password());
    // Other rows of the catalog change much more often.
    rights.take(&catalog(2, &[("alice", "on +get ~*")]), &clients);
    assert_eq!(rights.generation(), 1);
    rights.take(
        &catalog(4, &[("alice", "on +get ~*"), ("bob", "off")]),
        &clients,
    );
    assert_eq!(rights.generation(), 2);
    let users = rights.users().unwrap();
    assert!(Arc::ptr_eq(users.get(b"alice").unwrap(), &alice));
    rights.take(&catalog(3, &[]), &clients);
    assert!(rights.users().unwrap().get(b"bob").is_some(), "it is older");
}

#[test]
fn a_password_holds_until_meta_keeps_the_default_user() {
    let (rights, clients) = (
        rights("--requirepass pw"),
        Clients::new(PushRules::for_tests(1 << 20)),
    );
    rights.take(&catalog(1, &[]), &clients);
    assert!(rights.need_password() && rights.requirepass() == "pw");
    assert!(rights.users().unwrap().default_user().lets_in(b"pw"));
    rights.take(
        &catalog(2, &[("default", "on nopass ~* &* +@all")]),
        &clients,
    );
    assert!(!rights.need_password() && rights.requirepass().is_empty());
}

#[test]
fn a_user_whose_rules_cannot_be_read_may_do_nothing() {
    let (rights, clients) = (rights(""), Clients::new(PushRules::for_tests(1 << 20)));
    rights.take(&catalog(1, &[("default", "on nopass nonsense")]), &clients);
    let users = rights.users().unwrap();
    assert!(!users.default_user().is_on() && rights.need_password());
    assert!(!users.default_user().is_unrestricted());
}
