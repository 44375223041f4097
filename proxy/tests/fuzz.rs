//! Bytes of clients: however they are damaged, the parser gives commands or an error, the same for
//! any division into reads, and keeps no more than its limits.

use bytes::{Bytes, BytesMut};
use coterie_fuzz::fuzz;
use coterie_proxy::conn::codec::{Limits, Parser};

/// Small, so that seeds are near them.
const LIMITS: Limits = Limits {
    bulk_bytes_max: 400,
    value_bytes_max: 60,
    trusted: true,
};

#[derive(Debug, PartialEq)]
struct Parsed {
    commands: Vec<Vec<Bytes>>,
    /// The commands whose rest was dropped for its length.
    cut: Vec<usize>,
    error: Option<String>,
}

fn parse(input: &[u8], limits: &Limits, piece: usize) -> Parsed {
    let (mut parser, mut buffer, mut args) = (Parser::default(), BytesMut::new(), Vec::new());
    let mut parsed = Parsed {
        commands: Vec::new(),
        cut: Vec::new(),
        error: None,
    };
    for piece in input.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match parser.next(&mut buffer, limits, &mut args) {
                Ok(true) => {
                    if parser.take_cut().is_some() {
                        parsed.cut.push(parsed.commands.len());
                    }
                    parsed.commands.push(args.clone());
                }
                Ok(false) => break,
                Err(error) => {
                    parsed.error = Some(error.to_string());
                    return parsed;
                }
            }
        }
    }
    parsed
}

fn seeds() -> Vec<Vec<u8>> {
    let long = format!(
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$90\r\n{}\r\n",
        "v".repeat(90)
    );
    let many = format!("*200\r\n$4\r\nMGET\r\n{}", "$1\r\nk\r\n".repeat(199));
    let seeds: [&[u8]; 9] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n",
        b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*0\r\n*-1\r\n",
        b"SET k \"a \\x00 \\\" b\" 'c'\r\nPING\n\r\n",
        b"*2\r\n$3\r\nGET\r\n$-1\r\n",
        b"*1\r\n+OK\r\n",
        b"$3\r\nGET\r\n",
        long.as_bytes(),
        many.as_bytes(),
        b"",
    ];
    seeds.map(<[u8]>::to_vec).to_vec()
}

#[test]
fn requests_are_parsed_the_same_in_any_pieces() {
    fuzz(&seeds(), |input| {
        let whole = parse(input, &LIMITS, usize::MAX);
        for piece in [1, 3, 7] {
            assert_eq!(parse(input, &LIMITS, piece), whole, "pieces of {piece}");
        }
    });
}

#[test]
fn requests_of_strangers_are_parsed_or_refused() {
    let strangers = Limits {
        trusted: false,
        ..LIMITS
    };
    fuzz(&seeds(), |input| {
        let whole = parse(input, &strangers, usize::MAX);
        let held: usize = whole.commands.iter().flatten().map(Bytes::len).sum();
        assert!(held <= input.len(), "more than was sent");
    });
}
