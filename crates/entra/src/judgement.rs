//! What is wrong in the claims of a token, before a service says only `535`.

use jiff::{SignedDuration, Timestamp};

use crate::limits::CLOCK_SKEW_S;
use crate::{Claims, ClientId, Tenant};

/// What a token should be good for.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The resource it should name, as `https://outlook.office365.com`.
    pub resource: String,
    /// The tenant; compared when it is an id.
    pub tenant: Option<Tenant>,
    /// The client id.
    pub client_id: Option<ClientId>,
    /// How the application is authorized in Exchange.
    pub method: Method,
}

/// How the application is authorized in Exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// By the application permission `SMTP.SendAsApp` in Entra: `roles` must hold it.
    Classic,
    /// By a role assignment in Exchange: `roles` needs nothing.
    Rbac,
    /// Not said.
    #[default]
    Unknown,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// May be right; wrong in some set-ups.
    Doubtful,
    /// The service will refuse this token.
    Wrong,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finding {
    /// `aud` is another resource.
    WrongAudience,
    /// `tid` is another tenant.
    WrongTenant,
    /// `appid` or `azp` is another application.
    WrongClient,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    NotYetValid,
    /// No `exp`.
    NoExpiry,
    /// The token acts for a user.
    UserToken,
    /// The application permission is missing.
    MissingRole,
    /// There are other permissions, but not the one for SMTP.
    OtherRolesOnly,
    /// No permission; right for the one set-up, wrong for the other.
    NoRoles,
    /// A permission in Entra beside a role assignment in Exchange.
    RoleBesideRbac,
    /// No object id.
    NoObjectId,
    /// A managed identity's token.
    ManagedIdentity,
}

/// One thing found in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub finding: Finding,
    /// The claim it was found in.
    pub claim: &'static str,
    /// What stands there.
    pub found: String,
    /// What it means.
    pub meaning: String,
    /// What to do.
    pub fix: String,
}

/// The application permission of the classic way.
const SEND_AS_APP: &str = "SMTP.SendAsApp";

impl Claims {
    /// Everything that is wrong or worth knowing, the worst first. An empty list is a good token.
    pub fn judge(&self, wanted: &Expectation, now: Timestamp) -> Vec<Judgement> {
        let mut found = Vec::new();
        self.judge_audience(wanted, &mut found);
        self.judge_identity(wanted, &mut found);
        self.judge_times(now, &mut found);
        if self.judge_user(&mut found) {
            self.judge_roles(wanted, &mut found);
        }
        if let Some(resource) = self.managed_identity() {
            found.push(Judgement {
                severity: Severity::Note,
                finding: Finding::ManagedIdentity,
                claim: "xms_mirid",
                found: resource.to_owned(),
                meaning: "the token belongs to the managed identity of this Azure resource".into(),
                fix: "nothing to do".into(),
            });
        }
        found.sort_by_key(|judgement| std::cmp::Reverse(judgement.severity));
        found
    }

    fn judge_audience(&self, wanted: &Expectation, found: &mut Vec<Judgement>) {
        let audiences = self.audiences();
        if audiences
            .iter()
            .any(|audience| same_resource(audience, &wanted.resource))
        {
            return;
        }
        let audience = audiences.join(", ");
        let meaning = if audience.is_empty() {
            "the token names no resource".to_owned()
        } else if audience.contains("graph.microsoft") || audience.contains("microsoftgraph") {
            "the token is for Microsoft Graph; SMTP answers it with 535 and no reason".to_owned()
        } else {
            format!("the token is for {audience}; SMTP answers it with 535 and no reason")
        };
        found.push(Judgement {
            severity: Severity::Wrong,
            finding: Finding::WrongAudience,
            claim: "aud",
            found: audience,
            meaning,
            fix: format!("ask for the scope {}/.default", wanted.resource),
        });
    }

    fn judge_identity(&self, wanted: &Expectation, found: &mut Vec<Judgement>) {
        if let Some(tenant) = wanted.tenant.as_ref().filter(|tenant| tenant.is_id())
            && let Some(tid) = self.tenant_id()
            && !tid.eq_ignore_ascii_case(tenant.as_str())
        {
            found.push(Judgement {
                severity: Severity::Wrong,
                finding: Finding::WrongTenant,
                claim: "tid",
                found: tid.to_owned(),
                meaning: format!("the token was issued by another tenant than {tenant}"),
                fix: "fetch the token from the tenant the mailbox lives in".into(),
            });
        }
        if let Some(client_id) = &wanted.client_id
            && let Some(appid) = self.client_id()
            && !appid.eq_ignore_ascii_case(client_id.as_str())
        {
            found.push(Judgement {
                severity: Severity::Wrong,
                finding: Finding::WrongClient,
                claim: if self.payload().contains_key("appid") {
                    "appid"
                } else {
                    "azp"
                },
                found: appid.to_owned(),
                meaning: format!("the token belongs to another application than {client_id}"),
                fix: "check client_id, and which program fetched this token".into(),
            });
        }
        if self.object_id().is_none() {
            found.push(Judgement {
                severity: Severity::Doubtful,
                finding: Finding::NoObjectId,
                claim: "oid",
                found: String::new(),
                meaning: "the token names no service principal, so Exchange has nothing to look up"
                    .into(),
                fix: "look at the enterprise application: it must exist in this tenant".into(),
            });
        }
    }

