//! What a set-up can make.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::store::Place;

/// What can be made, with what undoing it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Thing {
    /// The application.
    Application {
        /// Its name.
        name: String,
    },
    /// The enterprise application.
    Principal,
    /// A certificate of the application.
    Certificate {
        /// Its thumbprint.
        thumbprint: String,
        /// Where its key is.
        place: Place,
        /// The certificate, DER in base64.
        der: String,
        /// Its id, once seen: with it the application can remove the certificate by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_id: Option<String>,
    },
    /// A secret of the application.
    Secret {
        /// Its id, once known.
        key_id: Option<String>,
        /// Where its text is.
        place: Place,
    },
    /// A trusted foreign issuer.
    Federated {
        /// Its name in the application.
        name: String,
        /// Its id, once known.
        id: Option<String>,
    },
    /// The permission `SMTP.SendAsApp`.
    Permission {
        /// The assignment's id, once known.
        id: Option<String>,
        /// The permission's id.
        role: String,
    },
    /// A registration in Exchange that was removed because it was wrong.
    RemovedRegistration {
        /// Its client id.
        app_id: String,
        /// Its object id.
        object_id: String,
        /// Its name.
        display_name: String,
    },
    /// The registration in Exchange.
    Registration {
        /// Its object id.
        object_id: String,
    },
    /// The switch of a mailbox.
    Submission {
        /// The mailbox.
        mailbox: String,
        /// What it was before: none means the organisation's value.
        before: Option<bool>,
    },
    /// Full access to a mailbox.
    FullAccess {
        /// The mailbox.
        mailbox: String,
    },
    /// The right to send as a mailbox.
    SendAs {
        /// The mailbox.
        mailbox: String,
    },
    /// The group.
    Group {
        /// Its name.
        name: String,
    },
    /// A member of the group.
    Member {
        /// The group.
        group: String,
        /// The mailbox.
        mailbox: String,
    },
    /// The management scope.
    Scope {
        /// Its name.
        name: String,
    },
    /// The role assignment.
    Assignment {
        /// Its name.
        name: String,
    },
}

impl Thing {
    /// A certificate whose key is kept there.
    pub fn certificate(
        certificate: &sendas_entra::Certificate,
        place: Place,
        key_id: Option<String>,
    ) -> Self {
        Self::Certificate {
            thumbprint: certificate.thumbprint(),
            der: STANDARD.encode(certificate.der()),
            place,
            key_id,
        }
    }

    /// What it is, in words.
    pub fn title(&self) -> String {
        match self {
            Self::Application { name } => format!("the application {name:?}"),
            Self::Principal => "the enterprise application".into(),
            Self::Certificate { thumbprint, .. } => format!("the certificate {thumbprint}"),
            Self::Secret { .. } => "the client secret".into(),
            Self::Federated { name, .. } => format!("the federated credential {name:?}"),
            Self::Permission { .. } => "the permission SMTP.SendAsApp".into(),
            Self::RemovedRegistration { object_id, .. } => {
                format!("the registration of {object_id}, which was removed")
            }
            Self::Registration { object_id } => {
                format!("the registration of {object_id} in Exchange")
            }
            Self::Submission { mailbox, .. } => format!("the SMTP AUTH switch of {mailbox}"),
            Self::FullAccess { mailbox } => format!("FullAccess on {mailbox}"),
            Self::SendAs { mailbox } => format!("SendAs on {mailbox}"),
            Self::Group { name } => format!("the group {name:?}"),
            Self::Member { group, mailbox } => format!("{mailbox} in the group {group:?}"),
            Self::Scope { name } => format!("the scope {name:?}"),
            Self::Assignment { name } => format!("the role assignment {name:?}"),
        }
    }
}
