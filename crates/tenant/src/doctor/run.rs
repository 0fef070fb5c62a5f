//! One run: the looks at once, then the facts, the verdict, and a row for each check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sendas_entra::{Claims, Clock as _, HttpClient, SystemClock, Token};
use sendas_exchange::Subjects;
use tokio::sync::watch;

use super::case::{Case, Subject};
use super::check::{self, Check, Scene, Status};
use super::gather::facts;
use super::judge::{Verdict, judge};
use super::limits;
use super::look::{self, within};
use super::seen::{Blank, Issued, Logged, Look, Seen, Source};
use crate::admin::{AdminToken, AdminTokens};
use crate::exchange_admin::ExchangeAdmin;
use crate::timer::SystemTimer;
use crate::wire::Wire;

/// Which checks are done.
#[derive(Clone, Debug)]
pub struct Selection {
    checks: Vec<&'static Check>,
    is_offline: bool,
}

/// One row of the report.
#[derive(Clone, Debug)]
pub struct Row {
    /// The check.
    pub check: &'static Check,
    /// How it went.
    pub status: Status,
    /// What was seen, or why nothing was.
    pub seen: String,
    /// What mends it, with the names put in; none when there is nothing to mend.
    pub fix: Option<String>,
    /// How long the look behind it took.
    pub took: Duration,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Examination {
    /// A row for each check that was asked for.
    pub rows: Vec<Row>,
    /// The causes of what does not work, the surest first.
    pub verdicts: Vec<Verdict>,
    /// What could not be seen and would say more, with the reason.
    pub unseen: Vec<String>,
    /// How long the run took.
    pub took: Duration,
}

impl Selection {
    /// Every check.
    pub fn all() -> Self {
        Self {
            checks: check::checks().collect(),
            is_offline: false,
        }
    }

    /// The checks and groups named, without those named in `skip`; everything when `only` is empty.
    ///
    /// # Errors
    /// The first name that is neither a check nor a group.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self, String> {
        for name in only.iter().chain(skip) {
            if !check::checks().any(|check| is_meant(check, name)) {
                return Err(name.clone());
            }
        }
        let checks = check::checks()
            .filter(|check| only.is_empty() || only.iter().any(|name| is_meant(check, name)))
            .filter(|check| !skip.iter().any(|name| is_meant(check, name)))
            .collect();
        Ok(Self {
            checks,
            is_offline: false,
        })
    }

    /// The same without the network.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.is_offline = true;
        self
    }

    /// The looks that the checks, and those they wait for, need.
    fn sources(&self) -> BTreeSet<Source> {
        let mut wanted: BTreeSet<Source> = self.checks.iter().map(|check| check.source).collect();
        let mut waiting: Vec<&str> = self
            .checks
            .iter()
            .flat_map(|check| check.after)
            .copied()
            .collect();
        while let Some(id) = waiting.pop() {
            if let Some(check) = check::find(id)
                && wanted.insert(check.source)
            {
                waiting.extend(check.after);
            }
        }
        if wanted.contains(&Source::Login) {
            wanted.extend([Source::Token, Source::Service]);
        }
        if wanted.contains(&Source::Exchange) {
            // The object id comes from there.
            wanted.extend([Source::Directory]);
        }
        wanted
    }
}

fn is_meant(check: &Check, name: &str) -> bool {
    check.id.eq_ignore_ascii_case(name) || check.group.name().eq_ignore_ascii_case(name)
}

/// Looks at everything that was asked for, within ten seconds, and changes nothing.
pub async fn examine(case: &Case, selection: &Selection) -> Examination {
    let clock = SystemClock::new();
    let start = clock.now().steady;
    let sources = selection.sources();
    let seen = match tokio::time::timeout(
        limits::WHOLE,
        Box::pin(Run::new(case, &sources, selection.is_offline).look()),
    )
    .await
    {
        Ok(seen) => seen,
        Err(_) => nothing_seen(&Blank::Late(
            "the whole run was still waited for after 10 s".to_owned(),
        )),
    };
    let facts = facts(case, &seen);
    let verdicts = judge(&facts);
    let scene = Scene {
        case,
        seen: &seen,
        facts: &facts,
        verdicts: &verdicts,
    };
    let subjects = Subjects {
        mailbox: facts.mailbox.as_deref(),
        from: None,
        principal: facts.client_id.as_deref(),
        object: facts.object_id.as_deref(),
    };
    let rows = selection
        .checks
        .iter()
        .map(|check| row(check, &scene, &subjects))
        .collect();
    Examination {
        unseen: unseen(&seen),
        rows,
        verdicts,
        took: clock.now().steady.saturating_sub(start),
    }
}

