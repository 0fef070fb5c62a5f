//! The configuration of this run: found, read, and complained about.

use sendas_config::{Complaints, Loaded, Principal, Settings};

use crate::global::Global;
use crate::machine::Machine;
use crate::output;
use crate::report::Failure;

/// Reads the configuration; warnings are not told.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(global: &Global, machine: &Machine) -> Result<Loaded, Complaints> {
    sendas_config::load(&machine.search(global.config.clone()))
}

/// Reads the configuration and tells its warnings.
///
/// # Errors
/// A failure without text of its own: the complaints have been told.
pub(crate) fn load(global: &Global, machine: &Machine) -> Result<Loaded, Box<Failure>> {
    let told = output::talk_has_colour();
    match read(global, machine) {
        Ok(loaded) => {
            output::say(&loaded.warnings.render(told));
            Ok(loaded)
        }
        Err(complaints) => {
            output::say(&complaints.render(told));
            let first = complaints.errors().into_iter().next();
            let mut failure =
                Failure::configuration("nothing was done: the configuration has errors");
            if let Some(first) = first {
                let cause = match (&first.file, first.line) {
                    (Some(file), Some(line)) => {
                        format!("{}:{line}: {}", file.display(), first.title)
                    }
                    _ => first.title,
                };
                failure = failure.cause(cause, first.help.into_iter().next());
            }
            Err(Box::new(failure.command("sendas config check")))
        }
    }
}

/// Says that there is no principal at all, where was looked, and how to begin.
pub(crate) fn nothing_configured(loaded: &Loaded) -> Failure {
    let places: Vec<String> = loaded
        .files
        .iter()
        .map(|path| format!("{} names none", path.display()))
        .chain(
            loaded
                .missing
                .iter()
                .map(|path| format!("{} does not exist", path.display())),
        )
        .collect();
    let mut failure = Failure::configuration("nothing was done: no principal is configured");
    for place in places {
        failure = failure.evidence(place);
    }
    failure
        .cause(
            "neither a configuration file nor the environment names one",
            Some("write one of these files, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_CERTIFICATE_PATH".to_owned()),
        )
        .command("sendas demo")
}

/// Chooses the principal named by an option, or the only one.
///
/// # Errors
/// When none is configured, none has that name, or several are and none was named.
pub(crate) fn choose<'a>(
    loaded: &'a Loaded,
    name: Option<&str>,
) -> Result<&'a Principal, Box<Failure>> {
    let principals = &loaded.settings.principals;
    match (name, principals.as_slice()) {
        (_, []) => Err(Box::new(nothing_configured(loaded))),
        (None, [only]) => Ok(only),
        (None, _) => Err(Box::new(
            Failure::usage(
                "nothing was done: several principals are configured, and none was named",
            )
            .cause(format!("there are {}", names(&loaded.settings)), None)
            .command(format!("--principal {}", principals[0].name)),
        )),
        (Some(name), _) => loaded
            .settings
            .principal(name)
            .ok_or_else(|| Box::new(unknown(&loaded.settings, name))),
    }
}

/// Says that no principal has a name.
fn unknown(settings: &Settings, name: &str) -> Failure {
    let known = settings
        .principals
        .iter()
        .map(|principal| principal.name.as_str());
    let failure = Failure::usage(format!("nothing was done: no principal is named `{name}`"))
        .cause(format!("there are {}", names(settings)), None);
    match sendas_config::suggest::nearest(name, known) {
        Some(near) => failure.command(format!("--principal {near}")),
        None => failure,
    }
}

fn names(settings: &Settings) -> String {
    settings
        .principals
        .iter()
        .map(|principal| format!("`{}`", principal.name))
        .collect::<Vec<_>>()
        .join(", ")
}
