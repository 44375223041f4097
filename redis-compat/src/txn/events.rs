//! Collects the events of an entry. A command names its change of a key as Redis does; events of
//! classes that nobody asked for are not kept.
//!
//! Events are no part of the state: replicas that collect them and replicas that do not come to the
//! same state. A command that is taken back takes its events back.

use bytes::Bytes;
use coterie_types::TableId;

use super::Txn;
use crate::{Classes, KeyEvent};

impl Txn<'_> {
    /// From here on events of these classes are collected. None unless set.
    pub fn collect_events(&mut self, classes: Classes) {
        self.state.classes = classes.that_are_told();
    }

    /// The command did this to a key of its table.
    pub(crate) fn notify(&mut self, class: Classes, name: &'static str, key: &Bytes) {
        self.notify_in(self.table(), class, name, key);
    }

    /// The same, in any table.
    pub(crate) fn notify_in(
        &mut self,
        table: TableId,
        class: Classes,
        name: &'static str,
        key: &Bytes,
    ) {
        if self.state.classes.has(class) {
            let key = key.clone();
            self.state.events.push(KeyEvent {
                table,
                key,
                name: name.into(),
            });
        }
    }
}
