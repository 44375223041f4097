//! The area of a search: whether a place is in it, and the cells that cover it.
//!
//! Source: Redis `geohash_helper.c`; of polygons Valkey's. Arithmetic and its order are theirs.

use super::cell::{Area, Cell, LATITUDE_MAX, LONGITUDE_MAX, Place, STEPS_MAX, Span, WORLD};
use super::distance::{degrees, distance, is_surely_further, latitudes, longitudes, radians};
use super::trig::{asin, cos, sin};

/// Half of the equator in the projection, in metres.
const MERCATOR_MAX: f64 = 20037726.37;

/// An area.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// Distances are from here.
    pub(super) center: Place,
    pub(super) outline: Outline,
    /// The metres of the unit that lengths are given in.
    pub(super) unit: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outline {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
    Polygon { corners: Vec<Place> },
}

impl Shape {
    /// A polygon, and its middle: that of its corners on the sphere.
    pub(super) fn polygon(corners: Vec<Place>) -> Self {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
            x += cos(latitude) * cos(longitude);
            y += cos(latitude) * sin(longitude);
            z += sin(latitude);
        }
        let across = (x * x + y * y).sqrt();
        Self {
            center: Place {
                longitude: degrees(direction(y, x)),
                latitude: degrees(direction(z, across)),
            },
            outline: Outline::Polygon { corners },
            unit: 1.0,
        }
    }

    /// The distance of a place from the centre in metres, if the place is in the area.
    pub(super) fn distance_inside(&self, place: Place) -> Option<f64> {
        let center = self.center;
        match &self.outline {
            Outline::Circle { radius } => {
                let radius = radius * self.unit;
                if is_surely_further(center, place, radius) {
                    return None;
                }
                let distance = distance(center, place);
                // Like Redis: a distance that is no number is inside.
                let is_outside = distance > radius;
                (!is_outside).then_some(distance)
            }
            Outline::Box { width, height } => {
                let (width, height) = (width * self.unit, height * self.unit);
                if is_surely_further(center, place, height / 2.0) {
                    return None;
                }
                let beside = Place {
                    longitude: center.longitude,
                    ..place
                };
                let above = Place {
                    latitude: center.latitude,
                    ..place
                };
                let is_out =
                    distance(place, beside) > width / 2.0 || distance(place, above) > height / 2.0;
                (!is_out).then(|| distance(center, place))
            }
            Outline::Polygon { corners } => {
                is_in_polygon(corners, place).then(|| distance(center, place))
            }
        }
    }

    /// The cells that cover the area, each once, in Redis' order: at most nine.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let bounds = self.bounds();
        let mut steps = steps_for(self.reach(bounds), self.center.latitude);
        let cell = |steps| Cell::of(self.center, WORLD, steps);
        if steps > 1 && !neighbours_reach(cell(steps), bounds) {
            steps -= 1;
        }
        let (middle, mut cells) = (cell(steps), vec![cell(steps)]);
        let area = middle.area();
        let is_needed = |east: i8, north: i8| {
            steps < 2
                || !(north < 0 && area.latitude.min < bounds.latitude.min
                    || north > 0 && area.latitude.max > bounds.latitude.max
                    || east < 0 && area.longitude.min < bounds.longitude.min
                    || east > 0 && area.longitude.max > bounds.longitude.max)
        };
        let around = [
            (0, 1),
            (0, -1),
            (1, 0),
            (-1, 0),
            (1, 1),
            (-1, 1),
            (1, -1),
            (-1, -1),
        ];
        for (east, north) in around {
            let cell = middle.moved(east, north);
            // Where the world has few cells, a neighbour to the east is also one to the west.
            if is_needed(east, north) && !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    /// The area between the longitudes and the latitudes that the shape reaches.
    fn bounds(&self) -> Area {
        let Place {
            longitude,
            latitude,
        } = self.center;
        let (height, width) = match &self.outline {
            Outline::Circle { radius } => (self.unit * radius, self.unit * radius),
            Outline::Box { width, height } => {
                (self.unit * (height / 2.0), self.unit * (width / 2.0))
            }
            Outline::Polygon { corners } => return bounds_of(corners),
        };
        let up = latitudes(height);
        // The meridians are nearest to each other at the end towards the pole.
        let end = if latitude < 0.0 {
            latitude - up
        } else {
            latitude + up
        };
        let aside = longitudes(width, end);
        Area {
            longitude: Span {
                min: longitude - aside,
                max: longitude + aside,
            },
            latitude: Span {
                min: latitude - up,
                max: latitude + up,
            },
        }
    }

    /// The metres from the centre that cells must cover.
    fn reach(&self, bounds: Area) -> f64 {
        let metres = match &self.outline {
            Outline::Circle { radius } => *radius,
            Outline::Box { width, height } => {
                let (x, y) = (width / 2.0, height / 2.0);
                (x * x + y * y).sqrt()
            }
            Outline::Polygon { .. } => {
                let Area {
                    longitude: x,
                    latitude: y,
                } = bounds;
                let corners = [
                    (x.min, y.max),
                    (x.max, y.max),
                    (x.min, y.min),
                    (x.max, y.min),
                ];
                let distances = corners.map(|(longitude, latitude)| {
                    let corner = Place {
                        longitude,
                        latitude,
                    };
                    distance(self.center, corner)
                });
                distances.into_iter().fold(0.0, f64::max)
            }
        };
        metres * self.unit
    }
}

