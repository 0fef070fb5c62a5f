//! The table of every setting: path, kind, default, sentence, example.
//!
//! The check of a file, the reference page, the JSON schema, the names of the environment
//! variables and `config show` all read this table; a key that is not here does not exist.

use crate::kind::Kind;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted path; `[]` stands after a list, as in `principal[].tenant`.
    pub path: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Whether it may be left out, and what holds then.
    pub presence: Presence,
    /// What it does, in one or two sentences.
    pub sentence: &'static str,
    /// A value as it is written in a file.
    pub example: &'static str,
}

/// Whether a setting may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Each section of its kind must have it.
    Required,
    /// The sentence says when it may be left out, and what holds then.
    Optional,
    /// This value, as written in a file, holds when it is left out.
    Default(&'static str),
}

/// A group of settings.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Dotted path, with `[]` after a list.
    pub path: &'static str,
    /// What belongs together here.
    pub sentence: &'static str,
    /// Whether its members exclude each other.
    pub alternatives: &'static [&'static str],
}

/// Every section, parents before children.
pub const SECTIONS: &[Section] = &[
    Section {
        path: "principal[]",
        sentence: "One application identity in one tenant, and the mailboxes it sends for.",
        alternatives: &[],
    },
    Section {
        path: "principal[].credential",
        sentence: "What proves the principal to the tenant: exactly one of `certificate`, `secret`, `federated`, `managed_identity`. A secret itself never stands in the file, only the place where it is kept.",
        alternatives: &["certificate", "secret", "federated", "managed_identity"],
    },
    Section {
        path: "principal[].credential.password",
        sentence: "Where the password of a PKCS#12 certificate file is kept: exactly one of `file`, `systemd`, `env`.",
        alternatives: &["file", "systemd", "env"],
    },
    Section {
        path: "principal[].credential.secret",
        sentence: "Where the client secret is kept: exactly one of `file`, `systemd`, `env`.",
        alternatives: &["file", "systemd", "env"],
    },
    Section {
        path: "principal[].credential.federated",
        sentence: "A token of another identity provider, exchanged for a token of the tenant.",
        alternatives: &[],
    },
    Section {
        path: "principal[].credential.managed_identity",
        sentence: "The identity that Azure gives to the machine; nothing is stored.",
        alternatives: &[],
    },
    Section {
        path: "principal[].cloud",
        sentence: "A cloud that has no name here, described by a file.",
        alternatives: &[],
    },
    Section {
        path: "principal[].mailboxes[]",
        sentence: "A sender that is an alias of a mailbox, or is sent through it.",
        alternatives: &[],
    },
    Section {
        path: "network",
        sentence: "How this machine reaches the service.",
        alternatives: &[],
    },
    Section {
        path: "send",
        sentence: "Limits of `sendas send`.",
        alternatives: &[],
    },
    Section {
        path: "relay",
        sentence: "The submission server for printers and programs.",
        alternatives: &[],
    },
    Section {
        path: "relay.listen[]",
        sentence: "One address the relay listens on.",
        alternatives: &[],
    },
    Section {
        path: "relay.client[]",
        sentence: "One printer, program or network that may submit.",
        alternatives: &[],
    },
];

