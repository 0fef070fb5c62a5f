//! Sends lettre's messages: one line differs from an SMTP server with a password.
//!
//! `cargo run -p sendas --example lettre --features lettre`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use lettre::{AsyncTransport as _, Message};
use sendas::LettreTransport;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sandbox, builder) = support::start().await?;
    let mailer = LettreTransport::new(builder.build()?);

    let message = Message::builder()
        .from(sandbox.details().mailboxes[0].parse()?)
        .to("Someone <someone@example.com>".parse()?)
        .subject("Hello")
        .body(String::from("Sent by a program."))?;
    for receipt in mailer.send(message).await? {
        println!("{}: {}", receipt.recipient, receipt.reply);
    }
    println!("--- as it arrived ---\n{}", support::arrived(&sandbox)?);
    sandbox.stop().await;
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
