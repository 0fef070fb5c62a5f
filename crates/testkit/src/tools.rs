//! The foreign programs that tests drive, and where `cargo xtask test` put them.

use std::path::{Path, PathBuf};

/// The folder of the checkout that holds what `cargo xtask test` installs for the tests.
///
/// # Panics
/// Never in a checkout: this crate lies two folders below its root.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("SENDAS_TOOLS") {
        return PathBuf::from(folder);
    }
    checkout().join(".tools")
}

/// The root of the checkout.
///
/// # Panics
/// Never in a checkout: this crate lies two folders below its root.
pub fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("the crate lies in crates/testkit")
        .to_owned()
}

/// A program of the machine.
///
/// # Panics
/// When it is not on the search path; the text says how to install it.
pub fn program(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("{name} is not installed: {HOW}"))
}

/// The Python interpreter with the packages that tests use.
///
/// # Panics
/// When it is not there; the text says how to install it.
pub fn python() -> PathBuf {
    expect_file(folder().join("python/bin/python"))
}

/// The Node interpreter: the one `cargo xtask test` brought because the machine's is missing or too
/// old, else the machine's. Scripts find their packages by [`node_modules`].
///
/// # Panics
/// When it is not there; the text says how to install it.
pub fn node() -> PathBuf {
    let own = folder().join("python/bin/node");
    if own.exists() { own } else { program("node") }
}

/// `smtp-source`, the test generator of Postfix: the machine's, or the one of the package that was
/// unpacked beside, with nothing of it installed or started.
///
/// # Panics
/// When it is not there; the text says how to install it.
#[cfg(feature = "net")]
pub fn smtp_source() -> crate::process::Program {
    use crate::process::Program;

    if let Some(path) = find("smtp-source") {
        return Program::new(path);
    }
    let package = unpacked("postfix");
    Program::new(expect_file(package.join("usr/sbin/smtp-source")))
        .env("LD_LIBRARY_PATH", package.join("usr/lib/postfix"))
}

/// The folder in which a package of Debian lies unpacked: it is used from there, and nothing of it
/// is installed or started.
///
/// # Panics
/// When it is not there; the text says how to install it.
pub fn unpacked(package: &str) -> PathBuf {
    expect_file(folder().join("debian").join(package))
}

/// The folder of Node packages that tests use, for `NODE_PATH`.
///
/// # Panics
/// When it is not there; the text says how to install it.
pub fn node_modules() -> PathBuf {
    expect_file(folder().join("node/node_modules"))
}

const HOW: &str = "`cargo xtask test` installs it (only that: `cargo xtask tools`)";

fn expect_file(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is not there: {HOW}", path.display());
    path
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has() {
        assert!(program("sh").is_absolute());
        assert!(checkout().join("Cargo.lock").is_file());
    }

    #[test]
    #[should_panic(expected = "`cargo xtask test` installs it")]
    fn says_how_to_install_what_is_missing() {
        program("no-such-program-anywhere");
    }
}
