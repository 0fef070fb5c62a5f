//! Brings tokens from elsewhere: a source of one's own, here a counter around Entra's.
//!
//! `cargo run -p sendas --example token_source`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sendas::{Address, Client, Envelope, Generation, TokenFuture, TokenSource};

/// Counts how often a token is wanted, and hands the wish on.
struct Counted {
    inner: Arc<dyn TokenSource>,
    wanted: AtomicUsize,
}

impl TokenSource for Counted {
    fn token(&self) -> TokenFuture<'_> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        self.inner.token()
    }

    fn refused(&self, generation: Generation) {
        self.inner.refused(generation);
    }

    fn accepted(&self, generation: Generation) {
        self.inner.accepted(generation);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sandbox, builder) = support::start().await?;
    let entra = Arc::clone(builder.build()?.token_source());
    let counted = Arc::new(Counted {
        inner: entra,
        wanted: AtomicUsize::new(0),
    });
    let client = Client::builder()
        .cloud_file(sandbox.folder().join("cloud.toml"))
        .token_source(Arc::clone(&counted) as Arc<dyn TokenSource>)
        .build()?;

    let sender = sandbox.details().mailboxes[0].clone();
    let recipient = "someone@example.com".parse::<Address>()?;
    let envelope = Envelope::new(sender.parse::<Address>()?, vec![recipient.into()])?;
    for number in 1..=3 {
        let message = format!("From: {sender}\nSubject: Message {number}\n\nHello.\n");
        client.send(&envelope, message).await?;
    }
    println!(
        "three messages, {} login, since the session is kept",
        counted.wanted.load(Ordering::Relaxed)
    );
    sandbox.stop().await;
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
