//! Every file of `transcripts` is a session at the shell: commands, what they are fed, what they
//! write where, and how they end. With `UPDATE=1` the files are written anew.

mod support;

#[tokio::test]
async fn every_transcript() {
    support::transcript::replay_all("transcripts", 10, |_, replayed| Ok(replayed.text.clone()))
        .await;
}
