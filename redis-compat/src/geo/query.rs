//! The options of a search, in the order in which Redis reads and refuses them.
//!
//! Source: Redis `geo.c`, `georadiusGeneric`; of polygons Valkey's.

use bytes::Bytes;

use super::cell::Place;
use super::shape::{Outline, Shape};
use super::words::{place, radius, sides};
use crate::args::Words;
use crate::command::Part;
use crate::errors::{SYNTAX, error_lines};
use crate::{Args, CommandError, EvalError, number};

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A member without a place, to search around.
    pub(super) NO_PLACE = "ERR could not decode requested zset member";
    /// `COUNT` below 1.
    COUNT_BELOW_ONE = "ERR COUNT must be > 0";
    /// `ANY` alone.
    ANY_WITHOUT_COUNT = "ERR the ANY argument requires COUNT argument";
    /// `GEORADIUS` that stores, and replies with more than members.
    RADIUS_STORES = "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
        WITHCOORD options";
    /// `GEOSEARCHSTORE` with more than members.
    SEARCH_STORES = "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD \
        options";
    /// `BYPOLYGON` with a word that does not count corners.
    NO_CORNER_COUNT = "ERR invalid number of vertices";
    /// `BYPOLYGON` with fewer corners than make an area, or than it announces.
    FEW_CORNERS = "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices";
}

/// The commands that search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `GEORADIUS` and `GEORADIUSBYMEMBER`.
    Radius,
    /// Their forms that do not store.
    RadiusReadOnly,
    Search,
    SearchStore,
}

/// What the matches are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The nearest first.
    Nearest,
    /// The furthest first.
    Furthest,
}

/// The parts of a reply beside the member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct With {
    pub(super) distance: bool,
    pub(super) hash: bool,
    pub(super) place: bool,
}

impl With {
    pub(super) fn is_any(self) -> bool {
        self != Self::default()
    }
}

/// The key for the members that are found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Store {
    pub(super) key: Bytes,
    /// The scores are distances.
    pub(super) distances: bool,
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    /// `None` where only the key that is absent could tell it.
    pub(super) shape: Option<Shape>,
    pub(super) order: Option<Order>,
    /// The most matches, if there is a limit.
    pub(super) count: Option<usize>,
    /// The first matches that are found do.
    pub(super) any: bool,
    pub(super) with: With,
    pub(super) store: Option<Store>,
}

/// Finds the place of a member of the key; `None` if the key is absent.
pub(super) type Locate<'l> = &'l mut dyn FnMut(&[u8]) -> Result<Option<Place>, EvalError>;

/// The options of `GEORADIUS` and its like, behind the radius.
pub(super) fn of_radius(
    form: Form,
    words: Words<'_>,
    shape: Option<Shape>,
) -> Result<Query, EvalError> {
    let mut reader = Reader::new(form, words);
    let none = &mut |_: &[u8]| Ok(None);
    reader.read(none)?;
    reader.check()?;
    Ok(Query {
        shape,
        ..reader.query()
    })
}

/// The error of words that are wrong whatever the keys hold.
pub(super) fn wrong_words<T>(read: Result<T, EvalError>) -> Result<(), CommandError> {
    match read {
        Err(EvalError::Rejected(error)) => Err(error),
        Ok(_) | Err(EvalError::Fault(_)) => Ok(()),
    }
}

/// The options of `GEOSEARCH`, or of `GEOSEARCHSTORE`, which stores under a key.
pub(super) fn of_search(
    args: &Args<'_>,
    store: Option<Bytes>,
    locate: Locate<'_>,
) -> Result<Query, EvalError> {
    let (form, first) = match &store {
        Some(_) => (Form::SearchStore, 3),
        None => (Form::Search, 2),
    };
    let mut reader = Reader::new(form, args.options(first));
    reader.store = store.map(|key| Store {
        key,
        distances: false,
    });
    reader.read(locate)?;
    reader.check()?;
    reader.check_area(args.bytes(0))?;
    let shape = reader.shape();
    Ok(Query {
        shape,
        ..reader.query()
    })
}

/// The center of the area.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Center {
    /// `None` if the key is absent.
    Member(Option<Place>),
    Place(Place),
}

struct Reader<'a> {
    form: Form,
    words: Words<'a>,
    center: Option<Center>,
    outline: Option<(Outline, f64)>,
    order: Option<Order>,
    count: Option<usize>,
    any: bool,
    with: With,
    store: Option<Store>,
}

impl<'a> Reader<'a> {
    fn new(form: Form, words: Words<'a>) -> Self {
        Self {
            form,
            words,
            center: None,
            outline: None,
            order: None,
            count: None,
            any: false,
            with: With::default(),
            store: None,
        }
    }

