//! `sendas credential rotate`: a new credential in the place of the old one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use sendas_config as config;
use sendas_config::Origin;
use sendas_entra::{Certificate, Credential};
use sendas_tenant::limits::{CERTIFICATE_DAYS, CREDENTIAL_DAYS_MAX, SECRET_DAYS};
use sendas_tenant::rotation::stage::Kind;
use sendas_tenant::rotation::{Access, Host as _, JournalFile, Ledger as _, Old, RotationWish};
use sendas_tenant::{AdminToken, FileStore, Place, SystemTimer, credentials, rotation};

use super::answer;
use super::program::Program;
use super::setups::Setups;
use super::who::Who;
use crate::administrator::agree;
use crate::commands::probe::first_address;
use crate::commands::setup::tell::Talk;
use crate::exit::Exit;
use crate::global::Global;
use crate::machine::{Machine, stdin_is_terminal};
use crate::report::{Failure, Outcome, chain};
use crate::{clock, configuration, output, whole_file};

#[derive(Debug, Args)]
#[command(after_help = "\
Adds the new credential, gets tokens with it and logs in once, names it in the configuration, and
only then removes the old one. At every moment the configuration names a credential that works. A
run that was interrupted goes on with the same command, or goes back with --back until the
configuration names the new credential. A running relay takes the new one within seconds.

An application renews its own certificate without any right. Secrets, and a change of kind, need
an administrator (Application.ReadWrite.All), or --as-application where the application itself has
Application.ReadWrite.OwnedBy.

Exit codes: 0 done, or nothing to do yet; 1 failed; 2 wrong usage or configuration; 4 not allowed;
75 not proven yet: the same command goes on.")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Rotate {
    /// The principal, when several are configured.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// The kind of the new credential; left out, that of the old one.
    #[arg(long, value_name = "KIND")]
    to: Option<KindChoice>,
    /// Days the new one is valid: 365 for a certificate, 180 for a secret.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=CREDENTIAL_DAYS_MAX))]
    days: Option<i64>,
    /// Do nothing while the old one has more than this many days left.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=CREDENTIAL_DAYS_MAX))]
    within: Option<i64>,
    /// The mailbox to log in as for the proof; left out, the first address of the principal.
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    /// Leave the old credential in Entra and on this machine.
    #[arg(long)]
    keep_old: bool,
    /// The id of the old credential in Entra, when nothing here knows it.
    #[arg(long, value_name = "ID")]
    old_key_id: Option<String>,
    /// Take a rotation back that was interrupted.
    #[arg(long, conflicts_with_all = ["to", "days", "within", "keep_old", "dry_run"])]
    back: bool,
    #[command(flatten)]
    who: Who,
    /// Ask Microsoft Graph as the application itself, which needs a permission for everything but
    /// its own certificate.
    #[arg(long, conflicts_with_all = ["sign_in", "device_code", "token_stdin", "admin_tokens"])]
    as_application: bool,
    /// Where the rotation is recorded; holds no secret.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The state file of the set-up that made the old credential, if it is in no usual place.
    #[arg(long, value_name = "FILE")]
    setup_state: Option<PathBuf>,
    /// The folder of the new key or secret; left out, that of the old one.
    #[arg(long, value_name = "FOLDER")]
    secrets_folder: Option<PathBuf>,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short = 'y')]
    yes: bool,
    /// Answer in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindChoice {
    /// Made on this machine; the key never leaves it.
    Certificate,
    /// A client secret, made by Entra.
    Secret,
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

const NOTHING: &str = "nothing was rotated";

