//! Address lists of header fields: `From`, `To`, `Cc`, `Bcc` (RFC 5322 §3.4).
//!
//! One strict reader for every place that needs one, so that what is judged is what is sent.
//! Groups are flattened, comments dropped, display names kept. What has two readings is refused.

use crate::address::{Address, AddressError};
use crate::limits::COMMENT_DEPTH_MAX;

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The display name without its quotes, as written: encoded words stay encoded.
    pub display: Option<String>,
    /// The address.
    pub address: Address,
}

/// Why a list cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// An entry's address does not parse.
    #[error("an entry of the list is no address: {0}")]
    Address(#[from] AddressError),
    /// A quote, comment, bracket or group that does not close, or closes twice.
    #[error("a {0} in the address list is not closed, or closed twice")]
    Unbalanced(&'static str),
    /// Comments nested too deep.
    #[error("comments in the address list nest deeper than {COMMENT_DEPTH_MAX}")]
    Depth,
    /// Text that belongs to no address.
    #[error("“{0}” in the address list belongs to no address")]
    Stray(String),
    /// A control character.
    #[error("the address list holds the control character {0:#04x}")]
    Control(u32),
}

/// Reads a whole list from an unfolded value; an empty list is no error.
///
/// # Errors
/// [`ListError`] for the first entry that is not plainly an address. Nothing is guessed.
pub fn parse(value: &str) -> Result<Vec<Entry>, ListError> {
    read(value, None)
}

/// Reads a list of a program on this machine, where `root` stands for `root@` and a domain.
///
/// # Errors
/// As [`parse`].
pub fn parse_local(value: &str, domain: &str) -> Result<Vec<Entry>, ListError> {
    read(value, Some(domain))
}

fn read(value: &str, domain: Option<&str>) -> Result<Vec<Entry>, ListError> {
    if let Some(control) = value.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(ListError::Control(control.into()));
    }
    let mut entries = Vec::new();
    let mut piece = Piece::default();
    let mut in_group = false;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '(' => {
                skip_comment(&mut chars)?;
                piece.gap();
            }
            ')' => return Err(ListError::Unbalanced("comment")),
            '"' => piece.quoted(quoted(&mut chars)?)?,
            '<' => piece.bracket(bracket(&mut chars)?)?,
            '>' => return Err(ListError::Unbalanced("bracket")),
            '[' => piece.literal(&mut chars)?,
            ':' => {
                if in_group || piece.address.is_some() {
                    return Err(ListError::Unbalanced("group"));
                }
                in_group = true;
                piece = Piece::default();
            }
            ',' => entries.extend(std::mem::take(&mut piece).finish(domain)?),
            ';' if in_group => {
                entries.extend(std::mem::take(&mut piece).finish(domain)?);
                in_group = false;
            }
            ';' => return Err(ListError::Unbalanced("group")),
            ' ' | '\t' => piece.gap(),
            c => piece.push(c)?,
        }
    }
    if in_group {
        return Err(ListError::Unbalanced("group"));
    }
    entries.extend(piece.finish(domain)?);
    Ok(entries)
}

/// What has been read of one entry.
#[derive(Default)]
struct Piece {
    /// Words outside brackets; a quoted string keeps its quotes.
    words: String,
    /// A space is due before the next word.
    due: bool,
    /// The text between brackets.
    address: Option<String>,
    /// The display name with its quotes resolved.
    display: String,
}

impl Piece {
    fn push(&mut self, c: char) -> Result<(), ListError> {
        if self.address.is_some() {
            return Err(ListError::Stray(c.into()));
        }
        self.space();
        self.words.push(c);
        self.display.push(c);
        Ok(())
    }

    fn quoted(&mut self, text: Quoted) -> Result<(), ListError> {
        if self.address.is_some() {
            return Err(ListError::Stray(text.raw));
        }
        self.space();
        self.words.push_str(&text.raw);
        self.display.push_str(&text.plain);
        Ok(())
    }

    fn literal(&mut self, chars: &mut std::str::Chars<'_>) -> Result<(), ListError> {
        self.push('[')?;
        for c in chars.by_ref() {
            self.push(c)?;
            if c == ']' {
                return Ok(());
            }
        }
        Err(ListError::Unbalanced("bracket"))
    }

    fn bracket(&mut self, text: String) -> Result<(), ListError> {
        if self.address.is_some() {
            return Err(ListError::Unbalanced("bracket"));
        }
        self.address = Some(text);
        Ok(())
    }

    fn gap(&mut self) {
        self.due = !self.words.is_empty();
    }

    fn space(&mut self) {
        if std::mem::take(&mut self.due) {
            self.words.push(' ');
            self.display.push(' ');
        }
    }

    fn finish(self, domain: Option<&str>) -> Result<Option<Entry>, ListError> {
        let parse = |text: &str| match domain {
            Some(domain) if !text.is_empty() && !text.contains('@') => {
                Address::parse(&format!("{text}@{domain}"))
            }
            _ => Address::parse(text),
        };
        if let Some(text) = self.address {
            let address = parse(&text)?;
            let display = (!self.display.is_empty()).then_some(self.display);
            return Ok(Some(Entry { display, address }));
        }
        if self.words.is_empty() {
            return Ok(None);
        }
        Ok(Some(Entry {
            display: None,
            address: parse(&self.words)?,
        }))
    }
}

