//! The side under test: opens a session, submits what the file says, tells the outcomes.

use std::future::Future;
use std::sync::Arc;

use sendas_entra::SmtpEndpoint;
use sendas_envelope::{Address, Envelope};
use sendas_smtp::ClientName;
use sendas_submit::{Attempt, Connector, Message, Outcome, Session, Submission, SubmitError};
use sendas_tls::TlsPolicy;
use tokio::sync::{Mutex, mpsc};

pub(crate) struct Client {
    orders: mpsc::UnboundedSender<String>,
    outcomes: Arc<Mutex<mpsc::UnboundedReceiver<String>>>,
}

impl Client {
    /// `FROM TO[,TO] BODY`, several with `;` between them: submitted together.
    pub(crate) fn send(&self, order: &str) {
        self.orders
            .send(order.to_owned())
            .expect("the client lives");
    }

    pub(crate) fn outcome(&self) -> impl Future<Output = String> + Send + use<> {
        let outcomes = Arc::clone(&self.outcomes);
        async move {
            outcomes
                .lock()
                .await
                .recv()
                .await
                .unwrap_or_else(|| "nothing".to_owned())
        }
    }
}

pub(crate) fn start(endpoint: SmtpEndpoint, tls: TlsPolicy) -> Client {
    let (orders, inbox) = mpsc::unbounded_channel();
    let (outbox, outcomes) = mpsc::unbounded_channel();
    tokio::spawn(run(endpoint, tls, inbox, outbox));
    Client {
        orders,
        outcomes: Arc::new(Mutex::new(outcomes)),
    }
}

async fn run(
    endpoint: SmtpEndpoint,
    tls: TlsPolicy,
    mut orders: mpsc::UnboundedReceiver<String>,
    outcomes: mpsc::UnboundedSender<String>,
) {
    let connector = Connector::new(&endpoint, ClientName::new("client.example").unwrap(), tls);
    let mut session = match open(&connector).await {
        Ok(session) => session,
        Err(error) => return drop(outcomes.send(format!("{}: {error}", error.stage().name()))),
    };
    drop(outcomes.send("ready".to_owned()));
    while let Some(order) = orders.recv().await {
        let parsed: Vec<_> = order.split("; ").map(parse).collect();
        let submissions: Vec<_> = parsed
            .iter()
            .map(|(envelope, message)| Submission { envelope, message })
            .collect();
        for attempt in session.send_all(&submissions).await {
            drop(outcomes.send(tell(&attempt)));
        }
        if !session.is_usable() {
            drop(outcomes.send("lost".to_owned()));
            return;
        }
    }
    session.quit().await;
}

async fn open(connector: &Connector) -> Result<Session, SubmitError> {
    let opened = connector.open().await?;
    opened
        .authenticate(&"me@a.example".parse().unwrap(), "good")
        .await
}

fn parse(order: &str) -> (Envelope, Message) {
    let mut words = order.splitn(3, ' ');
    let mut word = || words.next().expect("FROM TO BODY");
    let from: Address = word().parse().unwrap();
    let to = word()
        .split(',')
        .map(|to| to.parse::<Address>().unwrap().into())
        .collect();
    let body = word().replace("\\r\\n", "\r\n");
    (
        Envelope::new(from, to).unwrap(),
        Message::new(body.into_bytes()).unwrap(),
    )
}

/// `accepted 250`, `deferred 432`, `refused 550`, `uncertain -`, one a recipient.
fn tell(attempt: &Attempt) -> String {
    let one = |outcome: &Outcome| {
        let (word, reply) = match outcome {
            Outcome::Accepted(reply) => ("accepted", Some(reply)),
            Outcome::Deferred(failure) => ("deferred", failure.reply()),
            Outcome::Refused(failure) => ("refused", failure.reply()),
            Outcome::Uncertain(failure) => ("uncertain", failure.reply()),
        };
        format!(
            "{word} {}",
            reply.map_or_else(|| "-".to_owned(), |reply| reply.code().to_string())
        )
    };
    attempt
        .outcomes
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(", ")
}
