//! Calls that take long, have long answers, or are cancelled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_rpc::{
    CallError, Client, Handler, Limits, Patience, Progress, Request, Responder, Server, Token,
};

const ECHO: u16 = 1;
const HOLD: u16 = 2;

const LONG: Duration = Duration::from_secs(30);
/// Ten times the period in which these tests show signs of progress: a busy machine delays them.
const SHORT: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Holder(Mutex<Vec<Responder>>);

impl Handler for Holder {
    fn handle(&self, request: Request, responder: Responder) {
        match request.method {
            ECHO => responder.send(request.body),
            _ => self.0.lock().unwrap().push(responder),
        }
    }
}

impl Holder {
    async fn held(&self) -> Responder {
        loop {
            if let Some(responder) = self.0.lock().unwrap().pop() {
                return responder;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

struct World {
    holder: Arc<Holder>,
    client: Client,
    addr: String,
    _server: Option<Server>,
}

async fn remote() -> World {
    let holder = Arc::new(Holder::default());
    let limits = Limits {
        long_answer_bytes_max: 1000,
        ..Limits::default()
    };
    let handler = Arc::clone(&holder) as Arc<dyn Handler>;
    let server = Server::bind_with_limits("127.0.0.1:0", Token::new("t"), handler, limits);
    let server = server.await.unwrap();
    World {
        holder,
        client: Client::new(Token::new("t")),
        addr: server.local_addr().to_string(),
        _server: Some(server),
    }
}

fn local() -> World {
    let holder = Arc::new(Holder::default());
    let client = Client::new(Token::new("t"));
    client.register_local("here", Arc::clone(&holder) as Arc<dyn Handler>);
    World {
        holder,
        client,
        addr: "here".to_owned(),
        _server: None,
    }
}

impl World {
    fn hold(&self, patience: Patience) -> tokio::task::JoinHandle<Result<Bytes, CallError>> {
        let (client, addr) = (self.client.clone(), self.addr.clone());
        tokio::spawn(async move {
            let call = client.call_patiently(&addr, HOLD, Bytes::new(), patience);
            call.await
        })
    }
}

fn patience(silence: Duration) -> Patience {
    Patience {
        deadline: Instant::now() + LONG,
        silence,
        progress: None,
    }
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "it never comes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_call_that_is_worked_on_is_waited_for() {
    for world in [remote().await, local()] {
        let call = world.hold(patience(SHORT));
        let responder = world.holder.held().await;
        let began = Instant::now();
        while began.elapsed() < 4 * SHORT {
            assert!(!call.is_finished());
            responder.working();
            tokio::time::sleep(SHORT / 10).await;
        }
        responder.send(Bytes::from_static(b"done"));
        assert_eq!(call.await.unwrap(), Ok(Bytes::from_static(b"done")));
        let silent = world.hold(patience(SHORT));
        let responder = world.holder.held().await;
        assert_eq!(silent.await.unwrap(), Err(CallError::TimedOut));
        until(|| responder.is_abandoned()).await;
    }
}

#[tokio::test]
async fn progress_of_others_is_a_sign_too_and_the_deadline_an_end() {
    for world in [remote().await, local()] {
        let progress = Arc::new(Progress::default());
        let call = world.hold(Patience {
            deadline: Instant::now() + 4 * SHORT,
            silence: SHORT,
            progress: Some(Arc::clone(&progress)),
        });
        let began = Instant::now();
        while !call.is_finished() {
            assert!(began.elapsed() < LONG, "it has no end");
            progress.note();
            tokio::time::sleep(SHORT / 10).await;
        }
        assert_eq!(call.await.unwrap(), Err(CallError::TimedOut));
        assert!(began.elapsed() >= 3 * SHORT);
    }
}

#[tokio::test]
async fn whoever_answers_learns_that_nobody_waits() {
    for world in [remote().await, local()] {
        let call = world.hold(patience(LONG));
        let responder = world.holder.held().await;
        assert!(!responder.is_abandoned());
        call.abort();
        until(|| responder.is_abandoned()).await;
        // The next call reuses the slot, and is not mistaken for the cancelled call.
        let next = world.hold(patience(LONG));
        let answers = world.holder.held().await;
        responder.send(Bytes::from_static(b"late"));
        assert!(!answers.is_abandoned());
        answers.send(Bytes::from_static(b"next"));
        assert_eq!(next.await.unwrap(), Ok(Bytes::from_static(b"next")));
    }
}

#[tokio::test]
async fn what_goes_with_a_long_answer_is_let_go_of_when_it_has_left() {
    let world = remote().await;
    let call = world.hold(patience(LONG));
    let responder = world.holder.held().await;
    let budget = responder.link_budget().unwrap().clone();
    assert_eq!(budget.bytes_max(), 1000);
    let permit = budget.try_take(1000).unwrap();
    let body = Bytes::from(vec![7; 5 << 20]);
    responder.send_holding(body.clone(), permit);
    assert_eq!(call.await.unwrap(), Ok(body));
    until(|| budget.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_calls_pass_long_answers() {
    let world = remote().await;
    let body = Bytes::from(vec![7; 32 << 20]);
    let mut long = Vec::new();
    for _ in 0..4 {
        let (client, addr, body) = (world.client.clone(), world.addr.clone(), body.clone());
        long.push(tokio::spawn(async move {
            let call = client.call(&addr, HOLD, Bytes::new(), LONG);
            assert_eq!(call.await, Ok(body));
        }));
        world.holder.held().await.send(body_of(32 << 20));
    }
    let mut passed = 0;
    while !long.iter().all(tokio::task::JoinHandle::is_finished) {
        let call = world.client.call(&world.addr, ECHO, Bytes::new(), LONG);
        assert_eq!(call.await, Ok(Bytes::new()));
        passed += 1;
    }
    assert!(passed > 8, "{passed} short calls beside 128 MiB");
    for call in long {
        call.await.unwrap();
    }
}

fn body_of(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}
