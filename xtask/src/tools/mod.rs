//! Installs what the tests drive: programs by apt, Python packages by pip, Node packages by npm.
//!
//! Python and Node packages go into `.tools` of the checkout, at the versions of `xtask/tools`; so
//! do packages of Debian that must not be installed, because their daemons would start.

mod debian;
mod scripts;
mod stamp;

use anyhow::Result;

use crate::workspace::Workspace;
use debian::Program;

const PROGRAMS: [Program; 13] = [
    Program {
        name: "chromium",
        probe: &["--version"],
        package: "chromium",
    },
    Program {
        name: "chromedriver",
        probe: &["--version"],
        package: "chromium-driver",
    },
    Program {
        name: "curl",
        probe: &["--version"],
        package: "curl",
    },
    Program {
        name: "msmtp",
        probe: &["--version"],
        package: "msmtp",
    },
    Program {
        name: "mutt",
        probe: &["-v"],
        package: "mutt",
    },
    Program {
        name: "perl",
        probe: &["-MNet::SSLeay", "-e", "1"],
        package: "libnet-ssleay-perl",
    },
    Program {
        name: "php",
        probe: &["--version"],
        package: "php-cli",
    },
    Program {
        name: "prlimit",
        probe: &["--version"],
        package: "util-linux",
    },
    Program {
        name: "python3",
        probe: &["-c", "import venv, ensurepip"],
        package: "python3-venv",
    },
    Program {
        name: "s-nail",
        probe: &["--version"],
        package: "s-nail",
    },
    Program {
        name: "strace",
        probe: &["--version"],
        package: "strace",
    },
    Program {
        name: "swaks",
        probe: &["--version"],
        package: "swaks",
    },
    Program {
        name: "systemd-creds",
        probe: &["--version"],
        package: "systemd",
    },
];

/// Programs in packages with a daemon that must not start here: used from where they lie, unless
/// the machine has them already.
const UNPACKED: [(&str, &str); 1] = [("smtp-source", "postfix")];

/// What only the benches need.
const BENCH_PROGRAMS: [Program; 1] = [Program {
    name: "time",
    probe: &["--version"],
    package: "time",
}];

/// Installs what is missing, that of the benches too.
pub(crate) fn install_for_benches(workspace: &Workspace) -> Result<()> {
    install(workspace)?;
    debian::programs(&BENCH_PROGRAMS)
}

/// Unpacks Postfix for the relay's benches, which run an instance of their own; a machine that has no
/// Debian packages measures without it.
pub(crate) fn unpack_postfix(workspace: &Workspace) {
    if let Err(error) = debian::unpacked(&workspace.tools(), "postfix") {
        println!("   {error:#}");
    }
}

/// What only `interop` needs.
const INTEROP_PROGRAMS: [Program; 1] = [Program {
    name: "ip",
    probe: &["-V"],
    package: "iproute2",
}];

/// Installs what is missing, that of `interop` too.
pub(crate) fn install_for_interop(workspace: &Workspace) -> Result<()> {
    install(workspace)?;
    debian::programs(&INTEROP_PROGRAMS)?;
    let folder = workspace.tools();
    debian::unpacked(&folder, "cron")?;
    let pins = workspace.root.join("xtask/tools/azure-cli.txt");
    scripts::python(&folder.join("az"), &pins)
}

/// Installs what is missing and says what it installs.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    println!("== tools");
    debian::programs(&PROGRAMS)?;
    let folder = workspace.tools();
    for (program, package) in UNPACKED {
        if !debian::has(program) {
            debian::unpacked(&folder, package)?;
        }
    }
    let pins = workspace.root.join("xtask/tools");
    scripts::python(&folder.join("python"), &pins.join("requirements.txt"))?;
    scripts::node(&folder, &pins)
}
