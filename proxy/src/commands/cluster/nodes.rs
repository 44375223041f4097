//! The nodes that `CLUSTER` describes to clients of cluster mode: the proxies that announce
//! themselves, with the slots divided over them. Any proxy serves any key, so the division only
//! spreads the clients' connections; it may differ for a moment from proxy to proxy.

use std::ops::RangeInclusive;

use coterie_protocol::proxies::ProxyReport;

use super::super::Local;
use super::super::slot::SLOTS;

/// A proxy, as a node of a Redis Cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls_port: Option<u16>,
    pub(super) slots: RangeInclusive<u16>,
    /// It is the proxy that answers.
    pub(super) is_asked: bool,
}

/// The nodes in the order of their slots. A proxy that announces nothing is the only node, at the
/// address where the asking client has reached it.
pub(super) fn nodes(local: &Local<'_>) -> Vec<Node> {
    let roster = &local.shared.roster;
    let own = roster.own();
    if own.announces.is_none() {
        let addr = local.client.local_addr;
        return vec![Node {
            id: own.id.clone(),
            host: addr.ip().to_string(),
            port: addr.port(),
            tls_port: None,
            slots: 0..=SLOTS - 1,
            is_asked: true,
        }];
    }
    divided(&roster.all(), &own.id)
}

/// The slots divided over the proxies that announce themselves.
fn divided(all: &[ProxyReport], own: &str) -> Vec<Node> {
    let announced = |proxy: &ProxyReport| {
        let (host, port) = proxy.announces.clone()?;
        Some((proxy.id.clone(), host, port, proxy.announces_tls))
    };
    let announced: Vec<_> = all.iter().filter_map(announced).collect();
    let count = announced.len();
    // Far fewer proxies than slots: each has some.
    let first = |at: usize| (at * usize::from(SLOTS) / count) as u16;
    let nodes = announced.into_iter().enumerate();
    let nodes = nodes.map(|(at, (id, host, port, tls_port))| Node {
        is_asked: id == own,
        id,
        host,
        port,
        tls_port,
        slots: first(at)..=first(at + 1) - 1,
    });
    nodes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: usize, announces: bool) -> ProxyReport {
        ProxyReport {
            id: format!("{id:04}"),
            number: 1,
            listens: String::new(),
            peer: String::new(),
            announces: announces.then(|| ("h".to_owned(), 1)),
            announces_tls: None,
            version: String::new(),
        }
    }

    #[test]
    fn the_slots_are_divided_without_a_gap() {
        for count in [1, 2, 3, 7, 1024] {
            let mut all: Vec<_> = (0..count).map(|id| report(id, true)).collect();
            all.push(report(9999, false));
            let nodes = divided(&all, "0000");
            assert_eq!(nodes.len(), count);
            let mut next = 0;
            for node in &nodes {
                assert_eq!(*node.slots.start(), next);
                assert!(!node.slots.is_empty());
                next = node.slots.end() + 1;
            }
            assert_eq!(next, SLOTS);
            assert_eq!(nodes.iter().filter(|node| node.is_asked).count(), 1);
        }
    }
}
