//! Findings of a check: each a line for a person, or a JSON object for a program.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It breaks a rule of the cluster.
    Wrong,
    /// It could not be checked, so nothing is known.
    Unchecked,
}

/// A fault of the cluster, or a check that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Names the rule: `gap`, `two-owners`, `checksum`, ...
    pub(crate) kind: &'static str,
    /// The finding in words. It contains nothing that changes by itself, so that two looks at the
    /// same fault give equal findings.
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn wrong(kind: &'static str, text: String) -> Self {
        let severity = Severity::Wrong;
        Self {
            severity,
            kind,
            text,
        }
    }

    pub(crate) fn unchecked(kind: &'static str, text: String) -> Self {
        let severity = Severity::Unchecked;
        Self {
            severity,
            kind,
            text,
        }
    }

    /// The finding as a JSON object, in a single line.
    pub(crate) fn json(&self) -> String {
        // Cannot fail: it contains only strings and names.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Wrong => "WRONG",
            Severity::Unchecked => "UNCHECKED",
        };
        write!(f, "{severity} {}: {}", self.kind, self.text)
    }
}

/// The findings that every look had. The cluster changes meanwhile, and meta and the groups are not
/// asked at the same moment, so a finding that a look lacks was a change in progress.
pub(crate) fn lasting(looks: &[BTreeSet<Finding>]) -> BTreeSet<Finding> {
    let Some((last, earlier)) = looks.split_last() else {
        return BTreeSet::new();
    };
    let lasts = |finding: &&Finding| earlier.iter().all(|look| look.contains(*finding));
    last.iter().filter(lasts).cloned().collect()
}

/// Exit code of the process: 0 when all is well, 1 when something is wrong, 2 when nothing is wrong
/// as far as it could be checked.
pub(crate) fn exit_code<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> u8 {
    let worst = findings.into_iter().map(|finding| finding.severity).min();
    match worst {
        None => 0,
        Some(Severity::Wrong) => 1,
        Some(Severity::Unchecked) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_once_was_on_its_way() {
        let finding = |text: &str| Finding::wrong("gap", text.to_owned());
        let looks = [
            BTreeSet::from([finding("a"), finding("b")]),
            BTreeSet::from([finding("b"), finding("c")]),
        ];
        assert_eq!(lasting(&looks), BTreeSet::from([finding("b")]));
        assert_eq!(lasting(&looks[..1]), looks[0]);
        assert!(lasting(&[]).is_empty());
    }

    #[test]
    fn the_worst_finding_decides() {
        let wrong = Finding::wrong("gap", "a \"gap\"".to_owned());
        let unchecked = Finding::unchecked("silent", "b".to_owned());
        assert_eq!(exit_code([]), 0);
        assert_eq!(exit_code([&unchecked]), 2);
        assert_eq!(exit_code([&unchecked, &wrong]), 1);
        assert_eq!(wrong.to_string(), "WRONG gap: a \"gap\"");
        let json = r#"{"severity":"wrong","kind":"gap","text":"a \"gap\""}"#;
        assert_eq!(wrong.json(), json);
    }
}