/// Every setting, in the order of the reference page.
pub const KEYS: &[Key] = &[
    Key {
        path: "principal[].name",
        kind: Kind::Name,
        presence: Presence::Optional,
        sentence: "The name used in options, logs and reports; unique. Left out, it is the tenant.",
        example: "\"contoso\"",
    },
    Key {
        path: "principal[].tenant",
        kind: Kind::Tenant,
        presence: Presence::Optional,
        sentence: "The tenant's id or one of its verified domains. May be left out only with a managed identity.",
        example: "\"contoso.onmicrosoft.com\"",
    },
    Key {
        path: "principal[].client_id",
        kind: Kind::Guid,
        presence: Presence::Optional,
        sentence: "The application (client) id. May be left out only with a managed identity.",
        example: "\"11111111-2222-3333-4444-555555555555\"",
    },
    Key {
        path: "principal[].credential.certificate",
        kind: Kind::Path,
        presence: Presence::Optional,
        sentence: "A file with the certificate and its private key: PEM, or PKCS#12 (`.pfx`, `.p12`).",
        example: "\"/etc/sendas/contoso.pem\"",
    },
    Key {
        path: "principal[].credential.password.file",
        kind: Kind::Path,
        presence: Presence::Optional,
        sentence: "A file that holds the password of the certificate file.",
        example: "\"/etc/sendas/contoso.password\"",
    },
    Key {
        path: "principal[].credential.password.systemd",
        kind: Kind::CredentialName,
        presence: Presence::Optional,
        sentence: "The name of the systemd credential that holds the password.",
        example: "\"contoso-password\"",
    },
    Key {
        path: "principal[].credential.password.env",
        kind: Kind::Variable,
        presence: Presence::Optional,
        sentence: "The environment variable that holds the password; other programs of the same user can read it.",
        example: "\"CONTOSO_PFX_PASSWORD\"",
    },
    Key {
        path: "principal[].credential.secret.file",
        kind: Kind::Path,
        presence: Presence::Optional,
        sentence: "A file that holds the client secret and nothing else; a line end after it is ignored.",
        example: "\"/etc/sendas/contoso.secret\"",
    },
    Key {
        path: "principal[].credential.secret.systemd",
        kind: Kind::CredentialName,
        presence: Presence::Optional,
        sentence: "The name of the systemd credential (`LoadCredential=`) that holds the client secret.",
        example: "\"contoso-secret\"",
    },
    Key {
        path: "principal[].credential.secret.env",
        kind: Kind::Variable,
        presence: Presence::Optional,
        sentence: "The environment variable that holds the client secret; other programs of the same user can read it.",
        example: "\"CONTOSO_SECRET\"",
    },
    Key {
        path: "principal[].credential.federated.file",
        kind: Kind::Path,
        presence: Presence::Required,
        sentence: "A file that holds the other provider's token; read anew for each token request, since it rotates.",
        example: "\"/var/run/secrets/azure/tokens/azure-identity-token\"",
    },
    Key {
        path: "principal[].credential.managed_identity.client_id",
        kind: Kind::Guid,
        presence: Presence::Optional,
        sentence: "The client id of a user-assigned identity. Left out, the machine's own identity is used.",
        example: "\"11111111-2222-3333-4444-555555555555\"",
    },
    Key {
        path: "principal[].cloud",
        kind: Kind::Choice(&["global", "gcc-high", "dod", "china"]),
        presence: Presence::Default("\"global\""),
        sentence: "The cloud the tenant lives in; GCC (moderate) is `global`. A table `{ file = \"…\" }` names a cloud by a file.",
        example: "\"global\"",
    },
    Key {
        path: "principal[].cloud.file",
        kind: Kind::Path,
        presence: Presence::Required,
        sentence: "A TOML file that names every endpoint of a cloud and the CA it trusts; `sendas sandbox run` writes one.",
        example: "\"cloud.toml\"",
    },
    Key {
        path: "principal[].mailboxes",
        kind: Kind::List(&Kind::MailboxPattern),
        presence: Presence::Optional,
        sentence: "The senders this principal sends for: an address, `*@domain` for every address of a domain, or `*` for every address. An address goes before a domain, a domain before `*`. An entry may also be a table, see below. May be left out when there is one principal: then it covers every address.",
        example: "[\"noreply@contoso.com\", \"*@billing.contoso.com\"]",
    },
    Key {
        path: "principal[].mailboxes[].address",
        kind: Kind::MailboxPattern,
        presence: Presence::Required,
        sentence: "The sender: an address, or `*@domain`.",
        example: "\"alias@contoso.com\"",
    },
    Key {
        path: "principal[].mailboxes[].mailbox",
        kind: Kind::Address,
        presence: Presence::Required,
        sentence: "The mailbox that sends for this address. Its limits count, and the copy goes to its Sent Items.",
        example: "\"noreply@contoso.com\"",
    },
    Key {
        path: "principal[].method",
        kind: Kind::Choice(&["rbac", "classic"]),
        presence: Presence::Optional,
        sentence: "How the tenant authorizes the principal. With `classic`, a token without the role `SMTP.SendAsApp` is refused before it is sent; with `rbac`, a token that has it is warned about. Left out, both are taken.",
        example: "\"rbac\"",
    },
    Key {
        path: "network.ca",
        kind: Kind::Path,
        presence: Presence::Optional,
        sentence: "A PEM file with certificate authorities to trust besides the system's, for example that of a proxy that inspects TLS. A cloud from a file trusts only the CA that the file names, if it names one.",
        example: "\"/etc/ssl/company-ca.pem\"",
    },
    Key {
        path: "network.ehlo",
        kind: Kind::EhloName,
        presence: Presence::Optional,
        sentence: "The name given in EHLO: a host name, or an address in brackets. Left out, it is `[127.0.0.1]`, which tells the service nothing about this machine.",
        example: "\"printserver.contoso.com\"",
    },
    Key {
        path: "network.connect_timeout",
        kind: Kind::Duration,
        presence: Presence::Default("\"30s\""),
        sentence: "How long one connection may take to be established, name look-up and TLS included.",
        example: "\"10s\"",
    },
    Key {
        path: "send.message_size_max",
        kind: Kind::Size,
        presence: Presence::Default("\"150 MiB\""),
        sentence: "The largest message `sendas send` takes. Exchange Online announces 150 MiB on the wire.",
        example: "\"35 MiB\"",
    },
    Key {
        path: "relay.spool",
        kind: Kind::SpoolUrl,
        presence: Presence::Default("\"sqlite:///var/lib/sendas/spool.db\""),
        sentence: "Where accepted messages are kept: `sqlite:///path`. A PostgreSQL database that several relays share (`postgres://user@host/database`, never with a password) is for a later version, and refused by this one.",
        example: "\"sqlite:///var/lib/sendas/spool.db\"",
    },
    Key {
        path: "relay.listen[].address",
        kind: Kind::SocketAddress,
        presence: Presence::Required,
        sentence: "IP address and port. Without any `listen` entry the relay listens on `127.0.0.1:2525` without TLS.",
        example: "\"127.0.0.1:2525\"",
    },
    Key {
        path: "relay.listen[].tls",
        kind: Kind::Choice(&["none", "starttls", "implicit"]),
        presence: Presence::Required,
        sentence: "Whether the listener speaks without TLS, upgrades with STARTTLS, or starts with TLS.",
        example: "\"starttls\"",
    },
    Key {
        path: "relay.local_programs",
        kind: Kind::Choice(&["group", "everyone"]),
        presence: Presence::Default("\"group\""),
        sentence: "Whose programs on this machine may hand messages to the running relay (`sendas sendmail`, cron, PHP): those of the spool's owner and group, or of every user. They may send as whatever a principal covers.",
        example: "\"everyone\"",
    },
    Key {
        path: "relay.hostname",
        kind: Kind::EhloName,
        presence: Presence::Optional,
        sentence: "The relay's name in its greeting, in Received and Message-ID fields and in its own certificate. Left out, it is the machine's name.",
        example: "\"relay.contoso.com\"",
    },
    Key {
        path: "relay.certificate",
        kind: Kind::Path,
        presence: Presence::Optional,
        sentence: "A PEM file with the certificate chain for STARTTLS and TLS, read again when it changes. Left out, the relay makes a certificate of its own and keeps it beside the spool.",
        example: "\"/etc/sendas/relay.pem\"",
    },
    Key {
        path: "relay.key",
        kind: Kind::Path,
        presence: Presence::Optional,
        sentence: "A PEM file with the certificate's private key. Left out, the key stands in the certificate's file.",
        example: "\"/etc/sendas/relay.key\"",
    },
    Key {
        path: "relay.certificate_names",
        kind: Kind::List(&Kind::Name),
        presence: Presence::Optional,
        sentence: "Names and IP addresses in the relay's own certificate, besides `hostname` and the addresses it listens on: what printers are told to connect to.",
        example: "[\"10.1.0.5\"]",
    },
    Key {
        path: "relay.message_size_max",
        kind: Kind::Size,
        presence: Presence::Default("\"150 MiB\""),
        sentence: "The largest message the relay takes, its header included. Exchange Online announces 150 MiB on the wire.",
        example: "\"35 MiB\"",
    },
    Key {
        path: "relay.recipients_max",
        kind: Kind::Count,
        presence: Presence::Default("500"),
        sentence: "The most recipients of one message.",
        example: "100",
    },
    Key {
        path: "relay.connections_max",
        kind: Kind::Count,
        presence: Presence::Default("1000"),
        sentence: "Connections at a time over all listeners; one more is answered `421`. Near that number the relay is less patient with slow clients.",
        example: "10000",
    },
    Key {
        path: "relay.connections_per_address_max",
        kind: Kind::Count,
        presence: Presence::Default("50"),
        sentence: "Connections at a time from one address; one more is answered `421`.",
        example: "10",
    },
    Key {
        path: "relay.mailbox_sends_max",
        kind: Kind::Count,
        presence: Presence::Default("3"),
        sentence: "Sends of one mailbox at a time. Exchange Online refuses a fourth with `432`; less leaves room for others who send as the same mailbox. Read at the start.",
        example: "2",
    },
    Key {
        path: "relay.mailbox_messages_per_minute",
        kind: Kind::Count,
        presence: Presence::Default("30"),
        sentence: "Messages of one mailbox within any minute. Exchange Online takes 30; less leaves room for others, more is for services that take more. Read at the start.",
        example: "20",
    },
    Key {
        path: "relay.mailbox_recipients_per_day",
        kind: Kind::Count,
        presence: Presence::Default("10000"),
        sentence: "Recipients of one mailbox within any 24 hours. Exchange Online takes 10,000. Read at the start.",
        example: "5000",
    },
    Key {
        path: "relay.proxy_networks",
        kind: Kind::List(&Kind::Network),
        presence: Presence::Optional,
        sentence: "The load balancers in front of the relay: from these addresses, and only from them, every connection begins with a PROXY protocol header.",
        example: "[\"10.0.0.10/32\"]",
    },
    Key {
        path: "relay.retry_for",
        kind: Kind::Duration,
        presence: Presence::Default("\"5d\""),
        sentence: "How long a message is tried before its sender is told that it failed.",
        example: "\"2d\"",
    },
    Key {
        path: "relay.delay_notice_after",
        kind: Kind::Duration,
        presence: Presence::Default("\"4h\""),
        sentence: "When a sender that asked for it is told that a message is late.",
        example: "\"1h\"",
    },
    Key {
        path: "relay.uncertain",
        kind: Kind::Choice(&["resend", "hold"]),
        presence: Presence::Default("\"resend\""),
        sentence: "What happens to a message whose connection broke between its last octet and the service's reply: it is sent again and may arrive twice, or it is held for a person.",
        example: "\"hold\"",
    },
    Key {
        path: "relay.postmaster",
        kind: Kind::Address,
        presence: Presence::Optional,
        sentence: "The sender of delivery notices; a principal must cover it. Left out, a notice is sent through the mailbox that its message was sent through.",
        example: "\"postmaster@contoso.com\"",
    },
    Key {
        path: "relay.history",
        kind: Kind::Duration,
        presence: Presence::Default("\"7d\""),
        sentence: "How long a message's history is kept after its last recipient is settled.",
        example: "\"30d\"",
    },
    Key {
        path: "relay.admin",
        kind: Kind::SocketAddress,
        presence: Presence::Default("\"127.0.0.1:8025\""),
        sentence: "IP address and port of dashboard, API, metrics and health.",
        example: "\"127.0.0.1:8025\"",
    },
    Key {
        path: "relay.client[].name",
        kind: Kind::Name,
        presence: Presence::Required,
        sentence: "The name in logs and queue; unique.",
        example: "\"hp-floor-2\"",
    },
    Key {
        path: "relay.client[].networks",
        kind: Kind::List(&Kind::Network),
        presence: Presence::Optional,
        sentence: "The addresses it may come from. Left out, it must log in. A network that holds every address is refused.",
        example: "[\"10.1.2.3/32\"]",
    },
    Key {
        path: "relay.client[].login",
        kind: Kind::Name,
        presence: Presence::Optional,
        sentence: "The user name it logs in with; unique. With `networks` as well, it must come from them and log in.",
        example: "\"hp-floor-2\"",
    },
    Key {
        path: "relay.client[].password_hash",
        kind: Kind::PasswordHash,
        presence: Presence::Optional,
        sentence: "The argon2id hash of the password that goes with `login`, as `sendas relay password` prints it.",
        example: "\"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\"",
    },
    Key {
        path: "relay.client[].plaintext_auth",
        kind: Kind::Choice(&["refused", "allowed"]),
        presence: Presence::Default("\"refused\""),
        sentence: "Whether it may log in without TLS: for devices that know no TLS, on a network that nobody else listens to.",
        example: "\"allowed\"",
    },
    Key {
        path: "relay.client[].senders",
        kind: Kind::List(&Kind::MailboxPattern),
        presence: Presence::Required,
        sentence: "The senders it may use: addresses, `*@domain`, or `*` for every sender a principal covers.",
        example: "[\"printer@contoso.com\"]",
    },
    Key {
        path: "relay.client[].recipients",
        kind: Kind::List(&Kind::MailboxPattern),
        presence: Presence::Optional,
        sentence: "The recipients it may write to: addresses, `*@domain`, or `*`. Left out, it may write to everybody.",
        example: "[\"*@contoso.com\"]",
    },
    Key {
        path: "relay.client[].rewrite_from",
        kind: Kind::Choice(&["never", "if-not-allowed", "always"]),
        presence: Presence::Default("\"never\""),
        sentence: "Whether a sender that the client may not use, in the envelope and in the From header, is replaced by the first address in `senders`; the original stays in Reply-To and `X-Original-From`. With `never` such a message is refused.",
        example: "\"if-not-allowed\"",
    },
    Key {
        path: "relay.client[].message_size_max",
        kind: Kind::Size,
        presence: Presence::Optional,
        sentence: "The largest message it may hand in. Left out, the relay's own limit holds.",
        example: "\"25 MiB\"",
    },
    Key {
        path: "relay.client[].recipients_max",
        kind: Kind::Count,
        presence: Presence::Optional,
        sentence: "The most recipients of one of its messages. Left out, the relay's own limit holds.",
        example: "5",
    },
    Key {
        path: "relay.client[].messages_per_minute",
        kind: Kind::Count,
        presence: Presence::Optional,
        sentence: "How many messages a minute it may hand in; more are answered `450`, to be handed in later. Left out, there is no limit.",
        example: "30",
    },
    Key {
        path: "relay.client[].line_endings",
        kind: Kind::Choice(&["strict", "normalize"]),
        presence: Presence::Default("\"strict\""),
        sentence: "Whether a message with a line that ends without CRLF is refused, or mended as some old printers need it; a message that begins without a header is then taken as well.",
        example: "\"normalize\"",
    },
    Key {
        path: "relay.client[].long_lines",
        kind: Kind::Choice(&["refuse", "wrap"]),
        presence: Presence::Default("\"refuse\""),
        sentence: "Whether a message with a line of more than 998 octets is refused, or such lines are cut behind a space, or where they are full. What programs of this machine hand in is always cut.",
        example: "\"wrap\"",
    },
    Key {
        path: "relay.client[].owner",
        kind: Kind::Address,
        presence: Presence::Optional,
        sentence: "Who is told when its message could not be delivered: for devices whose own sender nobody reads.",
        example: "\"it@contoso.com\"",
    },
];

