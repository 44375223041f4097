//! The proxy's metrics: `coterie_proxy_*`. INFO and the Prometheus endpoint read the same counters.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::rights::What;

/// See the module's head.
#[derive(Debug)]
pub struct Metrics {
    /// Commands taken from clients.
    pub commands: Counter,
    /// Error replies of the proxy itself.
    pub errors: Counter,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused: too many, or protected mode.
    pub rejected_connections: Counter,
    /// Connections open now.
    pub clients: Gauge,
    /// Bytes read from clients.
    pub input_bytes: Counter,
    /// Bytes written to clients.
    pub output_bytes: Counter,
    /// Attempts to send a frame after a pause.
    pub retries: Counter,
    /// Frames refused because keys had moved.
    pub moved: Counter,
    /// Frames put off because their keys were just moving.
    pub moving: Counter,
    /// Number of commands per frame.
    pub frame_commands: Histogram,
    /// From sending a frame to its replies, retries included.
    pub frame_seconds: Histogram,
    /// Wrong passwords.
    pub auth_failures: Counter,
    /// Commands that their users may not run.
    pub denied_commands: Counter,
    /// Commands with keys that their users may not use so.
    pub denied_keys: Counter,
    /// Commands with channels that their users may not use.
    pub denied_channels: Counter,
    /// Clients closed because they did not read their replies.
    pub output_limit_disconnections: Counter,
    /// Clients closed because they neither read nor sent while others waited for the memory they
    /// held.
    pub stalled_disconnections: Counter,
    /// Clients closed because they did not take their messages.
    pub push_limit_disconnections: Counter,
    /// Times that news of a server may have been missed.
    pub news_missed: Counter,
    /// Messages that clients published.
    pub messages_published: Counter,
    /// Messages that came from servers.
    pub messages_received: Counter,
    /// Messages that came twice, and were dropped.
    pub messages_doubled: Counter,
    /// Messages given to clients, each client counted.
    pub messages_pushed: Counter,
    /// Bytes of memory held for long replies, sampled twice a second.
    pub reply_bytes: Gauge,
    /// Commands that wait for reply memory, sampled twice a second.
    pub replies_waiting: Gauge,
    /// Bytes of memory held for long requests, sampled twice a second.
    pub request_bytes: Gauge,
    /// Clients that wait for request memory, sampled twice a second.
    pub requests_waiting: Gauge,
    /// SCAN cursors whose place was lost everywhere, so that keys came again.
    pub scan_places_lost: Counter,
}

impl Metrics {
    /// Registers all metrics.
    #[must_use]
    pub fn new(telemetry: &coterie_telemetry::Metrics) -> Arc<Self> {
        let metrics = Arc::new(Self {
            commands: Counter::default(),
            errors: Counter::default(),
            connections: Counter::default(),
            rejected_connections: Counter::default(),
            clients: Gauge::default(),
            input_bytes: Counter::default(),
            output_bytes: Counter::default(),
            retries: Counter::default(),
            moved: Counter::default(),
            moving: Counter::default(),
            frame_commands: Histogram::new(exponential_buckets(1.0, 4.0, 6)),
            frame_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 17)),
            auth_failures: Counter::default(),
            denied_commands: Counter::default(),
            denied_keys: Counter::default(),
            denied_channels: Counter::default(),
            output_limit_disconnections: Counter::default(),
            stalled_disconnections: Counter::default(),
            push_limit_disconnections: Counter::default(),
            reply_bytes: Gauge::default(),
            replies_waiting: Gauge::default(),
            request_bytes: Gauge::default(),
            requests_waiting: Gauge::default(),
            scan_places_lost: Counter::default(),
            news_missed: Counter::default(),
            messages_published: Counter::default(),
            messages_received: Counter::default(),
            messages_doubled: Counter::default(),
            messages_pushed: Counter::default(),
        });
        metrics.register(telemetry);
        metrics
    }

    /// The counter of these denials.
    pub(crate) fn denials(&self, what: What) -> &Counter {
        match what {
            What::Auth => &self.auth_failures,
            What::Command => &self.denied_commands,
            What::Key => &self.denied_keys,
            What::Channel => &self.denied_channels,
        }
    }

    fn register(&self, telemetry: &coterie_telemetry::Metrics) {
        telemetry.register("coterie_proxy", |registry| {
            self.register_counters(registry);
            self.register_others(registry);
        });
    }

    fn register_counters(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("commands", "Commands taken from clients", &self.commands);
        counter("errors", "Error replies of the proxy itself", &self.errors);
        counter("connections", "Connections accepted", &self.connections);
        counter(
            "rejected_connections",
            "Connections refused: too many, or protected mode",
            &self.rejected_connections,
        );
        counter("input_bytes", "Bytes read from clients", &self.input_bytes);
        counter(
            "output_bytes",
            "Bytes written to clients",
            &self.output_bytes,
        );
        counter(
            "retries",
            "Attempts to send a frame after a pause",
            &self.retries,
        );
        counter(
            "moved",
            "Frames refused because keys had moved",
            &self.moved,
        );
        counter(
            "moving",
            "Frames put off because their keys were just moving",
            &self.moving,
        );
        counter("auth_failures", "Wrong passwords", &self.auth_failures);
        counter(
            "output_limit_disconnections",
            "Clients closed because they did not read their replies",
            &self.output_limit_disconnections,
        );
        counter(
            "stalled_disconnections",
            "Clients closed because they neither read nor sent, and others waited for memory",
            &self.stalled_disconnections,
        );
        counter(
            "push_limit_disconnections",
            "Clients closed because they did not take their messages",
            &self.push_limit_disconnections,
        );
        counter(
            "news_missed",
            "Times that news of a server may have been missed",
            &self.news_missed,
        );
        self.register_denials(registry);
        self.register_messages(registry);
    }

    fn register_denials(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter(
            "denied_commands",
            "Commands that their users may not run",
            &self.denied_commands,
        );
        counter(
            "denied_keys",
            "Commands with keys that their users may not use so",
            &self.denied_keys,
        );
        counter(
            "denied_channels",
            "Commands with channels that their users may not use",
            &self.denied_channels,
        );
    }

    fn register_messages(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter(
            "messages_published",
            "Messages that clients published",
            &self.messages_published,
        );
        counter(
            "messages_received",
            "Messages that came from servers",
            &self.messages_received,
        );
        counter(
            "messages_doubled",
            "Messages that came twice, and were dropped",
            &self.messages_doubled,
        );
        counter(
            "messages_pushed",
            "Messages given to clients, each client counted",
            &self.messages_pushed,
        );
        counter(
            "scan_places_lost",
            "Cursors of SCAN whose place was lost, so that keys came again",
            &self.scan_places_lost,
        );
    }

    fn register_others(&self, registry: &mut Registry) {
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(name, help, gauge.clone());
        };
        gauge("clients", "Connections open", &self.clients);
        gauge(
            "reply_bytes",
            "Memory taken for long replies",
            &self.reply_bytes,
        );
        gauge(
            "replies_waiting",
            "Commands that wait for memory for their replies",
            &self.replies_waiting,
        );
        gauge(
            "request_bytes",
            "Memory taken for long requests",
            &self.request_bytes,
        );
        gauge(
            "requests_waiting",
            "Clients that wait for memory for their requests",
            &self.requests_waiting,
        );
        registry.register(
            "frame_commands",
            "Commands of one frame",
            self.frame_commands.clone(),
        );
        registry.register(
            "frame_seconds",
            "From sending a frame to its replies, retries included",
            self.frame_seconds.clone(),
        );
    }
}
