//! The path of a request, taken apart: `applications(appId='…')/addPassword` and its like.

/// The parts of a path below the version; a key in parentheses is a part of its own, `name=value`
/// when it has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// As written, percent signs decoded.
    pub(crate) written: Vec<String>,
    /// In lower case, to compare with.
    pub(crate) words: Vec<String>,
}

impl Parts {
    /// Takes the path after the version apart.
    pub(crate) fn of(path: &str) -> Self {
        let mut written = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let segment = decoded(segment);
            match segment.strip_suffix(')').and_then(|s| s.split_once('(')) {
                Some((name, key)) => {
                    written.push(name.to_owned());
                    written.push(match key.split_once('=') {
                        Some((name, value)) => format!("{name}={}", bare(value)),
                        None => bare(key).to_owned(),
                    });
                }
                None => written.push(segment),
            }
        }
        let words = written.iter().map(|part| part.to_lowercase()).collect();
        Self { written, words }
    }
}

fn bare(quoted: &str) -> &str {
    quoted
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(quoted)
}

/// A text with its percent signs decoded; a plus sign stays one.
pub(crate) fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_parentheses_are_parts() {
        let table = [
            ("/applications", vec!["applications"]),
            (
                "/applications/ab/addKey",
                vec!["applications", "ab", "addKey"],
            ),
            (
                "/applications(appId='ab')/addKey",
                vec!["applications", "appId=ab", "addKey"],
            ),
            (
                "/applications(appId=%27ab%27)",
                vec!["applications", "appId=ab"],
            ),
            ("/applications('a+b')", vec!["applications", "a+b"]),
            ("/x/members/$ref", vec!["x", "members", "$ref"]),
        ];
        for (path, parts) in table {
            assert_eq!(Parts::of(path).written, parts, "{path}");
        }
    }
}
