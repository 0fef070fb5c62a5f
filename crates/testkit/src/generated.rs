//! Pages that are written from data and must not fall behind it.

use std::path::Path;

/// The variable that makes [`check`] write the page instead of comparing it; `cargo xtask generate`
/// sets it.
pub const WRITE: &str = "SENDAS_GENERATE";

/// Compares the committed page at `path` with what the data gives now, or writes it when
/// [`WRITE`] is set.
///
/// # Panics
/// When the page differs, with the first line that does, or when it cannot be written.
pub fn check(path: &Path, now: &str) {
    if std::env::var_os(WRITE).is_some() {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("the checkout takes folders");
        }
        std::fs::write(path, now).expect("the checkout takes pages");
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    if let Some(difference) = first_difference(&committed, now) {
        panic!(
            "{} is out of date: {difference}\nrun `cargo xtask generate`",
            path.display()
        );
    }
}

fn first_difference(committed: &str, now: &str) -> Option<String> {
    if committed == now {
        return None;
    }
    let mut lines = committed.lines().zip(now.lines()).enumerate();
    Some(match lines.find(|(_, (committed, now))| committed != now) {
        Some((at, (committed, now))) => {
            format!("line {} says {committed:?}, should say {now:?}", at + 1)
        }
        None => "it has another length".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_difference() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(
            first_difference("a\nb\n", "a\nc\n").as_deref(),
            Some("line 2 says \"b\", should say \"c\"")
        );
        assert_eq!(
            first_difference("a\n", "a\nb\n").as_deref(),
            Some("it has another length")
        );
    }
}
