//! From the checked tree to settings: the one step that can still say no.

use crate::complaint::Complaint;
use crate::kind::Kind;
use crate::mailbox::{MailboxEntry, Pattern};
use crate::reader::{CHECKED, Reader, duplicates, given_name, table, text};
use crate::reference::{self, Presence};
use crate::relay;
use crate::settings::{Cloud, Credential, Method, Network, Principal, SecretPlace, Send, Settings};
use crate::tree::{Node, Place, Source, SourceName, Table, Value};
use crate::units;

/// Makes settings of a tree that `check` had nothing against.
pub(crate) fn settings(
    tree: &Table,
    authority: Option<&Node>,
    sources: &[Source],
    errors: &mut Vec<Complaint>,
) -> Settings {
    let reader = Reader::new(sources);
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
                if matches!(self.source(place).name, SourceName::Variable(_)) {
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
