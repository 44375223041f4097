//! Error replies by their code, the first word, for `INFO errorstats` (Redis `server.c`,
//! `afterErrorReply`).

use std::collections::BTreeMap;

use parking_lot::{Mutex, MutexGuard};

/// Codes that are counted separately, as in Redis; all further codes are counted together.
const CODES_MAX: usize = 128;
const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";
/// A longer first word is not a code.
const CODE_BYTES_MAX: usize = 32;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Errors {
    /// Counts an error line, with or without its `-`.
    pub(crate) fn count(&self, line: &[u8]) {
        let code = code(line);
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(code) {
            *count += 1;
            return;
        }
        let code = if counts.len() < CODES_MAX {
            code
        } else {
            OVERFLOW
        };
        *counts.entry(code.to_owned()).or_default() += 1;
    }

    /// The counts by code.
    pub(crate) fn counts(&self) -> Vec<(String, u64)> {
        let counts = self.lock();
        counts.iter().map(|(code, n)| (code.clone(), *n)).collect()
    }

    /// The number of all errors.
    pub(crate) fn total(&self) -> u64 {
        self.lock().values().sum()
    }

    /// Resets all counts.
    pub(crate) fn reset(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        // Nothing panics while holding it.
        self.counts.lock()
    }
}

fn code(line: &[u8]) -> &str {
    let line = line.strip_prefix(b"-").unwrap_or(line);
    let end = line
        .iter()
        .take(CODE_BYTES_MAX)
        .position(|byte| *byte == b' ');
    let code = end.and_then(|end| std::str::from_utf8(&line[..end]).ok());
    // Must fit into a line of INFO.
    code.filter(|code| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or("ERR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_code() {
        assert_eq!(code(b"-WRONGTYPE Operation against"), "WRONGTYPE");
        assert_eq!(code(b"TRYAGAIN the command"), "TRYAGAIN");
        assert_eq!(code(b"-nothing\r\n"), "ERR");
        assert_eq!(code(b"- x"), "ERR");
        assert_eq!(code(b"-a\r\nb c"), "ERR");
        assert_eq!(code(&[b'x'; 100]), "ERR");
    }

    #[test]
    fn codes_have_an_end() {
        let errors = Errors::default();
        for n in 0..CODES_MAX + 50 {
            errors.count(format!("-CODE{n} text").as_bytes());
        }
        errors.count(b"-CODE0 text");
        let counts = errors.counts();
        assert_eq!(counts.len(), CODES_MAX + 1);
        let of = |code: &str| counts.iter().find(|(of, _)| of == code).map(|(_, n)| *n);
        assert_eq!((of("CODE0"), of(OVERFLOW)), (Some(2), Some(50)));
        assert_eq!(errors.total(), CODES_MAX as u64 + 51);
        errors.reset();
        assert_eq!(errors.total(), 0);
    }
}
