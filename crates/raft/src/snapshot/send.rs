//! Sends a snapshot to a follower, within the rate limit.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::manifest::{CHUNK_BYTES, Manifest, SnapshotAnswer, SnapshotRequest};
use crate::type_config::{SnapshotMeta, Vote};

/// Timeout of a chunk.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of verifying and installing at the receiver.
const FINISH_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("read snapshot: {0}")]
    Io(#[from] io::Error),
    #[error("send snapshot: {0}")]
    Call(#[from] coterie_rpc::CallError),
    #[error("the receiver refused: {0}")]
    Refused(String),
}

/// Sends `dir` through `call` (a request, an answer, a deadline) and waits until the receiver has
/// installed it; returns the receiver's vote.
pub(crate) async fn send<F>(
    dir: &Path,
    meta: SnapshotMeta,
    vote: Vote,
    rate_bytes_per_second: u64,
    call: impl Fn(Bytes, Duration) -> F,
) -> Result<Vote, SendError>
where
    F: Future<Output = Result<Bytes, coterie_rpc::CallError>>,
{
    let manifest = tokio::task::block_in_place(|| Manifest::of(dir, meta))?;
    let id = manifest.id();
    let ask = async |request: &SnapshotRequest, timeout| {
        let answer = call(coterie_protocol::encode(request), timeout).await?;
        match coterie_protocol::decode(&answer) {
            Ok(SnapshotAnswer::Failed(reason)) => Err(SendError::Refused(reason)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(SendError::Refused(error.to_string())),
        }
    };
    let begin = SnapshotRequest::Begin {
        vote,
        manifest: manifest.clone(),
    };
    let SnapshotAnswer::Have { offsets } = ask(&begin, CHUNK_TIMEOUT).await? else {
        return Err(SendError::Refused(
            "unexpected answer to the announcement".to_owned(),
        ));
    };
    let mut pace = Pace::new(rate_bytes_per_second);
    for (number, file) in manifest.files.iter().enumerate() {
        let mut offset = offsets.get(number).copied().unwrap_or(0).min(file.size);
        let path = dir.join(&file.name);
        while offset < file.size {
            let data = tokio::task::block_in_place(|| read_chunk(&path, offset))?;
            let length = data.len() as u64;
            let file = u32::try_from(number).unwrap_or(u32::MAX);
            ask(
                &SnapshotRequest::Chunk {
                    id,
                    file,
                    offset,
                    data,
                },
                CHUNK_TIMEOUT,
            )
            .await?;
            offset += length;
            pace.sent(length).await;
        }
    }
    match ask(&SnapshotRequest::Finish { id, vote }, FINISH_TIMEOUT).await? {
        SnapshotAnswer::Installed { vote } => Ok(vote),
        _ => Err(SendError::Refused(
            "unexpected answer to the end".to_owned(),
        )),
    }
}

fn read_chunk(path: &Path, offset: u64) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut data = Vec::with_capacity(CHUNK_BYTES);
    file.take(CHUNK_BYTES as u64).read_to_end(&mut data)?;
    if data.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from(data))
}

/// Waits so that the average does not exceed the rate.
struct Pace {
    rate: u64,
    started: Instant,
    sent: u64,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self {
            rate: rate.max(1),
            started: Instant::now(),
            sent: 0,
        }
    }

    async fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
        let due = Duration::from_millis(self.sent.saturating_mul(1000) / self.rate);
        tokio::time::sleep_until(self.started + due).await;
    }
}
