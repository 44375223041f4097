//! Calls within mutual TLS: the processes that are let in, and that all of a call arrives.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_certificates::{Authority, Signed};
use coterie_config::{ClusterTlsFiles, ClusterToken};
use coterie_rpc::{CallError, Client, Credentials, Handler, Request, Responder, Server, Token};

const LONG: Duration = Duration::from_secs(30);

struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Request, responder: Responder) {
        responder.send(request.body);
    }
}

fn flags(signed: &Signed, ca: PathBuf) -> ClusterTlsFiles {
    ClusterTlsFiles {
        cluster_tls_cert_file: Some(signed.cert.clone()),
        cluster_tls_key_file: Some(signed.key.clone()),
        cluster_tls_ca_file: Some(ca),
        cluster_tls_name: None,
    }
}

fn credentials(flags: &ClusterTlsFiles) -> Credentials {
    Credentials::open(&ClusterToken::given("t"), flags).unwrap()
}

/// Credentials with a new certificate.
fn signed_by(authority: &Authority) -> Credentials {
    credentials(&flags(&authority.sign(&["coterie"]), authority.ca()))
}

async fn serve(credentials: impl Into<Credentials>) -> (Server, String) {
    let server = Server::bind("127.0.0.1:0", credentials, Arc::new(Echo));
    let server = server.await.unwrap();
    let addr = server.local_addr().to_string();
    (server, addr)
}

async fn call(credentials: impl Into<Credentials>, addr: &str) -> Result<Bytes, CallError> {
    let client = Client::new(credentials);
    client.call(addr, 1, Bytes::from_static(b"x"), LONG).await
}

/// The text of a refusal. The call was surely not executed.
async fn refused(credentials: impl Into<Credentials>, addr: &str) -> String {
    let error = call(credentials, addr).await.unwrap_err();
    assert!(error.surely_not_executed(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_call_comes_back_whatever_its_size() {
    let authority = Authority::new("cluster");
    let (_server, addr) = serve(signed_by(&authority)).await;
    let client = Client::new(signed_by(&authority));
    for len in [0, 1, 2048, 2049, 65_536, 3 << 20] {
        let body: Bytes = (0..len).map(|at| (at * 31 % 251) as u8).collect();
        let answer = client.call(&addr, 1, body.clone(), LONG).await;
        assert_eq!(answer, Ok(body));
    }
}

/// More than sockets and sessions hold is under way in both directions, many times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_long_calls_at_once_each_get_their_own_answer() {
    let authority = Authority::new("cluster");
    let (_server, addr) = serve(signed_by(&authority)).await;
    let client = Client::new(signed_by(&authority));
    let callers: Vec<_> = (0..50u32)
        .map(|caller| {
            let (client, addr) = (client.clone(), addr.clone());
            tokio::spawn(async move {
                for n in 0..20u32 {
                    let len = ((caller + n) % 40 * 10_007) as usize;
                    let body = Bytes::from(vec![(caller + n) as u8; len]);
                    let answer = client.call(&addr, 1, body.clone(), LONG).await;
                    assert!(answer == Ok(body), "{caller} {n}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn plain_and_tls_do_not_talk_to_each_other_and_say_why() {
    let authority = Authority::new("cluster");
    let (_tls, by_tls) = serve(signed_by(&authority)).await;
    let (_plain, plain) = serve(Token::new("t")).await;
    let reason = refused(Token::new("t"), &by_tls).await;
    assert!(reason.contains("the peer speaks TLS"), "{reason}");
    let reason = refused(signed_by(&authority), &plain).await;
    assert!(reason.contains("within the TLS handshake"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (_server, addr) = serve(signed_by(&ours)).await;
    let reason = refused(signed_by(&theirs), &addr).await;
    assert!(reason.contains("TLS: invalid peer certificate"), "{reason}");
    assert!(call(signed_by(&ours), &addr).await.is_ok());

    // A caller that would trust the server, whose certificate the server does not trust.
    let both = ours.dir().join("both.pem");
    let pems = [ours.ca(), theirs.ca()].map(|ca| fs::read_to_string(ca).unwrap());
    fs::write(&both, pems.concat()).unwrap();
    let trusting = credentials(&flags(&theirs.sign(&["coterie"]), both));
    let reason = refused(trusting, &addr).await;
    assert!(reason.contains("TLS: received fatal alert"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let authority = Authority::new("two clusters");
    let (_server, addr) = serve(signed_by(&authority)).await;
    let mut other = flags(&authority.sign(&["other"]), authority.ca());
    other.cluster_tls_name = Some("other".to_owned());
    let (_other, at_other) = serve(credentials(&other)).await;
    let reason = refused(credentials(&other), &addr).await;
    assert!(reason.contains("not valid for name"), "{reason}");
    let reason = refused(signed_by(&authority), &at_other).await;
    assert!(reason.contains("not valid for name"), "{reason}");
}

#[tokio::test]
async fn the_token_is_still_needed() {
    let authority = Authority::new("cluster");
    let (_server, addr) = serve(signed_by(&authority)).await;
    let flags = flags(&authority.sign(&["coterie"]), authority.ca());
    let other = Credentials::open(&ClusterToken::given("other"), &flags).unwrap();
    let reason = refused(other, &addr).await;
    assert!(reason.contains("cluster token"), "{reason}");
}

/// Both sides take a new authority while calls go on: first they trust both, then each has a new
/// certificate, then they trust the new alone.
#[tokio::test]
async fn an_authority_is_replaced_without_a_failed_call() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let ca = old.dir().join("trusted.pem");
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    fs::write(&ca, read(old.ca())).unwrap();
    let own = [old.sign(&["coterie"]), old.sign(&["coterie"])];
    let (_server, addr) = serve(credentials(&flags(&own[0], ca.clone()))).await;
    let caller = credentials(&flags(&own[1], ca.clone()));
    let reaches = async |credentials: Credentials| call(credentials, &addr).await.is_ok();
    let until = async |authority: &Authority, expected: bool| {
        let trusting = old.dir().join("both.pem");
        fs::write(&trusting, [read(old.ca()), read(new.ca())].concat()).unwrap();
        while reaches(credentials(&flags(
            &authority.sign(&["coterie"]),
            trusting.clone(),
        )))
        .await
            != expected
        {
            assert!(reaches(caller.clone()).await, "a connection of a member");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    fs::write(&ca, [read(old.ca()), read(new.ca())].concat()).unwrap();
    until(&new, true).await;
    for own in &own {
        new.sign(&["coterie"]).replace(own);
    }
    // A caller that trusts the new authority alone is served once the server has its certificate.
    while !reaches(signed_by(&new)).await {
        assert!(reaches(caller.clone()).await, "a connection of a member");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // And the caller is let in by a server that trusts the new one alone.
    let (_judge, at_judge) = serve(signed_by(&new)).await;
    while call(caller.clone(), &at_judge).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fs::write(&ca, read(new.ca())).unwrap();
    until(&old, false).await;
    assert!(reaches(caller.clone()).await);
}
