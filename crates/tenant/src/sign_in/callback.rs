//! What the browser says to our listener. Pure: octets in, a value out.

use zeroize::Zeroizing;

/// One request to the listener.
pub(super) enum Callback {
    /// The authority's answer with the code.
    Code(Zeroizing<String>),
    /// The authority's refusal, in its own words.
    Refused(String),
    /// Anything else: a favicon, a scanner, an answer to another question.
    Stranger,
}

/// Reads the head of a request. `hosts` are what its `Host` may be; `state` must come back as it
/// was sent, else the request is a stranger's whatever it says.
pub(super) fn read(head: &[u8], hosts: &[String], state: &str) -> Callback {
    let Ok(head) = std::str::from_utf8(head) else {
        return Callback::Stranger;
    };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Callback::Stranger;
    };
    let mut named = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    let (Some(host), None) = (named.next(), named.next()) else {
        return Callback::Stranger;
    };
    if !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return Callback::Stranger;
    }
    let Some(query) = target.strip_prefix("/?") else {
        return Callback::Stranger;
    };
    let pairs: Vec<(String, Zeroizing<String>)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())))
        .collect();
    let one = |wanted: &str| {
        let mut found = pairs.iter().filter(|(name, _)| name == wanted);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    };
    let same = one("state").is_some_and(|found| {
        aws_lc_rs::constant_time::verify_slices_are_equal(found.as_bytes(), state.as_bytes())
            .is_ok()
    });
    if !same {
        return Callback::Stranger;
    }
    if let Some(error) = one("error") {
        let words = one("error_description").map_or("", |words| words.as_str());
        return Callback::Refused(crate::wire::words(&format!("{}: {words}", error.as_str())));
    }
    match one("code") {
        Some(code) if !code.is_empty() => Callback::Code(code.clone()),
        _ => Callback::Stranger,
    }
}

/// What the browser shows afterwards. Nothing of the request is repeated in it.
pub(super) fn page(title: &str, words: &str) -> String {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{words}</p></html>\n"
    );
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What a stranger is told.
pub(super) const NOTHING_HERE: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(line: &str, host: &str) -> String {
        let head = format!("{line}\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        let hosts = ["localhost:4711".to_owned(), "127.0.0.1:4711".to_owned()];
        match read(head.as_bytes(), &hosts, "st4te") {
            Callback::Code(code) => format!("code {}", code.as_str()),
            Callback::Refused(words) => format!("refused {words}"),
            Callback::Stranger => "stranger".into(),
        }
    }

    #[test]
    fn only_the_answer_to_our_question_counts() {
        for (line, expected) in [
            ("GET /?code=c0de&state=st4te HTTP/1.1", "code c0de"),
            (
                "GET /?state=st4te&code=a%2Bb&session_state=x HTTP/1.1",
                "code a+b",
            ),
            (
                "GET /?error=access_denied&error_description=no+way&state=st4te HTTP/1.1",
                "refused access_denied: no way",
            ),
            ("GET /?code=c0de&state=other HTTP/1.1", "stranger"),
            ("GET /?code=c0de HTTP/1.1", "stranger"),
            ("GET /?error=access_denied HTTP/1.1", "stranger"),
            (
                "GET /?code=c0de&state=st4te&state=st4te HTTP/1.1",
                "stranger",
            ),
            ("GET /?code=a&code=b&state=st4te HTTP/1.1", "stranger"),
            ("GET /?code=&state=st4te HTTP/1.1", "stranger"),
            ("GET /x?code=c0de&state=st4te HTTP/1.1", "stranger"),
            ("GET /favicon.ico HTTP/1.1", "stranger"),
            ("POST /?code=c0de&state=st4te HTTP/1.1", "stranger"),
            ("GET /?code=c0de&state=st4te HTTP/2", "stranger"),
            ("", "stranger"),
        ] {
            assert_eq!(seen(line, "localhost:4711"), expected, "{line}");
        }
        let good = "GET /?code=c0de&state=st4te HTTP/1.1";
        assert_eq!(seen(good, "127.0.0.1:4711"), "code c0de");
        for host in ["evil.example:4711", "localhost", "localhost:4712", ""] {
            assert_eq!(seen(good, host), "stranger", "{host}");
        }
        assert_eq!(
            seen(good, "localhost:4711\r\nHost: localhost:4711"),
            "stranger"
        );
    }
}
