//! Settings for tests.

use std::path::PathBuf;
use std::time::Duration;

use sendas_config::{
    Cloud, Credential, IpNetwork, LineEndings, Listen, ListenTls, Login, LongLines, MailboxEntry,
    Pattern, Principal, Relay, RelayClient, RewriteFrom, Spool, Uncertain,
};

pub(crate) const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) fn client(name: &str, networks: &[&str], senders: &[&str]) -> RelayClient {
    RelayClient {
        name: name.to_owned(),
        networks: networks
            .iter()
            .map(|n| IpNetwork::parse(n).unwrap())
            .collect(),
        login: None,
        plaintext_auth: false,
        senders: senders.iter().map(|s| Pattern::parse(s).unwrap()).collect(),
        recipients: Vec::new(),
        rewrite_from: RewriteFrom::Never,
        message_size_octets_max: None,
        recipients_max: None,
        messages_per_minute: None,
        line_endings: LineEndings::Strict,
        long_lines: LongLines::Refuse,
        owner: None,
    }
}

pub(crate) fn with_login(mut client: RelayClient, user: &str) -> RelayClient {
    client.login = Some(Login {
        user: user.to_owned(),
        password_hash: HASH.to_owned(),
    });
    client
}

pub(crate) fn relay(clients: Vec<RelayClient>) -> Relay {
    Relay {
        spool: Spool::Sqlite(PathBuf::from("/nowhere")),
        local_programs: sendas_config::LocalPrograms::Group,
        listen: vec![Listen {
            address: "[::]:587".parse().unwrap(),
            tls: ListenTls::Starttls,
        }],
        hostname: None,
        certificate: None,
        key: None,
        certificate_names: Vec::new(),
        message_size_octets_max: 1000,
        recipients_max: 3,
        connections_max: 10,
        connections_per_address_max: 5,
        mailbox_sends_max: 3,
        mailbox_messages_per_minute: 30,
        mailbox_recipients_per_day: 10_000,
        proxy_networks: Vec::new(),
        retry_for: Duration::from_hours(120),
        delay_notice_after: Duration::from_hours(4),
        uncertain: Uncertain::Resend,
        postmaster: None,
        history: Duration::from_hours(24),
        admin: "127.0.0.1:8025".parse().unwrap(),
        clients,
    }
}

pub(crate) fn principal(mailboxes: &[&str]) -> Principal {
    let entry = |text: &&str| MailboxEntry {
        pattern: Pattern::parse(text).unwrap(),
        mailbox: None,
    };
    Principal {
        name: "p".to_owned(),
        tenant: None,
        client_id: None,
        credential: Credential::ManagedIdentity { client_id: None },
        cloud: Cloud::Named("global".to_owned()),
        mailboxes: mailboxes.iter().map(entry).collect(),
        method: None,
    }
}
