//! The syntax of a command: a line that says which words it takes.
//!
//! ```text
//! key value [condition(NX|XX)] [GET] [expiration(EX seconds|PX milliseconds|KEEPTTL)]
//!
//! word             an argument; its type follows from its name (`type_of`), or stands behind a
//!                  colon: `increment:double`
//! WORD             a keyword, sent as it is; `name=WORD` has another name
//! WORD argument    an argument or a group behind a keyword
//! name(a b)        a group of elements; name(A|b c) one of several
//! [element]        may be left out; `[a b]` and `[A|b]` are groups named by their elements
//! element ...      once or more; `[WORD element] ...` repeats the keyword, too
//! ```
//!
//! The arity comes from it when the crate is compiled (`arity`), `COMMAND DOCS` and the random
//! commands of the differential tests come from it when they are asked for ([`parse`]).

/// An element of a command's syntax, as `COMMAND DOCS` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Which words it stands for.
    pub kind: Kind,
    /// The keyword before it, or the keyword that it is.
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Is repeated together with its keyword.
    pub multiple_token: bool,
}

/// The kind of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A keyword alone.
    Token,
    /// A word of the client's choice.
    Word(Type),
    /// Any of these.
    OneOf(Vec<Argument>),
    /// All of these.
    Block(Vec<Argument>),
}

/// The type of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word Redis' documentation uses")]
pub enum Type {
    Key,
    Integer,
    Double,
    UnixTime,
    Pattern,
    String,
}

impl Kind {
    /// The word that `COMMAND DOCS` uses.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Token => "pure-token",
            Kind::OneOf(_) => "oneof",
            Kind::Block(_) => "block",
            Kind::Word(of) => of.word(),
        }
    }
}

impl Type {
    const ALL: [Type; 6] = [
        Type::Key,
        Type::Integer,
        Type::Double,
        Type::UnixTime,
        Type::Pattern,
        Type::String,
    ];

    const fn word(self) -> &'static str {
        match self {
            Type::Key => "key",
            Type::Integer => "integer",
            Type::Double => "double",
            Type::UnixTime => "unix-time",
            Type::Pattern => "pattern",
            Type::String => "string",
        }
    }
}

/// The type that arguments of this name have in nearly every command of Redis.
fn type_of(name: &str) -> Type {
    match name {
        "key" | "key1" | "key2" | "newkey" | "source" | "destination" | "destkey" | "sourcekey" => {
            Type::Key
        }
        "bit" | "bits" | "client-id" | "count" | "db" | "decrement" | "destination-db" | "end"
        | "frequency" | "increment" | "index" | "len" | "limit" | "milliseconds" | "numkeys"
        | "numreplicas" | "offset" | "protover" | "rank" | "seconds" | "slot" | "start"
        | "stop" | "timeout" | "ttl" | "cursor" => Type::Integer,
        "score" | "longitude" | "latitude" | "radius" | "width" | "height" => Type::Double,
        "unix-time-seconds" | "unix-time-milliseconds" => Type::UnixTime,
        "pattern" => Type::Pattern,
        _ => Type::String,
    }
}

/// The elements of a syntax. A part that is not well-formed is read as far as it makes sense: a
/// test checks that every row's syntax is well-formed.
#[must_use]
pub fn parse(syntax: &'static str) -> Vec<Argument> {
    let mut parser = Parser { rest: syntax };
    let mut alternatives = parser.alternatives();
    alternatives.swap_remove(0)
}

struct Parser {
    rest: &'static str,
}

impl Parser {
    /// Sequences divided by `|`, up to the bracket that closes them.
    fn alternatives(&mut self) -> Vec<Vec<Argument>> {
        let mut all = vec![Vec::new()];
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.as_bytes().first() {
                None => return all,
                Some(b')' | b']') => {
                    self.rest = &self.rest[1..];
                    return all;
                }
                Some(b'|') => {
                    self.rest = &self.rest[1..];
                    all.push(Vec::new());
                }
                Some(_) => {
                    let element = self.element();
                    if let Some(last) = all.last_mut() {
                        last.extend(element);
                    }
                }
            }
        }
    }

    /// An element, with the dots behind it.
    fn element(&mut self) -> Option<Argument> {
        let bracketed = self.rest.starts_with('[');
        let mut element = if bracketed {
            self.rest = &self.rest[1..];
            let mut inner = group(None, self.alternatives())?;
            inner.optional = true;
            inner
        } else {
            self.atom()
        };
        if let Some(rest) = self.rest.trim_start().strip_prefix("...") {
            self.rest = rest;
            element.multiple = true;
            element.multiple_token = bracketed && element.token.is_some();
        }
        Some(element)
    }

    /// A keyword, an argument, a named group, or an argument or group behind a keyword.
    fn atom(&mut self) -> Argument {
        let end = self
            .rest
            .find([' ', '|', '(', ')', '[', ']'])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if let Some(rest) = rest.strip_prefix('(') {
            self.rest = rest;
            let name = Some(word.to_owned());
            return group(name, self.alternatives()).unwrap_or_else(|| Argument::word(word));
        }
        if let Some((name, token)) = word.split_once('=') {
            return Argument::token(name.to_owned(), token);
        }
        if !is_keyword(word) {
            return Argument::word(word);
        }
        let next = self.rest.trim_start();
        let takes_next = self.rest.starts_with(' ')
            && next.starts_with(|first: char| first.is_ascii_lowercase())
            && !next
                .split([' ', '|', ']', ')'])
                .next()
                .is_some_and(is_named_token);
        if !takes_next {
            return Argument::token(word.to_ascii_lowercase(), word);
        }
        self.rest = next;
        let mut argument = self.atom();
        argument.token = Some(word);
        if let Some(rest) = self.rest.strip_prefix(" ...") {
            self.rest = rest;
            argument.multiple = true;
        }
        argument
    }
}

