//! Metrics of certificates, read at each scrape: `coterie_tls_clients_*`, `coterie_tls_cluster_*`.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::{Kind, Watched};

/// See the module's head.
struct Certificates<K: Kind>(Weak<Watched<K>>);

impl<K: Kind> Watched<K> {
    /// The metrics of these certificates, to be registered with the metrics of a process.
    pub fn collector(self: &Arc<Self>) -> Box<dyn Collector> {
        Box::new(Certificates(Arc::downgrade(self)))
    }
}

impl<K: Kind> fmt::Debug for Certificates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&K::USE).finish()
    }
}

impl<K: Kind> Collector for Certificates<K> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(watched) = self.0.upgrade() else {
            return Ok(());
        };
        let counts = &watched.counts;
        let expires_at = counts.expires_at.load(Ordering::Relaxed);
        let is_stale = i64::from(counts.is_stale.load(Ordering::Relaxed));
        let mut metric = |name: &str, help: &str, metric: &dyn EncodeMetric| {
            let name = format!("coterie_tls_{}_{name}", K::USE);
            metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)
        };
        metric(
            "certificate_expires_at_seconds",
            "When the certificate in force expires, in Unix time",
            &ConstGauge::new(expires_at),
        )?;
        metric(
            "certificate_stale",
            "1 while the files hold a certificate that cannot be used, and an older one is in force",
            &ConstGauge::new(is_stale),
        )?;
        metric(
            "reloads",
            "Times that new certificates were put in force",
            &ConstCounter::new(counts.reloads.load(Ordering::Relaxed)),
        )?;
        metric(
            "reload_failures",
            "Times that new certificates could not be used",
            &ConstCounter::new(counts.failures.load(Ordering::Relaxed)),
        )
    }
}
