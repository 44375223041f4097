//! Places, lengths and units as clients write them, and as replies do.

use bytes::Bytes;

use super::cell::Place;
use crate::command::Part;
use crate::errors::{NOT_A_FLOAT, error_lines};
use crate::zset::parse_score;
use crate::{CommandError, Reply};

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A unit that is not known.
    UNKNOWN_UNIT = "ERR unsupported unit provided. please use M, KM, FT, MI";
    /// A radius that is no number.
    NO_RADIUS = "ERR need numeric radius";
    /// A radius below zero.
    NEGATIVE_RADIUS = "ERR radius cannot be negative";
    /// A width that is no number.
    NO_WIDTH = "ERR need numeric width";
    /// A height that is no number.
    NO_HEIGHT = "ERR need numeric height";
    /// A box with a side below zero.
    NEGATIVE_SIDE = "ERR height or width cannot be negative";
}

/// A place, by its longitude and latitude.
pub(super) fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, CommandError> {
    let degrees = |word| parse_score(word).ok_or(NOT_A_FLOAT);
    let place = Place {
        longitude: degrees(longitude)?,
        latitude: degrees(latitude)?,
    };
    if place.is_in_world() {
        Ok(place)
    } else {
        let (x, y) = (place.longitude, place.latitude);
        let line = format!("ERR invalid longitude,latitude pair {x:.6},{y:.6}");
        Err(CommandError::Other(line))
    }
}

/// The metres of a unit.
pub(super) fn unit(word: &[u8]) -> Result<f64, CommandError> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let named = |(name, _): &(&str, f64)| word.eq_ignore_ascii_case(name.as_bytes());
    units
        .into_iter()
        .find(named)
        .map(|(_, metres)| metres)
        .ok_or(UNKNOWN_UNIT)
}

/// A radius and its unit.
pub(super) fn radius(radius: &[u8], of: &[u8]) -> Result<(f64, f64), CommandError> {
    let radius = parse_score(radius).ok_or(NO_RADIUS)?;
    if radius < 0.0 {
        return Err(NEGATIVE_RADIUS);
    }
    Ok((radius, unit(of)?))
}

/// The width and the height of a box, and their unit.
pub(super) fn sides(
    width: &[u8],
    height: &[u8],
    of: &[u8],
) -> Result<(f64, f64, f64), CommandError> {
    let width = parse_score(width).ok_or(NO_WIDTH)?;
    let height = parse_score(height).ok_or(NO_HEIGHT)?;
    if width < 0.0 || height < 0.0 {
        return Err(NEGATIVE_SIDE);
    }
    Ok((width, height, unit(of)?))
}

/// A distance as replies have it: with four decimals.
pub(super) fn distance_reply(distance: f64) -> Reply {
    Reply::Bulk(Bytes::from(format!("{distance:.4}")))
}

/// A place as replies have it.
pub(super) fn place_reply(place: Place) -> Reply {
    let degrees = |at| Reply::Decimal(Bytes::from(degrees_text(at)));
    Reply::Array(vec![degrees(place.longitude), degrees(place.latitude)])
}

/// Degrees with 17 decimals, without zeros at the end (`util.c`, `ld2string`).
fn degrees_text(degrees: f64) -> String {
    let text = format!("{degrees:.17}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0" } else { short }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_written_as_redis_writes_them() {
        for (degrees, text) in [
            (13.361389338970184, "13.36138933897018433"),
            (-0.5, "-0.5"),
            (180.0, "180"),
            (0.0, "0"),
            (-1e-20, "0"),
            (2.5e-6, "0.0000025"),
        ] {
            assert_eq!(degrees_text(degrees), text);
        }
    }

    #[test]
    fn places_outside_of_the_map_are_refused() {
        let refused =
            |x: &str, y: &str| place(x.as_bytes(), y.as_bytes()).map_err(|e| e.to_string());
        let line = "ERR invalid longitude,latitude pair 200.000000,100.000000";
        assert_eq!(refused("200", "100"), Err(line.to_owned()));
        assert_eq!(refused("x", "1"), Err(NOT_A_FLOAT.to_string()));
        assert!(refused("-180", "-85.05112878").is_ok());
        assert!(refused("0", "85.0512").is_err());
    }
}