/// The argument that alternatives of sequences are; a single element is itself.
fn group(name: Option<String>, mut alternatives: Vec<Vec<Argument>>) -> Option<Argument> {
    let kind = if alternatives.len() > 1 {
        let one = |sequence| block(None, sequence);
        Kind::OneOf(alternatives.into_iter().filter_map(one).collect())
    } else {
        let sequence = alternatives.pop()?;
        if name.is_none() || sequence.is_empty() {
            return block(name, sequence);
        }
        Kind::Block(sequence)
    };
    Some(Argument::grouped(name, kind))
}

fn block(name: Option<String>, mut sequence: Vec<Argument>) -> Option<Argument> {
    if sequence.len() == 1 {
        return sequence.pop();
    }
    (!sequence.is_empty()).then(|| Argument::grouped(name, Kind::Block(sequence)))
}

fn is_keyword(word: &str) -> bool {
    !word.is_empty() && !word.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_named_token(word: &str) -> bool {
    word.contains('=')
}

impl Argument {
    fn new(name: String, kind: Kind, token: Option<&'static str>) -> Self {
        Self {
            name,
            kind,
            token,
            optional: false,
            multiple: false,
            multiple_token: false,
        }
    }

    fn token(name: String, token: &'static str) -> Self {
        Self::new(name, Kind::Token, Some(token))
    }

    fn word(word: &str) -> Self {
        let named = Type::ALL.into_iter().find_map(|of| {
            let name = word.strip_suffix(of.word())?.strip_suffix(':')?;
            Some((name, of))
        });
        let (name, of) = named.unwrap_or((word, type_of(word)));
        Self::new(name.to_owned(), Kind::Word(of), None)
    }

    fn grouped(name: Option<String>, kind: Kind) -> Self {
        let (Kind::OneOf(parts) | Kind::Block(parts)) = &kind else {
            return Self::new(name.unwrap_or_default(), kind, None);
        };
        let joined = || {
            let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
            names.join("_")
        };
        Self::new(name.unwrap_or_else(joined), kind, None)
    }

    /// How many words it stands for at least.
    #[must_use]
    pub fn words_min(&self) -> usize {
        if self.optional {
            return 0;
        }
        let of = match &self.kind {
            Kind::Token => 0,
            Kind::Word(_) => 1,
            Kind::OneOf(parts) => parts.iter().map(Self::words_min).min().unwrap_or(0),
            Kind::Block(parts) => parts.iter().map(Self::words_min).sum(),
        };
        of + usize::from(self.token.is_some())
    }

    /// Whether it always stands for as many words.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        let all = |parts: &[Self]| parts.iter().all(Self::is_fixed);
        let as_many = |parts: &[Self]| {
            parts
                .windows(2)
                .all(|w| w[0].words_min() == w[1].words_min())
        };
        !self.optional
            && !self.multiple
            && match &self.kind {
                Kind::Token | Kind::Word(_) => true,
                Kind::OneOf(parts) => all(parts) && as_many(parts),
                Kind::Block(parts) => all(parts),
            }
    }
}

/// The number of words that a syntax takes behind `before` words of a name; below 0: so many at
/// least. A syntax whose brackets do not fit does not compile.
pub(crate) const fn arity(syntax: &str, before: i32) -> i32 {
    let (words, is_fixed, end) = count(syntax.as_bytes(), 0);
    assert!(end == syntax.len(), "brackets of a syntax fit");
    let words = words + before;
    if is_fixed { words } else { -words }
}

