//! From the checked tree to settings: the one step that can still say no.

use std::path::{Path, PathBuf};

use crate::complaint::Complaint;
use crate::kind::Kind;
use crate::mailbox::{MailboxEntry, Pattern};
use crate::reference::{self, Presence};
use crate::relay;
use crate::settings::{Cloud, Credential, Method, Network, Principal, SecretPlace, Send, Settings};
use crate::tree::{Node, Place, Source, SourceName, Table, Value};
use crate::units;

/// Why `expect` holds below.
pub(crate) const CHECKED: &str = "the tree was checked against the table";

/// Makes settings of a tree that `check` had nothing against.
pub(crate) fn settings(
    tree: &Table,
    authority: Option<&Node>,
    sources: &[Source],
    errors: &mut Vec<Complaint>,
) -> Settings {
    let reader = Reader { sources };
    let nodes = tree.list("principal");
    let principals: Vec<Principal> = nodes
        .iter()
        .filter_map(|node| {
            reader.principal(
                table(node),
                &node.place,
                nodes.len() == 1,
                authority,
                errors,
            )
        })
        .collect();
    duplicates(nodes, "principal", errors);
    ambiguous(nodes, errors);
    let empty = Table::default();
    let network = tree.table("network").unwrap_or(&empty);
    let send = tree.table("send").unwrap_or(&empty);
    Settings {
        principals,
        network: Network {
            ca: network.get("ca").map(|node| reader.path(node)),
            ehlo: network.text("ehlo").map(str::to_owned),
            connect_timeout: units::duration(&text(network, "network.connect_timeout"))
                .expect(CHECKED),
        },
        send: Send {
            message_size_octets_max: units::size(&text(send, "send.message_size_max"))
                .expect(CHECKED),
        },
        relay: tree
            .table("relay")
            .map(|own| relay::relay(&reader, own, errors)),
    }
}

/// Reads values that depend on where they stand.
pub(crate) struct Reader<'a> {
    sources: &'a [Source],
}

impl Reader<'_> {
    fn principal(
        &self,
        own: &Table,
        place: &Place,
        only: bool,
        authority: Option<&Node>,
        errors: &mut Vec<Complaint>,
    ) -> Option<Principal> {
        let name = given_name(own);
        let Some(credential) = own.table("credential") else {
            let title = match &name {
                Some(name) => format!("principal `{name}` has no credential"),
                None => "a principal has no credential".to_owned(),
            };
            let complaint = Complaint::at(place, title, "nothing proves it to the tenant");
            errors.push(
                if matches!(self.sources[place.source].name, SourceName::Variable(_)) {
                    complaint.help(
                        "set `AZURE_CLIENT_CERTIFICATE_PATH`, `AZURE_CLIENT_SECRET` or \
                     `AZURE_FEDERATED_TOKEN_FILE`, or a `SENDAS_PRINCIPAL_0_CREDENTIAL_…` variable",
                    )
                } else {
                    complaint
                        .help("add `credential = { certificate = \"/etc/sendas/contoso.pem\" }`")
                },
            );
            return None;
        };
        let credential = self.credential(credential, errors)?;
        if !matches!(credential, Credential::ManagedIdentity { .. }) {
            for missing in ["tenant", "client_id"]
                .iter()
                .filter(|key| own.get(key).is_none())
            {
                let key = reference::key(&format!("principal[].{missing}")).expect("it is there");
                errors.push(
                    Complaint::at(
                        place,
                        format!("`principal.{missing}` is missing"),
                        "not complete",
                    )
                    .help(format!("add `{missing} = {}`", key.example)),
                );
            }
        }
        let mailboxes = match own.get("mailboxes") {
            None if only => {
                vec![MailboxEntry {
                    pattern: Pattern::Everything,
                    mailbox: None,
                }]
            }
            None => {
                errors.push(
                    Complaint::at(
                        place,
                        "`principal.mailboxes` is missing",
                        "with several principals, each says which senders are its own",
                    )
                    .help("add `mailboxes = [\"noreply@contoso.com\"]`"),
                );
                Vec::new()
            }
            Some(_) => own.list("mailboxes").iter().map(mailbox_entry).collect(),
        };
        Some(Principal {
            name: name
                .or_else(|| own.text("client_id").map(str::to_owned))
                .unwrap_or_else(|| "managed-identity".to_owned()),
            tenant: own.text("tenant").map(str::to_owned),
            client_id: own.text("client_id").map(str::to_owned),
            credential,
            cloud: match own.get("cloud").map(|node| &node.value) {
                Some(Value::Table(cloud)) => Cloud::File(self.path_in(cloud, "file")),
                Some(Value::Text(name)) => Cloud::Named(name.clone()),
                _ => match authority.map(|node| &node.value) {
                    Some(Value::Text(host)) => Cloud::Authority(host.clone()),
                    _ => Cloud::Named(text(own, "principal[].cloud")),
                },
            },
            mailboxes,
            method: own.text("method").map(|word| match word {
                "classic" => Method::Classic,
                _ => Method::Rbac,
            }),
        })
    }

    fn credential(&self, own: &Table, errors: &mut Vec<Complaint>) -> Option<Credential> {
        if let (Some(node), None) = (own.get("password"), own.get("certificate")) {
            errors.push(Complaint::at(
                &node.place,
                "`principal.credential.password` without a certificate",
                "belongs to a PKCS#12 certificate file",
            ));
            return None;
        }
        Some(if let Some(node) = own.get("certificate") {
            Credential::Certificate {
                path: self.path(node),
                password: own.table("password").map(|table| self.secret(table)),
            }
        } else if let Some(secret) = own.table("secret") {
            Credential::Secret(self.secret(secret))
        } else if let Some(federated) = own.table("federated") {
            Credential::Federated {
                path: self.path_in(federated, "file"),
            }
        } else {
            let client_id = own
                .table("managed_identity")
                .and_then(|table| table.text("client_id"));
            Credential::ManagedIdentity {
                client_id: client_id.map(str::to_owned),
            }
        })
    }

    fn secret(&self, own: &Table) -> SecretPlace {
        if let Some(node) = own.get("file") {
            SecretPlace::File(self.path(node))
        } else if let Some(name) = own.text("systemd") {
            SecretPlace::Systemd(name.to_owned())
        } else {
            SecretPlace::Variable(own.text("env").expect(CHECKED).to_owned())
        }
    }

    fn path_in(&self, table: &Table, key: &str) -> PathBuf {
        self.path(table.get(key).expect(CHECKED))
    }

    /// A path, seen from the folder of the file it stands in; one from a variable is left as
    /// it is and so means the working folder.
    pub(crate) fn path(&self, node: &Node) -> PathBuf {
        let Value::Text(path) = &node.value else {
            unreachable!("{CHECKED}")
        };
        match &self.sources[node.place.source].name {
            SourceName::File(file) => file.parent().unwrap_or(Path::new("")).join(path),
            SourceName::Variable(_) => PathBuf::from(path),
        }
    }
}

