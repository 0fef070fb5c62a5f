//! Shows what an error says: scope, status, the service's own words, cause and fix.
//!
//! `cargo run -p sendas --example errors`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use sendas::{Address, Credential, Envelope, SendError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sandbox, builder) = support::start().await?;
    let details = sandbox.details();
    let to = |sender: &str| -> Result<Envelope, Box<dyn std::error::Error>> {
        let recipient = "someone@example.com".parse::<Address>()?;
        Ok(Envelope::new(
            sender.parse::<Address>()?,
            vec![recipient.into()],
        )?)
    };
    let message = "Subject: Hello\n\nSent by a program.\n";

    println!("A mailbox the application may not use:");
    let client = builder.build()?;
    show(
        client
            .send(&to(&details.mailbox_outside)?, message)
            .await
            .err(),
    );

    println!("A wrong secret:");
    let (other, builder) = support::start().await?;
    let client = builder
        .credential(Credential::secret_bytes(b"not the secret".to_vec())?)
        .build()?;
    show(
        client
            .send(&to(&details.mailboxes[0])?, message)
            .await
            .err(),
    );

    other.stop().await;
    sandbox.stop().await;
    Ok(())
}

fn show(error: Option<SendError>) {
    let Some(error) = error else {
        return println!("  accepted");
    };
    println!("  {error}");
    println!(
        "  scope {:?}, status {}, temporary: {}",
        error.scope(),
        error.status(),
        error.is_temporary()
    );
    println!(
        "  the service said: {}",
        error.service_words().unwrap_or_default()
    );
    if let Some(entry) = error.token_error().and_then(sendas::TokenError::entry) {
        println!("  cause: {} fix: {}", entry.cause, entry.fix);
    }
    if let Some(explanation) = error.explanation() {
        println!("  meaning: {}", explanation.title);
    }
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
