//! Calls over real sockets: which answers come, to which callers, and which error when there is no
//! answer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coterie_rpc::{CallError, Client, Handler, Limits, Request, Responder, Server, Token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ECHO: u16 = 1;
const FAIL: u16 = 2;
const DROP: u16 = 3;
/// Never answered; held until the test drops the handler's list.
const HOLD: u16 = 4;

const LONG: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Echo {
    calls: AtomicUsize,
    held: Mutex<Vec<(Request, Responder)>>,
}

impl Handler for Echo {
    fn handle(&self, request: Request, responder: Responder) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match request.method {
            ECHO => responder.send(request.body),
            FAIL => responder.fail("as asked"),
            HOLD => self.held.lock().unwrap().push((request, responder)),
            _ => drop(responder),
        }
    }
}

impl Echo {
    async fn until_held(&self) {
        while self.held.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until_calls(&self, count: usize) {
        while self.calls.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn start(limits: Limits) -> (Arc<Echo>, Server, String) {
    let echo = Arc::new(Echo::default());
    let handler = Arc::clone(&echo) as Arc<dyn Handler>;
    let server = Server::bind_with_limits("127.0.0.1:0", Token::new("t"), handler, limits)
        .await
        .unwrap();
    let addr = server.local_addr().to_string();
    (echo, server, addr)
}

fn client() -> Client {
    Client::new(Token::new("t"))
}

#[tokio::test]
async fn a_call_comes_back_whatever_its_size() {
    let (_echo, _server, addr) = start(Limits::default()).await;
    let client = client();
    for len in [0, 1, 2048, 2049, 65_536, 3 << 20] {
        let body = Bytes::from(vec![7; len]);
        let answer = client.call(&addr, ECHO, body.clone(), LONG).await;
        assert_eq!(answer, Ok(body));
    }
    let failed = client.call(&addr, FAIL, Bytes::new(), LONG).await;
    assert_eq!(failed, Err(CallError::Failed("as asked".into())));
    let dropped = client.call(&addr, DROP, Bytes::new(), LONG).await;
    assert_eq!(dropped, Err(CallError::Failed("dropped".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_each_get_their_own_answer() {
    let (echo, _server, addr) = start(Limits::default()).await;
    let client = client();
    let callers: Vec<_> = (0..200u32)
        .map(|caller| {
            let (client, addr) = (client.clone(), addr.clone());
            tokio::spawn(async move {
                for n in 0..100u32 {
                    let body = Bytes::from(format!("{caller} {n}"));
                    let answer = client.call(&addr, ECHO, body.clone(), LONG).await;
                    assert_eq!(answer, Ok(body));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(echo.calls.load(Ordering::SeqCst), 20_000);
}

#[tokio::test]
async fn another_token_is_refused_and_calls_nothing() {
    let (echo, _server, addr) = start(Limits::default()).await;
    let stranger = Client::new(Token::new("other"));
    let answer = stranger.call(&addr, ECHO, Bytes::new(), LONG).await;
    assert!(
        matches!(answer, Err(CallError::Refused(ref why)) if why.contains("token")),
        "{answer:?}"
    );
    assert_eq!(echo.calls.load(Ordering::SeqCst), 0);
}

/// The bytes that a stranger reads until the server closes.
async fn say(addr: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset, because of bytes the server did not read, counts as an end too.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_stranger_gets_nothing() {
    let limits = Limits {
        handshake_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let (echo, _server, addr) = start(limits).await;
    assert_eq!(say(&addr, b"").await, b"", "silence is ended");
    assert_eq!(say(&addr, b"GET / HTTP/1.1\r\n\r\n").await, b"");
    assert_eq!(
        say(&addr, &[0xff; 1 << 20]).await,
        b"",
        "a huge frame first"
    );
    let mut hello = b"COTERIE\n\x01\x00".to_vec();
    hello.extend_from_slice(&[1; 32]);
    assert_eq!(say(&addr, &hello).await.len(), 42, "a hello, and no more");
    // A call in place of the proof.
    hello.extend_from_slice(&[15, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9, 9, 9, 0]);
    hello.extend_from_slice(&[0; 100]);
    assert!(say(&addr, &hello).await.len() <= 42);
    assert_eq!(echo.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn strangers_at_the_door_are_bounded() {
    let limits = Limits {
        strangers_max: 1,
        ..Limits::default()
    };
    let (_echo, _server, addr) = start(limits).await;
    let mut first = TcpStream::connect(&addr).await.unwrap();
    first.write_all(b"COTERIE\n\x01\x00").await.unwrap();
    first.write_all(&[1; 32]).await.unwrap();
    first.read_exact(&mut [0; 42]).await.unwrap();
    assert_eq!(say(&addr, b"").await, b"", "the second is closed at once");
}

#[tokio::test]
async fn a_late_answer_is_a_timeout_and_disturbs_nobody() {
    let (echo, _server, addr) = start(Limits::default()).await;
    let client = client();
    let short = Duration::from_millis(30);
    let answer = client.call(&addr, HOLD, Bytes::new(), short).await;
    assert_eq!(answer, Err(CallError::TimedOut));
    let (request, responder) = echo.held.lock().unwrap().pop().unwrap();
    assert!(request.deadline <= std::time::Instant::now() + short);
    responder.send(Bytes::from_static(b"too late"));
    let answer = client
        .call(&addr, ECHO, Bytes::from_static(b"x"), LONG)
        .await;
    assert_eq!(answer, Ok(Bytes::from_static(b"x")));
}

#[tokio::test]
async fn nobody_there_is_unreachable_at_once_and_found_when_it_comes() {
    let addr = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let client = client();
    let answer = client.call(&addr, ECHO, Bytes::new(), LONG).await;
    assert!(
        matches!(answer, Err(CallError::Unreachable { .. })),
        "{answer:?}"
    );
    let echo = Arc::new(Echo::default());
    let _server = Server::bind(&addr, Token::new("t"), echo).await.unwrap();
    while client.call(&addr, ECHO, Bytes::new(), LONG).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_that_dies_leaves_its_calls_lost_and_the_next_unreachable() {
    let (echo, server, addr) = start(Limits::default()).await;
    let client = client();
    let call = tokio::spawn({
        let (client, addr) = (client.clone(), addr.clone());
        async move { client.call(&addr, HOLD, Bytes::new(), LONG).await }
    });
    echo.until_calls(1).await;
    drop(server);
    assert_eq!(call.await.unwrap(), Err(CallError::Lost));
    let answer = client.call(&addr, ECHO, Bytes::new(), LONG).await;
    assert!(
        matches!(answer, Err(CallError::Unreachable { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_shutdown_answers_what_is_under_way() {
    let (echo, server, addr) = start(Limits::default()).await;
    let client = client();
    let call = tokio::spawn({
        let (client, addr) = (client.clone(), addr.clone());
        async move { client.call(&addr, HOLD, Bytes::new(), LONG).await }
    });
    echo.until_calls(1).await;
    let down = tokio::spawn(server.shutdown());
    // The listener is closed and the connection takes no new calls.
    while client
        .call(&addr, ECHO, Bytes::new(), Duration::from_secs(1))
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (_, responder) = echo.held.lock().unwrap().pop().unwrap();
    responder.send(Bytes::from_static(b"still answered"));
    let answer = call.await.unwrap();
    assert_eq!(answer, Ok(Bytes::from_static(b"still answered")));
    down.await.unwrap();
}

#[tokio::test]
async fn calls_in_flight_are_bounded_and_waiting_ones_go_on_when_there_is_room() {
    let limits = Limits {
        in_flight_max: 2,
        ..Limits::default()
    };
    let (echo, _server, addr) = start(Limits::default()).await;
    let client = Client::with_limits(Token::new("t"), limits);
    let call = |method, timeout| {
        let (client, addr) = (client.clone(), addr.clone());
        tokio::spawn(async move { client.call(&addr, method, Bytes::new(), timeout).await })
    };
    let held = [call(HOLD, LONG), call(HOLD, LONG)];
    echo.until_calls(2).await;
    let never_sent = call(ECHO, Duration::from_millis(20)).await.unwrap();
    assert!(
        never_sent.as_ref().unwrap_err().surely_not_executed(),
        "{never_sent:?}"
    );
    let waits = call(ECHO, LONG);
    tokio::task::yield_now().await;
    assert_eq!(echo.calls.load(Ordering::SeqCst), 2, "the bound holds");
    echo.held.lock().unwrap().clear();
    assert_eq!(waits.await.unwrap(), Ok(Bytes::new()));
    for call in held {
        assert!(call.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_server_stops_reading_from_one_that_asks_too_much() {
    let limits = Limits {
        in_flight_max: 3,
        ..Limits::default()
    };
    let (echo, _server, addr) = start(limits).await;
    let client = client();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let (client, addr) = (client.clone(), addr.clone());
            tokio::spawn(async move { client.call(&addr, HOLD, Bytes::new(), LONG).await })
        })
        .collect();
    for answered in 0..10 {
        echo.until_calls((3 + answered).min(10)).await;
        assert!(echo.held.lock().unwrap().len() <= 3);
        let (_, responder) = echo.held.lock().unwrap().remove(0);
        responder.send(Bytes::new());
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(Bytes::new()));
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_fills_a_bounded_queue() {
    let limits = Limits {
        queued_bytes_max: 1 << 20,
        in_flight_max: 1000,
        ..Limits::default()
    };
    // The handler blocks the server's thread, so its reader does not read.
    struct Stuck;
    impl Handler for Stuck {
        fn handle(&self, _: Request, _: Responder) {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    let server_runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = server_runtime
        .spawn(Server::bind(
            "127.0.0.1:0",
            Token::new("t"),
            Arc::new(Stuck),
        ))
        .await
        .unwrap()
        .unwrap();
    let addr = server.local_addr().to_string();
    let client = Client::with_limits(Token::new("t"), limits);
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let (client, addr) = (client.clone(), addr.clone());
            let body = Bytes::from(vec![0; 1 << 20]);
            let timeout = Duration::from_millis(300);
            tokio::spawn(async move { client.call(&addr, ECHO, body, timeout).await })
        })
        .collect();
    let mut never_sent = 0;
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        never_sent += usize::from(error.surely_not_executed());
    }
    assert!(never_sent > 0, "some waited outside the queue all along");
    server_runtime.shutdown_background();
}

#[tokio::test]
async fn oversize_bodies_are_refused_on_both_sides() {
    let limits = Limits {
        frame_bytes_max: 4096,
        ..Limits::default()
    };
    let (_echo, _server, addr) = start(limits).await;
    let small = Client::with_limits(Token::new("t"), limits);
    let answer = small
        .call(&addr, ECHO, Bytes::from(vec![0; 5000]), LONG)
        .await;
    assert!(matches!(answer, Err(CallError::Refused(_))), "{answer:?}");
    // A client with other limits only breaks its connection.
    let answer = client()
        .call(&addr, ECHO, Bytes::from(vec![0; 5000]), LONG)
        .await;
    assert_eq!(answer, Err(CallError::Lost));
    let answer = small
        .call(&addr, ECHO, Bytes::from_static(b"x"), LONG)
        .await;
    assert_eq!(answer, Ok(Bytes::from_static(b"x")));
}

#[tokio::test]
async fn a_local_handler_is_called_without_a_socket() {
    let client = client();
    let echo = Arc::new(Echo::default());
    client.register_local("127.0.0.1:1", Arc::clone(&echo) as Arc<dyn Handler>);
    let call =
        |method, timeout| client.call("127.0.0.1:1", method, Bytes::from_static(b"x"), timeout);
    assert_eq!(call(ECHO, LONG).await, Ok(Bytes::from_static(b"x")));
    let failed = Err(CallError::Failed("as asked".into()));
    assert_eq!(call(FAIL, LONG).await, failed);
    let dropped = Err(CallError::Failed("dropped".into()));
    assert_eq!(call(DROP, LONG).await, dropped);
    let late = call(HOLD, Duration::from_millis(10)).await;
    assert_eq!(late, Err(CallError::TimedOut));
    client.unregister_local("127.0.0.1:1");
    let answer = call(ECHO, LONG).await;
    assert!(
        matches!(answer, Err(CallError::Unreachable { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_connection_that_went_silent_is_given_up() {
    let (echo, _server, addr) = start(Limits::default()).await;
    let client = client();
    let patient = tokio::spawn({
        let (client, addr) = (client.clone(), addr.clone());
        async move { client.call(&addr, HOLD, Bytes::new(), LONG).await }
    });
    echo.until_calls(1).await;
    let late = client
        .call(&addr, HOLD, Bytes::new(), Duration::from_millis(2100))
        .await;
    assert_eq!(late, Err(CallError::TimedOut));
    assert_eq!(patient.await.unwrap(), Err(CallError::Lost));
    let answer = client.call(&addr, ECHO, Bytes::new(), LONG).await;
    assert_eq!(answer, Ok(Bytes::new()), "by a new connection");
}

#[tokio::test]
async fn connections_close_with_the_last_client() {
    let (echo, server, addr) = start(Limits::default()).await;
    let client = client();
    tokio::select! {
        answer = client.call(&addr, HOLD, Bytes::new(), LONG) => panic!("it is held: {answer:?}"),
        () = echo.until_held() => {}
    }
    drop(client);
    echo.held.lock().unwrap().clear();
    let closed = tokio::time::timeout(LONG, server.shutdown());
    assert!(closed.await.is_ok());
}

#[tokio::test]
async fn a_connection_that_nobody_used_was_not_silent() {
    let (echo, _server, addr) = start(Limits::default()).await;
    let client = client();
    client.call(&addr, ECHO, Bytes::new(), LONG).await.unwrap();
    // Longer than a connection may be silent.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let short = Duration::from_millis(300);
    let (waiting, overdue) = tokio::join!(
        async {
            let answer = client.call(&addr, HOLD, Bytes::from_static(b"1"), LONG);
            let answering = async {
                echo.until_calls(3).await;
                // A call of the two times out first.
                tokio::time::sleep(short * 2).await;
                for (request, responder) in std::mem::take(&mut *echo.held.lock().unwrap()) {
                    responder.send(request.body);
                }
            };
            tokio::join!(answer, answering).0
        },
        client.call(&addr, HOLD, Bytes::from_static(b"2"), short),
    );
    assert_eq!(overdue, Err(CallError::TimedOut));
    assert_eq!(waiting, Ok(Bytes::from_static(b"1")));
}
