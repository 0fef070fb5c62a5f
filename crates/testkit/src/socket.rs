//! Runs a [`Dialogue`] against a socket: the file plays one side, the program under test the other.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::dialogue::{Act, Dialogue, Mismatch, Side, Step};

/// How long one expected line may take; a program that is silent for longer has failed the test.
const ANSWER_S_MAX: u64 = 20;

/// A connection of any kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection whose kind may change under way (`!tls`).
pub type BoxedStream = Box<dyn Stream>;

/// What an event of the file does with the connection.
pub type Upgraded<'a> = Pin<Box<dyn Future<Output = Result<BoxedStream, String>> + Send + 'a>>;

impl Dialogue {
    /// Runs the dialogue over `stream`, at whose other end stands `under_test`.
    ///
    /// `upgrade` performs every event but `!end` (`!tls`: the handshake) and gives the connection
    /// back.
    ///
    /// # Errors
    /// At the first line that comes otherwise, not within 20 seconds, or unasked.
    pub async fn check_socket<'a>(
        &self,
        stream: BoxedStream,
        under_test: Side,
        mut upgrade: impl FnMut(BoxedStream, &str, &str) -> Upgraded<'a>,
    ) -> Result<(), Mismatch> {
        let mut wire = Wire {
            stream,
            heard: Vec::new(),
        };
        let mut last_line = 0;
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            last_line = step.line;
            match &step.act {
                Act::Say(side, pattern) if *side == under_test => {
                    let length = loop {
                        if let Some(length) = pattern.matches(&wire.heard) {
                            break length;
                        }
                        let more = pattern.may_grow(&wire.heard) && wire.hear().await;
                        if !more {
                            return Err(self.wrong(step.line, pattern, &wire.heard));
                        }
                    };
                    wire.heard.drain(..length);
                }
                Act::Say(side, pattern) => {
                    self.nothing_left(step.line, &wire.heard)?;
                    let mut flight = self.octets_to_send(step.line, pattern)?;
                    while let Some(Step {
                        line,
                        act: Act::Say(next, pattern),
                    }) = steps.peek()
                    {
                        if next != side {
                            break;
                        }
                        flight.extend(self.octets_to_send(*line, pattern)?);
                        steps.next();
                    }
                    let sent = async {
                        wire.stream.write_all(&flight).await?;
                        wire.stream.flush().await
                    };
                    sent.await
                        .map_err(|error| self.says(step.line, format!("cannot send: {error}")))?;
                }
                Act::Event { word, .. } if word == "end" => {
                    let more = wire.hear().await;
                    self.nothing_left(step.line, &wire.heard)?;
                    if more || !wire.ended().await {
                        return Err(self.says(step.line, "the connection is still open".to_owned()));
                    }
                }
                Act::Event { word, arguments } => {
                    self.nothing_left(step.line, &wire.heard)?;
                    wire.stream = upgrade(wire.stream, word, arguments)
                        .await
                        .map_err(|refusal| self.says(step.line, format!("!{word}: {refusal}")))?;
                }
            }
        }
        self.nothing_left(last_line, &wire.heard)
    }
}

struct Wire {
    stream: BoxedStream,
    heard: Vec<u8>,
}

impl Wire {
    /// Waits for more octets; `false` at the end of the connection and after the deadline.
    async fn hear(&mut self) -> bool {
        let limit = Duration::from_secs(ANSWER_S_MAX);
        let read = tokio::time::timeout(limit, self.stream.read_buf(&mut self.heard)).await;
        matches!(read, Ok(Ok(1..)))
    }

    /// Whether the other side has closed; a reset counts.
    async fn ended(&mut self) -> bool {
        let limit = Duration::from_secs(ANSWER_S_MAX);
        let mut octet = [0u8; 1];
        match tokio::time::timeout(limit, self.stream.read(&mut octet)).await {
            Ok(read) => matches!(read, Ok(0) | Err(_)),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that greets, echoes each line twice, and closes at `bye`.
    async fn echo(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 ready\r\n").await.unwrap();
        let mut line = Vec::new();
        while line != b"bye\r\n" {
            if line.ends_with(b"\n") {
                stream.write_all(&line.repeat(2)).await.unwrap();
                line.clear();
            }
            let mut octet = [0u8; 1];
            if stream.read(&mut octet).await.unwrap() == 0 {
                return;
            }
            line.push(octet[0]);
        }
    }

    async fn run(text: &str) -> Result<(), String> {
        let dialogue = Dialogue::parse("test", text).map_err(|error| error.to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(echo(listener));
        let stream: BoxedStream = Box::new(TcpStream::connect(address).await.unwrap());
        let result = dialogue
            .check_socket(stream, Side::Server, |stream, word, _| {
                let known = word == "same";
                Box::pin(async move {
                    if known {
                        Ok(stream)
                    } else {
                        Err("no such event".to_owned())
                    }
                })
            })
            .await
            .map_err(|error| error.to_string());
        server.abort();
        result
    }

    #[tokio::test]
    async fn a_dialogue_over_a_socket() {
        run("S: 220 <...>\nC: a\nS: a\nS: a\n!same\nC: b\nC: c\nS: b\nS: b\nS: c\nS: c\nC: bye\n!end\n")
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn departures_are_told() {
        let cases = [
            ("S: 220 other\n", "test:1: expected 220 other"),
            ("S: 220 ready\nC: a\nS: a\nC: b\n", "unasked"),
            ("S: 220 ready\nC: bye\nS: 250 ok\n", "but came nothing"),
            ("S: 220 ready\n!tls\n", "test:2: !tls: no such event"),
        ];
        for (text, expected) in cases {
            let error = run(text).await.unwrap_err();
            assert!(error.contains(expected), "{text:?} gave {error}");
        }
    }
}
