//! Changes of an order that are made later, together with others of the entry (`txn/orders.rs`).

use bytes::Bytes;

use super::super::Txn;
use super::super::orders::{Change, Waiting};
use super::Counted;
use crate::{Collection, Fault};

/// Changes that may wait.
const WAITING_MAX: usize = 4096;

impl Txn<'_> {
    /// Adds an item, which is not there, to an order, later.
    pub(crate) fn put_in_order(
        &mut self,
        order: &Counted<'_>,
        item: Bytes,
        value: Bytes,
    ) -> Result<(), Fault> {
        self.wait_in_order(order, Change::Put(item, value))
    }

    /// Removes an item, which is there, from an order, later.
    pub(crate) fn remove_from_order(
        &mut self,
        order: &Counted<'_>,
        item: Bytes,
    ) -> Result<(), Fault> {
        self.wait_in_order(order, Change::Remove(item))
    }

    /// No header names the order any more: what waits of it is dropped.
    pub(crate) fn forget_order(&mut self, order: &Counted<'_>) -> Result<(), Fault> {
        self.wait_in_order(order, Change::Forget)
    }

    /// Whether changes of orders wait of a key that the command under way declares.
    pub(crate) fn has_declared_order(&self) -> bool {
        let mut last: Option<&Collection> = None;
        self.state.orders.waiting().iter().any(|waiting| {
            let is_new = last.is_none_or(|last| *last != waiting.of);
            last = Some(&waiting.of);
            is_new && self.scope.declares(waiting.of.table, &waiting.of.key)
        })
    }

    /// Brings all changes of orders that wait into their nodes.
    pub(crate) fn settle_orders(&mut self) -> Result<(), Fault> {
        if self.state.orders.waiting().is_empty() {
            return Ok(());
        }
        let mut orders = std::mem::take(&mut self.state.orders);
        for together in orders.together() {
            let first = together.first;
            let order = Counted {
                of: &first.of,
                family: first.family,
                seed: first.seed,
                count: first.count,
            };
            order.change(&mut self.state, together.changes, together.count)?;
        }
        orders.settled(!self.state.savepoints.is_empty());
        self.state.orders = orders;
        Ok(())
    }

    fn wait_in_order(&mut self, order: &Counted<'_>, change: Change) -> Result<(), Fault> {
        let orders = &mut self.state.orders;
        orders.push(Waiting {
            of: order.of.clone(),
            family: order.family,
            seed: order.seed,
            count: order.count,
            change,
        });
        if orders.waiting().len() > WAITING_MAX {
            self.settle_orders()?;
        }
        Ok(())
    }
}