    fn judge_times(&self, now: Timestamp, found: &mut Vec<Judgement>) {
        let skew = SignedDuration::from_secs(CLOCK_SKEW_S);
        match self.expires_at() {
            Some(expiry) if expiry <= now => found.push(Judgement {
                severity: Severity::Wrong,
                finding: Finding::Expired,
                claim: "exp",
                found: expiry.to_string(),
                meaning: format!(
                    "the token expired {} s ago",
                    now.duration_since(expiry).as_secs()
                ),
                fix: "fetch a new token; if this one is new, set the clock of this machine".into(),
            }),
            Some(_) => {}
            None => found.push(Judgement {
                severity: Severity::Doubtful,
                finding: Finding::NoExpiry,
                claim: "exp",
                found: String::new(),
                meaning: "the token does not say when it ends".into(),
                fix: "check that this is an access token of Entra".into(),
            }),
        }
        if let Some(start) = self.not_before()
            && start.duration_since(now) > skew
        {
            found.push(Judgement {
                severity: Severity::Wrong,
                finding: Finding::NotYetValid,
                claim: "nbf",
                found: start.to_string(),
                meaning: "the token begins more than five minutes from now".into(),
                fix: "set the clock of this machine (NTP)".into(),
            });
        }
    }

    /// Whether the token is an application's, so that its roles are worth a look.
    fn judge_user(&self, found: &mut Vec<Judgement>) -> bool {
        let Some((claim, text)) = self.user_clue() else {
            return true;
        };
        found.push(Judgement {
            severity: Severity::Wrong,
            finding: Finding::UserToken,
            claim,
            found: text.to_owned(),
            meaning: "the token acts for a user; a service principal's token has no such claim"
                .into(),
            fix: "fetch the token with the client credentials grant and the scope /.default".into(),
        });
        false
    }

    fn judge_roles(&self, wanted: &Expectation, found: &mut Vec<Judgement>) {
        let roles = self.roles();
        let has = roles.contains(&SEND_AS_APP);
        let consent = format!(
            "grant admin consent to the application permission {SEND_AS_APP} of Office 365 \
             Exchange Online, then wait: it can take up to two hours"
        );
        let (severity, finding, meaning, fix) = match (wanted.method, has, roles.is_empty()) {
            (Method::Classic, false, true) => (
                Severity::Wrong,
                Finding::MissingRole,
                format!("the application permission {SEND_AS_APP} has not been consented to"),
                consent,
            ),
            (Method::Classic | Method::Unknown, false, false) => (
                if wanted.method == Method::Classic {
                    Severity::Wrong
                } else {
                    Severity::Doubtful
                },
                Finding::OtherRolesOnly,
                format!("the application has permissions, but not {SEND_AS_APP}"),
                consent,
            ),
            (Method::Unknown, false, true) => (
                Severity::Doubtful,
                Finding::NoRoles,
                "right when a role assignment in Exchange authorizes the application (RBAC), \
                 wrong when the permission in Entra should do it"
                    .to_owned(),
                consent,
            ),
            (Method::Rbac, true, _) => (
                Severity::Doubtful,
                Finding::RoleBesideRbac,
                format!(
                    "the permission {SEND_AS_APP} in Entra brings Exchange's mailbox check back, \
                     beside the role assignment"
                ),
                format!("remove {SEND_AS_APP} from the app registration and its consent"),
            ),
            _ => return,
        };
        found.push(Judgement {
            severity,
            finding,
            claim: "roles",
            found: roles.join(", "),
            meaning,
            fix,
        });
    }
}

/// Whether an audience names this resource; a final slash does not matter, and Exchange's two
/// worldwide names are one.
fn same_resource(audience: &str, resource: &str) -> bool {
    let plain = |text: &str| {
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        if text == "https://outlook.office.com" {
            "https://outlook.office365.com".to_owned()
        } else {
            text
        }
    };
    plain(audience) == plain(resource)
}

#[cfg(test)]
mod tests;
