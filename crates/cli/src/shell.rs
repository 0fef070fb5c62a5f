//! Words of a command line as they can be pasted into a shell.

use std::borrow::Cow;

/// The word as one word of a POSIX shell, or of PowerShell on Windows; both read single quotes as
/// they are.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    let plain_here = |c: char| plain(c) || (cfg!(windows) && c == '\\');
    if !word.is_empty() && word.chars().all(plain_here) {
        return Cow::Borrowed(word);
    }
    let inner = if cfg!(windows) {
        word.replace('\'', "''")
    } else {
        word.replace('\'', "'\\''")
    };
    Cow::Owned(format!("'{inner}'"))
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn a_shell_reads_what_was_meant() {
        for word in ["plain/x-1.json", "a b", "o'neil $HOME `x`", "", "*", "ä"] {
            let script = format!("printf %s {}", super::quoted(word));
            let said = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), word);
        }
    }
}
