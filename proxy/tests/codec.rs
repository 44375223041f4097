//! Properties of the request parser: how the bytes arrive does not matter, and no bytes make it
//! panic or loop.

use bytes::{Bytes, BytesMut};
use coterie_proxy::conn::codec::{Limits, Parser};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    bulk_bytes_max: 1 << 20,
    value_bytes_max: 1 << 20,
    trusted: true,
};

/// All commands of the input, fed in pieces of these sizes, and the error at its end, if any.
fn parse(input: &[u8], sizes: &[usize]) -> (Vec<Vec<Bytes>>, Option<String>) {
    let (mut parser, mut buffer, mut args) = (Parser::default(), BytesMut::new(), Vec::new());
    let (mut commands, mut rest, mut sizes) = (Vec::new(), input, sizes.iter().cycle());
    loop {
        loop {
            match parser.next(&mut buffer, &LIMITS, &mut args) {
                Ok(true) => commands.push(args.clone()),
                Ok(false) => break,
                Err(error) => return (commands, Some(error.to_string())),
            }
        }
        if rest.is_empty() {
            return (commands, None);
        }
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        buffer.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
    }
}

fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6)
}

fn encode(commands: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    for words in commands {
        out.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            out.extend(format!("${}\r\n", word.len()).bytes());
            out.extend_from_slice(word);
            out.extend(b"\r\n");
        }
    }
    out
}

fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"*".to_vec()),
        Just(b"$".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\"".to_vec()),
        "[0-9]{1,3}".prop_map(String::into_bytes),
        "-?[0-9]{1,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..5),
        command().prop_map(|words| encode(&[words])),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn commands_come_out_as_they_went_in(
        commands in proptest::collection::vec(command(), 0..8),
        sizes in proptest::collection::vec(1usize..30, 1..10),
    ) {
        let (parsed, error) = parse(&encode(&commands), &sizes);
        prop_assert_eq!(error, None);
        let expected: Vec<Vec<Bytes>> = commands
            .into_iter()
            .map(|words| words.into_iter().map(Bytes::from).collect())
            .collect();
        prop_assert_eq!(parsed, expected);
    }

    #[test]
    fn any_split_gives_the_same(
        input in nearly_requests(),
        sizes in proptest::collection::vec(1usize..10, 1..10),
    ) {
        let whole = parse(&input, &[usize::MAX]);
        prop_assert_eq!(&parse(&input, &sizes), &whole);
        prop_assert_eq!(&parse(&input, &[1]), &whole);
    }

    #[test]
    fn garbage_never_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse(&input, &[7]);
    }
}
