//! What a rotation is about, before anybody is asked.

use std::path::{Path, PathBuf};

use sendas_config as config;
use sendas_config::Origin;
use sendas_tenant::Place;
use sendas_tenant::limits::{CERTIFICATE_DAYS, SECRET_DAYS};
use sendas_tenant::rotation::Old;
use sendas_tenant::rotation::stage::Kind;

use super::written::absolute;
use crate::commands::probe::first_address;
use crate::report::{Failure, chain};

/// What is said when nothing was begun.
pub(super) const NOTHING: &str = "nothing was rotated";

/// What the options say.
pub(super) struct Wanted<'a> {
    pub(super) to: Option<Kind>,
    pub(super) days: Option<i64>,
    pub(super) mailbox: Option<&'a str>,
    pub(super) keep_old: bool,
    pub(super) old_key_id: Option<&'a str>,
    pub(super) secrets_folder: Option<&'a Path>,
}

/// What a rotation is about, before anybody is asked.
pub(super) struct Case {
    pub(super) principal: String,
    pub(super) kind: Kind,
    pub(super) days: i64,
    pub(super) keep_old: bool,
    pub(super) mailbox: String,
    pub(super) old: Old,
    pub(super) folder: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) is_administrator: bool,
}

/// Says that there is nothing to rotate, where there is not.
pub(super) fn refuse_what_does_not_rotate(
    credential: &config::Credential,
) -> Result<(), Box<Failure>> {
    let (cause, fix) = match credential {
        config::Credential::Certificate { .. } | config::Credential::Secret(_) => return Ok(()),
        config::Credential::Federated { path } => (
            format!(
                "the credential is federated: another issuer renews the tokens in {}, and Entra holds only whom to trust",
                path.display()
            ),
            "sendas credential list --sign-in shows whom Entra trusts",
        ),
        config::Credential::ManagedIdentity { .. } => (
            "the credential is the machine's own identity, which Azure renews by itself".to_owned(),
            "nothing is to be done",
        ),
    };
    Err(Box::new(
        Failure::usage("nothing was rotated: there is nothing to rotate")
            .cause(cause, Some(fix.to_owned())),
    ))
}

/// The file in which the principal's credential stands.
pub(super) fn file_of(
    loaded: &config::Loaded,
    principal: &config::Principal,
) -> Result<PathBuf, Box<Failure>> {
    let number = loaded
        .settings
        .principals
        .iter()
        .position(|found| found.name == principal.name);
    let head = format!("principal[{}].credential", number.unwrap_or_default());
    let mut origins = loaded
        .shown
        .iter()
        .filter(|shown| shown.path.starts_with(&head))
        .map(|shown| &shown.origin);
    let mut file = None;
    for origin in &mut origins {
        match origin {
            Origin::File { path, .. } => file = Some(path.clone()),
            Origin::Variable(name) => {
                return Err(Box::new(
                    Failure::configuration(format!("{NOTHING}: the credential is set from outside"))
                        .cause(
                            format!("the environment variable {name} says which credential is used, and this program cannot change the environment of others"),
                            Some("write the principal into a configuration file, or rotate where the variable is set".into()),
                        ),
                ));
            }
            Origin::Default => {}
        }
    }
    file.ok_or_else(|| {
        Box::new(Failure::configuration(NOTHING).cause(
            "the credential stands in no file",
            Some("sendas config show".into()),
        ))
    })
}

impl Case {
    /// What is wanted of this principal.
    ///
    /// # Errors
    /// When the credential is in no file, or no mailbox is known for the proof.
    pub(super) fn new(
        rotate: &Wanted<'_>,
        loaded: &config::Loaded,
        principal: &config::Principal,
        journal: &Path,
    ) -> Result<Self, Box<Failure>> {
        let (own_kind, path) = match &principal.credential {
            config::Credential::Certificate { path, .. } => (Kind::Certificate, Some(path.clone())),
            config::Credential::Secret(config::SecretPlace::File(path)) => {
                (Kind::Secret, Some(path.clone()))
            }
            _ => (Kind::Secret, None),
        };
        let kind = rotate.to.unwrap_or(own_kind);
        let folder = match (rotate.secrets_folder, &path) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(path)) => match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
                _ => PathBuf::from("."),
            },
            (None, None) => {
                let place = match &principal.credential {
                    config::Credential::Secret(config::SecretPlace::Systemd(name)) => {
                        format!("systemd hands the secret `{name}` over, as the unit says")
                    }
                    config::Credential::Secret(config::SecretPlace::Variable(name)) => {
                        format!("the secret comes from the environment variable {name}")
                    }
                    _ => "the credential is in no file".to_owned(),
                };
                return Err(Box::new(
                Failure::configuration(format!("{NOTHING}: it is not ours to replace")).cause(
                    format!("{place}, and only a file can be replaced by a file"),
                    Some("name a folder for the new one with --secrets-folder; the configuration will then name that file".into()),
                ),
            ));
            }
        };
        let mailbox = rotate
            .mailbox
            .map(str::to_owned)
            .or_else(|| first_address(principal))
            .ok_or_else(|| {
                Box::new(
                    Failure::usage(format!("{NOTHING}: no mailbox is named for the proof")).cause(
                        "the principal's `mailboxes` name no single address",
                        Some("add --mailbox noreply@contoso.com".into()),
                    ),
                )
            })?;
        if let Err(error) = mailbox.parse::<sendas_envelope::Address>() {
            return Err(Box::new(
                Failure::usage(format!("{NOTHING}: {mailbox} is no address"))
                    .cause(chain(&error), None),
            ));
        }
        // A file that another principal uses too stays.
        let is_shared = |path: &Path| {
            let uses = |other: &config::Principal| match &other.credential {
                config::Credential::Certificate { path: own, .. }
                | config::Credential::Secret(config::SecretPlace::File(own)) => own == path,
                _ => false,
            };
            loaded
                .settings
                .principals
                .iter()
                .any(|other| other.name != principal.name && uses(other))
        };
        Ok(Self {
            principal: principal.name.clone(),
            kind,
            days: rotate.days.unwrap_or(match kind {
                Kind::Certificate => CERTIFICATE_DAYS,
                Kind::Secret => SECRET_DAYS,
            }),
            keep_old: rotate.keep_old,
            mailbox,
            old: Old {
                kind: own_kind,
                place: path
                    .filter(|path| !is_shared(path))
                    .map(|path| Place::File(absolute(&path))),
                thumbprint: None,
                key_id: rotate.old_key_id.map(str::to_owned),
                end: None,
            },
            folder: absolute(&folder),
            journal: journal.to_owned(),
            is_administrator: false,
        })
    }

    /// Who asks Microsoft Graph, in words.
    pub(super) fn asker(&self) -> &'static str {
        if self.is_administrator {
            "an administrator"
        } else {
            "the application itself"
        }
    }
}
