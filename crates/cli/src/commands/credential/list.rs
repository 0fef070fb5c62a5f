//! `sendas credential list`: until when each credential acts.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use sendas_config as config;
use sendas_entra::{Claims, Credential};
use sendas_tenant::credentials::{self, InUse, Life, Listed, ListedKind, Own};
use sendas_tenant::graph::Graph;
use sendas_tenant::rotation::stage::Fresh;
use sendas_tenant::rotation::{Host as _, Journal};
use sendas_tenant::verify::Refusal;
use sendas_tenant::{AdminToken, SystemTimer, Timer, Transport};
use serde_json::{Value, json};

use super::program::{Program, begins};
use super::setups::Setups;
use super::who::Who;
use crate::exit::Exit;
use crate::global::Global;
use crate::machine::Machine;
use crate::output::visible;
use crate::report::{Failure, Outcome, chain};
use crate::{clock, configuration, identity, output};

#[derive(Debug, Args)]
#[command(after_help = "\
Without an administrator the application asks for itself, which Entra allows only with a permission
of its own; where it may not read, what this machine knows is shown: the certificate's own end, the
federated token's, and whether a token is issued now.

Exit codes: 0 done, 3 a credential in use ends within 30 days or has ended, 4 none gets a token.")]
pub(crate) struct List {
    /// Only this principal.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    #[command(flatten)]
    who: Who,
    /// Answer in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// One principal, looked at.
struct Looked {
    name: String,
    tenant: Option<String>,
    client_id: Option<String>,
    /// What Entra tells; or why it does not.
    listed: Result<Vec<Listed>, String>,
    local: Local,
}

/// What this machine knows by itself.
struct Local {
    kind: &'static str,
    /// Why the credential cannot be loaded.
    trouble: Option<String>,
    thumbprint: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
    end: Option<Timestamp>,
    /// Whether a token is issued now, or the service's words.
    token: Option<Result<Timestamp, String>>,
}

pub(super) async fn run(list: &List, global: &Global, machine: &Machine) -> Outcome {
    let loaded = configuration::load(global, machine)?;
    let principals: Vec<&config::Principal> = match &list.principal {
        Some(name) => vec![configuration::choose(&loaded, Some(name))?],
        None if loaded.settings.principals.is_empty() => {
            return Err(Box::new(configuration::nothing_configured(&loaded)));
        }
        None => loaded.settings.principals.iter().collect(),
    };
    let given = list.who.given()?;
    let mut signed_in: Vec<(String, AdminToken)> = Vec::new();
    let mut all = Vec::new();
    for principal in principals {
        let looked = Box::pin(look(
            list,
            principal,
            &loaded.settings.network,
            given.as_ref(),
            &mut signed_in,
            global,
            machine,
        ))
        .await?;
        all.push(looked);
    }
    let now = clock::now();
    let written = if list.json {
        let shown: Vec<Value> = all.iter().map(|looked| looked.json(now)).collect();
        output::json(&json!({ "ok": true, "principals": shown }))
    } else {
        let shown: Vec<String> = all.iter().map(|looked| looked.text(now)).collect();
        output::data(&shown.join("\n"))
    };
    written.map_err(|error| Box::new(Failure::machine("the list was not printed", &error)))?;
    Ok(if all.iter().all(Looked::is_dead) {
        Exit::Authentication
    } else if all.iter().any(|looked| looked.is_warned(now)) {
        Exit::Warnings
    } else {
        Exit::Done
    })
}

async fn look(
    list: &List,
    principal: &config::Principal,
    network: &config::Network,
    given: Option<&AdminToken>,
    signed_in: &mut Vec<(String, AdminToken)>,
    global: &Global,
    machine: &Machine,
) -> Result<Looked, Box<Failure>> {
    let credential = identity::credential(&principal.credential, machine);
    let mut local = Local::of(&principal.credential, credential.as_ref().ok());
    if let Err(error) = &credential {
        local.trouble = Some(chain(&**error));
    }
    let mut looked = Looked {
        name: principal.name.clone(),
        tenant: principal.tenant.clone(),
        client_id: principal.client_id.clone(),
        listed: Err("the machine's identity has no application of its own to look at".into()),
        local,
    };
    if let config::Credential::ManagedIdentity { .. } = principal.credential {
        return Ok(looked);
    }
    let setups = Setups::find(None, machine);
    let nowhere = PathBuf::new();
    let program = Program::new(global, machine, principal, network, nowhere, setups.clone())?;
    if credential.is_ok() {
        looked.local.token = token(&program).await;
    }
    let file = secret_file(&principal.credential);
    let known = file
        .as_deref()
        .and_then(|file| recorded(program.client_id().as_str(), file, machine));
    if let Some(known) = &known {
        looked.local.end = known.end;
    }
    let token = match given {
        Some(token) => Some(token.clone()),
        None if list.who.is_administrator() => {
            let tenant = program.tenant().to_string();
            if let Some((_, token)) = signed_in.iter().find(|(known, _)| *known == tenant) {
                Some(token.clone())
            } else {
                let http = program.http();
                let token = list
                    .who
                    .sign_in(program.cloud(), program.tenant(), &http)
                    .await?;
                signed_in.push((tenant, token.clone()));
                Some(token)
            }
        }
        None => None,
    };
    let (token, is_administrator) = match token {
        Some(token) => (Ok(token), true),
        None => (program.own_token().await, false),
    };
    looked.listed = match token {
        Err(Refusal { words, .. }) => Err(format!("no token for Microsoft Graph: {words}")),
        Ok(token) => {
            let client_id = program.client_id().as_str();
            let key_id = known
                .and_then(|known| known.key_id)
                .or_else(|| setups.key_id(client_id, file.as_deref()?));
            let own = looked
                .local
                .own(credential.as_ref().ok(), key_id.as_deref());
            let transport: Arc<dyn Transport> = Arc::new(program.http());
            let timer: Arc<dyn Timer> = Arc::new(SystemTimer);
            let graph = Graph::connect(program.cloud(), &token, &transport, &timer);
            own.read(&graph, client_id, is_administrator).await
        }
    };
    Ok(looked)
}

/// The file in which a secret is configured.
fn secret_file(configured: &config::Credential) -> Option<PathBuf> {
    match configured {
        config::Credential::Secret(config::SecretPlace::File(path)) => {
            Some(super::written::absolute(path))
        }
        _ => None,
    }
}

/// What the last rotation recorded of the credential in this file.
fn recorded(client_id: &str, file: &Path, machine: &Machine) -> Option<Fresh> {
    let journal = machine
        .state_folder()
        .join(format!("credential-{client_id}.json"));
    let text = std::fs::read(journal).ok()?;
    let journal: Journal = serde_json::from_slice(&text).ok()?;
    let known = journal.current()?;
    (known.place.path() == file).then(|| known.clone())
}

/// Asks for one token with the configured credential.
async fn token(program: &Program) -> Option<Result<Timestamp, String>> {
    let prover = program.present().ok()?;
    Some(match prover.token().await {
        Ok(claims) => Ok(claims.expires_at().unwrap_or(Timestamp::MAX)),
        Err(refusal) => Err(refusal.words),
    })
}

/// What is known of the credential in use, owned.
struct OwnKnown<'a> {
    local: &'a Local,
    secret: Option<&'a sendas_entra::Secret>,
    key_id: Option<&'a str>,
}

