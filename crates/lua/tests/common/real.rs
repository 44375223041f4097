//! A real redis-server on a Unix socket of its own, and a host that hands it the commands.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use coterie_lua::{Host, Level, Resp, Stop, UnknownCommand};

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A server that ends with this value.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
}

impl Server {
    /// Starts a server, or says loudly that there is none to start.
    pub(crate) fn start() -> Option<Self> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("coterie-lua-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let child = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--loglevel",
                "warning",
            ])
            .arg("--unixsocket")
            .arg(dir.join("socket"))
            .arg("--dir")
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, dir }),
            Err(error) => {
                eprintln!("SKIPPED: no redis-server to compare with: {error}");
                std::fs::remove_dir_all(&dir).unwrap();
                None
            }
        }
    }

    /// A connection in a protocol; waits for the server to be there.
    pub(crate) fn connect(&mut self, resp: Resp) -> Connection {
        loop {
            if let Ok(stream) = UnixStream::connect(self.dir.join("socket")) {
                let reader = BufReader::new(stream.try_clone().unwrap());
                let mut connection = Connection { stream, reader };
                if resp == Resp::V3 {
                    connection.run(&["HELLO".into(), "3".into()]);
                }
                return connection;
            }
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "redis-server ended at once"
            );
            std::thread::yield_now();
        }
    }

    /// Whether it still runs: a script may have ended it.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// A client of it.
pub(crate) struct Connection {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Connection {
    /// Sends a command and reads its reply, undecoded.
    pub(crate) fn run(&mut self, args: &[Bytes]) -> Bytes {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend(format!("${}\r\n", arg.len()).into_bytes());
            request.extend_from_slice(arg);
            request.extend(b"\r\n");
        }
        self.stream.write_all(&request).unwrap();
        let mut raw = Vec::new();
        self.read_reply(&mut raw);
        Bytes::from(raw)
    }

    fn read_reply(&mut self, raw: &mut Vec<u8>) {
        let start = raw.len();
        let read = self.reader.read_until(b'\n', raw).unwrap();
        assert!(read > 0, "redis-server closed the connection");
        let line = String::from_utf8_lossy(&raw[start..]).into_owned();
        let count = || line[1..].trim().parse::<i64>().unwrap();
        match line.as_bytes()[0] {
            b'$' | b'=' if count() >= 0 => {
                let start = raw.len();
                raw.resize(start + count() as usize + 2, 0);
                self.reader.read_exact(&mut raw[start..]).unwrap();
            }
            b'*' | b'~' | b'>' => (0..count()).for_each(|_| self.read_reply(raw)),
            b'%' => (0..count() * 2).for_each(|_| self.read_reply(raw)),
            _ => {}
        }
    }
}

/// A host whose commands a real Redis executes.
pub(crate) struct Forward {
    pub(crate) two: Connection,
    pub(crate) three: Connection,
}

impl Host for Forward {
    fn call(&mut self, args: Vec<Bytes>, resp: Resp) -> Bytes {
        if args[0].eq_ignore_ascii_case(b"eval") {
            return Bytes::from_static(b"-ERR This Redis command is not allowed from script\r\n");
        }
        let connection = match resp {
            Resp::V2 => &mut self.two,
            Resp::V3 => &mut self.three,
        };
        let reply = connection.run(&args);
        if reply.starts_with(b"-ERR unknown command") {
            return Bytes::from_static(b"-ERR Unknown Redis command called from script\r\n");
        }
        if reply.starts_with(b"-ERR wrong number of arguments") {
            let text = b"-ERR Wrong number of args calling Redis command from script\r\n";
            return Bytes::from_static(text);
        }
        reply
    }

    fn log(&mut self, _level: Level, _text: &[u8]) {}

    fn acl_check(&mut self, args: &[Bytes]) -> Result<bool, UnknownCommand> {
        let known = ["get", "set"]
            .iter()
            .any(|known| args[0].as_ref() == known.as_bytes());
        if known { Ok(true) } else { Err(UnknownCommand) }
    }

    fn may_go_on(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}
