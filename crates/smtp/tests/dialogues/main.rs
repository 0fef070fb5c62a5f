//! Whole conversations as text files, run against the core in every cut of the input and against a
//! socket. `server/` plays a client to the server's session, `client/` plays a server to the
//! client's states.

#![expect(clippy::unwrap_used, reason = "what fails here has failed the test")]

mod client;
mod server;
mod shell;

use std::path::PathBuf;

use sendas_testkit::dialogue::{Cut, Dialogue, Machine, Side};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/dialogues")
        .join(name)
}

/// Octets behind STARTTLS are an attack only if they were read with it: such a dialogue is run
/// uncut.
fn is_cut(dialogue: &Dialogue) -> bool {
    !dialogue.name.ends_with("-uncut")
}

fn check_cores<M: Machine>(folder_name: &str, under_test: Side, fresh: fn() -> M) {
    for dialogue in Dialogue::folder(folder(folder_name)) {
        let checked = if is_cut(&dialogue) {
            dialogue.check_every_cut(under_test, fresh)
        } else {
            dialogue.check(&mut fresh(), under_test, Cut::Flights)
        };
        checked.unwrap_or_else(|mismatch| panic!("{mismatch}"));
    }
}

#[test]
fn the_servers_core() {
    check_cores("server", Side::Server, server::Host::default);
}

#[test]
fn the_clients_core() {
    check_cores("client", Side::Client, client::Host::default);
}

#[tokio::test]
async fn the_server_on_a_socket() {
    for dialogue in Dialogue::folder(folder("server")) {
        shell::check(&dialogue, Side::Server, server::Host::default).await;
    }
}

#[tokio::test]
async fn the_client_on_a_socket() {
    for dialogue in Dialogue::folder(folder("client")) {
        shell::check(&dialogue, Side::Client, client::Host::default).await;
    }
}
