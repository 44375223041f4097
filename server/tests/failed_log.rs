//! A server whose log can no longer be written ends, and reports why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use coterie_config::ClusterToken;
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::{Client, Token};
use coterie_types::{GroupId, NodeId};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(30);
const GROUP: GroupId = GroupId(1);

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: coterie_server::Config,
}

fn free_addr() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Asks the server until it answers.
async fn ask(rpc: &Client, addr: &str, request: ServerRequest) -> ServerAnswer {
    loop {
        let call = rpc.call(addr, method::SERVER_ADMIN, encode(&request), LONG);
        if let Ok(answer) = call.await {
            return decode(&answer).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_log_cannot_be_written_ends_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let token = ClusterToken::given("t");
    let meta = coterie_meta::Config::alone("127.0.0.1:0", dir.path().join("meta"), token);
    let meta = coterie_meta::start(meta).await.unwrap();
    let (addr, meta_addr) = (free_addr(), meta.addr.to_string());
    let server_dir = dir.path().join("server").display().to_string();
    let fault = dir.path().join("fault");
    let fault_text = fault.display().to_string();
    let flags = [
        "server",
        "--listen",
        &addr,
        "--meta",
        &meta_addr,
        "--dir",
        &server_dir,
        "--cluster-token",
        "t",
        "--fault-log-delay-file",
        &fault_text,
    ];
    let config = Flags::parse_from(flags).config;
    let server = tokio::spawn(coterie_server::run(config, CancellationToken::new()));
    let rpc = Client::new(Token::new("t"));
    let create = ServerRequest::CreateReplica {
        group_id: GROUP,
        fence: 1,
    };
    assert_eq!(ask(&rpc, &addr, create).await, ServerAnswer::Ok);
    std::fs::write(&fault, "fail").unwrap();
    let init = ServerRequest::InitGroup {
        group_id: GROUP,
        voters: vec![NodeId(1)],
        ranges: vec![],
        fence: 1,
    };
    let asked = tokio::spawn(async move { ask(&rpc, &addr, init).await });

    let ended = tokio::time::timeout(LONG, server).await.unwrap();
    let error = ended.unwrap().unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains(&format!("{server_dir}/raft/log")), "{cause}");
    assert!(cause.contains("told to fail"), "{cause}");
    asked.abort();
    meta.shutdown().await;
}
