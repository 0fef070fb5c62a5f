//! `sendas demo`: the whole chain, from an empty tenant to an accepted message, on this machine.

mod tenant;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sendas_entra::{
    ClientId, Cloud, Credential, EntraTokenSource, Expectation, HttpClient, Method, Principal,
    Proxy, SystemClock, Tenant, Token, TokenSource as _,
};
use sendas_envelope::{Address, Envelope, Mailbox, Recipient};
use sendas_sandbox::{Filter, Options, Preset, Running, Sandbox};
use sendas_smtp::ClientName;
use sendas_submit::{Attempt, Connector, Message, Trace};
use serde_json::{Value, json};

use crate::clock::{self, Stopwatch};
use crate::commands::token;
use crate::exit::Exit;
use crate::output;
use crate::recorder::Recorder;
use crate::report::{Failure, Kind, Outcome, chain};
use crate::runtime;

use tenant::Built;

#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  sendas demo
  sendas demo --json | jq .steps")]
pub(crate) struct Demo {
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Round trips of one token request: TCP, TLS 1.3, and the request itself.
const TOKEN_ROUND_TRIPS: usize = 3;

/// How long the message may take to show up in the sandbox after it was accepted.
const ARRIVAL_S_MAX: u64 = 10;

pub(crate) fn run(demo: &Demo) -> Outcome {
    runtime::run(show(demo))?
}

/// What is told, and kept for the table and the JSON.
struct Show {
    json: bool,
    number: usize,
    steps: Vec<Step>,
    written: std::io::Result<()>,
}

struct Step {
    title: String,
    took: Duration,
    round_trips: Option<usize>,
}

impl Show {
    /// Tells a finished step.
    fn step(&mut self, title: &str, detail: &str, took: Duration, round_trips: Option<usize>) {
        self.number += 1;
        let mut text = format!("{:>2}. {title}  ({})\n", self.number, clock::ms(took));
        for line in detail.lines() {
            text.push_str(format!("      {line}").trim_end());
            text.push('\n');
        }
        text.push('\n');
        self.write(&text);
        self.steps.push(Step {
            title: title.to_owned(),
            took,
            round_trips,
        });
    }

