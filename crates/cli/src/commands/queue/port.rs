//! `queue export` and `import`: messages from one spool to another.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sendas_spool::{PortReport, Spool, State};
use serde_json::json;

use super::{Export, Import, refused, unwritten};
use crate::exit::Exit;
use crate::report::{Failure, Outcome};
use crate::{clock, machine, output};

/// What is exported where nothing was chosen: all that still has a body, damaged ones named.
const EXPORTED: [State; 6] = [
    State::Waiting,
    State::Claimed,
    State::Suspect,
    State::Held,
    State::Removed,
    State::Damaged,
];

pub(super) async fn export(spool: &Spool, export: &Export) -> Outcome {
    let now = clock::now();
    let filter = export.selection.filter(spool, &EXPORTED, now).await?;
    let what = "the queue was not exported";
    let report = if let Some(path) = &export.output {
        let file = new_file(path)
            .map_err(|error| Failure::machine(format!("{what}: {}", path.display()), &error))?;
        let (report, mut writer) = spool
            .export(&filter, BufWriter::new(file), now)
            .await
            .map_err(|error| refused(what, &error))?;
        // An export may be all that is left of a spool: it is on the disk when this ends.
        writer
            .flush()
            .and_then(|()| writer.get_ref().sync_all())
            .map_err(|error| Failure::machine(format!("{what}: {}", path.display()), &error))?;
        report
    } else {
        if machine::stdout_is_terminal() {
            return Err(Box::new(
                Failure::usage("nothing was exported: standard output is this terminal")
                    .command("sendas queue export --output queue.export"),
            ));
        }
        let (report, mut writer) = spool
            .export(&filter, BufWriter::new(io::stdout()), now)
            .await
            .map_err(|error| refused(what, &error))?;
        writer.flush().map_err(unwritten)?;
        report
    };
    output::line(&format!(
        "exported {}",
        super::change::messages(report.messages)
    ));
    for id in &report.damaged {
        output::line(&format!("note: {id} is damaged and was left out"));
    }
    Ok(if report.damaged.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

pub(super) async fn import(spool: &Spool, import: &Import) -> Outcome {
    let from: Box<dyn Read + Send> = if import.file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let file = std::fs::File::open(&import.file).map_err(|error| {
            Failure::machine(
                format!(
                    "nothing was imported: {} was not read",
                    import.file.display()
                ),
                &error,
            )
        })?;
        Box::new(file)
    };
    let report = spool
        .import(from, clock::now())
        .await
        .map_err(|error| refused("the import ended early", &error))?;
    tell(import, &report)
}

fn tell(import: &Import, report: &PortReport) -> Outcome {
    if import.json {
        output::json(&json!({
            "ok": true, "messages": report.messages, "known": report.known,
        }))
        .map_err(unwritten)?;
    } else {
        let known = match report.known {
            0 => String::new(),
            known => format!("; {} known already", super::change::messages(known)),
        };
        let imported = super::change::messages(report.messages);
        output::data(&format!("imported {imported}{known}\n")).map_err(unwritten)?;
    }
    Ok(Exit::Done)
}

/// Mail is nobody else's business.
fn new_file(path: &Path) -> io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