pub(super) async fn run(rotate: &Rotate, global: &Global, machine: &Machine) -> Outcome {
    let loaded = configuration::load(global, machine)?;
    let principal = configuration::choose(&loaded, rotate.principal.as_deref())?;
    refuse_what_does_not_rotate(&principal.credential)?;
    let file = file_of(&loaded, principal)?;
    let setups = Setups::find(rotate.setup_state.as_deref(), machine);
    let network = &loaded.settings.network;
    let program = Program::new(global, machine, principal, network, file, setups.clone())?;
    let client_id = program.client_id().as_str().to_owned();
    let journal_path = match &rotate.state {
        Some(path) => path.clone(),
        None => machine
            .state_folder()
            .join(format!("credential-{client_id}.json")),
    };
    let ledger = JournalFile::open(&journal_path)
        .map_err(|error| answer::failed(NOTHING, &error.into(), &journal_path))?;
    let left = ledger
        .load()
        .map_err(|error| answer::failed(NOTHING, &error.into(), &journal_path))?;
    let open = left.as_ref().filter(|left| left.is_open());
    let mut case = case(rotate, &loaded, principal, &journal_path)?;
    if let (None, Some(Place::File(path))) = (&case.old.key_id, &case.old.place) {
        case.old.key_id = setups.key_id(&client_id, path);
    }
    if let Some(open) = open {
        // What was begun counts.
        (case.kind, case.days) = (open.kind, open.days);
        case.old = open.old.clone();
    }
    case.is_administrator = !rotate.is_by_itself(&case);
    if open.is_none() && rotate.back {
        let nothing = rotation::RotationError::NothingBegun;
        return Err(answer::failed(NOTHING, &nothing, &journal_path));
    }
    if open.is_none() {
        if let Some(days) = rotate.within
            && let Some(exit) = too_early(&case, &program, left.as_ref(), days, rotate.json)?
        {
            return Ok(exit);
        }
        if rotate.dry_run {
            return answer::planned(&case, &program, rotate.json);
        }
    }
    if rotate.dry_run {
        return answer::open(open, rotate.json);
    }
    // Before anybody is asked to sign in: whether the end can be reached from here.
    if !rotate.back {
        whole_file::can_write(&program.file)
            .and_then(|()| whole_file::can_write(&case.folder.join("credential")))
            .map_err(|error| Box::new(Failure::machine(NOTHING, &error)))?;
    }
    let administrator = administrator(rotate, &case, &program).await?;
    case.is_administrator = administrator.is_some();
    if !rotate.yes {
        output::say(&answer::plan_text(&case, &program, open.is_some()));
        let question = if rotate.back {
            "Take the rotation back?"
        } else {
            "Rotate the credential?"
        };
        agree(false, question)?;
    }
    let wish = RotationWish {
        principal: case.principal.clone(),
        kind: case.kind,
        days: case.days,
        keep_old: case.keep_old,
        mailbox: case.mailbox.clone(),
        old: case.old.clone(),
    };
    let mut store = FileStore::new(&case.folder);
    if let Some(place) = &case.old.place {
        store = store.owned_like(place.path());
    }
    let access = Access::new(
        program.cloud(),
        administrator,
        Arc::new(program.http()),
        Arc::new(SystemTimer),
    );
    let config = program.file.clone();
    let rotation = rotation::Rotation::new(
        &client_id,
        access,
        Arc::new(program),
        Arc::new(store),
        Arc::new(ledger),
    )
    .with_progress(Arc::new(Talk::new()));
    if rotate.back {
        Box::pin(rotation.back())
            .await
            .map_err(|error| answer::failed("not taken back", &error, &journal_path))?;
        return answer::taken_back(rotate.json);
    }
    let done = Box::pin(rotation.run(&wish))
        .await
        .map_err(|error| answer::failed("the rotation is not complete", &error, &journal_path))?;
    answer::rotated(&done, &config, rotate.json)
}

