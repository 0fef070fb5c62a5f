//! The bundle: what a helper elsewhere needs to see, without a secret, listed before it is written.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use sendas_tenant::doctor::{Case, Examination};
use serde_json::{Value, json};

use crate::output;
use crate::report::{Failure, examination};

/// Writes a new file that its owner alone can read; an existing one is left as it is.
pub(super) fn write(
    path: &Path,
    case: &Case,
    examination: &Examination,
) -> Result<(), Box<Failure>> {
    let parts = parts(case, examination);
    output::line(&format!("the bundle {} gets:", path.display()));
    for (name, about, _) in &parts {
        output::line(&format!("  {name:<14} {about}"));
    }
    output::line("  and no secret, no token, no key, no password, no message");
    let document: serde_json::Map<String, Value> = parts
        .into_iter()
        .map(|(name, _, value)| (name.to_owned(), value))
        .collect();
    let failed = |error| {
        Box::new(Failure::machine(
            format!("the bundle {} was not written", path.display()),
            &error,
        ))
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path).map_err(failed)?;
    let text = format!("{:#}\n", Value::Object(document));
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// Name, what it is, and the part itself.
fn parts(case: &Case, examination: &Examination) -> Vec<(&'static str, &'static str, Value)> {
    let configuration = &case.configuration;
    let subject = case.subject.as_ref();
    let paths = |list: &[std::path::PathBuf]| {
        list.iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
    };
    vec![
        (
            "program",
            "version and system",
            json!({
                "version": env!("CARGO_PKG_VERSION"),
                "system": std::env::consts::OS,
                "machine": std::env::consts::ARCH,
            }),
        ),
        (
            "configuration",
            "paths of its files, complaints, names of principals",
            json!({
                "files": paths(&configuration.files),
                "missing": paths(&configuration.missing),
                "errors": configuration.errors,
                "warnings": configuration.warnings,
                "principals": configuration.principals,
            }),
        ),
        (
            "principal",
            "tenant, client id, kind of credential, mailbox, addresses of the cloud",
            subject.map_or(Value::Null, |subject| {
                json!({
                    "name": subject.name,
                    "tenant": subject.tenant.as_ref().map(ToString::to_string),
                    "client_id": subject.client_id.as_ref().map(sendas_entra::ClientId::as_str),
                    "credential": subject.credential.as_ref().map_or("cannot be loaded", sendas_entra::Credential::kind),
                    "mailbox": subject.mailbox.as_ref().map(sendas_envelope::Mailbox::as_str),
                    "addresses": subject.cloud.addresses().iter().map(|(name, place, _)| json!({ "name": name, "address": place })).collect::<Vec<_>>(),
                })
            }),
        ),
        (
            "examination",
            "checks, causes, evidence: as `sendas doctor --json` prints them",
            examination::json(examination),
        ),
    ]
}
