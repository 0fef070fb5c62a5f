//! `sendas credential rotate`: a new credential in the place of the old one.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use sendas_entra::Credential;
use sendas_tenant::limits::CREDENTIAL_DAYS_MAX;
use sendas_tenant::rotation::stage::Kind;
use sendas_tenant::rotation::{Access, JournalFile, Ledger as _, RotationWish};
use sendas_tenant::{AdminToken, FileStore, Place, SystemTimer, credentials, rotation};

use super::answer;
use super::case::{Case, NOTHING, Wanted, file_of, refuse_what_does_not_rotate};
use super::program::Program;
use super::setups::Setups;
use super::who::Who;
use crate::administrator::agree;
use crate::commands::setup::tell::Talk;
use crate::exit::Exit;
use crate::global::Global;
use crate::machine::{Machine, stdin_is_terminal};
use crate::report::{Failure, Outcome};
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
    let mut case = Case::new(&rotate.wanted(), &loaded, principal, &journal_path)?;
    if let (None, Ok(Credential::Certificate(certificate))) =
        (&case.old.thumbprint, program.loaded())
    {
        case.old.thumbprint = Some(certificate.thumbprint());
        case.old.end = Some(certificate.not_after());
    }
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
            && let Some(exit) = too_early(&case, left.as_ref(), days, rotate.json)?
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
        for path in [&program.file, &case.folder.join("credential")] {
            whole_file::can_write(path).map_err(|error| {
                let folder = path.parent().unwrap_or(path).display();
                let what = format!("{NOTHING}: {folder} takes no new file");
                Box::new(Failure::machine(what, &error))
            })?;
        }
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

/// Whether the old one has more than these days left; then that is the answer.
fn too_early(
    case: &Case,
    left: Option<&rotation::Journal>,
    days: i64,
    json: bool,
) -> Result<Option<Exit>, Box<Failure>> {
    let end = end_of(case, left).ok_or_else(|| {
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

fn end_of(case: &Case, left: Option<&rotation::Journal>) -> Option<Timestamp> {
    case.old.end.or_else(|| {
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
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            to: self.to.map(|to| match to {
                KindChoice::Certificate => Kind::Certificate,
                KindChoice::Secret => Kind::Secret,
            }),
            days: self.days,
            mailbox: self.mailbox.as_deref(),
            keep_old: self.keep_old,
            old_key_id: self.old_key_id.as_deref(),
            secrets_folder: self.secrets_folder.as_deref(),
        }
    }

    /// Whether the application asks for itself.
    fn is_by_itself(&self, case: &Case) -> bool {
        let is_own = (case.old.kind, case.kind) == (Kind::Certificate, Kind::Certificate);
        self.as_application || is_own && !self.who.is_administrator()
    }
}
