//! The file's side: a listener with a certificate of its own, and the events of a file.

use std::sync::Arc;

use rustls::pki_types::PrivatePkcs8KeyDer;
use sendas_entra::SmtpEndpoint;
use sendas_testkit::socket::{BoxedStream, Upgraded};
use sendas_tls::{Authority, TlsPolicy, Trust, provider};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::client::Client;

pub(crate) struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    certificate_pem: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate_pem: made.cert.pem(),
        }
    }

    pub(crate) fn endpoint(&self) -> SmtpEndpoint {
        let port = self.listener.local_addr().unwrap().port();
        SmtpEndpoint {
            host: "localhost".to_owned(),
            port,
        }
    }

    pub(crate) fn trust(&self) -> TlsPolicy {
        let authority = Authority::from_pem(self.certificate_pem.as_bytes()).unwrap();
        TlsPolicy::new(Trust::Only(vec![authority]))
    }

    pub(crate) async fn accept(&self) -> BoxedStream {
        Box::new(self.listener.accept().await.unwrap().0)
    }

    /// `!tls` shakes hands, `!send` and `!outcome` are the client's, `!close` drops the
    /// connection, `!again` waits for the next one.
    pub(crate) fn perform<'a>(
        &self,
        client: &Client,
        stream: BoxedStream,
        word: &str,
        arguments: &str,
    ) -> Upgraded<'a> {
        match word {
            "tls" => {
                let acceptor = self.acceptor.clone();
                Box::pin(async move {
                    let stream = acceptor.accept(stream).await.map_err(|e| e.to_string())?;
                    Ok(Box::new(stream) as BoxedStream)
                })
            }
            "close" => {
                drop(stream);
                let (ours, theirs) = tokio::io::duplex(1);
                drop(theirs);
                Box::pin(async move { Ok(Box::new(ours) as BoxedStream) })
            }
            "send" => {
                client.send(arguments);
                Box::pin(async move { Ok(stream) })
            }
            "outcome" => {
                let (next, expected) = (client.outcome(), arguments.to_owned());
                Box::pin(async move {
                    let outcome = next.await;
                    if outcome == expected {
                        Ok(stream)
                    } else {
                        Err(format!("it was {outcome:?}"))
                    }
                })
            }
            _ => panic!("no event is called {word}"),
        }
    }
}
