//! The client on a real socket, inside real TLS, against a server that is a text file.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

mod client;
mod server;

use std::path::Path;

use sendas_testkit::dialogue::{Dialogue, Side};

#[tokio::test]
async fn every_dialogue_is_spoken_to_the_letter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues/files");
    let dialogues = Dialogue::folder(folder);
    assert!(dialogues.len() >= 12, "the folder holds its dialogues");
    let mut mismatches = Vec::new();
    for dialogue in dialogues {
        let server = server::Server::start().await;
        let client = client::start(server.endpoint(), server.trust());
        let checked = dialogue
            .check_socket(
                server.accept().await,
                Side::Client,
                |stream, word, arguments| server.perform(&client, stream, word, arguments),
            )
            .await;
        mismatches.extend(checked.err().map(|mismatch| mismatch.to_string()));
    }
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n\n"));
}
