//! The relay: its listeners and its spool.

use super::checks;
use super::secrets::ends;
use crate::doctor::case::{ListenerTls, Relay, Spool};
use crate::doctor::check::{Finding, Found, Scene, of, ok, problem, warning};
use crate::doctor::limits::SPOOL_OCTETS_MIN;
use crate::doctor::look::machine::is_private;
use crate::doctor::seen::{Port, SpoolSeen};

/// File systems that forget with the machine.
const FORGETFUL: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

/// File systems on which locks and syncs are another machine's promise.
const REMOTE: [&str; 5] = ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"];

fn relay<'a>(scene: &Scene<'a>) -> Result<&'a Relay, String> {
    let relay = scene.case.relay.as_ref();
    relay.ok_or_else(|| "no relay is configured".to_owned())
}

fn file<'a>(scene: &Scene<'a>) -> Result<&'a SpoolSeen, String> {
    match &relay(scene)?.spool {
        Spool::File(_) => Ok(&of(&scene.seen.relay)?.spool),
        Spool::Shared(_) => Err("the spool is no file".to_owned()),
    }
}

fn ports(scene: &Scene<'_>) -> Found {
    let seen = of(&scene.seen.relay)?;
    let mut lines = Vec::new();
    let mut is_wrong = false;
    for (address, port) in &seen.listeners {
        let words = match port {
            Port::Answers => "answers".to_owned(),
            Port::Free => "is free".to_owned(),
            Port::Taken => {
                is_wrong = true;
                "is taken by something that does not greet".to_owned()
            }
            Port::Refused(words) => {
                is_wrong = true;
                format!("cannot be used: {words}")
            }
        };
        lines.push(format!("{address} {words}"));
    }
    let seen = lines.join("; ");
    Ok(if is_wrong { problem(seen) } else { ok(seen) })
}

/// How much room there is.
fn room(free: u64, message_size_octets_max: u64) -> Finding {
    let shown = format!("{} MiB are free", free / 1_048_576);
    if free < message_size_octets_max {
        problem(format!(
            "{shown}, and one message may have {} MiB",
            message_size_octets_max / 1_048_576
        ))
    } else if free < SPOOL_OCTETS_MIN {
        warning(shown)
    } else {
        ok(shown)
    }
}

checks! { LISTENERS, Listener:
    "D-LSN-01" Relay Relay [] "every listener answers, or can be opened"
        tests "each address is bound for a moment, or greets"
        why "a relay that cannot have its port does not start"
        fix "ss -ltnp"
        look ports;
    "D-LSN-02" Relay Given [] "nobody may send from everywhere"
        tests "no client's networks hold every address"
        why "such a relay is found within hours and sends spam in your name"
        fix "name the networks of each client"
        look |scene| Ok(match relay(scene)?.open_clients.as_slice() {
            [] => ok("every client comes from a network of its own"),
            open => problem(format!("{} may come from everywhere", open.join(", "))),
        });
    "D-LSN-03" Relay Given [] "plaintext stays on this machine"
        tests "listeners without TLS have a loopback address"
        why "messages of printers are read along on the way"
        fix "tls = \"starttls\""
        look |scene| {
            let plain = relay(scene)?.listen.iter().find(|(address, tls)| *tls == ListenerTls::Never && !address.ip().is_loopback());
            Ok(plain.map_or_else(|| ok("it does"), |(address, _)| warning(format!("{address} never offers TLS"))))
        };
    "D-LSN-04" Relay Given [] "the dashboard stays on this machine"
        tests "`admin` has a loopback address"
        why "it shows who sends what"
        fix "admin = \"127.0.0.1:8025\""
        look |scene| {
            let admin = relay(scene)?.admin;
            Ok(if admin.ip().is_loopback() { ok(admin.to_string()) } else { warning(format!("{admin} can be reached from elsewhere")) })
        };
    "D-LSN-05" Relay Given ["D-CFG-04"] "every sender of a client has a principal"
        tests "each address in `senders` is covered"
        why "such a sender is refused at MAIL FROM"
        fix "add the address to `mailboxes` of a principal"
        look |scene| Ok(match relay(scene)?.uncovered.as_slice() {
            [] => ok("it has"),
            [first, ..] => problem(format!("nobody sends for {first}")),
        });
    "D-LSN-06" Relay Relay [] "the relay's certificate is in force"
        tests "`notAfter` of the configured certificate lies 30 days or more ahead"
        why "printers and programs that check it end the conversation"
        fix "renew the certificate; a running relay takes the new file by itself"
        look |scene| {
            relay(scene)?;
            match &of(&scene.seen.relay)?.certificate {
                None => Err("the relay makes its certificate itself, and renews it".to_owned()),
                Some(Err(words)) => Ok(problem(words.clone())),
                Some(Ok(end)) => Ok(ends(scene.seen.now, *end)),
            }
        };
}