/// Says that there is nothing to rotate, where there is not.
fn refuse_what_does_not_rotate(credential: &config::Credential) -> Result<(), Box<Failure>> {
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
fn file_of(
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

fn case(
    rotate: &Rotate,
    loaded: &config::Loaded,
    principal: &config::Principal,
    journal: &Path,
) -> Result<Case, Box<Failure>> {
    let (own_kind, path) = match &principal.credential {
        config::Credential::Certificate { path, .. } => (Kind::Certificate, Some(path.clone())),
        config::Credential::Secret(config::SecretPlace::File(path)) => {
            (Kind::Secret, Some(path.clone()))
        }
        _ => (Kind::Secret, None),
    };
    let kind = match rotate.to {
        Some(KindChoice::Certificate) => Kind::Certificate,
        Some(KindChoice::Secret) => Kind::Secret,
        None => own_kind,
    };
    let folder = match (&rotate.secrets_folder, &path) {
        (Some(folder), _) => folder.clone(),
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
        .clone()
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
    Ok(Case {
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
                .map(|path| Place::File(written_path(&path))),
            thumbprint: None,
            key_id: rotate.old_key_id.clone(),
            end: None,
        }
        .with(&principal.credential),
        folder: written_path(&folder),
        journal: journal.to_owned(),
        is_administrator: false,
    })
}

fn written_path(path: &Path) -> PathBuf {
    super::written::absolute(path)
}

/// What the old credential says of itself.
trait Tells {
    fn with(self, credential: &config::Credential) -> Self;
}

impl Tells for Old {
    fn with(mut self, credential: &config::Credential) -> Self {
        if let config::Credential::Certificate {
            path,
            password: None,
        } = credential
            && let Ok(certificate) = Certificate::from_file(path)
        {
            self.thumbprint = Some(certificate.thumbprint());
            self.end = Some(certificate.not_after());
        }
        self
    }
}

/// Whether the old one has more than these days left; then that is the answer.
fn too_early(
    case: &Case,
    program: &Program,
    left: Option<&rotation::Journal>,
    days: i64,
    json: bool,
) -> Result<Option<Exit>, Box<Failure>> {
    let end = end_of(case, program, left).ok_or_else(|| {
        Box::new(
            Failure::configuration(format!("{NOTHING}: the end of the old one is not known"))
                .cause(
                    "Entra alone knows until when a secret acts, and no rotation here has recorded it",
                    Some("rotate once without --within, or use a certificate".into()),
                ),
        )
    })?;
    let now = clock::now();
    if credentials::days_left(end, now) <= days {
        return Ok(None);
    }
    answer::not_yet(end, now, json).map(Some)
}

fn end_of(case: &Case, program: &Program, left: Option<&rotation::Journal>) -> Option<Timestamp> {
    case.old.end.or_else(|| {
        if let Ok(Credential::Certificate(certificate)) = program.loaded() {
            return Some(certificate.not_after());
        }
        let known = left?.current()?;
        (Some(&known.place) == case.old.place.as_ref()).then_some(known.end)?
    })
}

/// Who asks Microsoft Graph. An application renews its own certificate by itself.
async fn administrator(
    rotate: &Rotate,
    case: &Case,
    program: &Program,
) -> Result<Option<AdminToken>, Box<Failure>> {
    if let Some(token) = rotate.who.given()? {
        return Ok(Some(token));
    }
    if rotate.is_by_itself(case) {
        return Ok(None);
    }
    if !rotate.who.is_administrator() && !stdin_is_terminal() {
        return Err(Box::new(
            Failure::new(
                crate::report::Kind::Identity,
                Exit::Authentication,
                format!("{NOTHING}: nobody is signed in"),
            )
            .cause(
                "only a certificate can be renewed without an administrator, by the certificate before it",
                Some("add --sign-in, --device-code, --token-stdin or --admin-tokens; or --as-application where the application may do it".into()),
            ),
        ));
    }
    let http = program.http();
    let token = rotate
        .who
        .sign_in(program.cloud(), program.tenant(), &http)
        .await?;
    Ok(Some(token))
}

impl Rotate {
    /// Whether the application asks for itself.
    fn is_by_itself(&self, case: &Case) -> bool {
        let is_own = (case.old.kind, case.kind) == (Kind::Certificate, Kind::Certificate);
        self.as_application || is_own && !self.who.is_administrator()
    }
}

impl Case {
    /// Who asks Microsoft Graph, in words.
    pub(super) fn asker(&self) -> &'static str {
        if self.is_administrator {
            "an administrator"
        } else {
            "the application itself"
        }
    }
}

/// Whether the configured credential of a program is loaded at all; used for its warning.
pub(super) fn present(program: &Program) -> Result<(), String> {
    program.present().map(drop).map_err(|error| error.words)
}