impl OwnKnown<'_> {
    async fn read(
        &self,
        graph: &Graph,
        client_id: &str,
        is_administrator: bool,
    ) -> Result<Vec<Listed>, String> {
        let begins_with = |hint: &str| self.secret.is_some_and(|secret| begins(secret, hint));
        let local = self.local;
        let own = match (&local.thumbprint, &local.issuer, &local.subject) {
            (Some(thumbprint), _, _) => Own::Certificate(thumbprint),
            (None, Some(issuer), Some(subject)) => Own::Federated { issuer, subject },
            _ if self.secret.is_some() => Own::Secret {
                key_id: self.key_id,
                begins_with: &begins_with,
            },
            _ => Own::Unknown,
        };
        match credentials::read(graph, client_id, own).await {
            Ok(Some(listed)) => Ok(listed),
            Ok(None) => Err(format!(
                "there is no application with the client id {client_id} in the tenant that was asked"
            )),
            Err(error) if error.is_about_rights() && !is_administrator => Err(
                "the application may not read itself; an administrator sees every end: add --sign-in"
                    .into(),
            ),
            Err(error) => Err(chain(&error)),
        }
    }
}

impl Local {
    fn of(configured: &config::Credential, credential: Option<&Credential>) -> Self {
        let mut local = Self {
            kind: match configured {
                config::Credential::Certificate { .. } => "certificate",
                config::Credential::Secret(_) => "secret",
                config::Credential::Federated { .. } => "federated",
                config::Credential::ManagedIdentity { .. } => "managed identity",
            },
            trouble: None,
            thumbprint: None,
            issuer: None,
            subject: None,
            end: None,
            token: None,
        };
        match credential {
            Some(Credential::Certificate(certificate)) => {
                local.thumbprint = Some(certificate.thumbprint());
                local.end = Some(certificate.not_after());
            }
            Some(Credential::Federated(file)) => match file.read() {
                Ok(text) => {
                    if let Ok(claims) = Claims::decode(&text) {
                        local.issuer = claims.issuer().map(str::to_owned);
                        local.subject = claims
                            .payload()
                            .get("sub")
                            .and_then(Value::as_str)
                            .map(str::to_owned);
                        local.end = claims.expires_at();
                    }
                }
                Err(error) => local.trouble = Some(chain(&error)),
            },
            _ => {}
        }
        local
    }

