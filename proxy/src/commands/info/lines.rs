//! A section of `INFO` as text.

/// The section with this title.
pub(super) fn lines(title: &str, pairs: &[(&str, String)]) -> String {
    let mut text = format!("# {title}\r\n");
    for (name, value) in pairs {
        text.push_str(&format!("{name}:{value}\r\n"));
    }
    text
}
