//! The two ways out: data on standard output, talk on standard error.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use anstream::ColorChoice;
use serde_json::Value;

/// Writes data; a reader that has gone away is no failure of ours.
pub(crate) fn data(text: &str) -> io::Result<()> {
    octets(text.as_bytes())
}

/// Writes data that may be no text.
pub(crate) fn octets(octets: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(octets).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes one JSON document and a line end as data.
pub(crate) fn json(value: &Value) -> io::Result<()> {
    data(&format!("{value:#}\n"))
}

/// Writes talk. When nobody can be told, nobody is told.
pub(crate) fn say(text: &str) {
    let mut err = io::stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}

/// Writes one line of talk.
pub(crate) fn line(text: &str) {
    say(&format!("{text}\n"));
}

/// Says whether talk may have colours: a terminal, and nothing in `NO_COLOR`, `CLICOLOR`,
/// `CLICOLOR_FORCE` or `TERM` that speaks against it.
pub(crate) fn talk_has_colour() -> bool {
    !matches!(choice(&io::stderr()), ColorChoice::Never)
}

/// Says whether data may have colours.
pub(crate) fn data_has_colour() -> bool {
    !matches!(choice(&io::stdout()), ColorChoice::Never)
}

/// Makes text from elsewhere harmless for a terminal: what could move the cursor, change
/// colours or turn the direction of writing is written as `\u{…}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a stream takes colour. A dumb terminal takes none, not even where `CI` is set, which
/// is otherwise a sign of one that does.
fn choice(stream: &impl anstream::stream::RawStream) -> ColorChoice {
    if std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
        return ColorChoice::Never;
    }
    anstream::AutoStream::choice(stream)
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_could_act_on_a_terminal_is_written_out() {
        for (text, expected) in [
            ("plain ä", "plain ä"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\rb\u{7}", "a\\u{d}b\\u{7}"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{9b}b", "a\\u{9b}b"),
            ("two\nlines", "two\nlines"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }
}
