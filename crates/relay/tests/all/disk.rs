//! A relay whose disk has no room, or fails for good.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use sendas_spool::SpoolError;
use sendas_spool::sim::{SimDisk, Trouble};

use crate::stage::Stage;

#[tokio::test]
async fn without_room_mail_is_put_off_and_taken_again_by_itself() {
    let disk = SimDisk::new();
    let stage = Stage::on(Arc::new(disk.clone()), |_| {}).await;
    let mail = format!("MAIL FROM:<{}>", stage.own);
    let until = async |room: Option<u64>, code: &str| {
        disk.set_room(room);
        let mut client = stage.client().await;
        client.say("EHLO c").await;
        let seen = async {
            loop {
                let reply = client.say(&mail).await;
                if reply.starts_with(code) {
                    return;
                }
                client.say("RSET").await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen)
            .await
            .unwrap();
    };
    // Twice the largest message, less one octet.
    let wanted = 2 * 64 * 1024 * 1024;
    until(Some(wanted - 1), "452 4.3.1 ").await;
    assert!(!stage.view.is_ready());
    until(Some(wanted), "250 ").await;
    until(Some(0), "452 4.3.1 ").await;
    until(None, "250 ").await;
    let own = &stage.own;
    let reply = stage
        .send(&["a@example.org"], &format!("From: <{own}>\r\n\r\nx\r\n"))
        .await;
    assert!(reply.starts_with("250"), "{reply}");
    stage.settled(1).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_sync_that_fails_ends_the_relay_and_nothing_is_acknowledged() {
    let disk = SimDisk::new();
    let stage = Stage::on(Arc::new(disk.clone()), |_| {}).await;
    let own = stage.own.clone();
    let mut client = stage.client().await;
    client.open(&own, &["a@example.org"]).await;
    client.say("DATA").await;
    client
        .write(format!("From: <{own}>\r\n\r\nx\r\n").as_bytes())
        .await;
    let mut call = disk.calls();
    // create, sync of the folder, write, sync of the bodies: whichever sync comes first fails.
    disk.set_trouble(Some(Trouble::Once {
        call: call + 4,
        error: ErrorKind::Other,
    }));
    let reply = client.say(".").await;
    assert!(reply.starts_with("421 4.3.0 "), "{reply}");
    call = disk.calls();
    let ended = tokio::time::timeout(Duration::from_secs(20), stage.ended()).await;
    assert!(matches!(ended.unwrap(), Err(SpoolError::Failed(_))));
    assert_eq!(
        disk.calls(),
        call,
        "a failed store touches the disk no more"
    );
}
