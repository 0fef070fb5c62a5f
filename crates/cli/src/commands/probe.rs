//! `sendas probe`: one conversation with the service, shown stage by stage.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use sendas_entra::{Claims, TokenSource as _};
use sendas_envelope::Mailbox;
use sendas_smtp::client::Stage;
use sendas_submit::{Connector, SubmitError};
use serde_json::json;

use crate::clock::{self, Stopwatch};
use crate::commands::send::draft_address;
use crate::commands::token;
use crate::exit::Exit;
use crate::global::Global;
use crate::identity::Identity;
use crate::machine::Machine;
use crate::recorder::Recorder;
use crate::report::submit::{Concerned, not_opened};
use crate::report::{Failure, Outcome, token as report};
use crate::{configuration, output, runtime, token_text};

#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  sendas probe --mailbox noreply@contoso.com       the whole way to an accepted login; nothing is sent
  sendas probe --quit-after secure-ehlo            what the service offers; needs no credential
  sendas probe --json | jq .verdict")]
pub(crate) struct Probe {
    /// The mailbox to log in as; left out, the first address a principal sends for.
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    /// The principal, instead of the one that covers the mailbox.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Leave when this stage is done.
    #[arg(long, value_name = "STAGE", default_value = "auth", value_parser = stage)]
    quit_after: Stage,
    /// Use the token in this file instead of fetching one; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Stages that a conversation without a message goes through.
const STAGES: [Stage; 7] = [
    Stage::Connect,
    Stage::Greeting,
    Stage::Ehlo,
    Stage::StartTls,
    Stage::Tls,
    Stage::SecureEhlo,
    Stage::Auth,
];

fn stage(text: &str) -> Result<Stage, String> {
    STAGES
        .into_iter()
        .find(|stage| stage.name() == text)
        .ok_or_else(|| {
            let names: Vec<&str> = STAGES.iter().map(|stage| stage.name()).collect();
            let near = sendas_config::suggest::nearest(text, names.iter().copied());
            let near = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            format!("the stages are {}{near}", names.join(", "))
        })
}

pub(crate) fn run(probe: &Probe, global: &Global, machine: &Machine) -> Outcome {
    let plan = Plan::new(probe, global, machine)?;
    let recorder = Arc::new(Recorder::new(!probe.json));
    let connector = plan
        .connector
        .clone()
        .with_trace(Arc::clone(&recorder) as Arc<dyn sendas_submit::Trace>)
        .with_quit_after(probe.quit_after);
    let result = runtime::run(converse(&plan, &connector, &recorder))?;
    tell(&plan, &recorder, result)
}

/// What a call asks for, with everything that can be wrong before the first octet.
struct Plan {
    identity: Identity,
    connector: Connector,
    quit_after: Stage,
    /// Whom to log in as, and with what; none when it quits before.
    login: Option<(Mailbox, Token)>,
    json: bool,
}

enum Token {
    Given(String),
    Fetched(sendas_entra::EntraTokenSource),
}

impl Plan {
    fn new(probe: &Probe, global: &Global, machine: &Machine) -> Result<Self, Box<Failure>> {
        let loaded = configuration::load(global, machine)?;
        let settings = &loaded.settings;
        let network = &settings.network;
        let given = probe
            .mailbox
            .as_deref()
            .map(|text| draft_address("--mailbox", text).map(Mailbox::new))
            .transpose()?;
        let covered = given
            .as_ref()
            .and_then(|mailbox| settings.coverage(mailbox.as_str()));
        let principal = match (&probe.principal, covered) {
            (None, Some(covered)) => settings.principals.get(covered.principal),
            (None, None) if settings.principals.is_empty() => None,
            (name, _) => Some(configuration::choose(&loaded, name.as_deref())?),
        };
        let identity = match principal {
            Some(principal) => Identity::new(principal, network)?,
            None => Identity::nameless(network)?,
        };
        let connector = identity.connector(network)?;
        let login = if probe.quit_after < Stage::Auth {
            None
        } else {
            let own = principal.and_then(first_address);
            let mailbox = match (given, own) {
                (Some(mailbox), _) => mailbox,
                (None, Some(own)) => Mailbox::new(draft_address("mailboxes", &own)?),
                (None, None) => {
                    return Err(Box::new(match principal {
                        None if probe.token_file.is_none() => {
                            configuration::nothing_configured(&loaded)
                        }
                        _ => Failure::usage("nothing was tried: no mailbox is named to log in as")
                            .command("sendas probe --mailbox noreply@contoso.com"),
                    }));
                }
            };
            let token = match (&probe.token_file, principal) {
                (Some(path), _) => Token::Given(token_text::read(path)?),
                (None, Some(principal)) => {
                    Token::Fetched(identity.token_source(&principal.credential, machine)?)
                }
                (None, None) => return Err(Box::new(configuration::nothing_configured(&loaded))),
            };
            Some((mailbox, token))
        };
        Ok(Self {
            identity,
            connector,
            quit_after: probe.quit_after,
            login,
            json: probe.json,
        })
    }
}

/// The first mailbox that a principal names as one address.
pub(crate) fn first_address(principal: &sendas_config::Principal) -> Option<String> {
    principal
        .mailboxes
        .iter()
        .find_map(|entry| match (&entry.mailbox, &entry.pattern) {
            (Some(mailbox), _) => Some(mailbox.clone()),
            (None, sendas_config::Pattern::Address(address)) => Some(address.clone()),
            (None, _) => None,
        })
}

/// How a conversation went.
struct Conversed {
    claims: Option<Claims>,
    /// None: everything that was asked for went well.
    failure: Option<Box<Failure>>,
}

async fn converse(plan: &Plan, connector: &Connector, recorder: &Recorder) -> Conversed {
    let mut claims = None;
    let failure = talk(plan, connector, recorder, &mut claims).await.err();
    Conversed { claims, failure }
}

async fn talk(
    plan: &Plan,
    connector: &Connector,
    recorder: &Recorder,
    claims: &mut Option<Claims>,
) -> Result<(), Box<Failure>> {
    let smtp = plan.identity.cloud.smtp();
    let place = format!("{} port {}", smtp.host, smtp.port);
    let Some((mailbox, token)) = &plan.login else {
        let what = format!(
            "the conversation with {place} did not reach the stage {}",
            plan.quit_after.name()
        );
        return match connector.open().await {
            Ok(opened) => {
                opened.quit().await;
                Ok(())
            }
            Err(SubmitError::Quit(_)) => Ok(()),
            Err(error) => Err(Box::new(not_opened(
                what,
                &error,
                &concerned(plan, "", None),
            ))),
        };
    };
    let what = format!(
        "mailbox {} may not send: it was not logged in at {place}",
        mailbox.as_str()
    );
    let text = match token {
        Token::Given(text) => text.clone(),
        Token::Fetched(source) => {
            let watch = Stopwatch::start();
            let token = source
                .token()
                .await
                .map_err(|error| Box::new(report::no_token(what.clone(), &error)))?;
            let text = format!(
                "token of principal `{}`: {} octets, good until {}, fetched in {}",
                plan.identity.name,
                token.octets(),
                clock::whole_seconds(token.expires_at()),
                clock::ms(watch.elapsed())
            );
            recorder.note("token", &text);
            token.expose().to_owned()
        }
    };
    *claims = Claims::decode(&text).ok();
    let judgements = claims.as_ref().map_or_else(Vec::new, |claims| {
        claims.judge(&plan.identity.expectation(), clock::now())
    });
    let concerned = concerned(plan, mailbox.as_str(), claims.as_ref());
    let failed = |error| Box::new(not_opened(what.clone(), &error, &concerned));
    let opened = connector.open().await.map_err(failed)?;
    if report::wrong(&judgements).is_some() {
        opened.quit().await;
        return Err(Box::new(report::wrong_token(what, &judgements)));
    }
    let session = opened.authenticate(mailbox, &text).await.map_err(failed)?;
    session.quit().await;
    Ok(())
}

fn concerned<'a>(plan: &'a Plan, mailbox: &'a str, claims: Option<&'a Claims>) -> Concerned<'a> {
    Concerned {
        identity: &plan.identity,
        mailbox,
        from: None,
        claims,
    }
}

