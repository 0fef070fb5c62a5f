//! The search for secrets in everything a test run has printed.
//!
//! Every secret of the tests and of the sandbox carries a marker (`testkit::canary`). What the runner
//! printed, what each test printed, and what each program printed that a test has started lies in
//! one folder; a marker in it, in any encoding, fails the run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sendas_testkit::canary::Scanner;

/// Files in which a marker is no leak, by the end of their name, with the reason.
const DECLARED: [(&str, &str); 0] = [];

/// Where the output of started programs is kept.
pub(crate) fn programs(kept: &Path) -> PathBuf {
    kept.join("programs")
}

/// Removes what an earlier run has kept.
pub(crate) fn clear(kept: &Path) -> Result<()> {
    if kept.exists() {
        std::fs::remove_dir_all(kept)
            .with_context(|| format!("cannot empty {}", kept.display()))?;
    }
    Ok(std::fs::create_dir_all(kept)?)
}

/// Searches everything under `kept`.
pub(crate) fn check(kept: &Path) -> Result<()> {
    let scanner = Scanner::new();
    let mut files = Vec::new();
    list(kept, &mut files)?;
    let mut octets = 0;
    let mut found = Vec::new();
    for file in &files {
        let text = std::fs::read(file)?;
        octets += text.len();
        if DECLARED
            .iter()
            .any(|(end, _)| file.to_string_lossy().ends_with(end))
        {
            continue;
        }
        for hit in scanner.scan(&text) {
            let line = text[..hit.offset].split(|octet| *octet == b'\n').count();
            found.push(format!("{}:{line}: {}", file.display(), hit.what));
        }
    }
    println!("   searched {octets} octets in {} files", files.len());
    ensure!(
        octets > 0,
        "there is no output to search: the tests have not run"
    );
    if !found.is_empty() {
        bail!("secrets were printed:\n   {}", found.join("\n   "));
    }
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_secret_fails_the_run() {
        let kept = std::env::temp_dir().join(format!("sendas-canary-{}", std::process::id()));
        clear(&kept).unwrap();
        assert!(
            check(&kept)
                .unwrap_err()
                .to_string()
                .contains("have not run")
        );
        std::fs::create_dir_all(programs(&kept)).unwrap();
        std::fs::write(kept.join("tests.log"), "all is well\n").unwrap();
        check(&kept).unwrap();
        let leak = sendas_testkit::canary::secret("x");
        std::fs::write(programs(&kept).join("1.stderr"), format!("a\nb {leak}\n")).unwrap();
        let error = check(&kept).unwrap_err().to_string();
        assert!(
            error.contains("1.stderr:2: CANARY-SECRET, plain"),
            "{error}"
        );
        std::fs::remove_dir_all(&kept).unwrap();
    }
}
