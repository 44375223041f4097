//! All that meta replicates.

use std::collections::BTreeMap;

use coterie_protocol::catalog::Catalog;
use coterie_types::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

/// Redis' databases, there from birth: `db0` to `db15`.
pub const REDIS_TABLES: u32 = 16;

/// The first unused ids; see [`MetaState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextIds {
    /// For the next node that registers.
    pub node: u64,
    /// For the next group; group 0 is meta itself.
    pub group: u64,
    /// For the next range.
    pub range: u64,
    /// For the next job.
    pub job: u64,
    /// For the next table that is created.
    pub table: u32,
}

impl Default for NextIds {
    fn default() -> Self {
        Self {
            node: 1,
            group: 1,
            range: 1,
            job: 1,
            table: REDIS_TABLES,
        }
    }
}

/// See the module's head. Others see only the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MetaState {
    /// The rows that others see.
    pub catalog: Catalog,
    /// Ids not used yet.
    pub next: NextIds,
    /// The node that registered with each token.
    pub registrations: BTreeMap<u128, NodeId>,
    /// The lease's clock: the highest time in any command.
    pub clock: UnixMillis,
}
