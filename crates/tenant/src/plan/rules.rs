//! Which steps a difference asks for.

use super::step::{Action, Step};
use crate::observed::{ApplicationFound, MailboxFound, Observed, Reach, filter_of};
use crate::wish::{CredentialWish, Method, Wish};

/// The steps in the order they must be done, and what makes them impossible.
pub(super) fn compare(wish: &Wish, observed: &Observed) -> (Vec<Step>, Vec<String>) {
    let mut rules = Rules {
        wish,
        observed,
        steps: Vec::new(),
        blocks: Vec::new(),
    };
    rules.application();
    if rules.lacks_application() {
        // Everything else would be done to an application that cannot be.
        rules.absent_mailboxes();
        return (Vec::new(), rules.blocks);
    }
    rules.stale();
    rules.credential();
    if wish.method == Method::Classic {
        rules.permission();
    }
    rules.registration();
    rules.mailboxes();
    match wish.method {
        Method::Classic => rules.rights(),
        Method::Rbac => rules.role(),
    }
    (rules.steps, rules.blocks)
}

struct Rules<'a> {
    wish: &'a Wish,
    observed: &'a Observed,
    steps: Vec<Step>,
    blocks: Vec<String>,
}

impl Rules<'_> {
    fn step(&mut self, action: Action, reason: impl Into<String>) {
        self.steps.push(Step {
            action,
            reason: reason.into(),
        });
    }

    fn application(&mut self) {
        match &self.observed.application {
            ApplicationFound::Found { .. } => {}
            ApplicationFound::Missing => self.step(
                Action::CreateApplication {
                    name: self.wish.names.application.clone(),
                },
                "no application sends for you yet",
            ),
            ApplicationFound::UnknownClientId(client_id) => self.blocks.push(format!(
                "no application of this tenant has the client id {client_id}: check the id, and that you signed in to the right tenant"
            )),
            ApplicationFound::NameTaken(client_ids) => self.blocks.push(format!(
                "an application called {:?} exists already (client id {}), and it was not made here: use it with --client-id, or choose another name with --name",
                self.wish.names.application,
                client_ids.join(", ")
            )),
        }
        match &self.observed.principal {
            None if self.lacks_application() => {}
            None => self.step(
                Action::CreatePrincipal,
                "tokens are issued to the enterprise application, and its object id is the one Exchange wants",
            ),
            Some(found) if !found.enabled => self.blocks.push(
                "sign-in of the enterprise application is disabled: enable it in the Entra portal (Enterprise applications, Properties), somebody may have had a reason"
                    .into(),
            ),
            Some(_) => {}
        }
    }

    /// Whether no application can be used or made as the tenant stands.
    fn lacks_application(&self) -> bool {
        matches!(
            self.observed.application,
            ApplicationFound::UnknownClientId(_) | ApplicationFound::NameTaken(_)
        )
    }

    /// What was made here for an application that is gone, in the order that Exchange takes.
    fn stale(&mut self) {
        const REASON: &str =
            "it was made here for an application that was deleted, and its name is needed again";

        for name in self.observed.stale.assignments.clone() {
            self.step(Action::RemoveAssignment { name }, REASON);
        }
        for name in self.observed.stale.scopes.clone() {
            self.step(
                Action::RemoveScope { name },
                "it was made here for a group that was deleted, and its name is needed again",
            );
        }
        for found in self.observed.stale.registrations.clone() {
            self.step(
                Action::RemoveRegistration {
                    app_id: found.app_id,
                    object_id: found.object_id,
                    display_name: found.display_name,
                },
                "it was made here for an enterprise application that was deleted",
            );
        }
    }

    fn credential(&mut self) {
        let held = &self.observed.held;
        let application = self.observed.application();
        let passwords = application.map_or(&[][..], |found| &found.password_credentials);
        let strays: Vec<String> = passwords
            .iter()
            .filter(|secret| {
                !held.label.is_empty()
                    && secret
                        .display_name
                        .as_ref()
                        .is_some_and(|name| name.starts_with(&held.label))
                    && held.key_id.as_ref() != Some(&secret.key_id)
            })
            .map(|secret| secret.key_id.clone())
            .collect();
        for key_id in strays {
            self.step(
                Action::RemoveStraySecret { key_id },
                "an interrupted run made it and never got to see its text",
            );
        }
        match &self.wish.credential {
            CredentialWish::Keep => {
                if application.is_none() {
                    self.blocks.push(
                        "a new application has no credential to keep: choose --credential certificate, secret or federated"
                            .into(),
                    );
                }
            }
            CredentialWish::Certificate => {
                let there = held.thumbprint.as_ref().is_some_and(|thumbprint| {
                    application.is_some_and(|found| {
                        found
                            .certificates()
                            .iter()
                            .any(|key| key.thumbprint.eq_ignore_ascii_case(thumbprint))
                    })
                });
                if !there {
                    self.step(
                        Action::AddCertificate,
                        "it proves the application; only the public half is sent",
                    );
                }
            }
            CredentialWish::Secret => {
                let there = held
                    .key_id
                    .as_ref()
                    .is_some_and(|id| passwords.iter().any(|secret| secret.key_id == *id));
                if !there {
                    self.step(
                        Action::AddSecret,
                        "it proves the application; Entra shows its text once",
                    );
                }
            }
            CredentialWish::Federated(wanted) => {
                let there = self.observed.federated.iter().any(|found| {
                    found.issuer == wanted.issuer
                        && found.subject == wanted.subject
                        && found.audiences.contains(&wanted.audience)
                });
                if !there {
                    self.step(
                        Action::AddFederated(wanted.clone()),
                        "tokens of this issuer then prove the application, and nothing is stored",
                    );
                }
            }
        }
    }

    fn permission(&mut self) {
        let Some(resource) = &self.observed.resource else {
            self.blocks.push(
                "Office 365 Exchange Online is not in this tenant: it has no Exchange Online"
                    .into(),
            );
            return;
        };
        let Some(role) = &resource.send_as_app else {
            self.blocks.push(
                "Exchange Online of this tenant offers no permission SMTP.SendAsApp: use --method rbac"
                    .into(),
            );
            return;
        };
        let granted = self
            .observed
            .granted
            .iter()
            .any(|granted| granted.value == super::SEND_AS_APP);
        if !granted {
            self.step(
                Action::GrantPermission {
                    resource: resource.id.clone(),
                    role: role.clone(),
                },
                "without it the token has no roles, and Exchange answers 535",
            );
        }
    }

    fn registration(&mut self) {
        let object_id = self.observed.principal.as_ref().map(|found| &found.id);
        let application = self.observed.application();
        for found in &self.observed.registered {
            if Some(&found.object_id) == object_id {
                continue;
            }
            let reason = if application
                .is_some_and(|known| known.id.eq_ignore_ascii_case(&found.object_id))
            {
                "it carries the object id of the app registration; Exchange wants that of the enterprise application, and an id cannot be changed"
            } else {
                "its object id is not that of the enterprise application, and an id cannot be changed"
            };
            self.step(
                Action::RemoveRegistration {
                    app_id: found.app_id.clone(),
                    object_id: found.object_id.clone(),
                    display_name: found.display_name.clone(),
                },
                reason,
            );
        }
        let right = self.observed.registered.iter().any(|found| {
            Some(&found.object_id) == object_id
                && application.is_some_and(|known| known.app_id.eq_ignore_ascii_case(&found.app_id))
        });
        if !right {
            let name =
                application.map_or(&self.wish.names.application, |found| &found.display_name);
            self.step(
                Action::Register { name: name.clone() },
                "Exchange knows only the principals that are registered with it",
            );
        }
    }

    fn absent_mailboxes(&mut self) {
        for (asked, found) in &self.observed.mailboxes {
            if found.address.is_some() {
                continue;
            }
            let domain = asked.rsplit('@').next().unwrap_or_default();
            let hint = if self.observed.domains.iter().any(|known| known == domain) {
                "check the address, or make the mailbox first (a shared mailbox needs no licence)"
            } else {
                "its domain is not one of this tenant's verified domains: check the address, and that you signed in to the right tenant"
            };
            self.blocks
                .push(format!("there is no mailbox {asked}: {hint}"));
        }
    }

    fn mailboxes(&mut self) {
        self.absent_mailboxes();
        for found in self.observed.mailboxes.values() {
            let Some(address) = &found.address else {
                continue;
            };
            let off = found.submission_off.unwrap_or(self.observed.submission_off);
            if off {
                let reason = if found.submission_off == Some(true) {
                    "it is switched off for this mailbox"
                } else {
                    "it is off for the organisation, and stays so for all other mailboxes"
                };
                self.step(
                    Action::EnableSubmission {
                        mailbox: address.clone(),
                        before: found.submission_off,
                    },
                    reason,
                );
            }
        }
    }

    fn rights(&mut self) {
        let found: Vec<(String, MailboxFound)> = self.present();
        for (address, mailbox) in found {
            if !mailbox.full_access {
                self.step(
                    Action::GrantFullAccess {
                        mailbox: address.clone(),
                    },
                    "with SMTP.SendAsApp, Exchange also asks for rights on the mailbox",
                );
            }
            if !mailbox.send_as {
                self.step(
                    Action::GrantSendAs { mailbox: address },
                    "it covers messages whose From is this mailbox",
                );
            }
        }
    }

    fn role(&mut self) {
        let wanted: Vec<String> = self
            .present()
            .into_iter()
            .map(|(address, _)| address)
            .collect();
        let covered = |address: &str| {
            self.observed
                .roles
                .iter()
                .any(|role| role.reach.covers(address))
        };
        let missing: Vec<String> = wanted
            .into_iter()
            .filter(|address| !covered(address))
            .collect();
        if missing.is_empty() {
            return;
        }
        // A role that is bound to a group takes further mailboxes by membership alone.
        let bound = self
            .observed
            .roles
            .iter()
            .find_map(|role| match &role.reach {
                Reach::Members { group, .. } => Some(group.clone()),
                _ => None,
            });
        if let Some(group) = bound {
            for mailbox in missing {
                self.step(
                    Action::AddMember {
                        group: group.clone(),
                        mailbox,
                    },
                    "the role reaches the direct members of this group",
                );
            }
            return;
        }
        let names = &self.wish.names;
        let (group_name, scope_name) = (names.group.clone(), names.scope.clone());
        let (assignment, group) = (names.assignment.clone(), &self.observed.group);
        if self.observed.dehydrated {
            self.step(
                Action::EnableCustomization,
                "it was never customised, and refuses scopes and role assignments until it is; this cannot be undone and changes nothing else",
            );
        }
        if group.is_none() {
            self.step(
                Action::CreateGroup {
                    name: group_name.clone(),
                },
                "its direct members are the mailboxes the application may send as",
            );
        }
        for mailbox in missing {
            let member = group
                .as_ref()
                .is_some_and(|group| group.members.contains(&mailbox));
            if !member {
                self.step(
                    Action::AddMember {
                        group: group_name.clone(),
                        mailbox,
                    },
                    "the role reaches the direct members of this group",
                );
            }
        }
        match (&self.observed.scope, group) {
            (None, _) => self.step(
                Action::CreateScope {
                    name: scope_name.clone(),
                    group: group_name,
                },
                "it holds the role to these mailboxes",
            ),
            (Some(scope), group)
                if group.as_ref().is_none_or(|group| {
                    !scope
                        .filter
                        .eq_ignore_ascii_case(&filter_of(&group.distinguished_name))
                }) =>
            {
                self.blocks.push(format!(
                    "a management scope called {scope_name:?} exists already with another filter ({}): choose another name with --name",
                    scope.filter
                ));
            }
            (Some(_), _) => {}
        }
        if self.observed.assignment_name_taken {
            self.blocks.push(format!(
                "a role assignment called {assignment:?} exists already for somebody else: choose another name with --name"
            ));
        } else {
            self.step(
                Action::AssignRole {
                    name: assignment,
                    scope: scope_name,
                },
                "it lets the application send without any permission in Entra",
            );
        }
    }

    /// The mailboxes that exist, by primary address, each once.
    fn present(&self) -> Vec<(String, MailboxFound)> {
        let mut list: Vec<(String, MailboxFound)> = Vec::new();
        for found in self.observed.mailboxes.values() {
            if let Some(address) = &found.address
                && !list.iter().any(|(known, _)| known == address)
            {
                list.push((address.clone(), found.clone()));
            }
        }
        list
    }
}
