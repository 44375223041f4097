//! What INFO counts since the start or since `CONFIG RESETSTAT`, apart from the process' metrics,
//! which never go back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use coterie_redis_compat::{COMMANDS, Command};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) rejected_connections: AtomicU64,
    pub(crate) input_bytes: AtomicU64,
    pub(crate) output_bytes: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) auth_failures: AtomicU64,
    /// Calls of each row of the command table.
    calls: Box<[Calls]>,
    rate: std::sync::Mutex<Rate>,
}

/// Calls of one row.
#[derive(Debug)]
struct Calls {
    own: AtomicU64,
    /// Those of its subcommands.
    of_subcommands: Box<[AtomicU64]>,
}

impl Calls {
    fn new(row: &Command) -> Self {
        let none = |_: &Command| AtomicU64::new(0);
        Self {
            own: AtomicU64::new(0),
            of_subcommands: row.subcommands.iter().map(none).collect(),
        }
    }

    fn counters(&self) -> impl Iterator<Item = &AtomicU64> {
        std::iter::once(&self.own).chain(&self.of_subcommands)
    }
}

/// The command count of a while ago, to tell the rate.
#[derive(Debug)]
struct Rate {
    at: Instant,
    commands: u64,
    per_second: u64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            connections: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            rejected_connections: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            auth_failures: AtomicU64::new(0),
            calls: COMMANDS.iter().map(Calls::new).collect(),
            rate: std::sync::Mutex::new(Rate {
                at: Instant::now(),
                commands: 0,
                per_second: 0,
            }),
        }
    }

    /// Counts a call of a row.
    pub(crate) fn called(&self, command: &'static Command) {
        if let Some(calls) = self.counter(command) {
            calls.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter(&self, command: &'static Command) -> Option<&AtomicU64> {
        if let Some(at) = index(command) {
            return self.calls.get(at).map(|calls| &calls.own);
        }
        let (container, _) = command.name.split_once('|')?;
        let container = coterie_redis_compat::lookup(container.as_bytes())?;
        let mut subcommands = container.subcommands.iter();
        let at = subcommands.position(|row| row.name == command.name)?;
        self.calls.get(index(container)?)?.of_subcommands.get(at)
    }

    /// Calls by full name, of those that were called.
    pub(crate) fn calls(&self) -> Vec<(&'static str, u64)> {
        let rows = COMMANDS
            .iter()
            .flat_map(|row| std::iter::once(row).chain(row.subcommands));
        let counters = self.calls.iter().flat_map(Calls::counters);
        let counts = counters.map(|calls| calls.load(Ordering::Relaxed));
        let named = rows.map(|row| row.name).zip(counts);
        named.filter(|(_, calls)| *calls > 0).collect()
    }

    /// Takes a sample of the command count, each second.
    pub(crate) fn sample(&self) {
        let commands = self.commands.load(Ordering::Relaxed);
        let mut rate = self
            .rate
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let millis = rate.at.elapsed().as_millis().max(1) as u64;
        rate.per_second = commands.saturating_sub(rate.commands) * 1000 / millis;
        rate.at = Instant::now();
        rate.commands = commands;
    }

    /// Commands per second lately.
    pub(crate) fn commands_per_second(&self) -> u64 {
        let rate = self
            .rate
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        rate.per_second
    }

    /// `CONFIG RESETSTAT`.
    pub(crate) fn reset(&self) {
        let counters = [
            &self.connections,
            &self.commands,
            &self.rejected_connections,
            &self.input_bytes,
            &self.output_bytes,
            &self.errors,
            &self.auth_failures,
        ];
        let calls = self.calls.iter().flat_map(Calls::counters);
        for counter in counters.into_iter().chain(calls) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// The place of a row in the table; `None` for subcommands, which are elsewhere. Rows are one array:
/// no search by name.
fn index(command: &'static Command) -> Option<usize> {
    let rows = COMMANDS.as_ptr_range();
    let row = std::ptr::from_ref(command);
    rows.contains(&row)
        .then(|| (row.addr() - rows.start.addr()) / size_of::<Command>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_row_has_its_own_count() {
        let stats = Stats::new();
        for (at, row) in COMMANDS.iter().enumerate() {
            assert_eq!(index(row), Some(at));
            stats.called(row);
        }
        let subcommands = COMMANDS.iter().flat_map(|row| row.subcommands);
        let subcommands = subcommands.map(|row| stats.called(row)).count();
        let calls = stats.calls();
        assert_eq!(calls.len(), COMMANDS.len() + subcommands);
        assert!(calls.iter().all(|(_, calls)| *calls == 1));
        stats.reset();
        let words = ["client", "id"].map(|word| bytes::Bytes::from_static(word.as_bytes()));
        stats.called(coterie_redis_compat::resolve(&words).unwrap());
        assert_eq!(stats.calls(), [("client|id", 1)]);
    }
}
