//! A sandbox with a client at it.

use std::sync::Arc;
use std::time::Duration;

use sendas_entra::{
    ClientId, Clock, Cloud, Credential, EntraTokenSource, HttpClient, Principal, Proxy,
    SystemClock, Tenant, TokenSource,
};
use sendas_envelope::{Address, Envelope, Mailbox};
use sendas_sandbox::{Options, Running, Sandbox};
use sendas_smtp::ClientName;
use sendas_submit::{Connector, Deadlines, Message, Pool, PoolLimits};
use serde_json::json;

pub(crate) struct Stage {
    pub(crate) sandbox: Running,
    pub(crate) tokens: Arc<EntraTokenSource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connector: Connector,
    pub(crate) mailbox: Mailbox,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let details = sandbox.details();
        let client = details.client.as_ref().unwrap();
        let cloud = Cloud::from_file(sandbox.folder().join("cloud.toml")).unwrap();
        let tls = cloud.tls_policy().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let principal = Principal::new(
            cloud.clone(),
            Tenant::parse(&details.tenant.id.to_string()).unwrap(),
            ClientId::parse(&client.id.to_string()).unwrap(),
            Credential::secret_bytes(client.secret.clone().into_bytes()).unwrap(),
        );
        let http = HttpClient::new(tls.clone(), Proxy::none());
        let tokens = Arc::new(EntraTokenSource::new(
            principal,
            http,
            Arc::clone(&clock),
            1,
        ));
        let name = ClientName::new("client.example").unwrap();
        let connector = Connector::new(cloud.smtp(), name, tls).with_deadlines(impatient());
        let mailbox = details.mailboxes[0].parse().unwrap();
        Self {
            sandbox,
            tokens,
            clock,
            connector,
            mailbox,
        }
    }

    pub(crate) fn pool(&self, limits: PoolLimits) -> Pool {
        let tokens: Arc<dyn TokenSource> = Arc::clone(&self.tokens) as _;
        Pool::new(
            self.connector.clone(),
            tokens,
            Arc::clone(&self.clock),
            limits,
        )
    }

    pub(crate) fn envelope(&self, recipients: usize) -> Envelope {
        let recipients = (0..recipients)
            .map(|n| {
                format!("r{n}@example.net")
                    .parse::<Address>()
                    .unwrap()
                    .into()
            })
            .collect();
        Envelope::new(self.mailbox.address().clone(), recipients).unwrap()
    }

    pub(crate) fn message(&self) -> Message {
        let text = format!("From: {}\r\nSubject: x\r\n\r\n.dot\r\n", self.mailbox);
        Message::new(text.into_bytes()).unwrap()
    }

    /// Takes the service's own limits away, where they are not the subject.
    pub(crate) fn without_limits(self) -> Self {
        self.sandbox
            .patch(&json!({"behaviour": {"limits": "off"}}))
            .unwrap();
        self
    }

    pub(crate) fn arrived(&self) -> usize {
        self.sandbox
            .messages(&sendas_sandbox::Filter::default())
            .len()
    }

    /// Waits until a fault has struck.
    pub(crate) async fn fault_struck(&self) {
        while !self
            .sandbox
            .journal(0)
            .iter()
            .any(|entry| entry.fault.is_some())
        {
            tokio::task::yield_now().await;
        }
    }
}

/// Deadlines that let a stalled step fail within the test's patience.
pub(crate) fn impatient() -> Deadlines {
    let short = Duration::from_secs(3);
    Deadlines {
        connect: short,
        greeting: short,
        command: short,
        handshake: short,
        envelope: short,
        block: short,
        end: short,
    }
}
