//! Text about latency events for people: `LATENCY GRAPH` and `LATENCY DOCTOR`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::latency_events::Event;

/// Rows of a graph.
const ROWS: u64 = 4;
/// Columns of a graph: the latest samples.
const COLUMNS: usize = 80;

/// A column for each sample, the latest at the right, with its age below.
pub(super) fn graph(name: &str, event: &Event) -> String {
    let skipped = event.samples.len().saturating_sub(COLUMNS);
    let samples: Vec<_> = event.samples.iter().skip(skipped).copied().collect();
    let high = samples.iter().map(|(_, took)| *took).max().unwrap_or(0);
    let low = samples.iter().map(|(_, took)| *took).min().unwrap_or(0);
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.longest,
        "-".repeat(COLUMNS)
    );
    for row in (0..ROWS).rev() {
        for (_, took) in &samples {
            // Two marks a row: the lower half and the upper half.
            let height = (took - low) * (2 * ROWS - 1) / (high - low).max(1) + 1;
            text.push(match height.saturating_sub(2 * row) {
                0 => ' ',
                1 => '_',
                _ => '#',
            });
        }
        text.push('\n');
    }
    text.push('\n');
    let now = SystemTime::now();
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let ages: Vec<_> = samples
        .iter()
        .map(|(at, _)| age(now.saturating_sub(*at)))
        .collect();
    let longest = ages.iter().map(String::len).max().unwrap_or(0);
    for row in 0..longest {
        for age in &ages {
            text.push(age.chars().nth(row).unwrap_or(' '));
        }
        text.push('\n');
    }
    text
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A report about all events.
pub(super) fn report(events: &BTreeMap<&'static str, Event>, threshold: u64) -> String {
    const ELSEWHERE: &str = "The metric coterie_proxy_frame_seconds has the time from a frame to \
                             its replies, SLOWLOG has slow commands.\n";
    if threshold == 0 {
        return format!(
            "Latency monitoring is off in this proxy. CONFIG SET latency-monitor-threshold \
             <milliseconds> turns it on. {ELSEWHERE}"
        );
    }
    if events.is_empty() {
        return format!("No command took {threshold} ms. {ELSEWHERE}");
    }
    let mut text = String::new();
    for (name, event) in events {
        let count = event.samples.len() as u64;
        let sum: u64 = event.samples.iter().map(|(_, took)| took).sum();
        let average = sum / count.max(1);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{name}: {count} samples of {threshold} ms or more, {average} ms on average, \
             {} ms at most.",
            event.longest
        );
    }
    text + "The times include the way to the group, its log and the way back. " + ELSEWHERE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_a_column_for_each_sample() {
        let event = Event {
            samples: (1..=100).map(|second| (second, second)).collect(),
            longest: 200,
        };
        let graph = graph("command", &event);
        let lines: Vec<_> = graph.lines().collect();
        assert_eq!(
            lines[0],
            "command - high 100 ms, low 21 ms (all time high 200 ms)"
        );
        assert_eq!(lines[1].len(), COLUMNS);
        assert_eq!(lines[5].len(), COLUMNS);
        assert!(
            lines[2].starts_with(' ') && lines[2].ends_with('#'),
            "{graph}"
        );
        assert!(
            lines[5].starts_with('_') && lines[5].ends_with('#'),
            "{graph}"
        );
    }

    #[test]
    fn equal_samples_make_a_flat_graph() {
        let event = Event {
            samples: [(1, 7), (2, 7)].into(),
            longest: 7,
        };
        assert!(graph("command", &event).contains("\n__\n"));
    }
}
