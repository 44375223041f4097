//! The live proxies, in the memory of the leader alone.
//!
//! They belong to a single term: a member that leads again begins anew, and says that it does not
//! know all proxies until each had the time to report itself. Nothing is written to the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coterie_protocol::meta::MetaAnswer;
use coterie_protocol::proxies::{PROXIES_MAX, ProxyReport, SILENCE_MAX_MS};
use coterie_types::Term;

const SILENCE_MAX: Duration = Duration::from_millis(SILENCE_MAX_MS);

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    term: Term,
    since: Option<Instant>,
    heard: BTreeMap<String, (ProxyReport, Instant)>,
}

impl Proxies {
    /// Notes a report, and answers with all proxies. A report beyond the bounds is not noted.
    pub(super) fn heard(
        &mut self,
        term: Term,
        report: ProxyReport,
        leaves: bool,
        now: Instant,
    ) -> MetaAnswer {
        if self.term != term || self.since.is_none() {
            *self = Self {
                term,
                since: Some(now),
                heard: BTreeMap::new(),
            };
        }
        self.heard
            .retain(|_, (_, at)| now.saturating_duration_since(*at) < SILENCE_MAX);
        let is_known = self.heard.contains_key(&report.id);
        if leaves {
            self.heard.remove(&report.id);
        } else if report.is_bounded() && (is_known || self.heard.len() < PROXIES_MAX) {
            self.heard.insert(report.id.clone(), (report, now));
        }
        let led = self.since.map(|since| now.saturating_duration_since(since));
        MetaAnswer::Proxies {
            reports: self
                .heard
                .values()
                .map(|(report, _)| report.clone())
                .collect(),
            is_complete: led.is_some_and(|led| led >= SILENCE_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// The ids in an answer, and whether it is complete.
    fn told(answer: MetaAnswer) -> (Vec<String>, bool) {
        match answer {
            MetaAnswer::Proxies {
                reports,
                is_complete,
            } => (
                reports.into_iter().map(|report| report.id).collect(),
                is_complete,
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_silent_proxy_is_forgotten_and_a_leaving_proxy_at_once() {
        let mut proxies = Proxies::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut hear =
            |id: &str, leaves, ms| told(proxies.heard(Term(1), report(id), leaves, at(ms)));
        assert_eq!(hear("b", false, 0), (vec!["b".to_owned()], false));
        assert_eq!(hear("a", false, 1).0, ["a", "b"]);
        assert_eq!(hear("a", false, 2999).0, ["a", "b"]);
        assert_eq!(hear("a", false, 3000), (vec!["a".to_owned()], true));
        assert_eq!(hear("c", false, 3001).0, ["a", "c"]);
        assert_eq!(hear("c", true, 3002).0, ["a"]);
    }

    #[test]
    fn a_new_term_begins_anew() {
        let mut proxies = Proxies::default();
        let start = Instant::now();
        proxies.heard(Term(1), report("a"), false, start);
        let later = start + Duration::from_secs(10);
        let answer = proxies.heard(Term(2), report("b"), false, later);
        assert_eq!(told(answer), (vec!["b".to_owned()], false));
    }

    #[test]
    fn their_number_is_bounded() {
        let mut proxies = Proxies::default();
        let now = Instant::now();
        for number in 0..PROXIES_MAX + 5 {
            proxies.heard(Term(1), report(&number.to_string()), false, now);
        }
        assert_eq!(proxies.heard.len(), PROXIES_MAX);
        let known = told(proxies.heard(Term(1), report("0"), false, now)).0;
        assert!(known.contains(&"0".to_owned()), "a known proxy stays known");
    }
}
