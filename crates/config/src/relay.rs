//! The relay's part of the settings.

use std::path::PathBuf;

use crate::complaint::Complaint;
use crate::kind::Network as IpNetwork;
use crate::mailbox::Pattern;
use crate::reader::{CHECKED, Reader, duplicates, element, table, text};
use crate::settings::{
    LineEndings, Listen, ListenTls, LocalPrograms, Login, LongLines, Relay, RelayClient,
    RewriteFrom, Spool, Uncertain,
};
use crate::tree::{Node, Table, Value};
use crate::units;

/// The relay's settings.
pub(crate) fn relay(reader: &Reader<'_>, own: &Table, errors: &mut Vec<Complaint>) -> Relay {
    let listen: Vec<Listen> = if own.get("listen").is_some() {
        own.list("listen")
            .iter()
            .map(|node| listen(table(node)))
            .collect()
    } else {
        let address = "127.0.0.1:2525".parse().expect("a literal address");
        vec![Listen {
            address,
            tls: ListenTls::None,
        }]
    };
    for (at, node) in own.list("listen").iter().enumerate() {
        let own = listen[at].address;
        // Port 0 is whichever is free, another one each time.
        if own.port() != 0 && listen[..at].iter().any(|earlier| earlier.address == own) {
            errors.push(Complaint::at(
                &node.place,
                "two listeners on one address",
                "the address is taken by an earlier entry",
            ));
        }
    }
    let clients = own.list("client");
    duplicates(clients, "relay.client", errors);
    duplicate_logins(clients, errors);
    if let (Some(node), None) = (own.get("key"), own.get("certificate")) {
        errors.push(Complaint::at(
            &node.place,
            "`relay.key` without a certificate",
            "belongs to the file that `relay.certificate` names",
        ));
    }
    let spool = text(own, "relay.spool");
    if let Some(node) = own.get("spool").filter(|_| !spool.starts_with("sqlite://")) {
        errors.push(
            Complaint::at(
                &node.place,
                "`relay.spool` names a PostgreSQL database",
                "this version keeps its spool in a file on this machine",
            )
            .help("write `spool = \"sqlite:///var/lib/sendas/spool.db\"`; a spool that several relays share comes with a later version"),
        );
    }
    Relay {
        spool: match spool.strip_prefix("sqlite://") {
            Some(path) => Spool::Sqlite(PathBuf::from(path)),
            None => Spool::Postgres(spool),
        },
        listen,
        local_programs: match text(own, "relay.local_programs").as_str() {
            "everyone" => LocalPrograms::Everyone,
            _ => LocalPrograms::Group,
        },
        hostname: own.text("hostname").map(str::to_owned),
        certificate: own.get("certificate").map(|node| reader.path(node)),
        key: own.get("key").map(|node| reader.path(node)),
        certificate_names: own
            .list("certificate_names")
            .iter()
            .map(|node| element(node).to_owned())
            .collect(),
        message_size_octets_max: units::size(&text(own, "relay.message_size_max")).expect(CHECKED),
        recipients_max: text(own, "relay.recipients_max").parse().expect(CHECKED),
        connections_max: text(own, "relay.connections_max").parse().expect(CHECKED),
        connections_per_address_max: text(own, "relay.connections_per_address_max")
            .parse()
            .expect(CHECKED),
        mailbox_sends_max: text(own, "relay.mailbox_sends_max").parse().expect(CHECKED),
        mailbox_messages_per_minute: text(own, "relay.mailbox_messages_per_minute")
            .parse()
            .expect(CHECKED),
        mailbox_recipients_per_day: text(own, "relay.mailbox_recipients_per_day")
            .parse()
            .expect(CHECKED),
        proxy_networks: networks(own, "proxy_networks"),
        retry_for: units::duration(&text(own, "relay.retry_for")).expect(CHECKED),
        delay_notice_after: units::duration(&text(own, "relay.delay_notice_after")).expect(CHECKED),
        uncertain: match text(own, "relay.uncertain").as_str() {
            "hold" => Uncertain::Hold,
            _ => Uncertain::Resend,
        },
        postmaster: own.text("postmaster").map(str::to_owned),
        history: units::duration(&text(own, "relay.history")).expect(CHECKED),
        admin: text(own, "relay.admin").parse().expect(CHECKED),
        clients: clients
            .iter()
            .map(|node| relay_client(node, errors))
            .collect(),
    }
}

fn listen(own: &Table) -> Listen {
    Listen {
        address: own.text("address").expect(CHECKED).parse().expect(CHECKED),
        tls: match own.text("tls") {
            Some("starttls") => ListenTls::Starttls,
            Some("implicit") => ListenTls::Implicit,
            _ => ListenTls::None,
        },
    }
}