/// The least words of alternatives from `at` on, whether there are never more, and the place of the
/// bracket that closes them.
const fn count(syntax: &[u8], mut at: usize) -> (i32, bool, usize) {
    let (mut least, mut is_fixed, mut words) = (-1, true, 0);
    loop {
        let byte = if at < syntax.len() { syntax[at] } else { b')' };
        match byte {
            b')' | b']' | b'|' => {
                is_fixed &= least == -1 || least == words;
                if least == -1 || words < least {
                    least = words;
                }
                if byte != b'|' {
                    return (least, is_fixed, at);
                }
                words = 0;
                at += 1;
            }
            b' ' => at += 1,
            b'[' => {
                let (_, _, end) = count(syntax, at + 1);
                assert!(
                    end < syntax.len() && syntax[end] == b']',
                    "a [ is closed by ]"
                );
                (is_fixed, at) = (false, end + 1);
            }
            b'.' => (is_fixed, at) = (false, at + 1),
            _ => {
                while at < syntax.len() && !is_delimiter(syntax[at]) {
                    at += 1;
                }
                if at == syntax.len() || syntax[at] != b'(' {
                    words += 1;
                } else {
                    let (inner, inner_is_fixed, end) = count(syntax, at + 1);
                    assert!(
                        end < syntax.len() && syntax[end] == b')',
                        "a ( is closed by )"
                    );
                    is_fixed &= inner_is_fixed;
                    words += inner;
                    at = end + 1;
                }
            }
        }
    }
}

const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b' ' | b'|' | b'(' | b')' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element as short as possible: `?` optional, `*` multiple, `T` with its keyword.
    fn shown(argument: &Argument) -> String {
        let all = |parts: &[Argument], between: &str| {
            let parts: Vec<_> = parts.iter().map(shown).collect();
            format!("({})", parts.join(between))
        };
        let parts = match &argument.kind {
            Kind::Token | Kind::Word(_) => format!(":{}", argument.kind.word()),
            Kind::OneOf(parts) => all(parts, "|"),
            Kind::Block(parts) => all(parts, " "),
        };
        let token = argument.token.map(|token| format!("{token}="));
        let marks = [
            (argument.optional, "?"),
            (argument.multiple, "*"),
            (argument.multiple_token, "T"),
        ];
        let marks = marks.into_iter().filter(|(is_set, _)| *is_set);
        let marks: String = marks.map(|(_, mark)| mark).collect();
        format!(
            "{}{}{parts}{marks}",
            token.unwrap_or_default(),
            argument.name
        )
    }

    fn all_shown(syntax: &'static str) -> String {
        let all: Vec<_> = parse(syntax).iter().map(shown).collect();
        all.join(" ")
    }

    #[test]
    fn elements_are_what_the_line_says() {
        for (syntax, elements) in [
            ("", ""),
            ("key increment", "key:key increment:integer"),
            ("key increment:double", "key:key increment:double"),
            ("ip:port yes/no", "ip:port:string yes/no:string"),
            (
                "[GET] [change=CH]",
                "GET=get:pure-token? CH=change:pure-token?",
            ),
            ("key ...", "key:key*"),
            ("[key ...]", "key:key?*"),
            ("[GET pattern] ...", "GET=pattern:pattern?*T"),
            ("[KEYS key ...]", "KEYS=key:key?*"),
            (
                "key_value(key value) ...",
                "key_value(key:key value:string)*",
            ),
            (
                "[a|B c|d e]",
                "a_c_d_e(a:string|B=c:string|d_e(d:string e:string))?",
            ),
            (
                "[by(EX seconds|KEEP)]",
                "by(EX=seconds:integer|KEEP=keep:pure-token)?",
            ),
            (
                "[op(equal==|about=~)] *",
                "op(==equal:pure-token|~=about:pure-token)? *=*:pure-token",
            ),
            (
                "[index(start end [unit(BYTE|BIT)])]",
                "index(start:integer end:integer unit(BYTE=byte:pure-token|BIT=bit:pure-token)?)?",
            ),
            (
                "[op(GET ab(a b)|w([OV x(A|B)] y)) ...]",
                "op(GET=ab(a:string b:string)|w(OV=x(A=a:pure-token|B=b:pure-token)? y:string))?*",
            ),
        ] {
            assert_eq!(all_shown(syntax), elements, "{syntax}");
        }
    }

    #[test]
    fn the_arity_is_that_of_the_shortest_form() {
        for (syntax, expected) in [
            ("", 1),
            ("key", 2),
            ("key value [NX|XX]", -3),
            ("key ...", -2),
            ("[message]", -1),
            ("key_value(key value) ...", -3),
            ("status(ON|OFF)", 2),
            ("by(EX seconds|PERSIST)", -2),
            ("group(GROUP name) STREAMS streams(key ... id ...)", -6),
        ] {
            assert_eq!(arity(syntax, 1), expected, "{syntax}");
        }
    }
}