/// Finds the setting at a path.
pub fn key(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Finds the section at a path.
pub fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.path == path)
}

/// Lists the names that may stand directly under a path (`""` for the top of the file).
pub fn children(path: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for known in KEYS.iter().map(|key| key.path) {
        let rest = if path.is_empty() {
            known
        } else if let Some(rest) = known
            .strip_prefix(path)
            .and_then(|rest| rest.strip_prefix('.'))
        {
            rest
        } else {
            continue;
        };
        let name = rest
            .split('.')
            .next()
            .unwrap_or(rest)
            .trim_end_matches("[]");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Says whether a setting has a variable of its own; the parts of a value that is overridden as
/// a whole (`mailboxes`) have none.
pub fn has_variable(path: &str) -> bool {
    let part = |key: &Key| {
        path.strip_prefix(key.path)
            .is_some_and(|rest| rest.starts_with("[]"))
    };
    !KEYS.iter().any(part)
}

/// Writes the name of the environment variable that overrides a setting, `N` for a list index.
pub fn variable(path: &str) -> String {
    let mut name = String::from("SENDAS");
    for segment in path.split('.') {
        name.push('_');
        let (word, list) = match segment.strip_suffix("[]") {
            Some(word) => (word, true),
            None => (segment, false),
        };
        name.push_str(&word.to_ascii_uppercase());
        if list {
            name.push_str("_N");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_lies_in_a_section_and_has_its_own_variable() {
        let mut names: Vec<String> = KEYS.iter().map(|key| variable(key.path)).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        for key in KEYS {
            let (parent, _) = key.path.rsplit_once('.').unwrap();
            assert!(section(parent).is_some(), "{parent} has no section");
            assert!(key.sentence.ends_with('.'), "{}", key.path);
        }
    }

    #[test]
    fn children_are_listed_once() {
        assert_eq!(children(""), ["principal", "network", "send", "relay"]);
        assert_eq!(
            children("principal[].credential"),
            [
                "certificate",
                "password",
                "secret",
                "federated",
                "managed_identity"
            ]
        );
    }
}
