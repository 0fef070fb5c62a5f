//! Host names and domains.

/// Says whether a text is a host name of letters, digits, hyphens and dots, or one with
/// letters beyond ASCII (RFC 6531); never one that could end a path or a line.
pub(crate) fn domain(text: &str) -> bool {
    text.len() <= 255
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}
