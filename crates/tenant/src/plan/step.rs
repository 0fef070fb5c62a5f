//! One change of a tenant.

use crate::cmdlet::{Cmdlet, Parameter};
use crate::wish::Federation;

/// Which of Microsoft's two halves a change belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The directory, through Graph.
    Entra,
    /// Exchange Online.
    Exchange,
}

/// One change, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Why, as a sentence without full stop.
    pub reason: String,
}

/// What can be done to a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Register an application.
    CreateApplication {
        /// Its name.
        name: String,
    },
    /// Make its enterprise application.
    CreatePrincipal,
    /// Register a certificate made on this machine.
    AddCertificate,
    /// Remove a secret of ours whose text was lost.
    RemoveStraySecret {
        /// Its id.
        key_id: String,
    },
    /// Make a secret.
    AddSecret,
    /// Trust a foreign issuer.
    AddFederated(Federation),
    /// Grant `SMTP.SendAsApp` (admin consent).
    GrantPermission {
        /// Exchange's enterprise application.
        resource: String,
        /// The permission's id in it.
        role: String,
    },
    /// Remove a role assignment of ours whose holder is gone.
    RemoveAssignment {
        /// Its name.
        name: String,
    },
    /// Remove a management scope of ours that holds another group.
    RemoveScope {
        /// Its name.
        name: String,
    },
    /// Remove a wrong registration in Exchange.
    RemoveRegistration {
        /// The client id it carries.
        app_id: String,
        /// The object id it carries.
        object_id: String,
        /// Its name.
        display_name: String,
    },
    /// Register the principal in Exchange.
    Register {
        /// Its name.
        name: String,
    },
    /// Switch SMTP AUTH on for a mailbox.
    EnableSubmission {
        /// The mailbox.
        mailbox: String,
        /// The value it has: none means the organisation's.
        before: Option<bool>,
    },
    /// Let the principal open a mailbox.
    GrantFullAccess {
        /// The mailbox.
        mailbox: String,
    },
    /// Let the principal send as a mailbox.
    GrantSendAs {
        /// The mailbox.
        mailbox: String,
    },
    /// Let the organisation take scopes and assignments of its own.
    EnableCustomization,
    /// Make the group that holds the mailboxes.
    CreateGroup {
        /// Its name.
        name: String,
    },
    /// Put a mailbox into the group.
    AddMember {
        /// The group's name.
        group: String,
        /// The mailbox.
        mailbox: String,
    },
    /// Make a scope of the group's direct members.
    CreateScope {
        /// Its name.
        name: String,
        /// The group's name.
        group: String,
    },
    /// Give the principal the role, within the scope.
    AssignRole {
        /// The assignment's name.
        name: String,
        /// The scope's name.
        scope: String,
    },
}

/// What the cmdlet of a step refers to: values, or variables of a script.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subjects {
    pub(crate) client_id: Parameter,
    pub(crate) principal_id: Parameter,
    pub(crate) group_filter: Parameter,
}

impl Action {
    /// Which half of Microsoft 365 it changes.
    pub fn side(&self) -> Side {
        match self {
            Self::CreateApplication { .. }
            | Self::CreatePrincipal
            | Self::AddCertificate
            | Self::RemoveStraySecret { .. }
            | Self::AddSecret
            | Self::AddFederated(_)
            | Self::GrantPermission { .. } => Side::Entra,
            _ => Side::Exchange,
        }
    }

