//! A real redis-server on a Unix socket of its own, and its replies as raw bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

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
        let dir =
            std::env::temp_dir().join(format!("coterie-compat-{}-{number}", std::process::id()));
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
            .args(["--enable-debug-command", "yes", "--unixsocket"])
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

    /// A connection; waits for the server to be there.
    pub(crate) fn connect(&mut self) -> Connection {
        loop {
            if let Ok(stream) = UnixStream::connect(self.dir.join("socket")) {
                let reader = BufReader::new(stream.try_clone().unwrap());
                return Connection {
                    stream,
                    reader,
                    commands: 0,
                };
            }
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "redis-server ended at once"
            );
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// A client of it.
pub(crate) struct Connection {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
    /// How many it has sent.
    pub(crate) commands: u64,
}

impl Connection {
    /// Sends a command and reads its reply, undecoded.
    pub(crate) fn run(&mut self, args: &[Bytes]) -> Bytes {
        self.commands += 1;
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend(format!("${}\r\n", arg.len()).into_bytes());
            request.extend_from_slice(arg);
            request.extend(b"\r\n");
        }
        self.send(&request);
        self.reply()
    }

    pub(crate) fn send(&mut self, raw: &[u8]) {
        self.stream.write_all(raw).unwrap();
    }

    pub(crate) fn reply(&mut self) -> Bytes {
        let mut raw = Vec::new();
        self.read_reply(&mut raw);
        Bytes::from(raw)
    }

    fn read_reply(&mut self, raw: &mut Vec<u8>) {
        let start = raw.len();
        self.reader.read_until(b'\n', raw).unwrap();
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
