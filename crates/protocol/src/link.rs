//! The links over which proxies ask servers for news ([`crate::news`]).

use serde::{Deserialize, Serialize};

/// A link in an epoch, as calls name it that register something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId {
    /// The link.
    pub link: u64,
    /// The epoch.
    pub epoch: u64,
}