    /// A stable name for scripts.
    pub fn id(&self) -> &'static str {
        match self {
            Self::CreateApplication { .. } => "create-application",
            Self::CreatePrincipal => "create-principal",
            Self::AddCertificate => "add-certificate",
            Self::RemoveStraySecret { .. } => "remove-stray-secret",
            Self::AddSecret => "add-secret",
            Self::AddFederated(_) => "add-federated",
            Self::GrantPermission { .. } => "grant-permission",
            Self::RemoveAssignment { .. } => "remove-assignment",
            Self::RemoveScope { .. } => "remove-scope",
            Self::RemoveRegistration { .. } => "remove-registration",
            Self::Register { .. } => "register",
            Self::EnableSubmission { .. } => "enable-submission",
            Self::GrantFullAccess { .. } => "grant-full-access",
            Self::GrantSendAs { .. } => "grant-send-as",
            Self::EnableCustomization => "enable-customization",
            Self::CreateGroup { .. } => "create-group",
            Self::AddMember { .. } => "add-member",
            Self::CreateScope { .. } => "create-scope",
            Self::AssignRole { .. } => "assign-role",
        }
    }

    /// What it does, as words without full stop.
    pub fn title(&self) -> String {
        match self {
            Self::CreateApplication { name } => format!("register the application {name:?}"),
            Self::CreatePrincipal => "make its enterprise application".into(),
            Self::AddCertificate => "register a certificate made on this machine".into(),
            Self::RemoveStraySecret { key_id } => format!("remove the stray secret {key_id}"),
            Self::AddSecret => "make a client secret".into(),
            Self::AddFederated(federation) => {
                format!("trust {} of {}", federation.subject, federation.issuer)
            }
            Self::GrantPermission { .. } => "grant SMTP.SendAsApp (admin consent)".into(),
            Self::RemoveAssignment { name } => format!("remove the role assignment {name:?}"),
            Self::RemoveScope { name } => format!("remove the scope {name:?}"),
            Self::RemoveRegistration { object_id, .. } => {
                format!("remove the service principal with the wrong object id {object_id}")
            }
            Self::Register { .. } => "register the service principal".into(),
            Self::EnableSubmission { mailbox, .. } => format!("switch SMTP AUTH on for {mailbox}"),
            Self::GrantFullAccess { mailbox } => format!("grant FullAccess on {mailbox}"),
            Self::GrantSendAs { mailbox } => format!("grant SendAs on {mailbox}"),
            Self::EnableCustomization => {
                "let the organisation take scopes and assignments of its own".into()
            }
            Self::CreateGroup { name } => format!("make the group {name:?}"),
            Self::AddMember { group, mailbox } => format!("put {mailbox} into the group {group:?}"),
            Self::CreateScope { name, .. } => format!("make the scope {name:?}"),
            Self::AssignRole { name, .. } => {
                format!("assign the role 'Application SMTP.SendAsApp' as {name:?}")
            }
        }
    }

    /// The cmdlet that does it; none on the Entra side.
    pub(crate) fn cmdlet(&self, subjects: &Subjects) -> Option<Cmdlet> {
        let principal = &subjects.principal_id;
        Some(match self {
            Self::RemoveAssignment { name } => Cmdlet::new("Remove-ManagementRoleAssignment")
                .with("Identity", name)
                .with("Confirm", false),
            Self::RemoveScope { name } => Cmdlet::new("Remove-ManagementScope")
                .with("Identity", name)
                .with("Confirm", false),
            Self::RemoveRegistration { object_id, .. } => Cmdlet::new("Remove-ServicePrincipal")
                .with("Identity", object_id)
                .with("Confirm", false),
            Self::Register { name } => Cmdlet::new("New-ServicePrincipal")
                .with("AppId", &subjects.client_id)
                .with("ObjectId", principal)
                .with("DisplayName", name),
            Self::EnableSubmission { mailbox, .. } => Cmdlet::new("Set-CASMailbox")
                .with("Identity", mailbox)
                .with("SmtpClientAuthenticationDisabled", false),
            Self::GrantFullAccess { mailbox } => Cmdlet::new("Add-MailboxPermission")
                .with("Identity", mailbox)
                .with("User", principal)
                .with("AccessRights", "FullAccess")
                .with("AutoMapping", false),
            Self::GrantSendAs { mailbox } => Cmdlet::new("Add-RecipientPermission")
                .with("Identity", mailbox)
                .with("Trustee", principal)
                .with("AccessRights", "SendAs")
                .with("Confirm", false),
            Self::EnableCustomization => Cmdlet::new("Enable-OrganizationCustomization"),
            Self::CreateGroup { name } => Cmdlet::new("New-DistributionGroup")
                .with("Name", name)
                .with("Type", "Security"),
            Self::AddMember { group, mailbox } => Cmdlet::new("Add-DistributionGroupMember")
                .with("Identity", group)
                .with("Member", mailbox)
                .with("Confirm", false),
            Self::CreateScope { name, .. } => Cmdlet::new("New-ManagementScope")
                .with("Name", name)
                .with("RecipientRestrictionFilter", &subjects.group_filter),
            Self::AssignRole { name, scope } => Cmdlet::new("New-ManagementRoleAssignment")
                .with("Name", name)
                .with("Role", super::SEND_ROLE)
                .with("App", principal)
                .with("CustomResourceScope", scope),
            _ => return None,
        })
    }
}

impl Side {
    /// `entra` or `exchange`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::Exchange => "exchange",
        }
    }
}