    fn write(&mut self, text: &str) {
        if !self.json && self.written.is_ok() {
            self.written = output::data(text);
        }
    }
}

async fn show(demo: &Demo) -> Outcome {
    let mut show = Show {
        json: demo.json,
        number: 0,
        steps: Vec::new(),
        written: Ok(()),
    };
    let whole = Stopwatch::start();
    let sandbox = sandbox(&mut show).await?;
    let built = tenant::build(&sandbox, &mut show)?;
    let cloud = Cloud::from_file(sandbox.folder().join("cloud.toml"))
        .map_err(|error| broken("the cloud file was not read", &error))?;
    let token = fetch(&cloud, &built, &mut show).await?;
    let claims = token
        .claims()
        .map_err(|error| broken("the token is not readable", &error))?;
    let recorder = Arc::new(Recorder::new(false));
    let (attempt, envelope) = send(&cloud, &built, &token, &recorder, &mut show).await?;
    let (message, raw) = arrived(&sandbox, &mut show).await?;
    sandbox.stop().await;
    show.write(&table(&show, whole.elapsed()));
    if demo.json {
        let receipts = attempt.receipts(&envelope);
        show.written = output::json(&json!({
            "ok": true,
            "steps": show.steps.iter().map(step_json).collect::<Vec<_>>(),
            "claims": token::claims_json(&claims),
            "dialogue": recorder.dialogue_json(),
            "tls": recorder.tls_json(),
            "reply": receipts.first().map(|receipt| &receipt.reply),
            "message": message,
            "raw": raw,
            "ms": clock::ms_number(whole.elapsed()),
        }));
    }
    show.written
        .map_err(|error| Failure::machine("the demonstration was not shown", &error))?;
    Ok(Exit::Done)
}

async fn sandbox(show: &mut Show) -> Result<Running, Box<Failure>> {
    let watch = Stopwatch::start();
    let options = Options {
        tenant: Preset::Fresh,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.map_err(|error| {
        Box::new(Failure::machine_trouble(
            "the sandbox did not start",
            chain(&error),
        ))
    })?;
    let details = sandbox.details();
    show.step(
        "A sandbox stands in for Microsoft on this machine",
        &format!(
            "Entra ID at {}, SMTP submission at {} port {}, with a CA of its own\n\
             tenant {} is an organisation of today: SMTP AUTH is off, there is no application",
            details.authority, details.smtp.host, details.smtp.port, details.tenant.domain
        ),
        watch.elapsed(),
        None,
    );
    Ok(sandbox)
}

async fn fetch(cloud: &Cloud, built: &Built, show: &mut Show) -> Result<Token, Box<Failure>> {
    let credential = Credential::secret_bytes(built.secret.clone().into_bytes())
        .map_err(|error| broken("the secret cannot be used", &error))?;
    let tenant = Tenant::parse(&built.tenant)
        .map_err(|error| broken("the tenant cannot be used", &error))?;
    let client_id = ClientId::parse(&built.client_id.to_string())
        .map_err(|error| broken("the client id cannot be used", &error))?;
    let tls = cloud
        .tls_policy()
        .map_err(|error| broken("the CA cannot be used", &error))?;
    let expectation = Expectation {
        resource: cloud.resource().as_str().to_owned(),
        tenant: Some(tenant.clone()),
        client_id: Some(client_id.clone()),
        method: Method::Rbac,
    };
    let principal = Principal::new(cloud.clone(), tenant, client_id, credential);
    let http = HttpClient::new(tls, Proxy::none());
    let source = EntraTokenSource::new(principal, http, Arc::new(SystemClock::new()), 0);
    let watch = Stopwatch::start();
    let token = source.token().await.map_err(|error| {
        crate::report::token::no_token("the demonstration got no token", &error)
    })?;
    let took = watch.elapsed();
    let claims = token
        .claims()
        .map_err(|error| broken("the token is not readable", &error))?;
    let judgements = claims.judge(&expectation, clock::now());
    let detail = format!(
        "POST {}/…/oauth2/v2.0/token  scope={}/.default\n\
         the answer is a token of {} octets; it says:\n\n{}",
        cloud.authority(),
        cloud.resource(),
        token.octets(),
        token::in_text(&claims, &judgements)
    );
    show.step(
        "The principal fetches a token",
        &detail,
        took,
        Some(TOKEN_ROUND_TRIPS),
    );
    Ok(token)
}

async fn send(
    cloud: &Cloud,
    built: &Built,
    token: &Token,
    recorder: &Arc<Recorder>,
    show: &mut Show,
) -> Result<(Attempt, Envelope), Box<Failure>> {
    let mailbox = Address::parse(&built.mailbox)
        .map_err(|error| broken("the mailbox is not an address", &error))?;
    let to = Address::parse("you@example.com")
        .map_err(|error| broken("the recipient is not an address", &error))?;
    let text = format!(
        "From: Demo <{mailbox}>\r\nTo: {to}\r\nSubject: It works\r\nDate: {}\r\n\
         Message-ID: <{}@{}>\r\n\r\n\
         No user, no password, no browser: a service principal sent this over SMTP.\r\n",
        clock::date_field(clock::now()),
        uuid::Uuid::new_v4().simple(),
        mailbox.domain(),
    );
    let message = Message::new(text.into_bytes())
        .map_err(|error| broken("the message cannot be sent", &error))?;
    let envelope = Envelope::new(mailbox.clone(), vec![Recipient::from(to)])
        .map_err(|error| broken("the envelope cannot be made", &error))?;
    let name = ClientName::new("[127.0.0.1]")
        .map_err(|error| broken("the EHLO name cannot be used", &error))?;
    let tls = cloud
        .tls_policy()
        .map_err(|error| broken("the CA cannot be used", &error))?;
    let connector =
        Connector::new(cloud.smtp(), name, tls).with_trace(Arc::clone(recorder) as Arc<dyn Trace>);
    let watch = Stopwatch::start();
    let opened = connector
        .open()
        .await
        .map_err(|error| broken("no session was opened", &error))?;
    let mut session = opened
        .authenticate(&Mailbox::new(mailbox), token.expose())
        .await
        .map_err(|error| broken("the login was refused", &error))?;
    let attempt = session.send(&envelope, &message).await;
    let took = watch.elapsed();
    session.quit().await;
    if !attempt.is_accepted() {
        let words: Vec<String> = attempt
            .receipts(&envelope)
            .into_iter()
            .map(|receipt| receipt.reply)
            .collect();
        return Err(Box::new(
            Failure::new(
                Kind::Service,
                Exit::Failed,
                "the sandbox did not take the message",
            )
            .quote("the sandbox", words.join("; ")),
        ));
    }
    let round_trips = recorder.round_trips();
    let detail = format!(
        "{}\n{round_trips} round trips from connect to the final reply",
        recorder.dialogue_text()
    );
    show.step(
        "It sends a message over SMTP with XOAUTH2",
        &detail,
        took,
        Some(round_trips),
    );
    Ok((attempt, envelope))
}

async fn arrived(
    sandbox: &Running,
    show: &mut Show,
) -> Result<(sendas_sandbox::Message, String), Box<Failure>> {
    let watch = Stopwatch::start();
    let at_most = Duration::from_secs(ARRIVAL_S_MAX);
    let found = sandbox.wait(&Filter::default(), 1, at_most).await;
    let lost = || {
        Box::new(Failure::new(
            Kind::Service,
            Exit::Failed,
            "the message was accepted and did not arrive in the sandbox",
        ))
    };
    let message = found.into_iter().next().ok_or_else(lost)?;
    let raw = sandbox
        .raw(message.id)
        .map_err(|error| Failure::machine("the message that arrived was not read", &error))?
        .ok_or_else(lost)?;
    let raw = String::from_utf8_lossy(&raw).replace("\r\n", "\n");
    let detail = format!(
        "{} octets by {}, octet for octet:\n\n{raw}",
        message.octets, message.transfer
    );
    show.step("The message as it arrived", &detail, watch.elapsed(), None);
    Ok((message, raw))
}

fn table(show: &Show, whole: Duration) -> String {
    let mut out = format!(
        "{:<58} {:>10}  {:>11}\n",
        "What it cost", "time", "round trips"
    );
    for step in &show.steps {
        let trips = step
            .round_trips
            .map_or_else(|| "-".to_owned(), |trips| trips.to_string());
        out.push_str(&row(&step.title, step.took, &trips));
    }
    let trips: usize = show.steps.iter().filter_map(|step| step.round_trips).sum();
    out.push_str(&row("In all", whole, &trips.to_string()));
    out.push_str(
        "\nThe steps of the administrator are one request each in a real tenant, and act after up \
         to two hours.\nNext: sendas sandbox run --dir sandbox, or a configuration file for your \
         own tenant.\n",
    );
    out
}

fn row(title: &str, took: Duration, trips: &str) -> String {
    format!("{title:<58} {:>10}  {trips:>11}\n", clock::ms(took))
}

fn step_json(step: &Step) -> Value {
    json!({
        "title": step.title,
        "ms": clock::ms_number(step.took),
        "round_trips": step.round_trips,
    })
}

/// Something in the demonstration itself that does not fit together.
fn broken(what: &str, error: &dyn std::error::Error) -> Box<Failure> {
    Box::new(
        Failure::new(
            Kind::Machine,
            Exit::Failed,
            format!("the demonstration ended early: {what}"),
        )
        .cause(chain(error), None),
    )
}
