//! Requests that clients are refused, with a clear error and no harm to others: oversize and
//! malformed requests, wrong passwords, writes that do not fit on the disk.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::redis_server::{self, RedisServer};
use coterie_tests::resp::{self, Reply};
use coterie_tests::rng::{self, Rng};
use coterie_tests::small_disk::SmallDisk;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

/// The text of an error reply.
#[track_caller]
fn refused(reply: &Reply) -> &str {
    match reply {
        Reply::Error(text) => text,
        other => panic!("not refused: {other:?}"),
    }
}

fn connect(addr: &str) -> Connection {
    Connection::open(addr, WITHIN).expect("connects")
}

#[track_caller]
fn still_serves(addr: &str) {
    let mut connection = connect(addr);
    assert_eq!(
        connection
            .call(&["SET", "still", "serves"])
            .expect("answers"),
        ok()
    );
    let value = connection.call(&["GET", "still"]).expect("answers");
    assert_eq!(value, Reply::Bulk(b"serves".to_vec()));
}

const PASSWORD: &str = "correct horse battery staple";

#[test]
fn a_proxy_refuses_what_it_must_and_serves_on() {
    let builder = Cluster::builder().count(Role::Proxy, 2);
    let builder = builder.flags_of("proxy-2", &["--requirepass", PASSWORD]);
    let mut cluster = builder.start().expect("starts");
    let (open, locked) = (cluster.proxy(), cluster.addr("proxy-2"));
    oversize_keys_and_values(&open);
    noise(&open);
    wrong_password(&locked);
    a_million_arguments(&open);
    a_thousand_slow_readers(&mut cluster, &open);
    hostile_bytes(&open, &locked);
    still_serves(&open);
    for name in cluster.all_names() {
        assert!(cluster.process(&name).is_running(), "{name} ended");
    }
}

fn oversize_keys_and_values(addr: &str) {
    let mut connection = connect(addr);
    let (fits, over) = (vec![b'x'; MIB], vec![b'x'; MIB + 1]);
    assert_eq!(
        connection
            .call(&[b"SET", &b"big"[..], &fits])
            .expect("answers"),
        ok()
    );
    let cases: [&[&[u8]]; 7] = [
        &[b"SET", b"big", &over],
        &[b"APPEND", b"big", b"x"],
        &[b"SETRANGE", b"big", b"1048576", b"x"],
        &[b"SETRANGE", b"big", b"536870912", b"x"],
        &[b"MSET", b"small", b"x", b"big", &over],
        &[b"SET", &over, b"x"],
        &[b"GETSET", &over, b"x"],
    ];
    for case in cases {
        let reply = connection
            .call(case)
            .expect("answers on the same connection");
        let text = refused(&reply);
        assert!(
            !text.starts_with("UNKNOWN"),
            "refused before it is proposed: {text}"
        );
    }
    assert_eq!(
        connection.call(&["GET", "big"]).expect("answers"),
        Reply::Bulk(fits)
    );
    assert_eq!(
        connection.call(&["EXISTS", "small"]).expect("answers"),
        Reply::Integer(0)
    );
    assert_eq!(
        connection.call(&["DEL", "big"]).expect("answers"),
        Reply::Integer(1)
    );
}

/// The reply of a server to `bytes`. It ends when the server closes, answers an ECHO sent after
/// `bytes`, or is silent for `silence`, which means that it waits for the rest of a request.
fn said_to(addr: &str, bytes: &[u8], silence: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).expect("connects");
    stream.set_read_timeout(Some(silence)).expect("sets");
    let marker = b"*2\r\n$4\r\nECHO\r\n$6\r\nmarker\r\n";
    // A server may close before all bytes are sent.
    let _ = stream.write_all(&[bytes, marker].concat());
    let mut said = Vec::new();
    let mut chunk = [0; 4096];
    let ends: [&[u8]; 2] = [b"$6\r\nmarker\r\n", b"-NOAUTH Authentication required.\r\n"];
    while !ends.iter().any(|end| said.ends_with(end)) {
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => said.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                said.extend_from_slice(WAITS);
                break;
            }
            Ok(_) | Err(_) => {
                said.extend_from_slice(b"<closed>");
                break;
            }
        }
    }
    said
}

const WAITS: &[u8] = b"<waits>";

