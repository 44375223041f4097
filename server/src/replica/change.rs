//! A change of the group's ranges, proposed and awaited.

use coterie_group::{Body, ChangeAnswer};
use coterie_raft::{Group, ProposeError};
use coterie_types::varint;

use super::shared::Shared;

/// Proposes a change of the group's ranges; the inner error is the group's own refusal.
pub(super) async fn change(
    group: &Group,
    shared: &Shared,
    body: Body,
) -> Result<ChangeAnswer, ProposeError> {
    let mut answers = group.propose(shared.entry(body)).await?;
    let answer = varint::take_bytes(&mut answers).unwrap_or_default();
    // This process encoded it when it applied the entry.
    Ok(coterie_protocol::decode(&answer).unwrap_or_else(|error| Err(error.to_string())))
}