fn tell(plan: &Plan, recorder: &Recorder, conversed: Conversed) -> Outcome {
    let Conversed { claims, failure } = conversed;
    let verdict = match (&failure, &plan.login) {
        (Some(failure), _) => failure.what.clone(),
        (None, Some((mailbox, _))) => {
            format!("the principal may log in as mailbox {}", mailbox.as_str())
        }
        (None, None) => format!("the stage {} was reached", plan.quit_after.name()),
    };
    let written = if plan.json {
        output::json(&json!({
            "ok": failure.is_none(),
            "verdict": verdict,
            "host": plan.identity.cloud.smtp().host,
            "port": plan.identity.cloud.smtp().port,
            "principal": plan.identity.name,
            "mailbox": plan.login.as_ref().map(|(mailbox, _)| mailbox.as_str()),
            "tls": recorder.tls_json(),
            "claims": claims.as_ref().map(token::claims_json),
            "stages": recorder.stages_json(),
            "dialogue": recorder.dialogue_json(),
            "error": failure.as_ref().map(|failure| failure.to_json()),
        }))
    } else {
        output::data(&format!("\n{}verdict: {verdict}\n", recorder.stages_text()))
    };
    written.map_err(|error| Failure::machine("the answer was not written", &error))?;
    Ok(failure.map_or(Exit::Done, |failure| failure.tell(false)))
}
