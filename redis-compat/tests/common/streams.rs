//! What a differential test has to know of streams: the Redis compared with is older than the one
//! whose words ours are, and its clock is another.

use bytes::Bytes;

use super::words;

/// The command as ours runs it: an id of the moment is the one that the real server gave.
pub(crate) fn our_form(args: &[Bytes], theirs: &Bytes) -> Vec<Bytes> {
    let mut args = args.to_vec();
    let is_add = args[0].eq_ignore_ascii_case(b"xadd");
    if is_add
        && theirs.starts_with(b"$")
        && let Some(start) = theirs.iter().position(|byte| *byte == b'\n')
        && let Some(id) = args[2..].iter_mut().find(|word| *word == "*")
        && theirs.len() > start + 3
    {
        *id = theirs.slice(start + 1..theirs.len() - 2);
    }
    args
}

/// Commands for the real server behind this one. Since Redis 7.2 a consumer is made also when it
/// gets nothing.
pub(crate) fn followers(args: &[Bytes], theirs: &Bytes) -> Vec<Vec<Bytes>> {
    if theirs.starts_with(b"-") {
        return Vec::new();
    }
    let create = |key: &Bytes, group: &Bytes, consumer: &Bytes| {
        let names = [key.clone(), group.clone(), consumer.clone()];
        [words("xgroup createconsumer"), names.to_vec()].concat()
    };
    match args[0].to_ascii_lowercase().as_slice() {
        b"xclaim" | b"xautoclaim" => vec![create(&args[1], &args[2], &args[3])],
        b"xreadgroup" => {
            let (mut at, mut names) = (1, None);
            while !args[at].eq_ignore_ascii_case(b"streams") {
                at += match args[at].to_ascii_lowercase().as_slice() {
                    b"group" => {
                        names = Some((&args[at + 1], &args[at + 2]));
                        3
                    }
                    b"noack" => 1,
                    _ => 2,
                };
            }
            let keys = &args[at + 1..][..(args.len() - at - 1) / 2];
            let (group, consumer) = names.unwrap();
            keys.iter()
                .map(|key| create(key, group, consumer))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Whether both replies are the same but for moments, and for what Redis tells since 7.2 or tells of
/// its memory.
pub(crate) fn agree(ours: &Bytes, theirs: &Bytes) -> bool {
    let unbalanced = |reply: &Bytes| reply.starts_with(b"-ERR Unbalanced ");
    if unbalanced(ours) && unbalanced(theirs) {
        return true;
    }
    let (ours, theirs) = (parse(&mut ours.clone()), parse(&mut theirs.clone()));
    is_same(&simplified(ours), &simplified(theirs))
}

/// A reply; a map is the list of its keys and values.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Leaf(Bytes),
    Moment(i64),
    List(Vec<Tree>),
}

fn parse(raw: &mut Bytes) -> Tree {
    let end = raw.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let line = raw.split_to(end);
    let count = || {
        std::str::from_utf8(&line[1..])
            .unwrap()
            .trim()
            .parse::<i64>()
            .unwrap()
    };
    match line[0] {
        b'$' if count() >= 0 => Tree::Leaf(raw.split_to(count() as usize + 2)),
        b'*' | b'~' if count() >= 0 => Tree::List((0..count()).map(|_| parse(raw)).collect()),
        b'%' => Tree::List((0..2 * count()).map(|_| parse(raw)).collect()),
        _ => Tree::Leaf(line),
    }
}

/// Fields that are not compared.
const LEFT_OUT: [&[u8]; 4] = [
    b"active-time\r\n",
    b"inactive\r\n",
    b"radix-tree-keys\r\n",
    b"radix-tree-nodes\r\n",
];
const MOMENTS: [&[u8]; 2] = [b"idle\r\n", b"seen-time\r\n"];

fn simplified(tree: Tree) -> Tree {
    let Tree::List(items) = tree else {
        return tree;
    };
    let mut items: Vec<_> = items.into_iter().map(simplified).collect();
    // A pending entry: id, perhaps a consumer, a moment, deliveries.
    let count = items.len();
    if matches!(count, 3 | 4) && is_id(&items[0]) && integer(&items[count - 1]).is_some() {
        items[count - 2] = moment(&items[count - 2]);
    }
    let mut kept = Vec::new();
    let mut items = items.into_iter();
    while let Some(item) = items.next() {
        let is = |names: &[&[u8]]| matches!(&item, Tree::Leaf(name) if names.contains(&&name[..]));
        if is(&LEFT_OUT) {
            items.next();
        } else if is(&MOMENTS) {
            kept.push(item);
            kept.extend(items.next().map(|value| moment(&value)));
        } else {
            kept.push(item);
        }
    }
    Tree::List(kept)
}

fn moment(tree: &Tree) -> Tree {
    integer(tree).map_or_else(|| tree.clone(), Tree::Moment)
}

fn integer(tree: &Tree) -> Option<i64> {
    match tree {
        Tree::Leaf(text) => std::str::from_utf8(text.strip_prefix(b":")?)
            .ok()?
            .trim()
            .parse()
            .ok(),
        _ => None,
    }
}

fn is_id(tree: &Tree) -> bool {
    let Tree::Leaf(text) = tree else {
        return false;
    };
    let is_digit = |byte: &u8| byte.is_ascii_digit() || b"-\r\n".contains(byte);
    text.contains(&b'-') && text.iter().all(is_digit)
}

fn is_same(ours: &Tree, theirs: &Tree) -> bool {
    match (ours, theirs) {
        // A run takes less than ten seconds.
        (Tree::Moment(ours), Tree::Moment(theirs)) => (ours - theirs).abs() < 10_000,
        (Tree::List(ours), Tree::List(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| is_same(a, b))
        }
        (ours, theirs) => ours == theirs,
    }
}