fn mailbox_entry(node: &Node) -> MailboxEntry {
    let pattern = |text: &str| Pattern::parse(text).expect(CHECKED);
    match &node.value {
        Value::Table(own) => MailboxEntry {
            pattern: pattern(own.text("address").expect(CHECKED)),
            mailbox: own.text("mailbox").map(str::to_owned),
        },
        Value::Text(text) => MailboxEntry {
            pattern: pattern(text),
            mailbox: None,
        },
        _ => unreachable!("{CHECKED}"),
    }
}

/// The text of a setting, or its default from the table.
pub(crate) fn text(own: &Table, path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    if let Some(text) = own.text(name) {
        return text.to_owned();
    }
    match reference::key(path).map(|key| key.presence) {
        Some(Presence::Default(value)) => value.trim_matches('"').to_owned(),
        _ => unreachable!("{path} has a default in the table"),
    }
}

pub(crate) fn table(node: &Node) -> &Table {
    match &node.value {
        Value::Table(table) => table,
        _ => unreachable!("{CHECKED}"),
    }
}

pub(crate) fn element(node: &Node) -> &str {
    match &node.value {
        Value::Text(text) => text,
        _ => unreachable!("{CHECKED}"),
    }
}

/// The name a section goes by: `name`, else `tenant`.
fn given_name(own: &Table) -> Option<String> {
    own.text("name")
        .or_else(|| own.text("tenant"))
        .map(str::to_owned)
}

pub(crate) fn duplicates(nodes: &[Node], section: &str, errors: &mut Vec<Complaint>) {
    for (at, node) in nodes.iter().enumerate() {
        let name = given_name(table(node));
        let earlier = nodes[..at]
            .iter()
            .any(|other| given_name(table(other)) == name);
        if let Some(name) = name.filter(|_| earlier) {
            let place = table(node)
                .get("name")
                .map_or(&node.place, |node| &node.place);
            errors.push(
                Complaint::at(
                    place,
                    format!("two `{section}` sections are named `{name}`"),
                    "the name is taken by an earlier section",
                )
                .help("give each a `name` of its own"),
            );
        }
    }
}

/// Complains about one address or domain that two entries claim.
fn ambiguous(principals: &[Node], errors: &mut Vec<Complaint>) {
    let mut seen: Vec<Pattern> = Vec::new();
    for node in principals
        .iter()
        .flat_map(|node| table(node).list("mailboxes"))
    {
        let entry = mailbox_entry(node);
        if seen.contains(&entry.pattern) {
            errors.push(Complaint::at(
                &node.place,
                "a sender is named twice",
                "an earlier entry names it too; which of the two sends for it?",
            ));
        }
        seen.push(entry.pattern);
    }
}

/// The default of a setting as `config show` prints it.
pub(crate) fn default_of(kind: Kind, presence: Presence) -> Option<String> {
    match presence {
        Presence::Default(value) if !matches!(kind, Kind::List(_)) => Some(value.to_owned()),
        _ => None,
    }
}