/// Malformed requests, before and after authentication, compared with a redis-server.
fn hostile_bytes(open: &str, locked: &str) {
    let nested = b"*1\r\n".repeat(100_000);
    let long_line = [&b"PING "[..], &vec![b'x'; 70_000]].concat();
    let many_inline = [b"DEL".to_vec(), b" x".repeat(20_000), b"\r\n".to_vec()].concat();
    let cases: &[&[u8]] = &[
        b"*1\r\n:1\r\n",
        b"*1\r\n+PING\r\n",
        b"*abc\r\n",
        b"*\r\n",
        b"*-5\r\n",
        b"*0\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\n$abc\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"$4\r\nPING\r\n",
        b"SET \"unbalanced\r\n",
        b"SET 'a'b c\r\n",
        b"\r\n\r\n",
        b"   \r\n",
        b"PING\n",
        b"ECHO \"a\\x41\\n\"\r\n",
        b"SET \"\" ''\r\nGET \"\"\r\nDEL \"\"\r\n",
        b"*2\r\n$3\r\nGET\r\n$1000000000000\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$20000\r\n",
        b"*11\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        &nested,
        &long_line,
        &many_inline,
    ];
    if !redis_server::is_installed() {
        eprintln!("SKIPPED: no redis-server to say what is right");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let plain = RedisServer::start(dir.path(), "plain", &[]).expect("starts");
    let secret = ["--requirepass", PASSWORD];
    let guarded = RedisServer::start(dir.path(), "guarded", &secret).expect("starts");
    let mut differences = Vec::new();
    for (right, judged) in [(plain.addr(), open), (guarded.addr(), locked)] {
        for case in cases {
            let expected = said_to(&right, case, Duration::from_millis(400));
            // If a reply is due, a busy proxy gets the time it needs.
            let waits = expected.ends_with(WAITS);
            let silence = if waits {
                Duration::from_millis(400)
            } else {
                WITHIN
            };
            let said = said_to(judged, case, silence);
            // A server that closes with unread bytes resets the connection, and its last reply may
            // be lost. That can happen with requests longer than its buffer.
            let lost = case.len() > 4096 && said.ends_with(b"<closed>");
            if said != expected && !lost {
                differences.push(format!(
                    "to {}\n  a redis-server says {}\n  this proxy says    {}",
                    case[..case.len().min(80)].escape_ascii(),
                    expected.escape_ascii(),
                    said.escape_ascii(),
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Random bytes, and commands truncated at random: the proxy serves on.
fn noise(addr: &str) {
    let mut rng = Rng::new(rng::seed());
    for _ in 0..200 {
        let mut bytes = Vec::new();
        resp::encode(
            &mut bytes,
            &[b"SET".to_vec(), b"noise".to_vec(), rng.bytes(20)],
        );
        bytes.truncate(rng.below(bytes.len()));
        if rng.percent(50) {
            let len = rng.below(200);
            bytes = rng.bytes(len);
            bytes.insert(0, *rng.pick(b"*$+-:%~>\r\n"));
        }
        let mut stream = TcpStream::connect(addr).expect("connects");
        let _ = stream.write_all(&bytes);
    }
    still_serves(addr);
}

fn wrong_password(addr: &str) {
    let mut connection = connect(addr);
    let mut call = |words: &[&str]| connection.call(words).expect("answers");
    assert!(refused(&call(&["GET", "a"])).starts_with("NOAUTH"));
    for wrong in [
        &["AUTH", "wrong"][..],
        &["AUTH", "default", "wrong"],
        &["AUTH", "x", PASSWORD],
    ] {
        assert!(refused(&call(wrong)).starts_with("WRONGPASS"), "{wrong:?}");
    }
    assert!(refused(&call(&["HELLO", "3"])).starts_with("NOAUTH"));
    assert!(refused(&call(&["GET", "a"])).starts_with("NOAUTH"));
    assert_eq!(call(&["AUTH", PASSWORD]), ok());
    assert_eq!(call(&["GET", "a"]), Reply::Null);
}

/// Redis' own limit on arguments is a little above a million. A command below it is answered or
/// clearly refused, and other clients are served meanwhile.
fn a_million_arguments(addr: &str) {
    const ARGUMENTS: usize = 1_000_000;
    let mut words = vec!["x"; ARGUMENTS];
    words[0] = "EXISTS";
    let mut bytes = Vec::new();
    resp::encode(&mut bytes, &words);
    let mut large = connect(addr);
    let mut sender = connect(addr);
    large.send_raw(&bytes).expect("sends");
    let asked = Instant::now();
    assert_eq!(
        sender.call(&["PING"]).expect("answers"),
        Reply::Simple("PONG".to_owned())
    );
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "others waited {:?}",
        asked.elapsed()
    );
    match large.receive().expect("answers") {
        Reply::Integer(found) => assert_eq!(found, 0),
        Reply::Error(text) => println!("a million arguments: {text}"),
        other => panic!("EXISTS answered {other:?}"),
    }
}

/// A thousand clients send reads and read no replies, each twentieth many more than the others.
/// Their values stay in the store: memory stays below its bound, a client that reads is served at
/// once, and the thousand find all replies when they read at last.
fn a_thousand_slow_readers(cluster: &mut Cluster, addr: &str) {
    const READERS: usize = 1_000;
    const VALUE: usize = 64 << 10;
    const MODEST: usize = 10;
    const GREEDY: usize = 256;
    const MEMORY_MAX: u64 = 400 << 20;
    let mut normal = connect(addr);
    let value = vec![b'v'; VALUE];
    assert_eq!(
        normal
            .call(&[b"SET", &b"slow"[..], &value])
            .expect("answers"),
        ok()
    );
    let asking = |times: usize| {
        let mut bytes = Vec::new();
        (0..times).for_each(|_| resp::encode(&mut bytes, &["GET", "slow"]));
        bytes
    };
    let (modest, greedy) = (asking(MODEST), asking(GREEDY));
    allow_many_files();
    let resolved: SocketAddr = addr.parse().expect("an address");
    let mut slow = Vec::new();
    for number in 1..=READERS {
        let is_greedy = number.is_multiple_of(20);
        let bytes = if is_greedy { &greedy } else { &modest };
        slow.push((is_greedy, slow_reader(resolved, bytes).expect("connects")));
        if number.is_multiple_of(100) {
            let begun = Instant::now();
            let reply = normal.call(&["GET", "slow"]).expect("answers");
            assert_eq!(reply, Reply::Bulk(value.clone()));
            assert!(
                begun.elapsed() < Duration::from_secs(3),
                "waited {:?}",
                begun.elapsed()
            );
        }
    }
    let memory = cluster.process("proxy-1").memory().expect("runs");
    println!(
        "{READERS} slow readers: the proxy takes {} MiB",
        memory >> 20
    );
    assert!(memory < MEMORY_MAX, "the proxy takes {} MiB", memory >> 20);
    for (is_greedy, mut socket) in slow {
        let asked = if is_greedy { GREEDY } else { MODEST };
        let whole = asked * format!("${VALUE}\r\n").len() + asked * (VALUE + 2);
        assert_eq!(read_up_to(&mut socket, whole), whole, "of {asked} replies");
    }
    still_serves(addr);
}

/// The number of bytes that come before the other side closes, at most `max`.
fn read_up_to(socket: &mut socket2::Socket, max: usize) -> usize {
    socket.set_read_timeout(Some(WITHIN)).expect("sets");
    let (mut read, mut chunk) = (0, vec![0; 64 << 10]);
    while read < max {
        match socket.read(&mut chunk) {
            Ok(n) if n > 0 => read += n,
            _ => break,
        }
    }
    read
}

/// A client with a small receive buffer that sends reads and reads no replies.
fn slow_reader(addr: SocketAddr, asked: &[u8]) -> anyhow::Result<socket2::Socket> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Before connecting: otherwise the kernel would buffer megabytes of replies.
    socket.set_recv_buffer_size(4 * 1024)?;
    socket.connect(&addr.into())?;
    socket.send(asked)?;
    Ok(socket)
}

/// A thousand connections need as many file descriptors, here and in the proxy, which inherits the
/// limit.
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("raises the limit of open files");
}

/// The servers' disk fills up: writes are refused with a clear error, reads and deletions are
/// served, and when there is room again writes are accepted without a restart. Design section 10,
/// row "disk full".
#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let Some(disk) = SmallDisk::mount(1024).expect("mounts or skips") else {
        return;
    };
    let reserve = ["--disk-reserve", "96MiB"];
    let builder = Cluster::builder().server_dir(disk.path().to_owned());
    let builder = builder.flags(Role::Server, &reserve);
    let mut cluster = builder.start().expect("starts");
    let mut connection = cluster.connect().expect("connects");
    assert_eq!(
        connection.call(&["SET", "before", "1"]).expect("answers"),
        ok()
    );
    // Less than the reserve, and still enough for the files that are written without client writes.
    let filler = disk.fill(64 * MIB as u64).expect("fills");
    let refusal = wait::until("writes are refused", WITHIN, || {
        let reply = connection.call(&["SET", "while", "x"])?;
        ensure!(matches!(reply, Reply::Error(_)), "{reply:?}");
        Ok(reply)
    });
    let refusal = refusal.expect("a refusal");
    println!("a full disk: {}", refused(&refusal));
    assert!(
        refused(&refusal).to_lowercase().contains("disk"),
        "{refusal:?}"
    );
    let value = connection.call(&["GET", "before"]).expect("answers");
    assert_eq!(value, Reply::Bulk(b"1".to_vec()));
    assert_eq!(
        connection.call(&["DEL", "before"]).expect("answers"),
        Reply::Integer(1)
    );
    std::fs::remove_file(filler).expect("removes");
    wait::until("writes are taken again", WITHIN, || {
        let reply = connection.call(&["SET", "after", "1"])?;
        ensure!(reply == ok(), "{reply:?}");
        Ok(())
    })
    .expect("recovers");
    for name in cluster.names(Role::Server) {
        assert!(cluster.process(&name).is_running(), "{name} ended");
    }
}
