//! What is known about one way from this machine to one mailbox; plain values, no I/O.

use std::time::Duration;

use sendas_exchange::{Method, Roles};
use sendas_smtp::Reply;
use sendas_smtp::client::Stage;

/// Everything known about one way to one mailbox. `None` and `Unseen` stand for what was not
/// looked at, and speak neither for nor against a cause.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The mailbox of `user=`.
    pub mailbox: Option<String>,
    /// The client id that is configured.
    pub client_id: Option<String>,
    /// The tenant as it is configured.
    pub tenant: Option<String>,
    /// The object id of the enterprise application: the token's `oid`, or what Entra lists.
    pub object_id: Option<String>,
    /// Host and port of the token endpoint.
    pub authority: String,
    /// Host and port of SMTP submission.
    pub smtp: String,
    /// How the configuration says that the principal is authorized.
    pub method: Method,
    /// What on this machine stands in the way.
    pub local: Option<LocalObstacle>,
    /// What the credential shows of itself.
    pub credential: CredentialFacts,
    /// The local clock minus the service's, in seconds.
    pub clock_skew_s: Option<i64>,
    /// The way to the token endpoint.
    pub entra: Way,
    /// What the token endpoint answered.
    pub token: TokenAnswer,
    /// The way to SMTP submission, up to AUTH.
    pub service: Way,
    /// What the service said to the token.
    pub login: Login,
    /// What Entra's directory holds, read with an administrator's token.
    pub directory: DirectoryFacts,
    /// What Exchange holds, read with an administrator's token.
    pub exchange: ExchangeState,
    /// The time since the last change of rights or registration.
    pub last_change_age: Option<Duration>,
}

/// What on this machine stands in the way before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalObstacle {
    /// The configuration has errors; the first one.
    Configuration(String),
    /// No principal is configured.
    NoPrincipal,
    /// No mailbox is known to log in as.
    NoMailbox,
    /// The principal does not cover the mailbox.
    Uncovered,
    /// The credential cannot be loaded; the reason.
    Credential(String),
}

/// What the credential shows of itself, without its secret.
#[derive(Clone, Debug, Default)]
pub struct CredentialFacts {
    /// `secret`, `certificate`, `federated` or `managed identity`.
    pub kind: Option<&'static str>,
    /// The secret has the form of an id, as the secret's own id has, and no value of Entra's.
    pub is_shaped_as_id: bool,
    /// Why it proves nothing at this time, by the service's clock where it is known.
    pub untimely: Option<Untimely>,
    /// SHA-1 thumbprint of the certificate, upper-case hexadecimal.
    pub thumbprint: Option<String>,
}

/// Why a credential proves nothing at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untimely {
    /// The certificate's end has passed.
    CertificateEnded,
    /// The certificate's beginning has not come.
    CertificateNotBegun,
    /// The end of the federated token in its file has passed.
    TokenEnded,
}

/// A way over the network.
#[derive(Clone, Debug, Default)]
pub enum Way {
    /// Not tried.
    #[default]
    Unseen,
    /// It is open.
    Open,
    /// It ends somewhere.
    Broken {
        /// What stands there.
        obstacle: Obstacle,
        /// The words of the system, the library or the service.
        words: String,
    },
    /// The service refused before AUTH.
    Refused(Stage, Reply),
}

/// What stands in a way over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// The name has no address here.
    Name,
    /// No address can be reached.
    Unreachable,
    /// Nobody answers in time.
    Silent,
    /// The proxy does not let it through.
    Proxy,
    /// This machine has no roots of trust, or a named CA file cannot be used.
    Roots,
    /// The certificate is not trusted, or names another host.
    Untrusted,
    /// TLS failed for another reason.
    Handshake,
    /// Somebody else answers: a redirect, a page, another protocol.
    Stranger,
    /// STARTTLS is not offered.
    NoStartTls,
    /// XOAUTH2 is not offered.
    NoMechanism,
    /// Octets were put in before TLS.
    Injected,
    /// The connection broke.
    Lost,
}

/// What the token endpoint answered.
#[derive(Clone, Debug, Default)]
pub enum TokenAnswer {
    /// It was not asked, or did not answer.
    #[default]
    Unseen,
    /// It refused.
    Refused {
        /// AADSTS numbers, the first counts.
        codes: Vec<u32>,
        /// Its own words, cut.
        words: String,
        /// Whether a credential or object made minutes ago explains it.
        may_be_too_young: bool,
        /// Whether asking again later helps.
        is_temporary: bool,
    },
    /// It gave a token.
    Issued(TokenClaims),
}

