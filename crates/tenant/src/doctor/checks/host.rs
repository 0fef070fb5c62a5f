//! This machine.

use super::checks;
use crate::doctor::check::{known, of, ok, problem, warning};

/// Open files below which many connections fail.
const OPEN_FILES_MIN: u64 = 1024;

/// Memory below which large messages fail, in octets.
const MEMORY_OCTETS_MIN: u64 = 64 * 1024 * 1024;

checks! { CHECKS, Host:
    "D-HOST-01" Nothing Machine [] "temporary files can be written"
        tests "a file is made in the temporary folder and removed"
        why "a message that is read from a pipe waits there until it is whole"
        fix "free space in the temporary folder, or name another one in TMPDIR"
        look |scene| Ok(match &of(&scene.seen.machine)?.temporary {
            None => ok(format!("{} takes files", scene.case.host.temporary.display())),
            Some(error) => problem(format!("{}: {error}", scene.case.host.temporary.display())),
        });
    "D-HOST-02" Nothing Machine [] "enough files may be open"
        tests "the soft limit of open files is 1,024 or more"
        why "each connection and each message under way is an open file"
        fix "ulimit -n 4096, or LimitNOFILE=4096 in the unit"
        look |scene| {
            let max = known(of(&scene.seen.machine)?.open_files_max, "this system")?;
            let seen = format!("{max} files may be open");
            Ok(if max >= OPEN_FILES_MIN { ok(seen) } else { warning(seen) })
        };
    "D-HOST-03" Nothing Machine [] "there is memory left"
        tests "64 MiB or more can be had"
        why "a process that gets no memory is killed in the middle of its work"
        fix "stop something, or give the machine more memory"
        look |scene| {
            let octets = known(of(&scene.seen.machine)?.memory_octets, "this system")?;
            let seen = format!("{} MiB can be had", octets / 1024 / 1024);
            Ok(if octets >= MEMORY_OCTETS_MIN { ok(seen) } else { warning(seen) })
        };
    "D-HOST-04" Nothing Given [] "a home folder is known"
        tests "HOME (APPDATA on Windows) is set"
        why "the user's own configuration is looked for there"
        fix "set HOME, or name the configuration with --config"
        look |scene| Ok(if scene.case.host.has_home {
            ok("it is set")
        } else if scene.case.configuration.files.is_empty() {
            warning("it is not set, and no configuration was found")
        } else {
            ok("it is not set, and the configuration was found elsewhere")
        });
}