    fn own<'a>(
        &'a self,
        credential: Option<&'a Credential>,
        key_id: Option<&'a str>,
    ) -> OwnKnown<'a> {
        OwnKnown {
            local: self,
            secret: match credential {
                Some(Credential::Secret(secret)) => Some(secret),
                _ => None,
            },
            key_id,
        }
    }

    /// A federated token is renewed by others, many times a day.
    fn life(&self, now: Timestamp) -> Life {
        match (self.kind, self.end) {
            ("federated", Some(end)) if end > now => Life::Far,
            (_, end) => credentials::life(end, now),
        }
    }
}

impl Looked {
    fn is_dead(&self) -> bool {
        self.local.trouble.is_some() || matches!(self.local.token, Some(Err(_)))
    }

    fn is_warned(&self, now: Timestamp) -> bool {
        let listed = self.listed.as_deref().unwrap_or_default();
        let ends_listed = listed
            .iter()
            .any(|found| found.in_use != InUse::No && found.life(now) >= Life::Soon);
        ends_listed || self.is_dead() || self.local.life(now) >= Life::Soon
    }

    fn json(&self, now: Timestamp) -> Value {
        let local = &self.local;
        json!({
            "name": self.name, "tenant": self.tenant, "client_id": self.client_id,
            "kind": local.kind,
            "credentials": self.listed.as_ref().ok()
                .map(|list| list.iter().map(|found| found.json(now)).collect::<Vec<_>>()),
            "not_read": self.listed.as_ref().err(),
            "local": {
                "trouble": local.trouble, "thumbprint": local.thumbprint,
                "issuer": local.issuer, "subject": local.subject,
                "end": local.end.map(|at| at.to_string()),
                "days_left": local.end.map(|end| credentials::days_left(end, now)),
                "life": local.end.map(|_| local.life(now).name()),
                "token": match &local.token {
                    None => Value::Null,
                    Some(Ok(until)) => json!({ "issued": true, "until": until.to_string() }),
                    Some(Err(words)) => json!({ "issued": false, "words": words }),
                },
            },
        })
    }

