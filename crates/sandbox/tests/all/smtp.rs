//! SMTP submission: dialogues over a real socket with TLS, one file per fact.
//!
//! `{domain}` stands for the tenant's domain, `{auth:NAME}` for the XOAUTH2 response of the
//! mailbox NAME with a fresh token. `# tenant:` and `# scenario:` choose what to start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::ServerName;
use sendas_sandbox::{Fault, Filter, Options, Preset, Running, Sandbox, Scenario};
use sendas_testkit::dialogue::{Dialogue, Side};
use sendas_testkit::socket::{BoxedStream, Upgraded};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::entra::ask;
use crate::https::{Https, tls};

macro_rules! dialogues {
    ($($name:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            let text = include_str!(concat!("dialogues/", stringify!($name), ".txt"));
            run(stringify!($name), text).await;
        }
    )*};
}

dialogues! {
    an_alias_is_the_mailboxs_own_address,
    auth_cancelled_is_535,
    auth_in_two_steps,
    auth_login_is_refused,
    auth_payload_that_is_no_xoauth2,
    auth_plain_and_auth_before_tls_are_504,
    auth_without_permission_is_a_bare_535,
    banner_ehlo_starttls_and_quit,
    bare_line_feeds,
    bdat_in_one_flight,
    classic_full_access_missing_can_be_430,
    classic_full_access_missing_is_535,
    ehlo_keywords_can_be_left_out,
    faults_by_step,
    from_missing_or_unreadable,
    helo_has_no_extensions,
    limits_can_be_switched_off,
    mail_without_auth,
    mailbox_trouble_full,
    mailbox_trouble_logon_failure,
    mailbox_trouble_outbound_spam,
    mailbox_trouble_restricted,
    mailbox_trouble_tenant_blocked,
    plaintext_behind_starttls,
    recipients_above_the_mailboxs_limit,
    send_as_denied_on_the_from_header,
    send_hello_first,
    several_from_addresses_need_a_sender,
    size_above_the_limit,
    smtp_auth_off_for_the_mailbox,
    smtp_auth_off_for_the_tenant,
    thirty_messages_a_minute,
    tls_1_0_is_refused_when_asked,
    two_hundred_recipients_of_one_domain,
    unknown_command,

}

async fn run(name: &str, text: &str) {
    let directive = |word: &str| {
        let mark = format!("# {word}: ");
        text.lines()
            .find_map(|line| line.strip_prefix(mark.as_str()))
    };
    let tenant = match directive("tenant") {
        Some("classic") => Preset::Classic,
        _ => Preset::Rbac,
    };
    let scenario = directive("scenario").map(|json| Scenario::parse(json).unwrap());
    let sandbox = Sandbox::start(Options {
        tenant,
        scenario,
        ..Options::default()
    })
    .await
    .unwrap();
    let text = filled(&sandbox, text).await;
    let dialogue = Dialogue::parse(name, &text).unwrap();
    let stream = TcpStream::connect(sandbox.smtp()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(tls(sandbox.ca_pem())));
    let sandbox = Arc::new(sandbox);
    let event = |stream: BoxedStream, word: &str, arguments: &str| -> Upgraded<'_> {
        let (connector, sandbox) = (connector.clone(), Arc::clone(&sandbox));
        let (word, arguments) = (word.to_owned(), arguments.to_owned());
        Box::pin(async move {
            match word.as_str() {
                "tls" => {
                    let name = ServerName::try_from("localhost").unwrap();
                    let stream = connector.connect(name, stream).await;
                    return Ok(Box::new(stream.map_err(|e| e.to_string())?) as BoxedStream);
                }
                "patch" => {
                    let patch = serde_json::from_str(&arguments).map_err(|e| e.to_string())?;
                    sandbox.patch(&patch).map_err(|e| e.to_string())?;
                }
                "fault" => {
                    let fault: Fault =
                        serde_json::from_str(&arguments).map_err(|e| e.to_string())?;
                    sandbox.fault(fault).map_err(|e| e.to_string())?;
                }
                "advance" => {
                    sandbox.advance(Duration::from_secs(arguments.parse().unwrap()));
                }
                "messages" => {
                    let count: usize = arguments.parse().unwrap();
                    let found = sandbox
                        .wait(&Filter::default(), count, Duration::from_secs(5))
                        .await;
                    if found.len() != count {
                        return Err(format!("{} messages", found.len()));
                    }
                }
                other => return Err(format!("no event {other}")),
            }
            Ok(stream)
        })
    };
    let outcome = dialogue
        .check_socket(Box::new(stream), Side::Server, event)
        .await;
    if let Err(mismatch) = outcome {
        let journal: Vec<String> = sandbox
            .journal(0)
            .iter()
            .map(|e| format!("{e:?}"))
            .collect();
        panic!("{mismatch}\n{}", journal.join("\n"));
    }
}

async fn filled(sandbox: &Running, text: &str) -> String {
    let domain = sandbox.details().tenant.domain;
    let mut responses: HashMap<String, String> = HashMap::new();
    let mut filled = text.replace("{domain}", &domain);
    while let Some((before, rest)) = filled.split_once("{auth:") {
        let (name, after) = rest.split_once('}').unwrap();
        if !responses.contains_key(name) {
            let address = format!("{name}@{domain}");
            responses.insert(name.to_owned(), response(sandbox, &address).await);
        }
        let response = &responses[name];
        filled = format!("{before}{response}{after}");
    }
    filled
}

pub(crate) async fn response(sandbox: &Running, address: &str) -> String {
    let https = Https::to(sandbox);
    let answer = ask(sandbox, &https, &[]).await.json();
    let token = answer["access_token"].as_str().unwrap();
    STANDARD.encode(format!("user={address}\x01auth=Bearer {token}\x01\x01"))
}