fn row(check: &'static Check, scene: &Scene<'_>, subjects: &Subjects<'_>) -> Row {
    let took = scene
        .seen
        .took
        .get(&check.source)
        .copied()
        .unwrap_or_default();
    match (check.look)(scene) {
        Err(reason) => Row {
            check,
            status: Status::NotSeen,
            seen: reason,
            fix: None,
            took,
        },
        Ok(found) => {
            let is_wrong = matches!(found.status, Status::Problem | Status::Warning);
            let usual = || sendas_exchange::Fix::command("", check.fix).command_for(subjects);
            Row {
                check,
                status: found.status,
                seen: found.seen,
                fix: found.fix.or_else(usual).filter(|_| is_wrong),
                took,
            }
        }
    }
}

/// What would say more, and no administrator's token let us look at.
fn unseen(seen: &Seen) -> Vec<String> {
    let mut out = Vec::new();
    if let Err(reason) = &seen.directory {
        out.push(format!(
            "application, enterprise application, credentials and grants in Entra: {reason}"
        ));
    }
    if let Err(reason) = &seen.exchange {
        out.push(format!(
            "service principal, switches, mailbox rights and scope in Exchange: {reason}"
        ));
    }
    out
}

struct Run<'a> {
    case: &'a Case,
    sources: &'a BTreeSet<Source>,
    is_offline: bool,
    http: Option<HttpClient>,
}

