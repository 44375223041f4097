//! The client against members that the test plays.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coterie_meta_client::{MetaClient, MetaError};
use coterie_protocol::catalog::{Catalog, Change, Row};
use coterie_protocol::meta::{Command, MetaAnswer, MetaRequest, Outcome};
use coterie_protocol::{decode, encode};
use coterie_rpc::{Client, Handler, Request, Responder, Token};
use coterie_types::Revision;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A member's answer to a request; `None` keeps silent.
type Script = Box<dyn Fn(MetaRequest) -> Option<MetaAnswer> + Send + Sync>;

struct Member {
    script: Script,
    asked: Mutex<usize>,
}

impl Handler for Member {
    fn handle(&self, request: Request, responder: Responder) {
        *self.asked.lock().unwrap() += 1;
        match (self.script)(decode(&request.body).unwrap()) {
            Some(answer) => responder.send(encode(&answer)),
            None => drop(responder),
        }
    }
}

/// A client whose three members play these scripts.
fn cluster(scripts: [Script; 3]) -> (MetaClient, Vec<Arc<Member>>) {
    let rpc = Client::new(Token::new("t"));
    let mut members = Vec::new();
    let mut addrs = Vec::new();
    for (index, script) in scripts.into_iter().enumerate() {
        let asked = Mutex::new(0);
        let member = Arc::new(Member { script, asked });
        let addr = format!("member-{index}");
        rpc.register_local(&addr, Arc::clone(&member) as Arc<dyn Handler>);
        members.push(member);
        addrs.push(addr);
    }
    (MetaClient::new(rpc, addrs), members)
}

fn points_to(index: u64) -> Script {
    Box::new(move |_| {
        Some(MetaAnswer::NotLeader {
            leader: Some(index + 1),
            addr: Some(format!("member-{index}")),
        })
    })
}

fn command() -> Command {
    Command::PutSetting {
        name: "a".into(),
        value: None,
    }
}

#[tokio::test]
async fn the_leader_is_found_by_its_hint_and_remembered() {
    let done = Outcome::Done {
        revision: Revision(3),
    };
    let leader: Script = {
        let done = done.clone();
        Box::new(move |_| Some(MetaAnswer::Applied(done.clone())))
    };
    let (client, members) = cluster([points_to(2), points_to(2), leader]);
    for _ in 0..5 {
        let outcome = client.propose(command(), TIMEOUT).await;
        assert_eq!(outcome, Ok(done.clone()));
    }
    let asked: Vec<usize> = members.iter().map(|m| *m.asked.lock().unwrap()).collect();
    assert_eq!(asked, [1, 0, 5]);
}

#[tokio::test]
async fn a_proposal_of_unknown_fate_is_not_sent_again() {
    let (client, members) = cluster([Box::new(|_| None), points_to(0), points_to(0)]);
    let outcome = client.propose(command(), TIMEOUT).await;
    assert_eq!(outcome, Err(MetaError::Unknown));
    assert_eq!(*members[0].asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_read_goes_on_to_the_next_member() {
    let catalog = Catalog {
        revision: Revision(9),
        ..Catalog::default()
    };
    let answer = MetaAnswer::Catalog(Box::new(catalog.clone()));
    let leader: Script = Box::new(move |_| Some(answer.clone()));
    let (client, _members) = cluster([Box::new(|_| None), leader, points_to(0)]);
    assert_eq!(client.read(TIMEOUT).await, Ok(catalog));
}

#[tokio::test]
async fn without_a_leader_the_deadline_holds() {
    let (client, _members) = cluster([points_to(1), points_to(2), points_to(0)]);
    let answer = client.read(Duration::from_millis(100)).await;
    assert!(
        matches!(answer, Err(MetaError::Unavailable { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_copy_follows_and_never_goes_back() {
    let member: Script = Box::new(|request| {
        let MetaRequest::Watch { after, .. } = request else {
            return None;
        };
        match after.0 {
            0 => Some(MetaAnswer::Catalog(Box::new(Catalog {
                revision: Revision(5),
                ..Catalog::default()
            }))),
            5..8 => Some(MetaAnswer::Changes(vec![Change {
                revision: after.next(),
                deletes: vec![],
                upserts: vec![Row::Setting(format!("s{after}"), "v".into())],
            }])),
            _ => None,
        }
    });
    let behind: Script = Box::new(|_| Some(MetaAnswer::Catalog(Box::default())));
    let (client, _members) = cluster([behind, Box::new(|_| None), member]);
    let mut copy = client.follow(None);
    let newest = copy.wait_for(|copy| copy.revision == Revision(8)).await;
    let settings: Vec<String> = newest.unwrap().settings.keys().cloned().collect();
    assert_eq!(settings, ["s5", "s6", "s7"]);
}
