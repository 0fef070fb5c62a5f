//! The causes of a bare `535 5.7.3`, the commonest first.

use crate::entry::Mark;

/// One cause.
#[derive(Clone, Copy, Debug)]
pub struct Suspect {
    /// Its stable name, `S-…`.
    pub id: &'static str,
    /// The cause, as a sentence without full stop.
    pub cause: &'static str,
    /// The command that shows whether it is this one.
    pub look: &'static str,
    /// The command that mends it.
    pub mend: &'static str,
    /// How well the cause is known to give this reply.
    pub mark: Mark,
    /// Short names of the sources.
    pub sources: &'static [&'static str],
    pub(super) kind: Kind,
}

/// What a rule is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Audience,
    Tenant,
    Client,
    Time,
    Delegated,
    MissingRole,
    RoleBesideRbac,
    ObjectId,
    Unregistered,
    Right,
    Scope,
    Propagating,
    MailboxMissing,
    SecurityDefaults,
}

const INSPECT: &str = "sendas token inspect";
const REGISTRATION: &str =
    "Get-ServicePrincipal -Identity {principal} | Format-List AppId,ObjectId";
const TEST: &str = "Test-ServicePrincipalAuthorization -Identity {principal} -Resource {mailbox}";
const FULL_ACCESS: &str =
    "Add-MailboxPermission -Identity {mailbox} -User {object} -AccessRights FullAccess";

/// Every cause that is known, the commonest first.
pub const SUSPECTS: &[Suspect] = &[
    Suspect {
        id: "S-PROPAGATING",
        cause: "the last change does not act yet; it can take two hours, for a right given as for one taken",
        look: "sendas probe --mailbox {mailbox}",
        mend: "sendas probe --mailbox {mailbox}",
        mark: Mark::Observed,
        sources: &["SG"],
        kind: Kind::Propagating,
    },
    Suspect {
        id: "S-PRINCIPAL-OBJECT-ID",
        cause: "the service principal in Exchange has another object id than the enterprise application, mostly that of the app registration; it cannot be changed, only made anew",
        look: REGISTRATION,
        mend: "Remove-ServicePrincipal -Identity {principal}; New-ServicePrincipal -AppId {principal} -ObjectId {object}",
        mark: Mark::Documented,
        sources: &["OAUTH"],
        kind: Kind::ObjectId,
    },
    Suspect {
        id: "S-PRINCIPAL-MISSING",
        cause: "Exchange has no service principal for the application",
        look: REGISTRATION,
        mend: "New-ServicePrincipal -AppId {principal} -ObjectId {object}",
        mark: Mark::Documented,
        sources: &["OAUTH"],
        kind: Kind::Unregistered,
    },
    Suspect {
        id: "S-MAILBOX-RIGHT",
        cause: "the principal has no FullAccess on the mailbox",
        look: "Get-MailboxPermission -Identity {mailbox}",
        mend: FULL_ACCESS,
        mark: Mark::Observed,
        sources: &["OAUTH", "SX2"],
        kind: Kind::Right,
    },
    Suspect {
        id: "S-OUT-OF-SCOPE",
        cause: "no role assignment of the principal covers the mailbox; a group counts its direct members only",
        look: TEST,
        mend: "Add-DistributionGroupMember -Identity <group> -Member {mailbox}",
        mark: Mark::Observed,
        sources: &["RBAC", "SG"],
        kind: Kind::Scope,
    },
    Suspect {
        id: "S-TOKEN-NO-ROLE",
        cause: "the token lacks SMTP.SendAsApp: the permission was not added, or not consented to",
        look: INSPECT,
        mend: "az ad app permission admin-consent --id {principal}",
        mark: Mark::Documented,
        sources: &["OAUTH"],
        kind: Kind::MissingRole,
    },
    Suspect {
        id: "S-TOKEN-ROLE-BESIDE-RBAC",
        cause: "the token has SMTP.SendAsApp beside a role in Exchange, which brings the check of mailbox rights back",
        look: INSPECT,
        mend: FULL_ACCESS,
        mark: Mark::Documented,
        sources: &["RBAC"],
        kind: Kind::RoleBesideRbac,
    },
    Suspect {
        id: "S-TOKEN-AUDIENCE",
        cause: "the token is for another resource than Exchange, mostly Microsoft Graph",
        look: INSPECT,
        mend: INSPECT,
        mark: Mark::Observed,
        sources: &["SG", "SX2"],
        kind: Kind::Audience,
    },
    Suspect {
        id: "S-TOKEN-TENANT",
        cause: "the token was issued by another tenant than the mailbox's",
        look: INSPECT,
        mend: INSPECT,
        mark: Mark::Observed,
        sources: &["SG"],
        kind: Kind::Tenant,
    },
    Suspect {
        id: "S-TOKEN-CLIENT",
        cause: "the token belongs to another application than the one that was set up",
        look: INSPECT,
        mend: INSPECT,
        mark: Mark::Unsure,
        sources: &["SG"],
        kind: Kind::Client,
    },
    Suspect {
        id: "S-TOKEN-TIME",
        cause: "the token's time is over or has not come, by its own claims or by a wrong clock",
        look: INSPECT,
        mend: "sendas token get",
        mark: Mark::Observed,
        sources: &["SX2"],
        kind: Kind::Time,
    },
    Suspect {
        id: "S-TOKEN-DELEGATED",
        cause: "the token acts for a user, who cannot log in as a shared mailbox with it",
        look: INSPECT,
        mend: INSPECT,
        mark: Mark::Observed,
        sources: &["MK"],
        kind: Kind::Delegated,
    },
    Suspect {
        id: "S-MAILBOX-MISSING",
        cause: "the address is no mailbox of this tenant: a group, a contact, an alias, or misspelt",
        look: "Get-Mailbox -Identity {mailbox}",
        mend: "Get-Recipient -Identity {mailbox}",
        mark: Mark::Observed,
        sources: &["SG"],
        kind: Kind::MailboxMissing,
    },
    Suspect {
        id: "S-SECURITY-DEFAULTS-TOKEN",
        cause: "security defaults stand in the way, which is told once and not shown",
        look: "sendas probe --quit-after auth",
        mend: "sendas probe --quit-after auth",
        mark: Mark::Unsure,
        sources: &["SX2"],
        kind: Kind::SecurityDefaults,
    },
];