fn nothing_seen(reason: &Blank) -> Seen {
    fn not<T>(reason: &Blank) -> Look<T> {
        Err(reason.clone())
    }
    Seen {
        now: SystemClock::new().now().wall,
        machine: not(reason),
        names: not(reason),
        web: not(reason),
        token: not(reason),
        service: not(reason),
        login: not(reason),
        directory: not(reason),
        exchange: not(reason),
        relay: not(reason),
        took: BTreeMap::new(),
    }
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, sources: &'a BTreeSet<Source>, is_offline: bool) -> Self {
        let http = case.subject.as_ref().and_then(|subject| {
            let proxy = subject.proxy.as_ref().ok()?.clone();
            Some(HttpClient::new(subject.tls.clone(), proxy))
        });
        Self {
            case,
            sources,
            is_offline,
            http,
        }
    }

    /// Why a look over the network is not made, or the subject it is about.
    fn over_network(&self, source: Source) -> Result<&'a Subject, Blank> {
        if !self.sources.contains(&source) {
            return Err("not asked for".into());
        }
        if self.is_offline {
            return Err("not asked over the network: --offline".into());
        }
        let subject = self.case.subject.as_ref();
        subject.ok_or_else(|| "waits for D-CFG-04: no principal is examined".into())
    }

    fn http(&self) -> Result<&HttpClient, Blank> {
        let http = self.http.as_ref();
        http.ok_or_else(|| "waits for D-CFG-11: the proxy setting cannot be read".into())
    }

    /// What an administrator's look needs; `tenant_id` is the id behind the configured tenant.
    async fn admin(
        &self,
        source: Source,
        token: impl Fn(&AdminTokens) -> &AdminToken,
        tenant_id: impl Future<Output = Option<String>>,
    ) -> Result<(&'a Subject, AdminToken, &HttpClient), Blank> {
        let subject = self.over_network(source)?;
        let tokens = match &self.case.admin {
            None => return Err("no administrator's token was given: --admin-tokens FILE".into()),
            Some(Err(words)) => return Err(format!("the administrator's token: {words}").into()),
            Some(Ok(tokens)) => tokens,
        };
        let token = token(tokens).clone();
        let http = self.http()?;
        let configured = subject.tenant.as_ref().filter(|tenant| tenant.is_id());
        let wanted = match configured {
            Some(tenant) => Some(tenant.as_str().to_owned()),
            None => tenant_id.await,
        };
        let claims = token.claims();
        let of_token = claims.as_ref().and_then(Claims::tenant_id);
        match (of_token, &wanted) {
            (Some(other), Some(wanted)) if !other.eq_ignore_ascii_case(wanted) => Err(format!(
                "the administrator's token is of the tenant {other}, and the principal of {wanted}: sign in there"
            )
            .into()),
            _ => Ok((subject, token, http)),
        }
    }

    async fn look(&self) -> Seen {
        let mut seen = nothing_seen(&Blank::from("not asked for"));
        // The tenant's id, which a domain hides; and the object id, which Exchange's reader waits for.
        let (tell_tenant, tenant_id) = watch::channel(News::Awaited);
        let (tell_object, object_id) = watch::channel(News::Awaited);
        let clock = SystemClock::new();
        let start = clock.now().steady;
        let machine = async {
            let look = if self.sources.contains(&Source::Machine) {
                within(
                    limits::MACHINE,
                    "reading files",
                    look::machine::look(self.case),
                )
                .await
            } else {
                Err("not asked for".into())
            };
            (look, clock.now().steady.saturating_sub(start))
        };
        let names = async {
            let look = match self.over_network(Source::Names) {
                Ok(subject) => look::names::look(subject).await,
                Err(reason) => Err(reason),
            };
            (look, clock.now().steady.saturating_sub(start))
        };
        let web = async {
            let look = async {
                let subject = self.over_network(Source::Web)?;
                let http = self.http()?;
                within(
                    limits::WEB,
                    "the request for the metadata",
                    look::web::look(subject, http),
                )
                .await
            }
            .await;
            let found = look.as_ref().ok().and_then(|web| {
                let answer = web.answer.as_ref().ok()?;
                answer.tenant_id.clone()
            });
            drop(tell_tenant.send(News::Told(found)));
            (look, clock.now().steady.saturating_sub(start))
        };
        let way = async {
            let token = async {
                let asked = async {
                    let subject = self.over_network(Source::Token)?;
                    let http = self.http()?;
                    let id = told(tenant_id.clone());
                    within(
                        limits::TOKEN,
                        "the token request",
                        look::token::look(subject, http, id),
                    )
                    .await
                }
                .await;
                let object = match &asked {
                    Ok(Ok((issued, _))) => issued
                        .claims
                        .as_ref()
                        .and_then(Claims::object_id)
                        .map(str::to_owned),
                    _ => None,
                };
                drop(tell_object.send(News::Told(object)));
                (asked, clock.now().steady.saturating_sub(start))
            };
            let service = async {
                let (look, opened) = match self.over_network(Source::Service) {
                    Ok(subject) => look::service::look(subject).await,
                    Err(reason) => (Err(reason), None),
                };
                (look, opened, clock.now().steady.saturating_sub(start))
            };
            let ((asked, token_took), (service, opened, service_took)) =
                tokio::join!(token, service);
            let elapsed = clock.now().steady.saturating_sub(start);
            let login = self
                .log_in(&asked, opened, limits::LOGIN.saturating_sub(elapsed))
                .await;
            let took = clock.now().steady.saturating_sub(start);
            (asked, token_took, service, service_took, login, took)
        };
        let admin = async {
            let directory = self.directory(clock.now().wall, tenant_id.clone());
            let directory = within(limits::ADMIN, "reading Entra", directory).await;
            let directory_took = clock.now().steady.saturating_sub(start);
            let known = directory
                .as_ref()
                .ok()
                .and_then(|found| found.object_id.clone());
            let object = match known {
                Some(known) => Some(known),
                None => told(object_id.clone()).await,
            };
            let left = limits::ADMIN.saturating_sub(directory_took);
            let exchange = within(
                left,
                "reading Exchange",
                self.exchange(object.as_deref(), tenant_id.clone()),
            )
            .await;
            (
                directory,
                directory_took,
                exchange,
                clock.now().steady.saturating_sub(start),
            )
        };
        let relay = async {
            let look = match (&self.case.relay, self.sources.contains(&Source::Relay)) {
                (_, false) => Err("not asked for".into()),
                (None, _) => Err("no relay is configured".into()),
                (Some(relay), true) => {
                    within(
                        limits::RELAY,
                        "the look at the relay",
                        look::relay::look(relay),
                    )
                    .await
                }
            };
            (look, clock.now().steady.saturating_sub(start))
        };
        let (machine, names, web, way, admin, relay) =
            tokio::join!(machine, names, web, way, admin, relay);
        let took = &mut seen.took;
        for (source, time) in [
            (Source::Machine, machine.1),
            (Source::Names, names.1),
            (Source::Web, web.1),
            (Source::Token, way.1),
            (Source::Service, way.3),
            (Source::Login, way.5),
            (Source::Directory, admin.1),
            (Source::Exchange, admin.3),
            (Source::Relay, relay.1),
        ] {
            took.insert(source, time);
        }
        seen.now = clock.now().wall;
        seen.machine = machine.0;
        seen.names = names.0;
        seen.web = web.0;
        seen.token = way.0.map(|asked| asked.map(|(issued, _)| issued));
        seen.service = way.2;
        seen.login = way.4;
        seen.directory = admin.0;
        seen.exchange = admin.2;
        seen.relay = relay.0;
        seen
    }

    async fn log_in(
        &self,
        asked: &look::token::Asked,
        opened: Option<sendas_submit::Opened>,
        deadline: Duration,
    ) -> Look<Logged> {
        let subject = match self.over_network(Source::Login) {
            Ok(subject) => subject,
            Err(reason) => {
                leave(opened).await;
                return Err(reason);
            }
        };
        let token: Look<&(Issued, Token)> = match asked {
            Ok(Ok(pair)) => Ok(pair),
            Ok(Err(_)) => Err("waits for D-ENTRA-03: there is no token".into()),
            Err(reason) => Err(reason.clone()),
        };
        match (token, opened) {
            (Ok((_, token)), Some(opened)) => {
                within(
                    deadline,
                    "the login",
                    look::service::log_in(subject, opened, token),
                )
                .await
            }
            (Err(reason), opened) => {
                leave(opened).await;
                Err(reason)
            }
            (Ok(_), None) => Err("waits for D-EXO-01: the service did not come so far".into()),
        }
    }

    async fn directory(
        &self,
        now: jiff::Timestamp,
        tenant_id: watch::Receiver<News>,
    ) -> Look<super::seen::Directory> {
        let (subject, token, http) = self
            .admin(Source::Directory, |tokens| &tokens.graph, told(tenant_id))
            .await?;
        let wire = Wire {
            transport: Arc::new(http.clone()),
            timer: Arc::new(SystemTimer),
            token,
            progress: Arc::new(crate::apply::Silent),
        };
        look::directory::look(subject, &wire, now).await
    }

    async fn exchange(
        &self,
        object_id: Option<&str>,
        tenant_id: watch::Receiver<News>,
    ) -> Look<super::seen::Exchange> {
        let (subject, token, http) = self
            .admin(Source::Exchange, |tokens| &tokens.exchange, told(tenant_id))
            .await?;
        let claims = token.claims();
        let of_token = claims.as_ref().and_then(Claims::tenant_id);
        let configured = subject.tenant.as_ref().map(sendas_entra::Tenant::as_str);
        let tenant = of_token
            .or(configured)
            .ok_or("the administrator's token names no tenant")?;
        let wire = Wire {
            transport: Arc::new(http.clone()),
            timer: Arc::new(SystemTimer),
            token: token.clone(),
            progress: Arc::new(crate::apply::Silent),
        };
        let admin = ExchangeAdmin::new(wire, &subject.cloud, tenant);
        let client_id = subject
            .client_id
            .as_ref()
            .map(sendas_entra::ClientId::as_str);
        let mailbox = subject
            .mailbox
            .as_ref()
            .map(sendas_envelope::Mailbox::as_str);
        look::exchange::look(&admin, client_id, object_id, mailbox).await
    }
}