struct Quoted {
    raw: String,
    plain: String,
}

/// A quoted string after its opening quote; `raw` has its quotes and escapes.
fn quoted(chars: &mut std::str::Chars<'_>) -> Result<Quoted, ListError> {
    let mut text = Quoted {
        raw: "\"".to_owned(),
        plain: String::new(),
    };
    while let Some(c) = chars.next() {
        text.raw.push(c);
        match c {
            '"' => return Ok(text),
            '\\' => {
                let next = chars.next().ok_or(ListError::Unbalanced("quote"))?;
                text.raw.push(next);
                text.plain.push(next);
            }
            c => text.plain.push(c),
        }
    }
    Err(ListError::Unbalanced("quote"))
}

/// The text between angle brackets; quotes inside may hold a bracket. Source routes
/// (RFC 5322 §4.4) are refused with the address.
fn bracket(chars: &mut std::str::Chars<'_>) -> Result<String, ListError> {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '>' => return Ok(text.trim_matches([' ', '\t']).to_owned()),
            '<' => return Err(ListError::Unbalanced("bracket")),
            '(' => skip_comment(chars)?,
            '"' => text.push_str(&quoted(chars)?.raw),
            c => text.push(c),
        }
    }
    Err(ListError::Unbalanced("bracket"))
}

/// Skips a comment after its opening parenthesis.
fn skip_comment(chars: &mut std::str::Chars<'_>) -> Result<(), ListError> {
    let mut depth = 1;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '(' if depth == COMMENT_DEPTH_MAX => return Err(ListError::Depth),
            '(' => depth += 1,
            ')' if depth == 1 => return Ok(()),
            ')' => depth -= 1,
            _ => {}
        }
    }
    Err(ListError::Unbalanced("comment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(value: &str) -> Vec<String> {
        let entries = parse(value).unwrap_or_else(|e| panic!("{value}: {e}"));
        entries.into_iter().map(|e| e.address.to_string()).collect()
    }

    #[test]
    fn reads_lists_groups_and_comments() {
        for (value, expected) in [
            ("", &[][..]),
            ("a@b.c", &["a@b.c"]),
            (
                "A B <a@b.c>, \"x, y\" <d@e.f> (note), g@h.i",
                &["a@b.c", "d@e.f", "g@h.i"],
            ),
            (
                "Team: a@b.c, D <d@e.f>;, g@h.i",
                &["a@b.c", "d@e.f", "g@h.i"],
            ),
            ("undisclosed-recipients:;", &[]),
            ("\"q r\"@example.com", &["\"q r\"@example.com"]),
            ("<\"q>r\"@example.com>", &["\"q>r\"@example.com"]),
            ("(one (two)) a@b.c", &["a@b.c"]),
            ("a@[192.0.2.1]", &["a@[192.0.2.1]"]),
            (", a@b.c ,,", &["a@b.c"]),
            ("=?utf-8?q?M=C3=BCller?= <m@b.c>", &["m@b.c"]),
        ] {
            assert_eq!(addresses(value), expected, "{value}");
        }
    }

    #[test]
    fn a_name_of_this_machine_gets_a_domain() {
        for (value, expected) in [
            ("root", Some("root@c.d")),
            ("root (Cron Daemon)", Some("root@c.d")),
            ("Cron <root>", Some("root@c.d")),
            ("a@b.c, root", Some("a@b.c root@c.d")),
            ("\"a b\"", Some("\"a b\"@c.d")),
            ("<>", None),
            ("a b", None),
            ("\"a@b\"", None),
        ] {
            let found = parse_local(value, "c.d").ok().map(|entries| {
                let all: Vec<_> = entries.iter().map(|e| e.address.to_string()).collect();
                all.join(" ")
            });
            assert_eq!(found.as_deref(), expected, "{value}");
        }
        assert!(parse("root").is_err());
    }

    #[test]
    fn keeps_display_names() {
        let entries = parse("\"Miller \\\"Joe\\\", Jr.\" <j@b.c>").unwrap();
        assert_eq!(entries[0].display.as_deref(), Some("Miller \"Joe\", Jr."));
    }

    #[test]
    fn refuses_what_has_two_readings() {
        for value in [
            "a b@c.d",
            "a@b.c d@e.f",
            "<a@b.c> x",
            "<a@b.c> <d@e.f>",
            "a@b.c <d@e.f",
            "a@b.c>",
            "\"open <a@b.c>",
            "(open a@b.c",
            "a@b.c)",
            "Group: a@b.c",
            "a@b.c;",
            "g: h: a@b.c;;",
            "just words",
            "<>",
            "<@route.x:a@b.c>",
            "a@b.c\nBcc: x@y.z",
            "a. b@c.d",
        ] {
            assert!(parse(value).is_err(), "{value:?} was accepted");
        }
        let deep = format!("{}a@b.c{}", "(".repeat(20), ")".repeat(20));
        assert_eq!(parse(&deep), Err(ListError::Depth));
    }

    proptest::proptest! {
        #[test]
        fn terminates_on_anything(value in "\\PC{0,200}") {
            drop(parse(&value));
        }
    }
}
