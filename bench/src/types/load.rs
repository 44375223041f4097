//! Clients of commands of every type, and the collections that they find.

use std::sync::Arc;

use anyhow::ensure;
use coterie_tests::resp::encode;
use coterie_tests::rng::Rng;

use super::work::Work;
use crate::load::resp::{self, Connection, WAIT_MS};
use crate::load::{Data, Recorder, Target};
use crate::plan::Shape;

/// Elements in a command that fills.
const CHUNK: usize = 500;

/// A peer under one kind of command.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) addr: String,
    /// Each command is followed by `WAIT 1`.
    pub(super) waits: bool,
    pub(super) work: &'static Work,
    pub(super) shape: Shape,
    pub(super) data: Arc<Data>,
}

impl Target for Typed {
    async fn client(&self, number: usize, recorder: &mut Recorder) -> anyhow::Result<()> {
        let mut connection = Connection::open(&self.addr).await?;
        let mut rng = Rng::new(number as u64 + 1000);
        let pipeline = self.shape.pipeline;
        while !recorder.stopped() {
            for _ in 0..pipeline {
                (self.work.put)(&mut connection.out, &mut rng, &self.data);
                if self.waits {
                    encode(&mut connection.out, &["WAIT", "1", WAIT_MS]);
                }
            }
            let replies = pipeline * (1 + usize::from(self.waits));
            let begun = recorder.begin();
            let failed = connection.exchange_any(replies).await?;
            recorder.end(begun, pipeline, failed);
        }
        Ok(())
    }
}

/// Makes the keys, and a collection of each type.
pub(super) async fn fill(addr: &str, data: &Data) -> anyhow::Result<()> {
    resp::fill(addr, data, |nth| Data::key(nth).into_bytes()).await?;
    let all: Vec<usize> = (0..data.keys()).collect();
    let mut rng = Rng::new(9);
    for chunk in all.chunks(CHUNK) {
        let mut hash = vec![b"HSET".to_vec(), b"hash".to_vec()];
        let mut set = vec![b"SADD".to_vec(), b"set".to_vec()];
        let mut zset = vec![b"ZADD".to_vec(), b"zset".to_vec()];
        for &nth in chunk {
            let name = Data::key(nth).into_bytes();
            hash.extend([name.clone(), data.random_value(&mut rng).to_vec()]);
            zset.extend([rng.below(1 << 30).to_string().into_bytes(), name.clone()]);
            set.push(name);
        }
        send(addr, &[hash, set, zset]).await?;
    }
    fill_list(addr, data, data.keys()).await
}

/// Appends so many elements to the list.
pub(super) async fn fill_list(addr: &str, data: &Data, elements: usize) -> anyhow::Result<()> {
    let mut rng = Rng::new(11);
    let mut connection = Connection::open(addr).await?;
    for _ in 0..elements.div_ceil(CHUNK) {
        let mut words = vec![b"RPUSH".to_vec(), b"list".to_vec()];
        words.extend((0..CHUNK).map(|_| data.random_value(&mut rng).to_vec()));
        encode(&mut connection.out, &words);
        let failed = connection.exchange_any(1).await?;
        ensure!(failed == 0, "RPUSH failed while filling");
    }
    Ok(())
}

async fn send(addr: &str, commands: &[Vec<Vec<u8>>]) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr).await?;
    for words in commands {
        encode(&mut connection.out, words);
    }
    let failed = connection.exchange_any(commands.len()).await?;
    ensure!(failed == 0, "{failed} commands failed while filling");
    Ok(())
}
