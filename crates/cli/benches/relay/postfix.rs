//! A Postfix of our own, from its unpacked package, in a folder that goes with it: it receives and
//! queues, and delivers nothing. Beside it smtp-source, its load generator.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sendas_testkit::tools;

use crate::generator::Taken;
use crate::{free_port, kernel};

/// Accounts that every Debian has and nothing runs as.
const OWNER: &str = "list";
const GROUP: &str = "games";

/// A running instance; dropping it ends it and its queue.
pub(crate) struct Postfix {
    folder: PathBuf,
    master: Child,
    pub(crate) port: u16,
}

/// The unpacked package, where `cargo xtask bench` has put it.
fn package() -> PathBuf {
    tools::folder().join("debian/postfix")
}

/// Why there is no Postfix to compare with.
pub(crate) fn missing() -> Option<&'static str> {
    if !package().join("usr/sbin/smtp-source").exists() {
        Some("it is not unpacked: `cargo xtask bench` does that on a Debian")
    } else if id("-u", "") != Some(0) {
        Some("its master process wants to be root")
    } else {
        None
    }
}

impl Postfix {
    pub(crate) fn start() -> Self {
        let folder = kernel::disk().join(format!("sendas-bench-postfix-{}", std::process::id()));
        let (root, port) = (package(), free_port());
        std::fs::create_dir(&folder).expect("a folder of our own");
        make_folders(&folder);
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join("etc").join(name), text).expect("a file of our own");
        };
        write("main.cf", &main_cf(&folder, &root));
        write("master.cf", &master_cf(port));
        let master = Command::new(root.join("usr/lib/postfix/sbin/master"))
            .arg("-c")
            .arg(folder.join("etc"))
            .env("MAIL_CONFIG", folder.join("etc"))
            .env("LD_LIBRARY_PATH", root.join("usr/lib/postfix"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package is unpacked");
        let postfix = Self {
            folder,
            master,
            port,
        };
        let address = format!("127.0.0.1:{port}");
        for _ in 0..200 {
            if std::net::TcpStream::connect(&address).is_ok() {
                return postfix;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("Postfix does not listen");
    }

    /// Processor time of all its processes so far.
    pub(crate) fn cpu(&self) -> Duration {
        kernel::cpu_of_family(self.master.id())
    }

    /// Forgets the queue, so that it does not grow from round to round.
    pub(crate) fn empty(&self) {
        for name in ["incoming", "active", "deferred", "defer", "bounce"] {
            remove_files(&self.folder.join("spool").join(name));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The master takes its children along when it is asked to end.
        let pid = self.master.id().to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
        drop(self.master.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Hands messages in by smtp-source, which waits for every reply.
pub(crate) fn smtp_source(
    port: u16,
    sender: &str,
    octets: usize,
    sessions: usize,
    messages: u64,
) -> Taken {
    let root = package();
    let begin = kernel::moment();
    let status = Command::new(root.join("usr/sbin/smtp-source"))
        .env("LD_LIBRARY_PATH", root.join("usr/lib/postfix"))
        .args([
            "-d",
            "-s",
            &sessions.to_string(),
            "-m",
            &messages.to_string(),
        ])
        .args([
            "-l",
            &octets.to_string(),
            "-f",
            sender,
            "-t",
            "someone@example.org",
        ])
        .arg(format!("127.0.0.1:{port}"))
        .status()
        .expect("the package is unpacked");
    assert!(status.success(), "smtp-source: {status}");
    Taken {
        messages,
        seconds: begin.elapsed().as_secs_f64(),
        waits: Vec::new(),
    }
}

fn main_cf(folder: &Path, root: &Path) -> String {
    let (folder, root) = (folder.display(), root.display());
    format!(
        "compatibility_level = 3.7\n\
         queue_directory = {folder}/spool\n\
         data_directory = {folder}/data\n\
         meta_directory = {folder}/etc\n\
         command_directory = {root}/usr/sbin\n\
         daemon_directory = {root}/usr/lib/postfix/sbin\n\
         shlib_directory = no\n\
         import_environment = MAIL_CONFIG LD_LIBRARY_PATH\n\
         export_environment = MAIL_CONFIG LD_LIBRARY_PATH\n\
         mail_owner = {OWNER}\n\
         setgid_group = {GROUP}\n\
         default_privs = nobody\n\
         inet_interfaces = loopback-only\n\
         inet_protocols = ipv4\n\
         myhostname = postfix.test\n\
         mydestination =\n\
         local_recipient_maps =\n\
         alias_maps =\n\
         alias_database =\n\
         mynetworks = 127.0.0.0/8\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\n\
         smtpd_peername_lookup = no\n\
         defer_transports = smtp\n\
         default_transport = smtp\n"
    )
}

fn master_cf(port: u16) -> String {
    let mut text = format!("127.0.0.1:{port} inet n - n - 100 smtpd\n");
    for line in [
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "flush unix n - n 1000? 0 flush",
        "proxymap unix - - n - - proxymap",
        "smtp unix - - n - - smtp",
        "retry unix - - n - - error",
        "error unix - - n - - error",
        "anvil unix - - n - 1 anvil",
    ] {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The folders of a queue, as Postfix's own installer makes them.
fn make_folders(folder: &Path) {
    let owner = id("-u", OWNER).expect("Debian's account");
    let group = id("-g", GROUP).expect("Debian's account");
    let make = |name: &str, mode: u32, owner: Option<u32>, group: Option<u32>| {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).expect("a folder of our own");
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).expect("a folder of our own");
        chown(&path, owner, group).expect("root gives folders away");
    };
    make("", 0o755, None, None);
    make("etc", 0o755, None, None);
    make("data", 0o700, Some(owner), None);
    make("spool", 0o755, None, None);
    make("spool/pid", 0o755, None, None);
    for name in [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
        "saved", "trace",
    ] {
        make(&format!("spool/{name}"), 0o700, Some(owner), None);
    }
    make("spool/maildrop", 0o730, Some(owner), Some(group));
    make("spool/public", 0o710, Some(owner), Some(group));
}

/// An account's number; of this process without a name.
fn id(which: &str, account: &str) -> Option<u32> {
    let accounts = [account].into_iter().filter(|name| !name.is_empty());
    let output = Command::new("id").arg(which).args(accounts).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn remove_files(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_files(&entry.path());
        } else {
            // Postfix may be quicker.
            drop(std::fs::remove_file(entry.path()));
        }
    }
}
