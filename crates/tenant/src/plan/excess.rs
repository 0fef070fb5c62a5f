//! What an administrator should know besides the steps: what is used as it was found, and rights
//! beyond the wish, with how to take them away. Nothing here is done by `apply`.

use crate::cmdlet::Cmdlet;
use crate::observed::{ApplicationFound, Observed, Reach};
use crate::plan::SEND_AS_APP;
use crate::wish::{Method, Wish};

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// A stable name for scripts.
    pub id: &'static str,
    /// Whether it is a right beyond the wish.
    pub is_excess: bool,
    /// What was found, as a sentence without full stop.
    pub text: String,
    /// What takes it away: commands or words, in order.
    pub removal: Vec<String>,
}

/// Application permissions that let an application send as anybody, or open anybody's mailbox.
const BROAD: [(&str, &str); 6] = [
    (
        "Mail.Send",
        "send as every mailbox of the tenant through Graph",
    ),
    (
        "Mail.ReadWrite",
        "read and change the mail of every mailbox of the tenant",
    ),
    (
        "full_access_as_app",
        "open every mailbox of the tenant through Exchange Web Services",
    ),
    (
        "IMAP.AccessAsApp",
        "open mailboxes over IMAP, where it has rights on them",
    ),
    (
        "POP.AccessAsApp",
        "open mailboxes over POP, where it has rights on them",
    ),
    (
        "Exchange.ManageAsApp",
        "administer Exchange, where it holds a directory role",
    ),
];

/// What an application permission lets an application do.
pub(crate) fn reach(permission: &str) -> &'static str {
    BROAD
        .iter()
        .find(|(name, _)| *name == permission)
        .map_or("do what sending over SMTP does not need", |(_, what)| what)
}

pub(super) fn notices(wish: &Wish, observed: &Observed) -> Vec<Notice> {
    let mut notices = Vec::new();
    adopted(wish, observed, &mut notices);
    permissions(wish, observed, &mut notices);
    roles(wish, observed, &mut notices);
    rights(wish, observed, &mut notices);
    notices
}

fn adopted(wish: &Wish, observed: &Observed, notices: &mut Vec<Notice>) {
    if let ApplicationFound::Found {
        application,
        ours: false,
    } = &observed.application
    {
        notices.push(Notice {
            id: "application-adopted",
            is_excess: false,
            text: format!(
                "the application {:?} ({}) exists already and is used as it is; undo leaves it in place",
                application.display_name, application.app_id
            ),
            removal: Vec::new(),
        });
    }
    let used = wish.method == Method::Rbac && observed.roles.is_empty();
    if let Some(group) = observed.group.as_ref().filter(|_| used) {
        let strangers = strangers(&group.members, observed);
        if !strangers.is_empty() {
            notices.push(wider(&group.name, &strangers));
        }
    }
}

fn permissions(wish: &Wish, observed: &Observed, notices: &mut Vec<Notice>) {
    for granted in &observed.granted {
        let removal = vec![
            format!(
                "Entra portal: Enterprise applications, the application, Permissions: revoke {} of {}",
                granted.value, granted.resource
            ),
            format!(
                "or Graph: DELETE /servicePrincipals/{}/appRoleAssignments/{}",
                observed
                    .principal
                    .as_ref()
                    .map_or("ID", |found| found.id.as_str()),
                granted.id
            ),
        ];
        if granted.value == SEND_AS_APP {
            if wish.method == Method::Rbac {
                notices.push(Notice {
                    id: "both-methods",
                    is_excess: true,
                    text: "the application has SMTP.SendAsApp in Entra besides the role in Exchange: Exchange then asks for rights on each mailbox as well, which the role alone does not need".into(),
                    removal,
                });
            }
            continue;
        }
        let what = reach(&granted.value);
        notices.push(Notice {
            id: "permission-too-broad",
            is_excess: true,
            text: format!(
                "the application has {} of {}: it may {what}",
                granted.value, granted.resource
            ),
            removal,
        });
    }
}

fn roles(wish: &Wish, observed: &Observed, notices: &mut Vec<Notice>) {
    for role in &observed.roles {
        let removal = vec![
            Cmdlet::new("Remove-ManagementRoleAssignment")
                .with("Identity", &role.assignment.name)
                .with("Confirm", false)
                .to_string(),
        ];
        if wish.method == Method::Classic {
            notices.push(Notice {
                id: "both-methods",
                is_excess: true,
                text: format!(
                    "the application holds the role assignment {:?} in Exchange besides SMTP.SendAsApp: grants add up, so it reaches more than the mailboxes granted one by one",
                    role.assignment.name
                ),
                removal,
            });
            continue;
        }
        match &role.reach {
            Reach::Everybody => notices.push(Notice {
                id: "scope-wider",
                is_excess: true,
                text: format!(
                    "the role assignment {:?} has no scope: the application may send as every mailbox of the tenant",
                    role.assignment.name
                ),
                removal,
            }),
            Reach::Members { group, members } => {
                let strangers = strangers(members, observed);
                if !strangers.is_empty() {
                    notices.push(wider(group, &strangers));
                }
            }
            Reach::Filter { filter, .. } => notices.push(Notice {
                id: "scope-unknown",
                is_excess: false,
                text: format!(
                    "the role assignment {:?} is bound to {filter}; whom it reaches besides your mailboxes cannot be told from here",
                    role.assignment.name
                ),
                removal: Vec::new(),
            }),
        }
    }
}

fn rights(wish: &Wish, observed: &Observed, notices: &mut Vec<Notice>) {
    if wish.method == Method::Classic {
        return;
    }
    let Some(principal) = &observed.principal else {
        return;
    };
    for mailbox in observed.mailboxes.values() {
        let Some(address) = &mailbox.address else {
            continue;
        };
        let full_access = Cmdlet::new("Remove-MailboxPermission")
            .with("Identity", address)
            .with("User", &principal.id)
            .with("AccessRights", "FullAccess");
        let send_as = Cmdlet::new("Remove-RecipientPermission")
            .with("Identity", address)
            .with("Trustee", &principal.id)
            .with("AccessRights", "SendAs");
        for (held, right, removal, effect) in [
            (
                mailbox.full_access,
                "FullAccess",
                full_access,
                "it may read the mailbox where it has a permission for that",
            ),
            (
                mailbox.send_as,
                "SendAs",
                send_as,
                "it stays when the role is taken away",
            ),
        ] {
            if held {
                notices.push(Notice {
                    id: "mailbox-right-not-needed",
                    is_excess: true,
                    text: format!(
                        "the application has {right} on {address}, which the role in Exchange does not need: {effect}"
                    ),
                    removal: vec![removal.with("Confirm", false).to_string()],
                });
            }
        }
    }
}

/// Members that are none of the wish's mailboxes.
fn strangers(members: &[String], observed: &Observed) -> Vec<String> {
    members
        .iter()
        .filter(|member| {
            !observed
                .mailboxes
                .iter()
                .any(|(asked, found)| asked == *member || found.address.as_ref() == Some(*member))
        })
        .cloned()
        .collect()
}

fn wider(group: &str, strangers: &[String]) -> Notice {
    Notice {
        id: "scope-wider",
        is_excess: true,
        text: format!(
            "the group {group:?} has members you did not name, and the application may send as them too: {}",
            strangers.join(", ")
        ),
        removal: strangers
            .iter()
            .map(|member| {
                Cmdlet::new("Remove-DistributionGroupMember")
                    .with("Identity", group)
                    .with("Member", member)
                    .with("Confirm", false)
                    .to_string()
            })
            .collect(),
    }
}
