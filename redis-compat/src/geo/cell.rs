//! Cells of the map: how a place becomes the score of a member, and back.
//!
//! Each of `steps` steps halves the longitudes and the latitudes. The bits of the two places are
//! interleaved, the longitude's above the latitude's. 26 steps make 52 bits, which a score holds
//! exactly. Members of a cell of fewer steps have scores in a row.
//!
//! Source: Redis `geohash.c`. Arithmetic and its order are Redis', so that results are its bits.

/// The steps of a member's score.
pub(super) const STEPS_MAX: u8 = 26;

pub(super) const LONGITUDE_MAX: f64 = 180.0;
/// The projection (EPSG:900913) ends short of the poles.
pub(super) const LATITUDE_MAX: f64 = 85.05112878;

/// A place on earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// An interval of degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

/// An area between two longitudes and two latitudes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) longitude: Span,
    pub(super) latitude: Span,
}

/// The part of the world that scores cover.
pub(super) const WORLD: Area = Area {
    longitude: Span::around_zero(LONGITUDE_MAX),
    latitude: Span::around_zero(LATITUDE_MAX),
};

/// The part of the world that the strings of `GEOHASH` cover.
pub(super) const WHOLE_WORLD: Area = Area {
    longitude: Span::around_zero(LONGITUDE_MAX),
    latitude: Span::around_zero(90.0),
};

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) bits: u64,
    pub(super) steps: u8,
}

impl Span {
    const fn around_zero(max: f64) -> Self {
        Self { min: -max, max }
    }

    fn width(self) -> f64 {
        self.max - self.min
    }

    fn middle(self, limit: f64) -> f64 {
        ((self.min + self.max) / 2.0).clamp(-limit, limit)
    }
}

impl Place {
    /// Whether a score can stand for it.
    pub(super) fn is_in_world(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The score of a member here.
    pub(super) fn score(self) -> f64 {
        Cell::of(self, WORLD, STEPS_MAX).bits as f64
    }

    /// The place of a member with this score: the middle of its cell.
    pub(super) fn of_score(score: f64) -> Self {
        let cell = Cell {
            bits: whole(score),
            steps: STEPS_MAX,
        };
        let area = cell.area();
        Self {
            longitude: area.longitude.middle(LONGITUDE_MAX),
            latitude: area.latitude.middle(LATITUDE_MAX),
        }
    }
}

impl Cell {
    /// The cell of so many steps around a place.
    pub(super) fn of(place: Place, world: Area, steps: u8) -> Self {
        let part = |at: f64, span: Span| {
            let offset = (at - span.min) / span.width();
            (offset * (1_u64 << steps) as f64) as u32
        };
        let latitude = part(place.latitude, world.latitude);
        let longitude = part(place.longitude, world.longitude);
        let bits = spread(latitude) | spread(longitude) << 1;
        Self { bits, steps }
    }

    /// Its area in the world of scores.
    pub(super) fn area(self) -> Area {
        let cells = (1_u64 << self.steps) as f64;
        let span = |at: u32, world: Span| Span {
            min: world.min + (f64::from(at) / cells) * world.width(),
            max: world.min + (f64::from(at.wrapping_add(1)) / cells) * world.width(),
        };
        Area {
            longitude: span(gather(self.bits >> 1), WORLD.longitude),
            latitude: span(gather(self.bits), WORLD.latitude),
        }
    }

    /// The cell so many cells to the east and to the north, around the edges of the world.
    pub(super) fn moved(self, east: i8, north: i8) -> Self {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let mask = u64::MAX >> (64 - 2 * u32::from(self.steps));
        let step = |bits: u64, other: u64, by: i8| match by {
            0 => bits,
            // The carry runs over the other coordinate's bits, which are all set.
            1.. => bits.wrapping_add((other & mask).wrapping_add(1)),
            _ => (bits | other & mask).wrapping_sub((other & mask).wrapping_add(1)),
        };
        let mut longitude = step(self.bits & !EVEN, EVEN, east);
        if east != 0 {
            longitude &= !EVEN & mask;
        }
        let mut latitude = step(self.bits & EVEN, !EVEN, north);
        if north != 0 {
            latitude &= EVEN & mask;
        }
        Self {
            bits: longitude | latitude,
            ..self
        }
    }

    /// The scores of its members: from the first, included, to the second, excluded.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS_MAX - self.steps);
        let align = |bits: u64| (bits << shift) as f64;
        (align(self.bits), align(self.bits + 1))
    }
}

/// A double as an unsigned integer, as x86-64 converts it, whatever it is: a score can be any.
fn whole(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |value: f64| {
        let fits = (-HALF..HALF).contains(&value);
        if fits { value as i64 } else { i64::MIN }
    };
    if value >= HALF {
        signed(value - HALF) as u64 ^ 1 << 63
    } else {
        signed(value) as u64
    }
}

/// Puts a zero above each bit.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// Takes every other bit, from the lowest on.
fn gather(bits: u64) -> u32 {
    let mut x = bits & 0x5555_5555_5555_5555;
    x = (x | x >> 1) & 0x3333_3333_3333_3333;
    x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    ((x | x >> 16) & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(longitude: f64, latitude: f64) -> Place {
        Place {
            longitude,
            latitude,
        }
    }

    #[test]
    fn scores_are_those_of_redis() {
        // Palermo and Catania, from the documentation of GEOADD.
        let palermo = place(13.361389, 38.115556);
        assert_eq!(palermo.score(), 3_479_099_956_230_698.0);
        assert_eq!(place(15.087269, 37.502669).score(), 3_479_447_370_796_909.0);
        let found = Place::of_score(palermo.score());
        assert_eq!(found, place(13.361389338970184, 38.1155563954963));
    }

    #[test]
    fn any_score_has_a_place() {
        for score in [
            0.0,
            -1.0,
            0.5,
            1e15,
            1e19,
            1e300,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            assert!(Place::of_score(score).is_in_world(), "{score}");
        }
    }

    #[test]
    fn cells_have_neighbours_around_the_world() {
        let cell = Cell::of(place(179.9, 0.1), WORLD, 3);
        assert_eq!(cell.area().longitude.max, 180.0);
        assert_eq!(cell.moved(1, 0).area().longitude.min, -180.0);
        assert_eq!(
            cell.moved(-1, 0).area().longitude.max,
            cell.area().longitude.min
        );
        assert_eq!(
            cell.moved(0, 1).area().latitude.min,
            cell.area().latitude.max
        );
        assert_eq!(cell.moved(1, 1).moved(-1, -1), cell);
        let (from, to) = cell.scores();
        let score = place(179.9, 0.1).score();
        assert!(from <= score && score < to);
    }
}
