//! Places on earth: near to each other mostly, so that searches find some.

use bytes::Bytes;

use crate::Grammar;

/// Keys that hold places, mostly.
const GEO_KEYS: &[&[u8]] = &[b"geo", b"geo:1", b"{tag}geo"];

/// Centers that places are near to: on both sides of the date line, and towards the poles.
const LONGITUDES: &[f64] = &[13.4, 13.4, -122.3, 179.99, -179.99, 0.0];
const LATITUDES: &[f64] = &[52.5, 52.5, 37.7, -0.001, 84.0, -70.0];

impl Grammar {
    pub(crate) fn geo_key(&mut self) -> Bytes {
        self.key_of(GEO_KEYS)
    }

    pub(crate) fn longitude(&mut self) -> String {
        match self.below(40) {
            0 => self.one_of(&[
                "180", "-180", "180.0001", "-181", "x", "nan", "inf", "0x1p4",
            ]),
            _ => self.near(LONGITUDES, 180.0),
        }
    }

    pub(crate) fn latitude(&mut self) -> String {
        match self.below(40) {
            0 => self.one_of(&["85.05112878", "-85.05112878", "85.06", "90", "x", "", "1e1"]),
            _ => self.near(LATITUDES, 85.0),
        }
    }

    fn near(&mut self, centers: &[f64], limit: f64) -> String {
        let center = *self.pick(centers);
        let scale = *self.pick(&[0.001, 0.05, 2.0, 60.0]);
        let part = self.below(2_000_001) as f64 / 1e6 - 1.0;
        (center + part * scale).clamp(-limit, limit).to_string()
    }

    /// A member with a place.
    pub(crate) fn place(&mut self) -> String {
        match self.below(30) {
            0 => self.one_of(&["", "\0\r\n", "Palermo"]),
            _ => format!("p{}", self.below(25)),
        }
    }

    /// A radius, or the side of a box.
    pub(crate) fn length(&mut self) -> String {
        match self.below(20) {
            0 => self.one_of(&["-1", "-0", "x", "", "nan", "inf", "1e300", "0x10"]),
            1 => "0".to_owned(),
            _ => {
                let scale = *self.pick(&[1, 50, 3_000, 100_000, 5_000_000, 30_000_000]);
                let part = self.below(1_000_000) as f64 / 1e6;
                (part * f64::from(scale)).to_string()
            }
        }
    }
}
