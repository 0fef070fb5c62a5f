//! How many round trips a message costs, counted by a proxy between client and sandbox.
//!
//! The figures are those of docs/decisions/0002-eight-round-trips.md. The proxy counts who speaks;
//! nothing here measures time.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

use std::sync::Arc;
use std::time::Duration;

use sendas_entra::{
    ClientId, Cloud, Credential, EntraTokenSource, HttpClient, Principal, Proxy, SmtpEndpoint,
    SystemClock, Tenant, TokenSource as _,
};
use sendas_envelope::{Address, Envelope, ForwardPath, Mailbox, Recipient};
use sendas_sandbox::{Options, Preset, Running, Sandbox};
use sendas_smtp::ClientName;
use sendas_submit::{Connector, Message, Session, Submission};
use sendas_testkit::proxy::CountingProxy;
use serde_json::json;

/// How long an octet takes to cross the proxy, one way: longer than either side needs to say all it
/// has to say, so that flights which cross are not taken for answers.
const DELAY: Duration = Duration::from_millis(60);

struct Stage {
    sandbox: Running,
    proxy: CountingProxy,
    session: Session,
    envelope: Envelope,
    message: Message,
}

impl Stage {
    async fn set(without: &[&str]) -> Self {
        let options = Options {
            tenant: Preset::Rbac,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let patch = json!({ "behaviour": { "ehlo_without": without, "limits": "off" } });
        sandbox.patch(&patch).unwrap();
        let proxy = CountingProxy::start(sandbox.smtp(), DELAY).await;
        let details = sandbox.details();

        let cloud = Cloud::from_file(sandbox.folder().join("cloud.toml")).unwrap();
        let tls = cloud.tls_policy().unwrap();
        let http = HttpClient::new(tls.clone(), Proxy::none());
        let client = details.client.as_ref().unwrap();
        let principal = Principal::new(
            cloud,
            Tenant::parse(&details.tenant.id.to_string()).unwrap(),
            ClientId::parse(&client.id.to_string()).unwrap(),
            Credential::secret_bytes(client.secret.clone().into_bytes()).unwrap(),
        );
        let source = EntraTokenSource::new(principal, http, Arc::new(SystemClock::new()), 1);
        let token = source.token().await.unwrap();

        let endpoint = SmtpEndpoint {
            host: details.smtp.host.clone(),
            port: proxy.address().port(),
        };
        let name = ClientName::new("client.example").unwrap();
        let connector = Connector::new(&endpoint, name, tls);
        let mailbox: Mailbox = details.mailboxes[0].parse().unwrap();
        let opened = connector.open().await.unwrap();
        assert_eq!(opened.tls().version, "TLSv1.3");
        let session = opened.authenticate(&mailbox, token.expose()).await.unwrap();

        let from: Address = details.mailboxes[0].parse().unwrap();
        let to: Address = "someone@example.com".parse().unwrap();
        let text = format!("From: <{from}>\r\nSubject: counted\r\n\r\nOne of them.\r\n");
        let recipients = vec![Recipient::new(ForwardPath::from(to))];
        let envelope = Envelope::new(from, recipients).unwrap();
        let message = Message::new(text.into_bytes()).unwrap();
        Self {
            sandbox,
            proxy,
            session,
            envelope,
            message,
        }
    }

    async fn send(&mut self, messages: usize) {
        let one = Submission {
            envelope: &self.envelope,
            message: &self.message,
        };
        for attempt in self.session.send_all(&vec![one; messages]).await {
            assert!(attempt.is_accepted(), "{attempt:?}");
        }
    }

    fn round_trips(&self) -> usize {
        assert_eq!(self.proxy.connections(), 1);
        self.proxy.round_trips(0)
    }

    /// Leaves; what was counted is final before.
    async fn strike(self) {
        self.session.quit().await;
        self.sandbox.stop().await;
    }
}

/// Tries before a count is believed. A machine that is busy elsewhere can hold up one side until
/// the other's next flight crosses, which counts too much; it never counts too little.
const TRIES_MAX: usize = 5;

/// The least number of round trips that sending so many messages took, over a few tries; one try
/// that stays within `wanted` is enough.
async fn least(without: &[&str], messages: usize, wanted: usize) -> usize {
    let mut least = usize::MAX;
    for _ in 0..TRIES_MAX {
        let mut stage = Stage::set(without).await;
        stage.send(messages).await;
        least = least.min(stage.round_trips());
        stage.strike().await;
        if least <= wanted {
            break;
        }
    }
    least
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_costs_eight_with_chunking() {
    assert_eq!(least(&[], 1, 8).await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_costs_nine_without_chunking() {
    assert_eq!(least(&["CHUNKING", "BINARYMIME"], 1, 9).await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_cost_eight_and_a_tenth_of_their_number() {
    const MESSAGES: usize = 100;
    let counted = least(&[], MESSAGES, 8 + MESSAGES / 10).await;
    assert!(counted <= 8 + MESSAGES / 10, "{counted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quit_is_not_waited_for() {
    let mut waited = Vec::new();
    for _ in 0..TRIES_MAX {
        let mut stage = Stage::set(&[]).await;
        stage.send(1).await;
        let before = stage.round_trips();
        let Stage {
            sandbox,
            proxy,
            session,
            ..
        } = stage;
        session.quit().await;
        let after = proxy.round_trips(0);
        sandbox.stop().await;
        if after == before {
            return;
        }
        waited.push((before, after));
    }
    panic!("an answer to QUIT was waited for: {waited:?}");
}