    fn read(&mut self, locate: Locate<'_>) -> Result<(), EvalError> {
        while let Some(word) = self.words.next() {
            let keyword = word.keyword();
            match (keyword.as_str(), self.form) {
                ("withdist", _) => self.with.distance = true,
                ("withhash", _) => self.with.hash = true,
                ("withcoord", _) => self.with.place = true,
                ("any", _) => self.any = true,
                ("asc", _) => self.order = Some(Order::Nearest),
                ("desc", _) => self.order = Some(Order::Furthest),
                ("count", _) => self.count = Some(self.read_count()?),
                ("store", Form::Radius) => self.read_store(false)?,
                ("storedist", Form::Radius) => self.read_store(true)?,
                ("storedist", Form::SearchStore) => {
                    if let Some(store) = &mut self.store {
                        store.distances = true;
                    }
                }
                (option, Form::Search | Form::SearchStore) => self.read_area(option, locate)?,
                _ => return Err(SYNTAX.into()),
            }
        }
        Ok(())
    }

    fn read_count(&mut self) -> Result<usize, CommandError> {
        let count = self.words.int()?;
        match usize::try_from(count) {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(COUNT_BELOW_ONE),
        }
    }

    fn read_store(&mut self, distances: bool) -> Result<(), CommandError> {
        let key = self.words.value()?.clone();
        self.store = Some(Store { key, distances });
        Ok(())
    }

    /// Where to search: a center and an outline, each of one kind, or a polygon alone.
    fn read_area(&mut self, option: &str, locate: Locate<'_>) -> Result<(), EvalError> {
        let by = self.outline.as_ref().map(|(outline, _)| outline);
        let is_free = by.is_none();
        let is_circle = matches!(by, Some(Outline::Circle { .. }));
        let is_box = matches!(by, Some(Outline::Box { .. }));
        let is_polygon = matches!(by, Some(Outline::Polygon { .. }));
        let from_place = matches!(self.center, Some(Center::Place(_)));
        let from_member = matches!(self.center, Some(Center::Member(_)));
        match option {
            "frommember" if !from_place && !is_polygon => {
                let member = self.words.value()?;
                self.center = Some(Center::Member(locate(member)?));
            }
            "fromlonlat" if !from_member && !is_polygon => {
                let [longitude, latitude] = self.words.values()?;
                self.center = Some(Center::Place(place(longitude, latitude)?));
            }
            "byradius" if is_free || is_circle => {
                let [length, of] = self.words.values()?;
                let (radius, unit) = radius(length, of)?;
                self.outline = Some((Outline::Circle { radius }, unit));
            }
            "bybox" if is_free || is_box => {
                let [width, height, of] = self.words.values()?;
                let (width, height, unit) = sides(width, height, of)?;
                self.outline = Some((Outline::Box { width, height }, unit));
            }
            "bypolygon" if (is_free || is_polygon) && self.center.is_none() => {
                let corners = self.read_corners()?;
                self.outline = Some((Outline::Polygon { corners }, 1.0));
            }
            _ => return Err(SYNTAX.into()),
        }
        Ok(())
    }

    fn read_corners(&mut self) -> Result<Vec<Place>, CommandError> {
        let word = self.words.value()?;
        let count = number::parse_int(word).ok_or(NO_CORNER_COUNT)?;
        let count = usize::try_from(count).unwrap_or(0);
        if count < 3 || self.words.left() / 2 < count {
            return Err(FEW_CORNERS);
        }
        let mut corners = Vec::with_capacity(count);
        for _ in 0..count {
            let [longitude, latitude] = self.words.values()?;
            corners.push(place(longitude, latitude)?);
        }
        Ok(corners)
    }

    /// Options that do not go together.
    fn check(&self) -> Result<(), CommandError> {
        if self.store.is_some() && self.with.is_any() {
            return Err(match self.form {
                Form::SearchStore => SEARCH_STORES,
                _ => RADIUS_STORES,
            });
        }
        // `GEOSEARCH` complains of its area first.
        match self.form {
            Form::Search | Form::SearchStore => Ok(()),
            _ => self.check_any(),
        }
    }

    fn check_any(&self) -> Result<(), CommandError> {
        if self.any && self.count.is_none() {
            return Err(ANY_WITHOUT_COUNT);
        }
        Ok(())
    }

    fn check_area(&self, name: &[u8]) -> Result<(), CommandError> {
        let by = self.outline.as_ref().map(|(outline, _)| outline);
        if self.center.is_none() && !matches!(by, Some(Outline::Polygon { .. })) {
            let before = "exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(CommandError::quoting(before, name, ""));
        }
        if by.is_none() {
            let before = "exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(CommandError::quoting(before, name, ""));
        }
        self.check_any()
    }

    fn shape(&mut self) -> Option<Shape> {
        let (outline, unit) = self.outline.take()?;
        if let Outline::Polygon { corners } = outline {
            return Some(Shape::polygon(corners));
        }
        let center = match self.center? {
            Center::Place(center) => center,
            Center::Member(center) => center?,
        };
        Some(Shape {
            center,
            outline,
            unit,
        })
    }

    fn query(self) -> Query {
        // The nearest are meant, unless any will do.
        let is_limited = self.count.is_some() && !self.any;
        Query {
            shape: None,
            order: self.order.or(is_limited.then_some(Order::Nearest)),
            count: self.count,
            any: self.any,
            with: self.with,
            store: self.store,
        }
    }
}
