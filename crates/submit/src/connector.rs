//! From a host to an authenticated session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sendas_entra::SmtpEndpoint;
use sendas_envelope::Mailbox;
use sendas_smtp::client::{AuthStep, ExpectGreeting, Secured, Stage};
use sendas_smtp::sasl::Mechanism;
use sendas_smtp::{Capabilities, ClientName};
use sendas_tls::TlsPolicy;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connect::connect;
use crate::error::SubmitError;
use crate::limits::Deadlines;
use crate::link::{Link, LinkCause, LinkError};
use crate::session::Session;
use crate::stream::{Stream, TlsDetails};
use crate::trace::{NoTrace, Trace, TraceEvent};

/// Opens sessions to one host. Clones share what is known of it.
#[derive(Clone)]
pub struct Connector {
    host: Arc<str>,
    port: u16,
    name: ClientName,
    tls: TlsPolicy,
    deadlines: Deadlines,
    trace: Arc<dyn Trace>,
    memory: Arc<HostMemory>,
    quit_after: Option<Stage>,
}

/// What was learned of a host and is kept for its next sessions.
#[derive(Debug, Default)]
pub(crate) struct HostMemory {
    /// It offers CHUNKING and does not understand BDAT.
    pub(crate) refuses_chunking: AtomicBool,
    /// A handshake has succeeded: the next ones may resume its session.
    may_resume: AtomicBool,
}

/// A session inside TLS that has not authenticated.
pub struct Opened {
    link: Link,
    state: Secured,
    tls: TlsDetails,
    memory: Arc<HostMemory>,
}

impl Connector {
    /// A connector for an endpoint. `name` is what we call ourselves in EHLO.
    pub fn new(endpoint: &SmtpEndpoint, name: ClientName, tls: TlsPolicy) -> Self {
        Self {
            host: endpoint.host.as_str().into(),
            port: endpoint.port,
            name,
            tls,
            deadlines: Deadlines::default(),
            trace: Arc::new(NoTrace),
            memory: Arc::default(),
            quit_after: None,
        }
    }

    /// The same with other deadlines.
    #[must_use]
    pub const fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// The same with a watcher.
    #[must_use]
    pub fn with_trace(mut self, trace: Arc<dyn Trace>) -> Self {
        self.trace = trace;
        self
    }

    /// The same, but [`open`](Self::open) leaves with [`SubmitError::Quit`] when this stage is
    /// done, if it lies before the second EHLO; for whoever only looks.
    #[must_use]
    pub const fn with_quit_after(mut self, stage: Stage) -> Self {
        self.quit_after = Some(stage);
        self
    }

    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Connects, upgrades to TLS, verifies the host, and greets again inside.
    ///
    /// A handshake that fails where an earlier session may have been resumed is tried once more
    /// from the start without: some servers mishandle tickets of others behind the same name.
    ///
    /// # Errors
    /// [`SubmitError`]; no credential has been sent.
    pub async fn open(&self) -> Result<Opened, SubmitError> {
        let may_resume = self.memory.may_resume.load(Ordering::Relaxed);
        match self.open_with(self.tls.client_config()?).await {
            Err(SubmitError::Tls { source, .. }) if may_resume && !is_verdict(&source) => {
                let config = self.tls.client_config_without_resumption()?;
                self.open_with(config).await
            }
            other => other,
        }
    }

    async fn open_with(&self, config: Arc<ClientConfig>) -> Result<Opened, SubmitError> {
        let server = ServerName::try_from(self.host.to_string())
            .map_err(|_| SubmitError::HostName(self.host.to_string()))?;
        let link = self.go_on(Stage::Connect, self.reach().await?).await?;
        let (link, handshake) = self.start_tls(link).await?;
        let Stream::Plain(tcp) = link.into_stream() else {
            unreachable!("a link is plain until its handshake")
        };
        let (stream, tls) = self
            .shake_hands(TlsConnector::from(config), server, tcp)
            .await?;
        self.memory.may_resume.store(true, Ordering::Relaxed);
        self.trace.observe(TraceEvent::Secured(&tls));
        let stream = Stream::Tls(Box::new(stream));
        let link = Link::new(stream, self.deadlines, Arc::clone(&self.trace));
        let mut link = self.go_on(Stage::Tls, link).await?;
        let state = handshake.secured(&mut link.out);
        link.show(Stage::SecureEhlo, 0);
        let state = state.reply(&link.exchange(Stage::SecureEhlo).await?)?;
        Ok(Opened {
            link,
            state,
            tls,
            memory: Arc::clone(&self.memory),
        })
    }

