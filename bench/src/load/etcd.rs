//! Clients of etcd's version 3 interface: put, and linearizable range, over gRPC.
//!
//! The messages are written by hand, with the few fields used here, so that no protobuf compiler is
//! needed; the numbers are those of etcd's `api/etcdserverpb/rpc.proto`.

use anyhow::{Context, ensure};
use bytes::Bytes;
use coterie_tests::rng::Rng;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::{Data, Recorder, Target, Task};
use crate::plan::Operation;

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";

/// Puts in flight at once while filling.
const FILLING: usize = 128;

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

/// A range of a single key; linearizable unless `serializable` (field 7) is set.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(bytes = "bytes", tag = "5")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

/// An etcd cluster. Clients ask its leader, so that no member forwards.
#[derive(Debug, Clone)]
pub(crate) struct Etcd {
    pub(crate) leader: String,
    pub(crate) connections: usize,
    pub(crate) task: Task,
}

impl Target for Etcd {
    async fn client(&self, number: usize, recorder: &mut Recorder) -> anyhow::Result<()> {
        let channel = shared_channel(&self.leader, number % self.connections).await?;
        let mut rng = Rng::new(number as u64 + 1000);
        let pipeline = self.task.shape.pipeline;
        while !recorder.stopped() {
            let begun = recorder.begin();
            let calls = (0..pipeline).map(|_| {
                let data = &self.task.data;
                let key = Bytes::from(data.random_key(&mut rng));
                let value = data.random_value(&mut rng).clone();
                one(channel.clone(), self.task.operation, key, value)
            });
            let answers = futures_util::future::join_all(calls).await;
            let mut errors = 0;
            for answer in answers {
                errors += u64::from(!answer?);
            }
            recorder.end(begun, pipeline, errors);
        }
        Ok(())
    }
}

/// The channel of the clients of a load thread: each thread has a runtime, and a channel lives on
/// the runtime that made it.
async fn shared_channel(addr: &str, nth: usize) -> anyhow::Result<Channel> {
    use std::cell::RefCell;
    use std::collections::HashMap;
    thread_local! {
        static CHANNELS: RefCell<HashMap<(String, usize), Channel>> = RefCell::default();
    }
    let name = (addr.to_owned(), nth);
    if let Some(channel) = CHANNELS.with_borrow(|channels| channels.get(&name).cloned()) {
        return Ok(channel);
    }
    let channel = connect(addr).await?;
    CHANNELS.with_borrow_mut(|channels| channels.insert(name, channel.clone()));
    Ok(channel)
}

async fn connect(addr: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{addr}"))?.tcp_nodelay(true);
    endpoint
        .connect()
        .await
        .with_context(|| format!("connect to etcd at {addr}"))
}

/// Does an operation; returns whether it succeeded.
async fn one(
    channel: Channel,
    operation: Operation,
    key: Bytes,
    value: Bytes,
) -> anyhow::Result<bool> {
    if operation == Operation::Get {
        let found: RangeResponse = call(channel, RANGE, RangeRequest { key }).await?;
        return Ok(found.kvs.len() == 1);
    }
    let _: PutResponse = call(channel, PUT, PutRequest { key, value }).await?;
    Ok(true)
}

async fn call<Q, A>(channel: Channel, path: &'static str, request: Q) -> anyhow::Result<A>
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.context("etcd is ready")?;
    let codec = ProstCodec::<Q, A>::default();
    let path = PathAndQuery::from_static(path);
    let answer = grpc.unary(tonic::Request::new(request), path, codec).await;
    Ok(answer.with_context(|| "etcd answers")?.into_inner())
}

/// Writes every key once.
pub(crate) async fn fill(addr: &str, data: &Data) -> anyhow::Result<()> {
    let channel = connect(addr).await?;
    let mut rng = Rng::new(7);
    let all: Vec<usize> = (0..data.keys()).collect();
    for chunk in all.chunks(FILLING) {
        let puts = chunk.iter().map(|&nth| {
            let (key, value) = (
                Bytes::from(Data::key(nth)),
                data.random_value(&mut rng).clone(),
            );
            one(channel.clone(), Operation::Set, key, value)
        });
        for put in futures_util::future::join_all(puts).await {
            ensure!(put?, "a put failed while filling");
        }
    }
    Ok(())
}

/// Whether the member at `addr` is the leader.
pub(crate) async fn is_leader(addr: &str) -> anyhow::Result<bool> {
    let status: StatusResponse = call(connect(addr).await?, STATUS, StatusRequest {}).await?;
    Ok(status.leader != 0 && status.header.is_some_and(|h| h.member_id == status.leader))
}