    fn text(&self, now: Timestamp) -> String {
        let mut text = String::new();
        let client_id = self.client_id.as_deref().unwrap_or("the machine");
        let tenant = self.tenant.as_deref().unwrap_or("its tenant");
        // Writing to a String cannot fail.
        _ = writeln!(text, "{} ({client_id} in {tenant})", visible(&self.name));
        match &self.listed {
            Ok(list) if list.is_empty() => text.push_str("  Entra holds no credential\n"),
            Ok(list) => list.iter().for_each(|found| row(&mut text, found, now)),
            Err(_) => self.local_rows(&mut text, now),
        }
        if let Ok(list) = &self.listed
            && list.iter().all(|found| found.in_use == InUse::No)
        {
            _ = writeln!(text, "  !  none of them is the one that is configured here");
        }
        match &self.local.token {
            Some(Ok(until)) => {
                let until = until.strftime("%Y-%m-%d %H:%M:%SZ");
                _ = writeln!(text, "     a token is issued now, good until {until}");
            }
            Some(Err(words)) => _ = writeln!(text, "  !  no token is issued: {}", visible(words)),
            None => {}
        }
        if let Err(words) = &self.listed {
            _ = writeln!(text, "     not read from Entra: {}", visible(words));
        }
        text
    }

    fn local_rows(&self, text: &mut String, now: Timestamp) {
        let local = &self.local;
        let name = match (&local.thumbprint, &local.subject) {
            (Some(thumbprint), _) => thumbprint.as_str(),
            (None, Some(subject)) => subject.as_str(),
            _ => "",
        };
        let end = match (local.kind, local.end) {
            (_, Some(end)) => ends(end, local.life(now), now),
            ("secret", None) => "its end is known to Entra alone".to_owned(),
            ("managed identity", None) => "renewed by Azure".to_owned(),
            (_, None) => "its end is not known".to_owned(),
        };
        let mark = mark(InUse::Yes, local.life(now));
        let (kind, name) = (local.kind, visible(name));
        _ = writeln!(text, "  {mark}{kind:<11} {name:<40} {end}");
        if let Some(words) = &local.trouble {
            _ = writeln!(text, "  !  {}", visible(words));
        }
    }
}

fn row(text: &mut String, found: &Listed, now: Timestamp) {
    let (kind, name) = match &found.kind {
        ListedKind::Secret { hint } => (
            "secret",
            match hint {
                Some(hint) => format!("{hint}…"),
                None => found.key_id.clone(),
            },
        ),
        ListedKind::Certificate { thumbprint } => ("certificate", thumbprint.clone()),
        ListedKind::Federated { issuer, subject } => ("federated", format!("{issuer} {subject}")),
        _ => ("other", found.key_id.clone()),
    };
    let life = found.life(now);
    let end = match found.end {
        Some(end) => ends(end, life, now),
        None => "no end of its own".to_owned(),
    };
    let mark = mark(found.in_use, life);
    let label = visible(&found.label);
    let line = format!(
        "  {mark}{kind:<11} {:<40} {end:<28} {label}",
        visible(&name)
    );
    // Writing to a String cannot fail.
    _ = writeln!(text, "{}", line.trim_end());
}

/// `*` is in use, `?` may be, `!` ends soon.
fn mark(in_use: InUse, life: Life) -> String {
    let used = match in_use {
        InUse::Yes => '*',
        InUse::Maybe => '?',
        InUse::No => ' ',
    };
    let near = if in_use != InUse::No && life >= Life::Soon {
        '!'
    } else {
        ' '
    };
    format!("{used}{near} ")
}

fn ends(end: Timestamp, life: Life, now: Timestamp) -> String {
    let day = end.strftime("%Y-%m-%d");
    match (life, credentials::days_left(end, now)) {
        (Life::Ended, _) => format!("ended {day}"),
        (_, 0) => format!("ends {}, today", end.strftime("%Y-%m-%d %H:%M UTC")),
        (_, 1) => format!("ends {day}, 1 day left"),
        (_, left) => format!("ends {day}, {left} days left"),
    }
}
