//! Lua's patterns.
//!
//! Lua's own matcher (`lstrlib.c`) calls itself for each repetition and capture of the pattern,
//! without a bound: a long pattern breaks the stack. And a pattern of many repetitions can take
//! longer than the universe. Our matcher has a bound on its depth, and asks now and then whether it
//! may go on.

use crate::patience::Patience;

/// The most captures (`LUA_MAXCAPTURES`).
const CAPTURES: usize = 32;
/// The deepest recursion; Lua 5.2 and later have 200.
const DEPTH: u32 = 250;

/// A captured part of the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capture {
    /// From a start to an end.
    Part(usize, usize),
    /// A position, counted from 1.
    Position(usize),
}

/// A capture while the match is looked for.
#[derive(Debug, Clone, Copy)]
struct Open {
    start: usize,
    length: Length,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Length {
    Unfinished,
    Position,
    Known(usize),
}

/// Why a pattern cannot be matched: a text for the script, or an error to raise as it is.
pub(crate) enum Failure {
    Text(&'static str),
    Raised(mlua::Error),
}

impl From<&'static str> for Failure {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

/// Matches a pattern against a subject.
pub(crate) struct Matcher<'a> {
    subject: &'a [u8],
    /// The pattern up to its first zero, where C ends it. Beyond its end are zeros.
    pattern: &'a [u8],
    patience: Patience<'a>,
    captures: [Open; CAPTURES],
    level: usize,
    depth: u32,
}

type Found = Result<Option<usize>, Failure>;

impl<'a> Matcher<'a> {
    pub(crate) fn new(subject: &'a [u8], pattern: &'a [u8], patience: Patience<'a>) -> Self {
        let end = pattern
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(pattern.len());
        let pattern = &pattern[..end];
        let captures = [Open {
            start: 0,
            length: Length::Unfinished,
        }; CAPTURES];
        Self {
            subject,
            pattern,
            patience,
            captures,
            level: 0,
            depth: 0,
        }
    }

    /// The end of a match that begins exactly at `start`.
    pub(crate) fn at(&mut self, start: usize) -> Found {
        self.level = 0;
        self.find(start, 0)
    }

    /// The number of captures of the last match.
    pub(crate) fn captured(&self) -> usize {
        self.level
    }