checks! { SPOOL, Spool:
    "D-SPL-01" Relay Relay [] "the spool's folder exists and takes files"
        tests "a file without a name is made in it and removed"
        why "a message is answered 250 when it is on disk, and not before"
        fix "install -d -m 0700 FOLDER"
        look |scene| {
            let seen = file(scene)?;
            Ok(match (&seen.folder, seen.is_folder_writable) {
                (Some(words), _) => problem(words.clone()),
                (None, Some(false)) => problem("it takes no files"),
                _ => ok("it does"),
            })
        };
    "D-SPL-02" Relay Relay ["D-SPL-01"] "the spool outlives a power cut"
        tests "its file system is neither in memory nor on another machine"
        why "250 promises that the message survives"
        fix "put the spool on a local disk"
        look |scene| {
            let kind = file(scene)?.file_system.as_deref().ok_or("this system does not say")?;
            Ok(if FORGETFUL.contains(&kind) {
                problem(format!("{kind} forgets with the machine"))
            } else if REMOTE.contains(&kind) {
                warning(format!("{kind} hangs on another machine"))
            } else {
                ok(kind.to_owned())
            })
        };
    "D-SPL-03" Relay Relay ["D-SPL-01"] "nobody else can read the spool"
        tests "group and others have no rights on its file"
        why "it holds the messages"
        fix "chmod 600 FILE"
        look |scene| {
            let mode = file(scene)?.mode.ok_or("there is no spool yet, or the system has no modes")?;
            Ok(if is_private(mode) { ok(format!("its mode is {mode:o}")) } else { warning(format!("its mode is {mode:o}")) })
        };
    "D-SPL-04" Relay Relay ["D-SPL-01"] "the spool is a database"
        tests "the file begins as one of SQLite does"
        why "another file in its place is not written over"
        fix "move the file away, or name another one in `spool`"
        look |scene| {
            let is_database = file(scene)?.is_database.ok_or("there is no spool yet")?;
            Ok(if is_database { ok("it is") } else { problem("it is another file") })
        };
    "D-SPL-05" Relay Relay [] "the shared spool is reached"
        tests "TCP to its host"
        why "every relay accepts through it"
        fix "look at the database and at the route"
        look |scene| {
            let reached = of(&scene.seen.relay)?.spool.is_reached.as_ref();
            Ok(match reached.ok_or("the spool is a file")? {
                Ok(()) => ok("it is"),
                Err(words) => problem(words.clone()),
            })
        };
    "D-SPL-06" Relay Relay ["D-SPL-01"] "there is room in the spool"
        tests "1 GiB is free, and at the very least room for the largest message"
        why "without room the relay answers 452 and takes nothing"
        fix "free space, or move the spool to a larger disk"
        look |scene| {
            let free = file(scene)?.free_octets.ok_or("this system does not say")?;
            Ok(room(free, relay(scene)?.message_size_octets_max))
        };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    #[test]
    fn room_is_judged_by_the_largest_message_and_by_an_hour() {
        let (mib, gib) = (1024 * 1024, 1024 * 1024 * 1024);
        for (free, message, expected) in [
            (2 * gib, 36 * mib, Status::Ok),
            (gib, 36 * mib, Status::Ok),
            (gib - 1, 36 * mib, Status::Warning),
            (36 * mib, 36 * mib, Status::Warning),
            (36 * mib - 1, 36 * mib, Status::Problem),
            (0, 1, Status::Problem),
        ] {
            assert_eq!(room(free, message).status, expected, "{free} {message}");
        }
    }
}
