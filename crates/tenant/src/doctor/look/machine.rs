//! Files and limits of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use sendas_entra::{Claims, Credential};
use sendas_tls::TlsPolicy;

use crate::doctor::case::Case;
use crate::doctor::seen::{Look, Machine};

/// Reads what the machine shows of itself, on a thread that may wait.
pub(in crate::doctor) async fn look(case: &Case) -> Look<Machine> {
    let subject = case.subject.as_ref();
    let asked = Asked {
        temporary: case.host.temporary.clone(),
        credential: subject.and_then(|subject| subject.credential_file.clone()),
        files: case.configuration.files.clone(),
        tls: subject.map(|subject| subject.tls.clone()),
        federated: subject.and_then(|subject| match &subject.credential {
            Ok(credential @ Credential::Federated(_)) => Some(credential.clone()),
            _ => None,
        }),
    };
    tokio::task::spawn_blocking(move || asked.read())
        .await
        .map_err(|_| "the look was interrupted".into())
}

struct Asked {
    temporary: PathBuf,
    credential: Option<PathBuf>,
    files: Vec<PathBuf>,
    tls: Option<TlsPolicy>,
    federated: Option<Credential>,
}

impl Asked {
    fn read(self) -> Machine {
        let temporary = tempfile::tempfile_in(&self.temporary).err();
        Machine {
            temporary: temporary.map(|error| error.to_string()),
            open_files_max: open_files_max(),
            memory_octets: memory_octets(),
            credential_mode: self.credential.as_deref().and_then(mode),
            writable: self
                .files
                .into_iter()
                .filter(|path| mode(path).is_some_and(|mode| mode & 0o022 != 0))
                .collect(),
            trust: self
                .tls
                .and_then(|tls| tls.client_config().err())
                .map(|error| error.to_string()),
            federated: self.federated.map(|credential| match credential {
                Credential::Federated(file) => file
                    .read()
                    .map_err(|error| error.to_string())
                    .and_then(|text| Claims::decode(&text).map_err(|error| error.to_string())),
                _ => Err("it is no federated credential".to_owned()),
            }),
        }
    }
}

/// The soft limit of open files (Linux).
fn open_files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// The memory that can still be had (Linux).
fn memory_octets() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Whether group and others have no rights: the lowest six bits are empty.
pub(in crate::doctor) const fn is_private(mode: u32) -> bool {
    mode.trailing_zeros() >= 6
}

/// The permission bits of a file, where the system has them.
#[cfg(unix)]
pub(in crate::doctor) fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777)
}

/// The permission bits of a file, where the system has them.
#[cfg(not(unix))]
pub(in crate::doctor) fn mode(_: &Path) -> Option<u32> {
    None
}
