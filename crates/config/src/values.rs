//! Durations and sizes as people write them, in both directions.
//!
//! The parsers are clap value parsers: `#[arg(long, value_parser = coterie_config::duration)]`.
//! They read the output of the wrappers back to the same value.

use std::fmt;
use std::time::Duration;

/// A value in a form that the setting does not accept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// Not a duration.
    #[error("not a duration such as `500ms`, `10s` or `2m`: {0}")]
    Duration(humantime::DurationError),
    /// Not a size.
    #[error("not a size such as `4096`, `64KiB`, `512MiB` or `1gb`: {0}")]
    Size(String),
}

/// Reads a duration: `500ms`, `10s`, `1m 30s`, `0`.
///
/// # Errors
/// When the unit is missing or unknown, or the value does not fit.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    humantime::parse_duration(text.trim()).map_err(ValueError::Duration)
}

/// Reads a size in bytes: `4096`, `64KiB`, `512MiB`, `1gb`. `KiB` is 1024 bytes, `kb` 1000.
///
/// # Errors
/// When the unit is unknown, or the value is negative or does not fit.
pub fn size(text: &str) -> Result<u64, ValueError> {
    let size: bytesize::ByteSize = text.trim().parse().map_err(ValueError::Size)?;
    Ok(size.as_u64())
}

/// Prints a duration so that [`duration`] reads it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationText(pub Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// Prints a size so that [`size`] reads it back: in the largest unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeText(pub u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ];
        match UNITS
            .iter()
            .find(|(bytes, _)| self.0 != 0 && self.0.is_multiple_of(*bytes))
        {
            Some((bytes, unit)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 64 << 10),
            ("512MiB", 512 << 20),
            ("512 mib", 512 << 20),
            ("1gb", 1_000_000_000),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("1m 30s", 90_000),
        ] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
    }

    #[test]
    fn a_value_without_sense_is_refused() {
        for text in ["", "ten", "-1", "5 parsecs", "10"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "ten", "-1", "5 parsecs"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for bytes in [
            0,
            1,
            1000,
            1024,
            1536,
            64 << 10,
            512 << 20,
            (1 << 30) + 1,
            u64::MAX >> 12,
        ] {
            assert_eq!(size(&SizeText(bytes).to_string()).unwrap(), bytes);
        }
        assert_eq!(SizeText(512 << 20).to_string(), "512MiB");
        for ms in [0, 1, 999, 1000, 90_500, 86_400_000] {
            let value = Duration::from_millis(ms);
            assert_eq!(duration(&DurationText(value).to_string()).unwrap(), value);
        }
    }
}
