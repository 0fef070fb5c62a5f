//! Sends text, HTML and an attachment, composed by the crate mail-builder.
//!
//! `cargo run -p sendas --example mail_builder`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod support;

use mail_builder::MessageBuilder;
use sendas::{Address, Envelope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sandbox, builder) = support::start().await?;
    let client = builder.build()?;

    let sender = sandbox.details().mailboxes[0].clone();
    let message = MessageBuilder::new()
        .from(("Contoso", sender.as_str()))
        .to("someone@example.com")
        .subject("Your invoice")
        .text_body("The invoice is attached.\r\n")
        .html_body("<p>The invoice is attached.</p>\r\n")
        .attachment("text/csv", "invoice.csv", "item;price\r\none;1.00\r\n")
        .write_to_vec()?;

    let envelope = Envelope::new(
        sender.parse::<Address>()?,
        vec!["someone@example.com".parse::<Address>()?.into()],
    )?;
    for receipt in client.send(&envelope, message).await? {
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