    /// A capture of the last match, from `start` to `end`; without captures the whole match.
    pub(crate) fn capture(
        &self,
        index: usize,
        start: usize,
        end: usize,
    ) -> Result<Capture, Failure> {
        if index >= self.level {
            if index > 0 {
                return Err("invalid capture index".into());
            }
            return Ok(Capture::Part(start, end));
        }
        let open = self.captures[index];
        match open.length {
            Length::Unfinished => Err("unfinished capture".into()),
            Length::Position => Ok(Capture::Position(open.start + 1)),
            Length::Known(length) => Ok(Capture::Part(open.start, open.start + length)),
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    /// The end of a match of the pattern from `p` on, at `s`.
    fn find(&mut self, s: usize, p: usize) -> Found {
        if self.depth >= DEPTH {
            return Err("pattern too complex".into());
        }
        self.depth += 1;
        let found = self.find_here(s, p);
        self.depth -= 1;
        found
    }

    fn find_here(&mut self, mut s: usize, mut p: usize) -> Found {
        loop {
            self.patience.step(0).map_err(Failure::Raised)?;
            if p >= self.pattern.len() {
                return Ok(Some(s));
            }
            match (self.byte(p), self.byte(p + 1)) {
                (b'(', b')') => return self.start_capture(s, p + 2, Length::Position),
                (b'(', _) => return self.start_capture(s, p + 1, Length::Unfinished),
                (b')', _) => return self.end_capture(s, p + 1),
                (b'%', b'b') => match self.balance(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (b'%', b'f') => match self.frontier(s, p + 2)? {
                    Some(end) => p = end,
                    None => return Ok(None),
                },
                (b'%', digit) if digit.is_ascii_digit() => match self.again(s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                (b'$', _) if p + 1 == self.pattern.len() => {
                    return Ok((s == self.subject.len()).then_some(s));
                }
                _ => match self.item(s, p)? {
                    Item::Next(next, after) => (s, p) = (next, after),
                    Item::Done(end) => return Ok(end),
                },
            }
        }
    }

    /// A single character or class with its repetition.
    fn item(&mut self, s: usize, p: usize) -> Result<Item, Failure> {
        let end = self.class_end(p)?;
        let fits = self.fits(s, p, end);
        Ok(match self.byte(end) {
            b'?' => {
                if fits && let Some(found) = self.find(s + 1, end + 1)? {
                    return Ok(Item::Done(Some(found)));
                }
                Item::Next(s, end + 1)
            }
            b'*' => Item::Done(self.most(s, p, end)?),
            b'+' if fits => Item::Done(self.most(s + 1, p, end)?),
            b'-' => Item::Done(self.least(s, p, end)?),
            _ if fits && self.byte(end) != b'+' => Item::Next(s + 1, end),
            _ => Item::Done(None),
        })
    }

    /// As many repetitions as possible.
    fn most(&mut self, s: usize, p: usize, end: usize) -> Found {
        let mut count = 0;
        while self.fits(s + count, p, end) {
            count += 1;
        }
        self.patience.steps(count).map_err(Failure::Raised)?;
        loop {
            let found = self.find(s + count, end + 1)?;
            if found.is_some() || count == 0 {
                return Ok(found);
            }
            count -= 1;
        }
    }

    /// As few repetitions as possible.
    fn least(&mut self, mut s: usize, p: usize, end: usize) -> Found {
        loop {
            let found = self.find(s, end + 1)?;
            if found.is_some() {
                return Ok(found);
            }
            if !self.fits(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn start_capture(&mut self, s: usize, p: usize, length: Length) -> Found {
        if self.level >= CAPTURES {
            return Err("too many captures".into());
        }
        self.captures[self.level] = Open { start: s, length };
        self.level += 1;
        let found = self.find(s, p)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn end_capture(&mut self, s: usize, p: usize) -> Found {
        let mut open = self.captures[..self.level].iter();
        let open = open.rposition(|capture| capture.length == Length::Unfinished);
        let open = open.ok_or("invalid pattern capture")?;
        self.captures[open].length = Length::Known(s - self.captures[open].start);
        let found = self.find(s, p)?;
        if found.is_none() {
            self.captures[open].length = Length::Unfinished;
        }
        Ok(found)
    }

    /// The text of an earlier capture, again (`%1`).
    fn again(&mut self, s: usize, digit: u8) -> Found {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let capture = self.captures[..self.level].get(index);
        // A position has no text: C compares with its length, -2, which never fits.
        let (start, length) = match capture.map(|open| (open.start, open.length)) {
            Some((start, Length::Known(length))) => (start, length),
            Some((_, Length::Position)) => return Ok(None),
            _ => return Err("invalid capture index".into()),
        };
        self.patience.steps(length / 16).map_err(Failure::Raised)?;
        let text = &self.subject[start..start + length];
        Ok(self.subject[s..].starts_with(text).then_some(s + length))
    }

    /// `%bxy`: from an `x` to the `y` that balances it.
    fn balance(&mut self, s: usize, p: usize) -> Found {
        let (open, close) = (self.byte(p), self.byte(p + 1));
        if open == 0 || close == 0 {
            return Err("unbalanced pattern".into());
        }
        if self.subject.get(s) != Some(&open) {
            return Ok(None);
        }
        self.patience
            .steps(self.subject.len() - s)
            .map_err(Failure::Raised)?;
        let mut depth = 1;
        for (index, byte) in self.subject.iter().enumerate().skip(s + 1) {
            if *byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(index + 1));
                }
            } else if *byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: between a character outside and a character inside the set. Returns the pattern's
    /// place after it.
    fn frontier(&mut self, s: usize, p: usize) -> Found {
        if self.byte(p) != b'[' {
            return Err("missing '[' after '%f' in pattern".into());
        }
        let end = self.class_end(p)?;
        let before = s.checked_sub(1).map_or(0, |before| self.subject[before]);
        let here = self.subject.get(s).copied().unwrap_or(0);
        let fits = !self.in_set(before, p, end - 1) && self.in_set(here, p, end - 1);
        Ok(fits.then_some(end))
    }

    /// The end of the class that begins at `p`.
    fn class_end(&self, p: usize) -> Result<usize, Failure> {
        match self.byte(p) {
            b'%' if p + 1 >= self.pattern.len() => Err("malformed pattern (ends with '%')".into()),
            b'%' => Ok(p + 2),
            b'[' => {
                let mut at = p + 1;
                if self.byte(at) == b'^' {
                    at += 1;
                }
                loop {
                    if at >= self.pattern.len() {
                        return Err("malformed pattern (missing ']')".into());
                    }
                    let escape = self.byte(at) == b'%' && at + 1 < self.pattern.len();
                    at += if escape { 2 } else { 1 };
                    if self.byte(at) == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the character at `s` belongs to the class from `p` to `end`.
    fn fits(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.subject.get(s) else {
            return false;
        };
        match self.byte(p) {
            b'.' => true,
            b'%' => in_class(byte, self.byte(p + 1)),
            b'[' => self.in_set(byte, p, end - 1),
            single => single == byte,
        }
    }

    /// Whether a byte belongs to the set from the `[` at `p` to the `]` at `end`.
    fn in_set(&self, byte: u8, mut p: usize, end: usize) -> bool {
        let inside = self.byte(p + 1) != b'^';
        if !inside {
            p += 1;
        }
        p += 1;
        while p < end {
            if self.byte(p) == b'%' {
                if in_class(byte, self.byte(p + 1)) {
                    return inside;
                }
                p += 2;
            } else if self.byte(p + 1) == b'-' && p + 2 < end {
                if (self.byte(p)..=self.byte(p + 2)).contains(&byte) {
                    return inside;
                }
                p += 3;
            } else {
                if self.byte(p) == byte {
                    return inside;
                }
                p += 1;
            }
        }
        !inside
    }
}

/// The state after an item.
enum Item {
    /// Go on in subject and pattern.
    Next(usize, usize),
    /// The match ends there, or nowhere.
    Done(Option<usize>),
}

/// Whether a byte belongs to a class like `%a`; an upper-case class is the rest.
fn in_class(byte: u8, class: u8) -> bool {
    let belongs = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte == b' ' || (9..=13).contains(&byte),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    belongs != class.is_ascii_uppercase()
}
