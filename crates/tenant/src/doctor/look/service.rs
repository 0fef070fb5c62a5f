//! The conversation with SMTP submission, up to AUTH and with it; nothing is ever sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sendas_entra::{Clock as _, SystemClock, Token};
use sendas_smtp::Reply;
use sendas_smtp::client::{OpeningError, Problem, Stage};
use sendas_submit::{ConnectError, Connector, Deadlines, Opened, SubmitError, Trace, TraceEvent};

use crate::doctor::case::Subject;
use crate::doctor::facts::Obstacle;
use crate::doctor::seen::{Logged, Look, Service, Trouble};

/// Notes what passes by.
struct Notes {
    start: Duration,
    kept: Mutex<Service>,
}

impl Trace for Notes {
    fn observe(&self, event: TraceEvent<'_>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            TraceEvent::Connected(peer) => {
                let now = SystemClock::new().now().steady;
                kept.peer = Some(peer.to_string());
                kept.connected_after = Some(now.saturating_sub(self.start));
            }
            TraceEvent::Received {
                stage: Stage::Greeting,
                reply,
            } => kept.greeting = Some(reply.to_string()),
            TraceEvent::Secured(tls) => kept.tls = Some(tls.clone()),
            _ => {}
        }
    }
}

/// Opens a conversation. The session waits behind the service's facts, when it came so far.
pub(in crate::doctor) async fn look(subject: &Subject) -> (Look<Service>, Option<Opened>) {
    let notes = Arc::new(Notes {
        start: SystemClock::new().now().steady,
        kept: Mutex::default(),
    });
    let deadlines = Deadlines {
        connect: subject.connect_timeout.min(super::super::limits::SERVICE),
        ..Deadlines::default()
    };
    let connector = Connector::new(
        subject.cloud.smtp(),
        subject.ehlo.clone(),
        subject.tls.clone(),
    )
    .with_deadlines(deadlines)
    .with_trace(Arc::clone(&notes) as Arc<dyn Trace>);
    let opening = tokio::time::timeout(super::super::limits::SERVICE, connector.open()).await;
    let taken = || std::mem::take(&mut *notes.kept.lock().unwrap_or_else(PoisonError::into_inner));
    match opening {
        Err(_) => {
            let mut seen = taken();
            let obstacle = if seen.greeting.is_some() {
                Obstacle::Lost
            } else {
                Obstacle::Silent
            };
            let words = format!(
                "no answer within {} s",
                super::super::limits::SERVICE.as_secs()
            );
            seen.trouble = Some(Trouble::Broken(obstacle, words));
            (Ok(seen), None)
        }
        Ok(Err(error)) => {
            let mut seen = taken();
            seen.trouble = Some(trouble(&error));
            (Ok(seen), None)
        }
        Ok(Ok(opened)) => {
            let mut seen = taken();
            let capabilities = opened.capabilities().clone();
            if !capabilities.offers_auth("XOAUTH2") {
                let words = match capabilities.auth.as_slice() {
                    [] => "no AUTH line inside TLS".to_owned(),
                    offered => format!("AUTH offers {}", offered.join(" ")),
                };
                seen.trouble = Some(Trouble::Broken(Obstacle::NoMechanism, words));
            }
            seen.capabilities = Some(capabilities);
            if seen.trouble.is_some() {
                opened.quit().await;
                return (Ok(seen), None);
            }
            (Ok(seen), Some(opened))
        }
    }
}

/// Logs in, and leaves.
pub(in crate::doctor) async fn log_in(
    subject: &Subject,
    opened: Opened,
    token: &Token,
) -> Look<Logged> {
    let Some(mailbox) = &subject.mailbox else {
        opened.quit().await;
        return Err("waits for D-CFG-08: no mailbox is named".into());
    };
    Ok(match opened.authenticate(mailbox, token.expose()).await {
        Ok(session) => {
            session.quit().await;
            Logged::In
        }
        Err(SubmitError::Auth { reply, .. }) => Logged::Refused(reply),
        Err(error) => match error.reply() {
            Some(reply) => Logged::Refused(Reply::clone(reply)),
            None => Logged::Broken(words(&error)),
        },
    })
}

fn trouble(error: &SubmitError) -> Trouble {
    let obstacle = match error {
        SubmitError::Opening(OpeningError {
            stage,
            problem: Problem::Refused(reply),
        }) => return Trouble::Refused(*stage, reply.clone()),
        SubmitError::Opening(OpeningError { problem, .. }) => match problem {
            Problem::NotOffered("STARTTLS") => Obstacle::NoStartTls,
            Problem::NotOffered(_) => Obstacle::NoMechanism,
            _ => Obstacle::Injected,
        },
        SubmitError::Connect(ConnectError::Resolve { .. }) | SubmitError::HostName(_) => {
            Obstacle::Name
        }
        SubmitError::Connect(ConnectError::TimedOut { .. }) => Obstacle::Silent,
        SubmitError::Connect(_) => Obstacle::Unreachable,
        SubmitError::TlsPolicy(_) => Obstacle::Roots,
        SubmitError::Tls { source, .. } => {
            let is_trust = source
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
            if is_trust {
                Obstacle::Untrusted
            } else {
                Obstacle::Handshake
            }
        }
        _ => Obstacle::Lost,
    };
    Trouble::Broken(obstacle, words(error))
}

/// An error and its sources in one line.
pub(in crate::doctor) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
