//! Alarms in the logs of processes: lines that a person would have to look at.
//!
//! An ERROR line means "a person must look", so a test fails if a log has an ERROR line that the
//! test did not announce. A panic counts as an ERROR line.

use std::path::Path;

/// The lines of a log with ERROR or a panic, except those that contain a text of `announced`.
pub(super) fn alarms(log: &Path, announced: &[String]) -> Vec<String> {
    // Not read_to_string: a process killed while it wrote may leave half a character.
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let alarms = text
        .lines()
        .map(without_colours)
        .filter(|line| is_alarm(line));
    alarms
        .filter(|line| !announced.iter().any(|expected| line.contains(expected)))
        .collect()
}

fn is_alarm(line: &str) -> bool {
    // The level is the second word, after the time, or a field in the JSON format.
    let level = line.split_whitespace().take(3).any(|word| word == "ERROR");
    level || line.contains(r#""level":"ERROR""#) || line.contains("panicked at")
}

/// The line without the escape sequences of a terminal.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The last lines of a log, for the report of a failure.
pub(super) fn tail(log: &Path, lines: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_seen_in_every_format_and_announced_ones_are_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        let lines = [
            "2026-01-01T00:00:00Z  INFO coterie: no ERROR here in the message",
            "2026-01-01T00:00:00Z ERROR coterie: disk failed",
            "\u{1b}[2m2026-01-01T00:00:00Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m coterie: in red",
            r#"{"timestamp":"2026","level":"ERROR","message":"in json"}"#,
            "thread 'main' panicked at src/main.rs:1:1:",
        ];
        std::fs::write(&log, lines.join("\n")).expect("writes");
        assert_eq!(alarms(&log, &[]).len(), 4);
        let announced = ["disk failed".to_owned(), "in json".to_owned()];
        let left = alarms(&log, &announced);
        assert!(left.len() == 2 && left[0].contains("in red") && left[1].contains("panicked"));
    }
}
