//! Clients that speak RESP with little work: a batch is a single write, and replies are skipped
//! over instead of built.

use anyhow::{Context, bail, ensure};
use coterie_tests::resp::encode;
use coterie_tests::rng::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Data, Recorder, Target, Task};
use crate::plan::Operation;

/// Milliseconds that a WAIT may take before it counts as an error.
pub(crate) const WAIT_MS: &str = "10000";

/// A peer that speaks RESP.
#[derive(Debug, Clone)]
pub(crate) struct Resp {
    pub(crate) addr: String,
    /// Whether each write is followed by `WAIT 1`.
    pub(crate) wait: bool,
    pub(crate) task: Task,
}

impl Target for Resp {
    async fn client(&self, number: usize, recorder: &mut Recorder) -> anyhow::Result<()> {
        let mut connection = Connection::open(&self.addr).await?;
        let mut rng = Rng::new(number as u64 + 1000);
        while !recorder.stopped() {
            let replies = self.batch(&mut rng, &mut connection.out);
            let begun = recorder.begin();
            let errors = connection.exchange(replies).await?;
            recorder.end(begun, self.task.shape.pipeline, errors);
        }
        Ok(())
    }
}

impl Resp {
    /// Writes the commands of a batch; returns the number of replies they will have.
    fn batch(&self, rng: &mut Rng, out: &mut Vec<u8>) -> usize {
        let pipeline = self.task.shape.pipeline;
        let data = &self.task.data;
        for _ in 0..pipeline {
            let key = data.random_key(rng);
            match self.task.operation {
                Operation::Get => encode(out, &["GET", &key]),
                Operation::Set | Operation::SetWaitOnce => {
                    encode(out, &[b"SET", key.as_bytes(), data.random_value(rng)]);
                    if self.wait && self.task.operation == Operation::Set {
                        encode(out, &["WAIT", "1", WAIT_MS]);
                    }
                }
            }
        }
        match self.task.operation {
            Operation::Set if self.wait => 2 * pipeline,
            Operation::SetWaitOnce => {
                encode(out, &["WAIT", "1", WAIT_MS]);
                pipeline + 1
            }
            Operation::Set | Operation::Get => pipeline,
        }
    }
}

/// Writes every key once through `addr`; `key` returns the bytes of the nth.
pub(crate) async fn fill(
    addr: &str,
    data: &Data,
    key: impl Fn(usize) -> Vec<u8>,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr).await?;
    let mut rng = Rng::new(7);
    let all: Vec<usize> = (0..data.keys()).collect();
    for chunk in all.chunks(200) {
        for &nth in chunk {
            let value = data.random_value(&mut rng);
            encode(&mut connection.out, &[&b"SET"[..], &key(nth), value]);
        }
        let errors = connection.exchange(chunk.len()).await?;
        ensure!(
            errors == 0,
            "{errors} of {} writes failed while filling",
            chunk.len()
        );
    }
    Ok(())
}

/// Skips over the first reply: its length, and whether it is good; `None` if it is not complete.
type Skip = fn(&[u8]) -> anyhow::Result<Option<(usize, bool)>>;

