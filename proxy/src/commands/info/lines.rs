//! A section of `INFO` as text.

/// The section with this title.
pub(super) fn lines(title: &str, pairs: &[(&str, String)]) -> String {
    let mut text = format!("# {title}\r\n");
    for (name, value) in pairs {
        text.push_str(&format!("{name}:{value}\r\n"));
    }
    text
}

/// The section with this title: fields with their values, then fields whose values never change.
pub(super) fn with_constants(
    title: &str,
    pairs: &[(&str, String)],
    constants: &[(&str, &str)],
) -> String {
    let mut text = lines(title, pairs);
    for (name, value) in constants {
        text.push_str(&format!("{name}:{value}\r\n"));
    }
    text
}