    async fn reach(&self) -> Result<Link, SubmitError> {
        let (stream, peer) =
            connect(&self.host, self.port, self.deadlines.connect, &self.trace).await?;
        self.trace.observe(TraceEvent::Connected(peer));
        Ok(Link::new(
            Stream::Plain(stream),
            self.deadlines,
            Arc::clone(&self.trace),
        ))
    }

    /// From the greeting to the reply to STARTTLS.
    async fn start_tls(
        &self,
        mut link: Link,
    ) -> Result<(Link, sendas_smtp::client::Handshake), SubmitError> {
        let state = ExpectGreeting::new(self.name.clone());
        let state = state.reply(&link.reply(Stage::Greeting).await?, &mut link.out)?;
        let mut link = self.go_on(Stage::Greeting, link).await?;
        link.show(Stage::Ehlo, 0);
        let state = state.reply(&link.exchange(Stage::Ehlo).await?, &mut link.out)?;
        let mut link = self.go_on(Stage::Ehlo, link).await?;
        link.show(Stage::StartTls, 0);
        let reply = link.exchange(Stage::StartTls).await?;
        let handshake = state.reply(&reply, link.unread())?;
        if self.quit_after == Some(Stage::StartTls) {
            // The service waits for TLS now and would not understand a QUIT.
            return Err(SubmitError::Quit(Stage::StartTls));
        }
        Ok((link, handshake))
    }

    /// Gives the link back, unless this is the stage to leave after; what was gathered for the
    /// next flight is not sent then.
    async fn go_on(&self, done: Stage, mut link: Link) -> Result<Link, SubmitError> {
        if self.quit_after != Some(done) {
            return Ok(link);
        }
        link.out.clear();
        if done > Stage::Connect {
            link.quit().await;
        }
        Err(SubmitError::Quit(done))
    }

    async fn shake_hands(
        &self,
        connector: TlsConnector,
        server: ServerName<'static>,
        tcp: TcpStream,
    ) -> Result<(tokio_rustls::client::TlsStream<TcpStream>, TlsDetails), SubmitError> {
        let patience = self.deadlines.handshake;
        let failed = |source| SubmitError::Tls {
            host: self.host.to_string(),
            source,
        };
        let stream = tokio::time::timeout(patience, connector.connect(server, tcp))
            .await
            .map_err(|_| LinkError {
                stage: Stage::Tls,
                cause: LinkCause::TimedOut(patience.as_secs()),
            })?
            .map_err(failed)?;
        let details = TlsDetails::of(&stream);
        Ok((stream, details))
    }
}

/// Whether a handshake failed by our own judgement of the certificate: nothing would change it.
fn is_verdict(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// What the service offers inside TLS.
    pub const fn capabilities(&self) -> &Capabilities {
        self.state.capabilities()
    }

    /// What the handshake agreed on.
    pub const fn tls(&self) -> &TlsDetails {
        &self.tls
    }

    /// Authenticates as a mailbox.
    ///
    /// # Errors
    /// [`SubmitError::Auth`] with the service's reply, or a broken connection.
    pub async fn authenticate(
        self,
        mailbox: &Mailbox,
        token: &str,
    ) -> Result<Session, SubmitError> {
        let Self {
            mut link,
            state,
            tls,
            memory,
        } = self;
        let mechanism = Mechanism::Xoauth2;
        let response = mechanism.respond(mailbox, token)?;
        let mut state = state.authenticate(mechanism, response, &mut link.out)?;
        loop {
            link.show(Stage::Auth, 0);
            let reply = link.exchange(Stage::Auth).await?;
            state = match state.reply(reply, &mut link.out) {
                AuthStep::Continue(next) => next,
                AuthStep::Ready(capabilities) => {
                    return Ok(Session::new(link, capabilities, tls, memory));
                }
                AuthStep::Refused { reply, report } => {
                    link.quit().await;
                    return Err(SubmitError::Auth { reply, report });
                }
            };
        }
    }

    /// Leaves without authenticating.
    pub async fn quit(self) {
        self.link.quit().await;
    }
}

impl HostMemory {
    pub(crate) fn allows_chunking(&self) -> bool {
        !self.refuses_chunking.load(Ordering::Relaxed)
    }

    pub(crate) fn chunking_refused(&self) {
        self.refuses_chunking.store(true, Ordering::Relaxed);
    }
}
