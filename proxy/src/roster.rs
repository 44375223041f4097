//! The proxies of the cluster, as this proxy knows them.
//!
//! Each proxy reports itself to meta's leader once a second, which answers with all reports
//! (`coterie_protocol::proxies`). Nothing of it is written anywhere. While meta is away, or its new
//! leader has not heard from everybody, the list stays and grows: a proxy is missed only when a
//! leader that knows all says so.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use coterie_meta_client::MetaClient;
use coterie_protocol::proxies::{BEAT_MS, ProxyReport};

use crate::clients::Clients;
use crate::router::random;

const BEAT: Duration = Duration::from_millis(BEAT_MS);
/// Bits of the number of a proxy's clients: ids of 53 bits are whole numbers in JavaScript, too.
const NUMBER_BITS: u32 = 20;
/// How long a stopping proxy tries to say that it leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Roster {
    own: ArcSwap<ProxyReport>,
    /// Sorted by id; this proxy is among them.
    all: ArcSwap<Vec<ProxyReport>>,
}

/// A number for the ids of a proxy's clients. Never 0.
pub(crate) fn random_number() -> u32 {
    (random() as u32 & ((1 << NUMBER_BITS) - 1)).max(1)
}

impl Roster {
    pub(crate) fn new(own: ProxyReport) -> Self {
        Self {
            all: ArcSwap::from_pointee(vec![own.clone()]),
            own: ArcSwap::from_pointee(own),
        }
    }

    /// This proxy's report.
    pub(crate) fn own(&self) -> Arc<ProxyReport> {
        self.own.load_full()
    }

    /// All proxies, sorted by id.
    pub(crate) fn all(&self) -> Arc<Vec<ProxyReport>> {
        self.all.load_full()
    }

    /// Reports this proxy and takes in the others, as long as the proxy runs.
    pub(crate) async fn keep(self: Arc<Self>, meta: MetaClient, clients: Arc<Clients>) {
        let mut tick = tokio::time::interval(BEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let own = ProxyReport::clone(&self.own());
            match meta.proxy(own, false).await {
                Ok((reports, is_complete)) => self.take(reports, is_complete, &clients),
                Err(error) => tracing::debug!(%error, "the proxy could not report itself"),
            }
        }
    }

    /// Tells meta that this proxy stops.
    pub(crate) async fn leave(&self, meta: &MetaClient) {
        let own = ProxyReport::clone(&self.own());
        // If meta does not hear it, the report expires.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, meta.proxy(own, true)).await;
    }

    fn take(&self, reports: Vec<ProxyReport>, is_complete: bool, clients: &Clients) {
        let own = self.own();
        let clashes = |other: &ProxyReport| other.number == own.number && other.id < own.id;
        if reports.iter().any(clashes) {
            // Of two proxies with the same number, the second chooses another.
            let number = random_number();
            clients.number_from(number);
            self.own.store(Arc::new(ProxyReport {
                number,
                ..ProxyReport::clone(&own)
            }));
        }
        let known = merged(&self.all(), reports, is_complete, &self.own());
        if known != *self.all() {
            self.all.store(Arc::new(known));
        }
    }
}

/// The proxies that are known after an answer of meta.
fn merged(
    known: &[ProxyReport],
    reports: Vec<ProxyReport>,
    is_complete: bool,
    own: &ProxyReport,
) -> Vec<ProxyReport> {
    let mut all = reports;
    all.retain(|report| report.id != own.id);
    all.push(own.clone());
    if !is_complete {
        for report in known {
            if all.iter().all(|newer| newer.id != report.id) {
                all.push(report.clone());
            }
        }
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pushes::PushRules;

    fn report(id: &str) -> ProxyReport {
        ProxyReport {
            id: id.to_owned(),
            number: 1,
            listens: String::new(),
            peer: String::new(),
            announces: None,
            announces_tls: None,
            version: String::new(),
        }
    }

    #[test]
    fn a_proxy_is_missed_when_meta_knows_all() {
        let known = [report("a"), report("b"), report("me")];
        let ids =
            |all: Vec<ProxyReport>| all.into_iter().map(|report| report.id).collect::<Vec<_>>();
        let own = report("me");
        let partly = merged(&known, vec![report("c")], false, &own);
        assert_eq!(ids(partly), ["a", "b", "c", "me"]);
        let whole = merged(&known, vec![report("c")], true, &own);
        assert_eq!(ids(whole), ["c", "me"]);
    }

    #[test]
    fn of_two_proxies_with_a_number_one_takes_another() {
        let clients = Clients::new(PushRules::for_tests(1 << 20));
        let (first, second) = (Roster::new(report("a")), Roster::new(report("b")));
        first.take(vec![report("b")], true, &clients);
        assert_eq!(first.own().number, 1);
        // The new number is the same once in a million times.
        second.take(vec![report("a")], true, &clients);
        let renumbered = second.own().number;
        assert!(renumbered != 1 || random_number() != 1);
        assert!(second.all().iter().any(|known| known.number == renumbered));
    }

    #[test]
    fn ids_of_clients_are_whole_numbers_everywhere() {
        let clients = Clients::new(PushRules::for_tests(1 << 20));
        clients.number_from((1 << NUMBER_BITS) - 1);
        let addr = "127.0.0.1:1".parse().unwrap();
        let id = clients.add(addr, addr, 0, 0).id;
        assert!(id < 1 << 53, "{id}");
    }
}