fn relay_client(node: &Node, errors: &mut Vec<Complaint>) -> RelayClient {
    let own = table(node);
    let patterns = |key: &str| -> Vec<Pattern> {
        own.list(key)
            .iter()
            .map(|node| Pattern::parse(element(node)).expect(CHECKED))
            .collect()
    };
    let count = |key: &str| own.text(key).map(|text| text.parse().expect(CHECKED));
    let networks = networks(own, "networks");
    complain(node, own, &networks, errors);
    RelayClient {
        name: own.text("name").expect(CHECKED).to_owned(),
        networks,
        login: own
            .text("login")
            .zip(own.text("password_hash"))
            .map(|(user, hash)| Login {
                user: user.to_owned(),
                password_hash: hash.to_owned(),
            }),
        plaintext_auth: text(own, "relay.client[].plaintext_auth") == "allowed",
        senders: patterns("senders"),
        recipients: patterns("recipients"),
        rewrite_from: match text(own, "relay.client[].rewrite_from").as_str() {
            "always" => RewriteFrom::Always,
            "if-not-allowed" => RewriteFrom::IfNotAllowed,
            _ => RewriteFrom::Never,
        },
        message_size_octets_max: own
            .text("message_size_max")
            .map(|text| units::size(text).expect(CHECKED)),
        recipients_max: count("recipients_max"),
        messages_per_minute: count("messages_per_minute"),
        line_endings: match text(own, "relay.client[].line_endings").as_str() {
            "normalize" => LineEndings::Normalize,
            _ => LineEndings::Strict,
        },
        long_lines: match text(own, "relay.client[].long_lines").as_str() {
            "wrap" => LongLines::Wrap,
            _ => LongLines::Refuse,
        },
        owner: own.text("owner").map(str::to_owned),
    }
}

/// Complains about a client that could never submit, or that anybody could be.
fn complain(node: &Node, own: &Table, networks: &[IpNetwork], errors: &mut Vec<Complaint>) {
    for (node, network) in own.list("networks").iter().zip(networks) {
        if network.prefix == 0 {
            errors.push(
                Complaint::at(
                    &node.place,
                    "an open relay",
                    "anybody who reaches the listener could send through your tenant",
                )
                .help("name the networks your printers and programs are in"),
            );
        }
    }
    for key in ["networks", "senders", "recipients"] {
        if let Some(node) = own.get(key).filter(|_| own.list(key).is_empty()) {
            errors.push(Complaint::at(
                &node.place,
                format!("`relay.client.{key}` is empty"),
                "this client could never submit",
            ));
        }
    }
    match (own.get("login"), own.get("password_hash")) {
        (Some(login), None) => errors.push(
            Complaint::at(
                &login.place,
                "a login without a password",
                "anybody could say this name",
            )
            .help("add `password_hash = \"…\"`; `sendas relay password` makes one"),
        ),
        (None, Some(hash)) => errors.push(
            Complaint::at(
                &hash.place,
                "a password without a login",
                "belongs to a user name",
            )
            .help("add `login = \"…\"`"),
        ),
        (None, None) if own.get("networks").is_none() => errors.push(
            Complaint::at(
                &node.place,
                "a client with neither `networks` nor `login`",
                "nothing tells it from anybody else",
            )
            .help("add `networks = [\"10.1.2.3/32\"]`, or `login` and `password_hash`"),
        ),
        _ => {}
    }
    let whole = |node: &Node| !element(node).contains('*');
    if let Some(rewrite) = own.get("rewrite_from")
        && matches!(&rewrite.value, Value::Text(word) if word != "never")
        && !own.list("senders").iter().any(whole)
    {
        errors.push(
            Complaint::at(
                &rewrite.place,
                "nothing to rewrite to",
                "`senders` holds no whole address",
            )
            .help("put the address that replaces others into `senders`"),
        );
    }
}

fn networks(own: &Table, key: &str) -> Vec<IpNetwork> {
    own.list(key)
        .iter()
        .map(|node| IpNetwork::parse(element(node)).expect(CHECKED))
        .collect()
}

/// Complains about one login of two clients.
fn duplicate_logins(clients: &[Node], errors: &mut Vec<Complaint>) {
    for (at, node) in clients.iter().enumerate() {
        let (Some(login), name) = (table(node).get("login"), table(node).text("login")) else {
            continue;
        };
        let earlier = clients[..at]
            .iter()
            .any(|other| table(other).text("login") == name);
        if earlier {
            errors.push(Complaint::at(
                &login.place,
                "two clients with one login",
                "an earlier client logs in with it",
            ));
        }
    }
}