/// How many steps make cells so large that nine of them cover a circle.
fn steps_for(metres: f64, latitude: f64) -> u8 {
    if metres == 0.0 {
        return STEPS_MAX;
    }
    let (mut steps, mut metres) = (1_i32, metres);
    while metres < MERCATOR_MAX {
        metres *= 2.0;
        steps += 1;
    }
    // So that the circle is covered in most cases, and more towards the poles.
    steps -= 2;
    if latitude.abs() > 66.0 {
        steps -= 1;
    }
    if latitude.abs() > 80.0 {
        steps -= 1;
    }
    steps.clamp(1, i32::from(STEPS_MAX)) as u8
}

/// Whether a cell with its neighbours covers these bounds.
fn neighbours_reach(cell: Cell, bounds: Area) -> bool {
    let area = |east, north| cell.moved(east, north).area();
    !(area(0, 1).latitude.max < bounds.latitude.max
        || area(0, -1).latitude.min > bounds.latitude.min
        || area(1, 0).longitude.max < bounds.longitude.max
        || area(-1, 0).longitude.min > bounds.longitude.min)
}

fn bounds_of(corners: &[Place]) -> Area {
    let start = |limit: f64| Span {
        min: limit,
        max: -limit,
    };
    let grow = |span: &mut Span, at: f64| {
        span.min = span.min.min(at);
        span.max = span.max.max(at);
    };
    let mut bounds = Area {
        longitude: start(LONGITUDE_MAX),
        latitude: start(LATITUDE_MAX),
    };
    for corner in corners {
        grow(&mut bounds.longitude, corner.longitude);
        grow(&mut bounds.latitude, corner.latitude);
    }
    bounds
}

/// Whether a line from the place to the east crosses the outline an odd number of times.
fn is_in_polygon(corners: &[Place], place: Place) -> bool {
    let mut inside = false;
    let mut last = corners.last();
    for corner in corners {
        if let Some(other) = last
            && (corner.latitude > place.latitude) != (other.latitude > place.latitude)
        {
            let rise = (other.longitude - corner.longitude) * (place.latitude - corner.latitude);
            let crossing = rise / (other.latitude - corner.latitude) + corner.longitude;
            inside ^= place.longitude < crossing;
        }
        last = Some(corner);
    }
    inside
}

/// The angle of the direction (x, y), from -pi to pi.
fn direction(y: f64, x: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_2, PI};
    let length = (x * x + y * y).sqrt();
    if length == 0.0 {
        return 0.0;
    }
    // The sine tells the angle well only up to an eighth of a turn.
    let (up, along) = (y.abs() / length, x.abs() / length);
    let angle = if up < along {
        asin(up)
    } else {
        FRAC_PI_2 - asin(along)
    };
    let angle = if x < 0.0 { PI - angle } else { angle };
    if y < 0.0 { -angle } else { angle }
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

    fn circle(center: Place, radius: f64) -> Shape {
        Shape {
            center,
            outline: Outline::Circle { radius },
            unit: 1.0,
        }
    }

    #[test]
    fn every_place_inside_is_in_a_cell() {
        let centers = [
            place(2.3, 48.8),
            place(-179.5, 10.0),
            place(20.0, -70.0),
            place(0.0, 0.0),
        ];
        for center in centers {
            for radius in [0.0, 0.5, 40.0, 3e3, 2e5, 4e6, 1e8] {
                let shape = circle(center, radius);
                let cells = shape.cells();
                for (x, y) in [(0.0, 0.0), (0.9, 0.0), (-0.6, 0.6), (0.0, -0.9), (0.5, 0.5)] {
                    let latitude = center.latitude + latitudes(radius.min(4e6)) * y;
                    let aside = longitudes(radius.min(4e6), center.latitude) * x;
                    let there = place(center.longitude + aside, latitude);
                    if !there.is_in_world() || shape.distance_inside(there).is_none() {
                        continue;
                    }
                    let score = there.score();
                    let is_covered = |cell: &Cell| {
                        let (from, to) = cell.scores();
                        from <= score && score < to
                    };
                    assert!(
                        cells.iter().any(is_covered),
                        "{center:?} {radius} {there:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_cell_is_there_twice() {
        for radius in [1e3, 1e6, 4e6, 6e6, 2e7, 1e9] {
            for center in [place(14.9, 52.5), place(-179.9, -80.0), place(0.0, 0.0)] {
                let cells = circle(center, radius).cells();
                for (at, cell) in cells.iter().enumerate() {
                    assert!(!cells[..at].contains(cell), "{center:?} {radius}");
                }
            }
        }
        assert_eq!(
            circle(place(14.9, 52.5), 1e9).cells().len(),
            4,
            "the whole world"
        );
    }

    #[test]
    fn polygons_hold_what_their_outline_encloses() {
        let corners = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0)];
        let corners = corners.map(|(x, y)| place(x, y)).to_vec();
        let shape = Shape::polygon(corners);
        let is_inside = |x, y| shape.distance_inside(place(x, y)).is_some();
        assert!(is_inside(0.5, 0.5) && is_inside(3.5, 2.0) && is_inside(0.1, 3.0));
        assert!(!is_inside(2.0, 3.0) && !is_inside(5.0, 1.0) && !is_inside(-1.0, 0.5));
        assert!(
            (shape.center.longitude - 2.0).abs() < 0.01,
            "{:?}",
            shape.center
        );
        assert!(
            (shape.center.latitude - 1.8).abs() < 0.01,
            "{:?}",
            shape.center
        );
    }

    #[test]
    fn directions_are_those_of_the_c_library() {
        for degrees in -179..180 {
            let angle = radians(f64::from(degrees));
            let (y, x) = (angle.sin(), angle.cos());
            assert!((direction(y, x) - y.atan2(x)).abs() < 1e-15, "{degrees}");
        }
    }
}
