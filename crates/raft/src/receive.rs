//! Raft's messages from other nodes: decoded, handed to the group, answered.

use std::time::Instant;

use coterie_protocol::method;
use coterie_protocol::server::Unfit;
use coterie_rpc::{Request, Responder};
use coterie_types::{LogIndex, NodeId};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest,
};
use openraft::{EntryPayload, ReadPolicy};

use crate::group::OpenGroup;
use crate::hand_over;
use crate::lost_tail::AskStanding;
use crate::part::Part;
use crate::type_config::{LogEntry, TypeConfig, Vote};
use crate::walls::own_wall;
use crate::wire::{Appended, ReadIndex};

/// Handles a message for `group`, whose id was already removed from the body. `arrived`: when the
/// message arrived.
pub(crate) async fn handle(
    group: &OpenGroup,
    request: Request,
    arrived: Instant,
    responder: Responder,
) {
    match answer(group, &request, arrived).await {
        Ok(body) => responder.send(body),
        Err(reason) => responder.fail(&reason),
    }
}

/// Refuses a message of a removed node as a leader or candidate: the group may have been recovered
/// without it, and it may not know. Also refuses a leader that this replica must not follow (see
/// `part`).
fn check_sender(group: &OpenGroup, vote: &Vote) -> Result<(), String> {
    let sender = NodeId(vote.leader_id.voted_for);
    if group.network.addresses.is_removed(sender) {
        Err(format!("node {sender} was removed"))
    } else {
        let checked = group.part().check_leader(vote.leader_id.term);
        checked.inspect_err(|_| group.note_claimant(sender))
    }
}

/// Refuses to vote while this replica cannot know its earlier promises. `stance` holds the rules
/// for a replica that would lead; here a further kind of vote is allowed.
fn check_memory(group: &OpenGroup, asked: &VoteRequest<TypeConfig>) -> Result<(), String> {
    let unfit = if group.fence.is_closed() {
        Unfit::Restarted
    } else if group.part() != Part::Full {
        group.note_claimant(NodeId(asked.vote.leader_id.voted_for));
        Unfit::OnlyFollows
    } else if group.log.is_short_of_promises() && !group.log.may_follow(asked.last_log_id) {
        // Votes given for entries that are lost go only to candidates that have these entries.
        Unfit::MadeAgain
    } else {
        return Ok(());
    };
    Err(format!("no vote of one that {}", unfit.reason()))
}

async fn answer(
    group: &OpenGroup,
    request: &Request,
    arrived: Instant,
) -> Result<bytes::Bytes, String> {
    let raft = &group.raft;
    let said = |error: &dyn std::fmt::Display| error.to_string();
    match request.method {
        method::RAFT_APPEND => append(group, &request.body, arrived).await,
        method::RAFT_VOTE => {
            let vote: VoteRequest<TypeConfig> = decode(&request.body)?;
            check_memory(group, &vote)?;
            check_sender(group, &vote.vote)?;
            let response = raft.vote(vote).await.map_err(|e| said(&e))?;
            Ok(coterie_protocol::encode(&(own_wall(), response)))
        }
        method::RAFT_PRE_VOTE => {
            let vote: VoteRequest<TypeConfig> = decode(&request.body)?;
            check_memory(group, &vote)?;
            check_sender(group, &vote.vote)?;
            let response = raft.pre_vote(vote).await.map_err(|e| said(&e))?;
            Ok(coterie_protocol::encode(&response))
        }
        method::RAFT_TRANSFER => {
            let transfer: TransferLeaderRequest<TypeConfig> = decode(&request.body)?;
            check_sender(group, transfer.from_leader())?;
            hand_over::take_over(group, transfer).await
        }
        method::RAFT_STANCE => Ok(coterie_protocol::encode(&group.stance())),
        method::RAFT_CONFIRM => {
            let holds = hand_over::confirm(group, decode(&request.body)?);
            Ok(coterie_protocol::encode(&holds))
        }
        method::RAFT_SNAPSHOT if !group.network.rooms.takes_data() => {
            Err("no room on disk for a snapshot".to_owned())
        }
        method::RAFT_SNAPSHOT => {
            let sender_is_member = |vote: &Vote| check_sender(group, vote);
            let receiver = &group.receiver;
            Ok(receiver.handle(raft, &request.body, sender_is_member).await)
        }
        method::RAFT_READ_INDEX => {
            let linearizer = raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
            let index = linearizer.ok().map(|l| LogIndex(l.read_log_id().index()));
            Ok(coterie_protocol::encode(&ReadIndex(index)))
        }
        method::RAFT_STANDING => {
            let ask: AskStanding = decode(&request.body)?;
            // Before the asking replica can take anything from this replica.
            let told = raft.trigger().allow_next_revert(&ask.from.0, true).await;
            // The inner error: this replica does not lead, or there is no member with this id.
            let _ = told.map_err(|e| said(&e))?;
            Ok(coterie_protocol::encode(&group.standing()))
        }
        other => Err(format!("method {other} is not Raft's")),
    }
}

async fn append(group: &OpenGroup, body: &[u8], arrived: Instant) -> Result<bytes::Bytes, String> {
    let append: AppendEntriesRequest<TypeConfig> = decode(body)?;
    check_sender(group, &append.vote)?;
    let rooms = &group.network.rooms;
    if !rooms.takes_data() && append.entries.iter().any(has_data) {
        return Err("no room on disk for entries with data".to_owned());
    }
    let response = group.raft.append_entries(append).await;
    let response = response.map_err(|error| error.to_string())?;
    if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
        group.heard.now();
    }
    let answer = Appended {
        is_scarce: rooms.is_scarce(),
        wall: own_wall(),
        response,
        took_micros: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
    };
    Ok(coterie_protocol::encode(&answer))
}

fn has_data(entry: &LogEntry) -> bool {
    matches!(entry.payload, EntryPayload::Normal(_))
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    coterie_protocol::decode(body).map_err(|e| e.to_string())
}
