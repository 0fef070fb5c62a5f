//! Who asks for tokens, with what, in which cloud.

use crate::{ClientId, Cloud, Credential, ManagedIdentity, Tenant};

/// Our application's identity in one tenant of one cloud, and what proves it.
#[derive(Clone, Debug)]
pub struct Principal {
    cloud: Cloud,
    ids: Option<(Tenant, ClientId)>,
    credential: Credential,
}

/// For which of Microsoft's services a token is wanted; one token serves one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Exchange Online: SMTP, and its administration interface.
    Exchange,
    /// Microsoft Graph.
    Graph,
}

impl Principal {
    /// An application with its own credential.
    pub fn new(cloud: Cloud, tenant: Tenant, client_id: ClientId, credential: Credential) -> Self {
        Self {
            cloud,
            ids: Some((tenant, client_id)),
            credential,
        }
    }

    /// The identity of the machine; Azure knows its tenant and client id.
    pub fn managed(cloud: Cloud, identity: ManagedIdentity) -> Self {
        Self {
            cloud,
            ids: None,
            credential: Credential::ManagedIdentity(identity),
        }
    }

    /// The cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The tenant; none for a managed identity that was made without one.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.ids.as_ref().map(|(tenant, _)| tenant)
    }

    /// The client id; none for a managed identity that was made without one.
    pub fn client_id(&self) -> Option<&ClientId> {
        self.ids.as_ref().map(|(_, client_id)| client_id)
    }

    /// What proves it.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The resource a token for this audience names, without `/.default`.
    pub fn resource(&self, audience: Audience) -> &str {
        match audience {
            Audience::Exchange => self.cloud.resource().as_str(),
            Audience::Graph => self.cloud.graph().as_str(),
        }
    }
}
