//! The controller's lease: a single holder at a time, by meta's clock, and a number that rises with
//! each new holder, so that requests of earlier holders are refused wherever they arrive.

use coterie_protocol::catalog::{Lease, Row};
use coterie_protocol::meta::{Outcome, Rejection};
use coterie_types::UnixMillis;

use super::edit::{Edit, invalid};

/// The longest lease that is granted.
const TTL_MS_MAX: u64 = 10 * 60 * 1000;

impl Edit<'_> {
    pub(super) fn acquire_lease(
        &mut self,
        holder: u64,
        ttl_ms: u64,
        now: UnixMillis,
    ) -> Result<Outcome, Rejection> {
        if holder == 0 || ttl_ms == 0 || ttl_ms > TTL_MS_MAX {
            return Err(invalid(format!(
                "a lease has a holder other than 0 and lasts 1 to {TTL_MS_MAX} ms"
            )));
        }
        // Another leader's clock may be behind, but the lease's clock does not go back.
        let clock = self.clock();
        *clock = now.max(*clock);
        let now = *clock;
        let (lease, until) = (self.catalog().lease, now.plus(ttl_ms));
        if lease.holder == holder {
            // Even after its end: no other holder has taken it, so nothing happened meanwhile.
            self.renew_lease(until);
            return Ok(Outcome::Leased { fence: lease.fence });
        }
        if lease.holder != 0 && lease.until > now {
            return Ok(Outcome::LeaseHeld { until: lease.until });
        }
        let fence = lease.fence + 1;
        self.put(Row::Lease(Lease {
            holder,
            fence,
            until,
        }));
        Ok(Outcome::Leased { fence })
    }

    pub(super) fn release_lease(&mut self, holder: u64) {
        let lease = self.catalog().lease;
        if holder != 0 && lease.holder == holder {
            // The number stays: the next holder's must be higher.
            self.put(Row::Lease(Lease {
                holder: 0,
                until: UnixMillis(0),
                ..lease
            }));
        }
    }

    /// Refuses a request unless its number is that of a held lease.
    pub(super) fn check_fence(&self, fence: u64) -> Result<(), Rejection> {
        let lease = self.catalog().lease;
        if lease.holder == 0 || lease.fence != fence {
            return Err(Rejection::Fenced {
                current: lease.fence,
            });
        }
        Ok(())
    }
}
