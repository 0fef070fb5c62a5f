//! Hides what looks like a secret in a text that is about to be shown.
//!
//! A secret in the file is refused, and the complaint shows the line it stands in; whoever
//! reads the complaint over a shoulder or in a build log must not learn the secret.

/// Words that make the value behind them a secret.
const WORDS: &[&str] = &["secret", "password", "passwd", "token", "private"];

/// Replaces each secret by stars, octet for octet, so that places stay true.
///
/// Hidden are quoted texts behind `=` or `:` on a line whose key holds one of the words, the
/// lines of a multi-line text that starts there, and passwords inside addresses
/// (`scheme://user:password@host`). Values of `file` and `systemd` stay readable, and those
/// of `env` that can be a variable's name: they say where a secret is kept.
pub(crate) fn hidden(text: &str) -> String {
    let mut out: Vec<u8> = text.as_bytes().to_vec();
    values(text, &mut out);
    addresses(text, &mut out);
    String::from_utf8(out).expect("whole characters were replaced by as many stars as octets")
}

fn values(text: &str, out: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = text[at..].find('=') {
        let equals = at + found;
        at = equals + 1;
        let key = key_before(text, equals).to_ascii_lowercase();
        let secret = WORDS.iter().any(|word| key.contains(word));
        if !secret && key != "env" {
            continue;
        }
        let value = at + (text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len());
        let rest = &text[value..];
        let Some(quote) = ["\"\"\"", "'''", "\"", "'"]
            .iter()
            .find(|q| rest.starts_with(**q))
        else {
            continue;
        };
        let start = value + quote.len();
        let end = text[start..]
            .find(quote)
            .into_iter()
            .chain(
                (quote.len() == 1)
                    .then(|| text[start..].find('\n'))
                    .flatten(),
            )
            .min()
            .map_or(text.len(), |length| start + length);
        // A name of a variable stays readable; anything else under `env` is likely the secret.
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if secret || !text[start..end].chars().all(name) {
            star(out, start, end);
        }
        at = end;
    }
}

/// The bare or quoted key that ends before an equals sign.
fn key_before(text: &str, equals: usize) -> &str {
    let before = text[..equals].trim_end_matches([' ', '\t', '"', '\'']);
    let start = before
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    &before[start..]
}

fn addresses(text: &str, out: &mut [u8]) {
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let end = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\''))
            .map_or(text.len(), |length| start + length);
        let authority = &text[start..end];
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some(colon) = user.find(':')
        {
            star(out, start + colon + 1, start + user.len());
        }
        let whole = text[start..]
            .find(['"', '\'', '\n'])
            .map_or(text.len(), |l| start + l);
        if let Some(found) = text[start..whole].find("password=") {
            let value = start + found + "password=".len();
            let stop = text[value..whole]
                .find('&')
                .map_or(whole, |length| value + length);
            star(out, value, stop);
        }
    }
}

fn star(out: &mut [u8], start: usize, end: usize) {
    for octet in &mut out[start..end] {
        if *octet != b'\n' {
            *octet = b'*';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn secrets_become_stars_and_nothing_else_does() {
        let table = [
            ("secret = \"abc\"", "secret = \"***\""),
            (
                "credential = { secret='abc', x = 1 }",
                "credential = { secret='***', x = 1 }",
            ),
            ("client_secret = \"a", "client_secret = \"*"),
            ("\"Client-Secret\" = \"a\"", "\"Client-Secret\" = \"*\""),
            ("secret = \"\"\"a\nbc\"\"\"", "secret = \"\"\"*\n**\"\"\""),
            ("password=\"ä\"", "password=\"**\""),
            ("secret = { file = \"/x\" }", "secret = { file = \"/x\" }"),
            ("secret = { env = \"A_1\" }", "secret = { env = \"A_1\" }"),
            ("secret = { env = \"A~1\" }", "secret = { env = \"***\" }"),
            ("tenant = \"contoso.com\"", "tenant = \"contoso.com\""),
            ("postgres://u:pw@h/d", "postgres://u:**@h/d"),
            (
                "s = \"postgres://h/d?password=pw&x=1\"",
                "s = \"postgres://h/d?password=**&x=1\"",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(hidden(text), expected);
        }
    }
}