async fn leave(opened: Option<sendas_submit::Opened>) {
    if let Some(opened) = opened {
        opened.quit().await;
    }
}

/// What one look waits to hear from another.
#[derive(Clone, Debug)]
enum News {
    Awaited,
    Told(Option<String>),
}

/// What somebody else found out, once they have.
async fn told(mut news: watch::Receiver<News>) -> Option<String> {
    let is_told = |news: &News| matches!(news, News::Told(_));
    match news.wait_for(is_told).await.as_deref() {
        Ok(News::Told(found)) => found.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Group, Needs};
    use super::*;

    #[test]
    fn the_table() {
        let all: Vec<&Check> = check::checks().collect();
        assert!(all.len() >= 60, "{} checks", all.len());
        for (at, check) in all.iter().enumerate() {
            assert!(
                !all[..at].iter().any(|other| other.id == check.id),
                "{} stands twice",
                check.id
            );
            for id in check.after {
                assert!(
                    check::find(id).is_some(),
                    "{} waits for {id}, which is no check",
                    check.id
                );
                assert_ne!(*id, check.id);
            }
            for text in [check.title, check.tests, check.why, check.fix] {
                assert!(
                    !text.is_empty() && !text.ends_with('.'),
                    "{}: {text}",
                    check.id
                );
            }
            let is_admin = matches!(check.source, Source::Directory | Source::Exchange);
            assert_eq!(is_admin, check.needs == Needs::AdminToken, "{}", check.id);
        }
        for group in Group::ALL {
            assert!(
                all.iter().any(|check| check.group == group),
                "{}",
                group.name()
            );
        }
    }

    #[test]
    fn selections() {
        let names = |only: &[&str], skip: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|s| (*s).into()).collect::<Vec<_>>();
            Selection::new(&own(only), &own(skip)).map(|selection| selection.checks.len())
        };
        assert_eq!(names(&["d-cfg-02"], &[]), Ok(1));
        assert_eq!(names(&["clock"], &["D-CLOCK-02"]), Ok(1));
        assert_eq!(names(&["D-NONE-1"], &[]), Err("D-NONE-1".into()));
        let local = Selection::new(&["D-CFG-02".to_owned()], &[]).unwrap();
        assert_eq!(local.sources(), BTreeSet::from([Source::Given]));
    }
}
