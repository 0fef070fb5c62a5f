//! Sends one message and shows the receipt of each recipient.
//!
//! `cargo run -p sendas --example send`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use sendas::{Address, Envelope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sandbox, builder) = support::start().await?;
    let client = builder.build()?;

    let sender = sandbox.details().mailboxes[0].clone();
    let envelope = Envelope::new(
        sender.parse::<Address>()?,
        vec![
            "first@example.com".parse::<Address>()?.into(),
            "second@example.com".parse::<Address>()?.into(),
        ],
    )?;
    let message = format!(
        "From: {sender}\nTo: first@example.com, second@example.com\nSubject: Hello\n\n\
         Sent by a program.\n"
    );

    for receipt in client.send(&envelope, message).await? {
        println!(
            "{}: {} {}",
            receipt.recipient, receipt.status, receipt.reply
        );
    }
    client.close().await;

    println!("--- as it arrived ---\n{}", support::arrived(&sandbox)?);
    sandbox.stop().await;
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
