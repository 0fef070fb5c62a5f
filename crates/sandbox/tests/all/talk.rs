//! A small SMTP client: says lines, reads replies.

use std::fmt::Write as _;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sendas_sandbox::Running;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::https::tls;

pub(crate) struct Talk<S = TlsStream<TcpStream>>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub(crate) async fn write(&mut self, octets: &[u8]) {
        self.0.get_mut().write_all(octets).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    /// The last line of the next reply; empty at the end of the connection.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            // A reset is an end too.
            if self.0.read_line(&mut line).await.is_err() {
                return String::new();
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// MAIL, RCPT and BDAT in one flight; the last reply.
    pub(crate) async fn send(&mut self, from: &str, to: &[String], message: &[u8]) -> String {
        let mut flight = format!("MAIL FROM:<{from}>\r\n");
        for recipient in to {
            write!(flight, "RCPT TO:<{recipient}>\r\n").unwrap();
        }
        write!(flight, "BDAT {} LAST\r\n", message.len()).unwrap();
        let flight = [flight.as_bytes(), message].concat();
        // Replies are read meanwhile: neither side may wait for the other's buffers.
        let (mut reader, mut writer) = tokio::io::split(&mut self.0);
        let mut last = String::new();
        let read = async {
            let mut reader = BufReader::new(&mut reader);
            for _ in 0..to.len() + 2 {
                last.clear();
                if reader.read_line(&mut last).await.unwrap() == 0 {
                    return;
                }
            }
        };
        let write = async {
            writer.write_all(&flight).await.unwrap();
            writer.flush().await.unwrap();
        };
        tokio::join!(read, write);
        last.trim_end().to_owned()
    }
}

/// Connects, shakes hands and says EHLO.
pub(crate) async fn connect(sandbox: &Running) -> Talk {
    connect_with(sandbox, tls(sandbox.ca_pem())).await
}

pub(crate) async fn connect_with(sandbox: &Running, config: ClientConfig) -> Talk {
    let mut plain = Talk::over(TcpStream::connect(sandbox.smtp()).await.unwrap());
    assert!(plain.reply().await.starts_with("220 "));
    plain.say("EHLO client.example").await;
    assert!(plain.say("STARTTLS").await.starts_with("220 "));
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, plain.0.into_inner()).await.unwrap();
    let mut talk = Talk::over(stream);
    assert!(talk.say("EHLO client.example").await.starts_with("250 "));
    talk
}

/// Connects and logs in as `mailbox` with a response made of `token`.
pub(crate) async fn auth(sandbox: &Running, mailbox: &str, token: &str) -> (Talk, String) {
    let mut talk = connect(sandbox).await;
    let reply = talk
        .say(&format!("AUTH XOAUTH2 {}", response(mailbox, token)))
        .await;
    (talk, reply)
}

pub(crate) fn response(mailbox: &str, token: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .encode(format!("user={mailbox}\x01auth=Bearer {token}\x01\x01"))
}

/// A message of `mailbox` with `lines` after the empty line.
pub(crate) fn message(mailbox: &str, body: &str) -> Vec<u8> {
    format!("From: {mailbox}\r\nSubject: a test\r\n\r\n{body}").into_bytes()
}
