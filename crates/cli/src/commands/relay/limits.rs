//! What the system lets one process have.

/// The signal of a write beyond the limit on the size of files; the same number on every
/// architecture that Linux has it on but MIPS and PA-RISC.
#[cfg(target_os = "linux")]
pub(super) const SIGXFSZ: i32 = 25;

/// Descriptors beside those of connections: spool, sessions to the service, standard streams.
#[cfg(unix)]
const OTHER_DESCRIPTORS: u64 = 100;

/// Raises the number of open files to what the system allows, and says when that is too few for
/// the connections that are configured. More are refused while all are in use, and nothing is
/// lost by it.
#[cfg(unix)]
pub(super) fn raise(connections_max: u32) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A system that does not let us have its maximum leaves us what we had.
    if setrlimit(Resource::Nofile, limit).is_err() {
        limit = getrlimit(Resource::Nofile);
    }
    let wanted = u64::from(connections_max) + OTHER_DESCRIPTORS;
    if let Some(descriptors) = limit.current.filter(|descriptors| *descriptors < wanted) {
        tracing::warn!(
            descriptors,
            wanted,
            "fewer open files are allowed than `relay.connections_max` needs; see LimitNOFILE"
        );
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub(super) const fn raise(_connections_max: u32) {}