/// A connection that skips over replies.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The commands to send next.
    pub(crate) out: Vec<u8>,
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(addr: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await;
        let stream = stream.with_context(|| format!("connect to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            out: Vec::with_capacity(64 * 1024),
            unread: Vec::with_capacity(64 * 1024),
        })
    }

    /// Sends the bytes in `out` and skips over `replies`; returns the number of errors, nils, and
    /// WAITs that no replica acknowledged.
    async fn exchange(&mut self, replies: usize) -> anyhow::Result<u64> {
        self.exchange_by(replies, skip).await
    }

    /// The same for replies of any type: only error lines count as errors.
    pub(crate) async fn exchange_any(&mut self, replies: usize) -> anyhow::Result<u64> {
        self.exchange_by(replies, skip_any).await
    }

    /// Sends the commands in `out`; returns the last bulk string of the only reply.
    pub(crate) async fn last_bulk(&mut self) -> anyhow::Result<Vec<u8>> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        loop {
            if let Some((len, good)) = skip_any(&self.unread)? {
                ensure!(good && len == self.unread.len(), "a single good reply");
                let line = self.unread[..len - 2]
                    .iter()
                    .rposition(|&byte| byte == b'\n');
                let bulk = self.unread[line.map_or(0, |end| end + 1)..len - 2].to_vec();
                self.unread.clear();
                return Ok(bulk);
            }
            let n = self.stream.read_buf(&mut self.unread).await?;
            ensure!(n > 0, "the server closed the connection");
        }
    }

    async fn exchange_by(&mut self, replies: usize, skip: Skip) -> anyhow::Result<u64> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        let (mut left, mut at, mut errors) = (replies, 0, 0);
        loop {
            while left > 0 {
                let Some((len, good)) = skip(&self.unread[at..])? else {
                    break;
                };
                at += len;
                left -= 1;
                errors += u64::from(!good);
            }
            if left == 0 {
                ensure!(at == self.unread.len(), "more replies than commands");
                self.unread.clear();
                return Ok(errors);
            }
            let n = self.stream.read_buf(&mut self.unread).await?;
            ensure!(n > 0, "the server closed the connection");
        }
    }
}

/// The length of the first reply, and whether it is good; `None` if it is not complete.
fn skip(input: &[u8]) -> anyhow::Result<Option<(usize, bool)>> {
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
        return Ok(None);
    };
    let line = end + 1;
    match input[0] {
        b'+' => Ok(Some((line, true))),
        b'-' => Ok(Some((line, false))),
        b':' => Ok(Some((line, input[1] != b'0'))),
        b'$' if input[1] == b'-' => Ok(Some((line, false))),
        b'$' => {
            let digits = &input[1..end - 1];
            let len = digits
                .iter()
                .fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
            let whole = line + len + 2;
            Ok((input.len() >= whole).then_some((whole, true)))
        }
        other => bail!("unexpected reply {:?}", char::from(other)),
    }
}

/// The length of the first reply, of any type, and whether it is no error; `None` if it is not
/// complete.
fn skip_any(input: &[u8]) -> anyhow::Result<Option<(usize, bool)>> {
    let (mut at, mut replies) = (0, 1);
    while replies > 0 {
        let rest = &input[at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        replies -= 1;
        if rest[0] == b'*' {
            let digits = std::str::from_utf8(&rest[1..end - 1])?;
            replies += digits.parse::<i64>()?.max(0);
            at += end + 1;
        } else {
            let is_bulk = rest[0] == b'$' && rest[1] != b'-';
            match skip(rest)? {
                None => return Ok(None),
                Some((len, _)) => at += if is_bulk { len } else { end + 1 },
            }
        }
    }
    Ok(Some((at, !input.starts_with(b"-"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_skipped_whole() {
        assert_eq!(skip(b"+OK\r\n+").expect("valid"), Some((5, true)));
        assert_eq!(skip(b"$3\r\nabc\r\n").expect("valid"), Some((9, true)));
        assert_eq!(skip(b"$3\r\nabc\r").expect("valid"), None);
        assert_eq!(skip(b"$-1\r\n").expect("valid"), Some((5, false)));
        assert_eq!(skip(b"-ERR\r\n").expect("valid"), Some((6, false)));
        assert_eq!(skip(b":0\r\n").expect("valid"), Some((4, false)));
        assert!(skip(b"*1\r\n").is_err());
        let array = b"*2\r\n$1\r\na\r\n*1\r\n:0\r\n+";
        assert_eq!(skip_any(array).expect("valid"), Some((19, true)));
        assert_eq!(skip_any(&array[..18]).expect("valid"), None);
        assert_eq!(skip_any(b"*-1\r\n").expect("valid"), Some((5, true)));
        assert_eq!(skip_any(b"-ERR\r\n").expect("valid"), Some((6, false)));
    }
}