/// What the token says, compared with what is configured.
#[derive(Clone, Debug, Default)]
pub struct TokenClaims {
    /// Whether `aud` is Exchange's resource in this cloud.
    pub is_for_exchange: Option<bool>,
    /// Whether `tid` is the configured tenant.
    pub is_of_tenant: Option<bool>,
    /// Whether `appid` is the configured client id.
    pub is_of_principal: Option<bool>,
    /// Whether now lies between `nbf` and `exp`.
    pub is_in_time: Option<bool>,
    /// Whether a user stands behind it.
    pub is_delegated: Option<bool>,
    /// Its application permissions.
    pub roles: Roles,
}

/// What the service said to the token.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// It was not asked.
    #[default]
    Unseen,
    /// The service had not answered when the run had to end; what was still waited for.
    Late(String),
    /// The principal was let in.
    In,
    /// It was refused; at `End` and other later stages, a reply that was handed in.
    Refused(Stage, Reply),
}

/// What Entra's directory holds.
#[derive(Clone, Debug, Default)]
pub struct DirectoryFacts {
    /// Whether an application has the client id.
    pub has_application: Option<bool>,
    /// Whether it has an enterprise application in this tenant.
    pub has_enterprise_application: Option<bool>,
    /// Whether sign-in is enabled for it.
    pub is_enabled: Option<bool>,
    /// Whether it is registered as a public client.
    pub is_public: Option<bool>,
    /// Whether the configured secret's beginning is that of a secret in force.
    pub is_secret_listed: Option<bool>,
    /// Whether a secret with the configured one's beginning has ended.
    pub is_secret_ended: Option<bool>,
    /// Whether the configured certificate is registered and in force.
    pub is_certificate_listed: Option<bool>,
    /// Whether `SMTP.SendAsApp` was granted.
    pub is_permission_granted: Option<bool>,
    /// The id of `SMTP.SendAsApp` in this tenant.
    pub permission_id: Option<String>,
    /// Whether the application asks for `SMTP.SendAsApp`.
    pub is_permission_requested: Option<bool>,
    /// Whether Exchange's own enterprise application wants its callers assigned.
    pub is_assignment_required: Option<bool>,
}

/// What Exchange holds.
#[derive(Clone, Debug, Default)]
pub struct ExchangeState {
    /// Whether a service principal has the client id.
    pub is_principal_registered: Option<bool>,
    /// Whether its object id is that of the enterprise application.
    pub is_object_id_right: Option<bool>,
    /// The object id it has.
    pub registered_object: Option<String>,
    /// Whether the address is that of a mailbox.
    pub is_mailbox_there: Option<bool>,
    /// Whether SMTP AUTH is off for the organisation.
    pub is_off_for_organisation: Option<bool>,
    /// Whether it is off for the mailbox; within, none means the organisation's value.
    pub is_off_for_mailbox: Option<Option<bool>>,
    /// Whether the principal has `FullAccess` on the mailbox.
    pub has_full_access: Option<bool>,
    /// Whether the principal has `SendAs` on the mailbox.
    pub has_send_as: Option<bool>,
    /// Whether a role assignment gives the principal `Application SMTP.SendAsApp`.
    pub has_role: Option<bool>,
    /// Whether the mailbox is in the scope of such an assignment.
    pub is_in_scope: Option<bool>,
    /// The scope that such an assignment of the principal is bound to.
    pub scope: Option<ScopeFacts>,
    /// The names of all management scopes, where no assignment was found.
    pub scopes: Vec<String>,
}

/// What an assignment is bound to.
#[derive(Clone, Debug, Default)]
pub struct ScopeFacts {
    /// The name of the management scope; none for an assignment bound to a group itself.
    pub name: Option<String>,
    /// Whether the scope exists.
    pub is_there: bool,
    /// The group whose direct members it holds, where it is one of that kind.
    pub group: Option<String>,
    /// Whether that group exists.
    pub is_group_there: Option<bool>,
}

impl Facts {
    /// The way of authorization as it is: as configured, or as token and tenant show it.
    pub fn way_of_authorization(&self) -> Method {
        if self.method != Method::Unknown {
            return self.method;
        }
        let roles = match &self.token {
            TokenAnswer::Issued(claims) => claims.roles,
            _ => Roles::Unknown,
        };
        match (self.exchange.has_role, self.exchange.has_full_access, roles) {
            (Some(true), _, _) => Method::Rbac,
            (_, Some(true), _) | (_, _, Roles::SendAsApp) => Method::Classic,
            _ if self.exchange.has_send_as == Some(true) => Method::Classic,
            _ if self.directory.is_permission_requested == Some(true) => Method::Classic,
            _ if self.directory.is_permission_granted == Some(true) => Method::Classic,
            (Some(false), Some(false), Roles::None)
                if self.directory.is_permission_requested == Some(false) =>
            {
                Method::Rbac
            }
            _ => Method::Unknown,
        }
    }

    /// Whether an administrator's token let us look into the tenant.
    pub fn is_tenant_seen(&self) -> bool {
        self.exchange.is_principal_registered.is_some() && self.exchange.is_mailbox_there.is_some()
    }
}
