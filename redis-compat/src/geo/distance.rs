//! Distances over the sphere, in metres.
//!
//! Source: Redis `geohash_helper.c`. Arithmetic and its order are Redis'.

use super::cell::Place;
use super::trig::{asin, cos, sin};

/// The quadratic mean radius of the earth.
const EARTH_RADIUS: f64 = 6372797.560856;
const RADIANS: f64 = std::f64::consts::PI / 180.0;

/// The distance of two places (haversine).
pub(super) fn distance(a: Place, b: Place) -> f64 {
    let (latitude_a, latitude_b) = (radians(a.latitude), radians(b.latitude));
    let u = sin((latitude_b - latitude_a) / 2.0);
    let v = sin((radians(b.longitude) - radians(a.longitude)) / 2.0);
    let square = u * u + cos(latitude_a) * cos(latitude_b) * v * v;
    2.0 * EARTH_RADIUS * asin(square.sqrt())
}

/// No place is nearer than the difference of the latitudes: whether that alone is surely more than
/// this many metres. It spares most of the places outside an area the five functions above.
pub(super) fn is_surely_further(a: Place, b: Place, metres: f64) -> bool {
    let apart = (radians(b.latitude) - radians(a.latitude)).abs() * EARTH_RADIUS;
    apart > metres * (1.0 + 1e-9) + 1e-3
}

/// The degrees of latitude that so many metres are.
pub(super) fn latitudes(metres: f64) -> f64 {
    degrees(metres / EARTH_RADIUS)
}

/// The degrees of longitude that so many metres are at a latitude.
pub(super) fn longitudes(metres: f64, latitude: f64) -> f64 {
    degrees(metres / EARTH_RADIUS / cos(radians(latitude)))
}

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIANS
}

pub(super) fn degrees(radians: f64) -> f64 {
    radians / RADIANS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_that_of_redis() {
        let place = |longitude, latitude| Place {
            longitude,
            latitude,
        };
        let palermo = Place::of_score(place(13.361389, 38.115556).score());
        let catania = Place::of_score(place(15.087269, 37.502669).score());
        assert_eq!(format!("{:.4}", distance(palermo, catania)), "166274.1516");
        assert_eq!(distance(palermo, palermo), 0.0);
        assert!(is_surely_further(palermo, catania, 60_000.0));
        assert!(!is_surely_further(palermo, catania, 70_000.0));
        assert!(!is_surely_further(palermo, palermo, 0.0));
    }
}
