//! Raft's messages to other nodes, over the connections that all groups share.
//!
//! A node's address is looked up for every call, so a node that moved is found again. Every call
//! has its own deadline: a half-open connection must not block replication.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::method;
use coterie_rpc::CallError;
use coterie_types::{GroupId, NodeId};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, OptionalSend};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address_book::AddressBook;
use crate::holds::Holds;
use crate::latency::AnswerTimes;
use crate::log::entry_bytes;
use crate::machine::TheSnapshot;
use crate::room::Rooms;
use crate::snapshot::{SendError, SnapshotFiles, send};
use crate::type_config::{TypeConfig, Vote};
use crate::walls::Walls;
use crate::wire::{self, Appended};

/// A message's deadline grows by a second for this many bytes, for slow networks and disks.
const SLOW_BYTES_PER_SECOND: usize = 16 << 20;

/// Creates the clients of a group.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) group: GroupId,
    pub(crate) rpc: coterie_rpc::Client,
    pub(crate) addresses: Arc<dyn AddressBook>,
    /// Deadline of a message that carries entries; it includes the peer's fsync.
    pub(crate) append_timeout: Duration,
    pub(crate) snapshot_rate: u64,
    pub(crate) rooms: Arc<Rooms>,
    /// Snapshots that are being sent.
    pub(crate) holds: Arc<Holds>,
    /// Network round-trip times, by node.
    pub(crate) answers: Arc<AnswerTimes>,
    /// Wall clocks of the other nodes.
    pub(crate) walls: Arc<Walls>,
}

/// A peer of a group.
pub(crate) struct Peer {
    network: Network,
    target: NodeId,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Peer {
        Peer {
            network: self.clone(),
            target: NodeId(target),
        }
    }
}

type RpcError = RPCError<TypeConfig>;

impl Network {
    /// Sends a message of this group to `target`.
    pub(crate) async fn call(
        &self,
        target: NodeId,
        method: u16,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        // Empty if another node has this address now.
        let known = self.addresses.address(target);
        let Some(addr) = known.filter(|addr| !addr.is_empty()) else {
            let reason = "its address is not known".to_owned();
            return Err(CallError::Unreachable {
                addr: format!("node {target}"),
                reason,
            });
        };
        let request = wire::request(self.group, target, body);
        self.rpc.call(&addr, method, request, timeout).await
    }
}

impl Peer {
    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: u16,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        let body = coterie_protocol::encode(request);
        let answer = self
            .network
            .call(self.target, method, &body, timeout)
            .await
            .map_err(rpc_error)?;
        coterie_protocol::decode(&answer).map_err(|e| NetworkError::new(&e).into())
    }
}

fn rpc_error(error: CallError) -> RpcError {
    match error {
        // Back off: the node is not there, or does not take our calls.
        CallError::Unreachable { .. } | CallError::Refused(_) | CallError::Failed(_) => {
            Unreachable::new(&error).into()
        }
        CallError::Lost | CallError::TimedOut => NetworkError::new(&error).into(),
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = SnapshotFiles;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let bytes: usize = request.entries.iter().map(entry_bytes).sum();
        let timeout = if request.entries.is_empty() {
            option.hard_ttl()
        } else {
            let transfer = Duration::from_secs((bytes / SLOW_BYTES_PER_SECOND) as u64);
            option.hard_ttl().max(self.network.append_timeout) + transfer
        };
        let asked = Instant::now();
        let answer: Result<Appended, _> = self.ask(method::RAFT_APPEND, &request, timeout).await;
        let took = asked.elapsed();
        let answers = &self.network.answers;
        match &answer {
            Ok(appended) => {
                let there = Duration::from_micros(appended.took_micros);
                answers.record(self.target, took.saturating_sub(there));
            }
            // An unreachable node is not a slow node.
            Err(RPCError::Unreachable(_)) => {}
            Err(_) => answers.record(self.target, took),
        }
        let appended = answer?;
        self.network.rooms.heard(self.target, appended.is_scarce);
        self.network.walls.heard(self.target, appended.wall);
        Ok(appended.response)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let asking = self.ask(method::RAFT_VOTE, &request, option.hard_ttl());
        let (wall, response) = asking.await?;
        self.network.walls.heard(self.target, wall);
        Ok(response)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask(method::RAFT_PRE_VOTE, &request, option.hard_ttl())
            .await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        // If the target does not take over, the call fails with its reason (`hand_over`).
        self.ask(method::RAFT_TRANSFER, &request, option.hard_ttl())
            .await
            .map(|()| Ok(()))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: TheSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let Some(dir) = snapshot.snapshot.dir() else {
            return Err(Unreachable::from_string("the snapshot has no files").into());
        };
        let index = snapshot.meta.last_log_id.map_or(0, |last| last.index);
        let _held = self.network.holds.begin(self.target, index);
        let call = async |body: Bytes, timeout| {
            let (network, target) = (&self.network, self.target);
            network
                .call(target, method::RAFT_SNAPSHOT, &body, timeout)
                .await
        };
        let transfer = send(
            dir,
            snapshot.meta.clone(),
            vote,
            self.network.snapshot_rate,
            call,
        );
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = transfer => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => {
                    tracing::warn!(
                        group_id = %self.network.group, peer_id = %self.target, %error,
                        "snapshot not delivered"
                    );
                    Err(streaming_error(&error))
                }
            },
        }
    }
}

fn streaming_error(error: &SendError) -> StreamingError<TypeConfig> {
    Unreachable::new(error).into()
}
