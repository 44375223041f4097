//! The time within which a certificate is valid, from its DER (RFC 5280, section 4.1):
//!
//! ```text
//! Certificate: SEQUENCE { TBSCertificate: SEQUENCE {
//!     [0] version, absent for 1; serial: INTEGER; signature: SEQUENCE; issuer: SEQUENCE;
//!     validity: SEQUENCE { notBefore, notAfter: UTCTime or GeneralizedTime }; ... } ... }
//! ```
//!
//! rustls checks certificates itself; this is for the metric, and for errors that give a date.

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const DAY: i64 = 86_400;

/// From when to when a certificate is valid, in seconds of Unix time, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Validity {
    /// Reads a certificate; `None` if it is none.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let mut certificate = Der(certificate).take(SEQUENCE)?;
        let mut body = certificate.take(SEQUENCE)?;
        if body.0.first() == Some(&VERSION) {
            body.take(VERSION)?;
        }
        body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        let mut validity = body.take(SEQUENCE)?;
        Some(Self {
            not_before: validity.time()?,
            not_after: validity.time()?,
        })
    }

    /// Why the certificate is not valid at `now`.
    pub(crate) fn check(&self, now: i64) -> Result<(), String> {
        if now > self.not_after {
            return Err(format!("it expired at {}", date(self.not_after)));
        }
        if now < self.not_before {
            return Err(format!("it is not valid before {}", date(self.not_before)));
        }
        Ok(())
    }
}

/// Encoded elements that were not taken yet.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<Der<'a>> {
        let (&found, rest) = self.0.split_first()?;
        let (&short, mut rest) = rest.split_first()?;
        let mut len = usize::from(short);
        if short >= 0x80 {
            // So many bytes of length follow; four are enough for any certificate.
            let count = usize::from(short & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let (bytes, after) = rest.split_at_checked(count)?;
            len = bytes
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte));
            rest = after;
        }
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        (found == tag).then_some(Der(content))
    }

    /// The next element, a time: `YYMMDDHHMMSSZ`, or with four digits of the year.
    fn time(&mut self) -> Option<i64> {
        let tag = *self.0.first()?;
        let text = self.take(tag)?.0.strip_suffix(b"Z")?;
        let (year, rest) = match tag {
            UTC_TIME => text.split_at_checked(2)?,
            GENERALIZED_TIME => text.split_at_checked(4)?,
            _ => return None,
        };
        let mut year = number(year)?;
        if tag == UTC_TIME {
            // Two digits are of the years 1950 to 2049.
            year += if year < 50 { 2000 } else { 1900 };
        }
        if rest.len() != 10 {
            return None;
        }
        let part = |at: usize| number(&rest[at..at + 2]);
        let (month, day) = (part(0)?, part(2)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let seconds = part(4)? * 3600 + part(6)? * 60 + part(8)?;
        Some(days_of(year, month, day) * DAY + seconds)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        let digits = digits.iter().map(|digit| i64::from(digit - b'0'));
        digits.fold(0, |number, digit| number * 10 + digit)
    })
}

/// Days from 1970-01-01. Years begin in March, so that a leap day is the last day of its year.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `YYYY-MM-DD HH:MM:SS UTC`.
fn date(at: i64) -> String {
    let (days, seconds) = (at.div_euclid(DAY) + 719_468, at.rem_euclid(DAY));
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use coterie_certificates::Authority;
    use coterie_fuzz::fuzz;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::test_authority::now;

    #[test]
    fn dates_are_counted_and_written() {
        for (at, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_164_799, "2024-02-28 23:59:59 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(date(at), text);
            let part = |range: std::ops::Range<usize>| text[range].parse().unwrap();
            let days = days_of(part(0..4), part(5..7), part(8..10));
            assert_eq!(days, at.div_euclid(DAY), "{text}");
        }
    }

    #[test]
    fn a_time_is_read_in_both_forms() {
        let read = |tag: u8, text: &str| {
            let mut der = vec![tag, text.len() as u8];
            der.extend_from_slice(text.as_bytes());
            Der(&der).time()
        };
        assert_eq!(read(UTC_TIME, "240228235959Z"), Some(1_709_164_799));
        assert_eq!(read(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(
            read(GENERALIZED_TIME, "21000101000000Z"),
            Some(4_102_444_800)
        );
        for text in [
            "",
            "Z",
            "240228235959",
            "241328235959Z",
            "2402282359Z",
            "24022823595xZ",
        ] {
            assert_eq!(read(UTC_TIME, text), None, "{text}");
        }
    }

    #[test]
    fn damaged_certificates_are_read_or_refused() {
        let authority = Authority::new("a");
        let file = authority.sign(&["coterie"]).cert;
        let good = CertificateDer::from_pem_file(file).unwrap().to_vec();
        assert!(Validity::of(&good).unwrap().check(now()).is_ok());
        fuzz(&[good], |input| {
            let _ = Validity::of(input).map(|validity| validity.check(0));
        });
    }
}
