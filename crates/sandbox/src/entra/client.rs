//! Clients a person can sign in to: the tenant's own applications, and public clients of
//! Microsoft's that every tenant knows.

use uuid::{Uuid, uuid};

use super::failure::{self, Failure};
use crate::state::preset::{EXCHANGE_APP_ID, GRAPH_APP_ID};
use crate::state::view::View;

/// Client id of Microsoft Graph Command Line Tools.
pub(crate) const GRAPH_COMMAND_LINE: Uuid = uuid!("14d82eec-204b-4c2f-b7e8-296a70dab67e");
/// Client id of the Exchange Online PowerShell module.
pub(crate) const EXCHANGE_MODULE: Uuid = uuid!("fb78d390-0c51-40cd-8e17-fdbfab77341b");

/// A public client of Microsoft's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FirstParty {
    id: Uuid,
    name: &'static str,
    /// The resource it may be used for; any other is AADSTS65002.
    pub(crate) resource: Uuid,
    /// Scopes it has without consent; none means that it asks.
    pub(crate) preauthorized: Option<&'static [&'static str]>,
}

/// Public clients of Microsoft's. Source: lists of first-party applications.
static FIRST_PARTY: [FirstParty; 4] = [
    FirstParty {
        id: GRAPH_COMMAND_LINE,
        name: "Microsoft Graph Command Line Tools",
        resource: GRAPH_APP_ID,
        preauthorized: None,
    },
    FirstParty {
        id: uuid!("04b07795-8ddb-461a-bbee-02f9e1bf7b46"),
        name: "Microsoft Azure CLI",
        resource: GRAPH_APP_ID,
        preauthorized: Some(AZURE_TOOLS),
    },
    FirstParty {
        id: uuid!("1950a258-227b-4e31-a9cf-717495945fc2"),
        name: "Microsoft Azure PowerShell",
        resource: GRAPH_APP_ID,
        preauthorized: Some(AZURE_TOOLS),
    },
    FirstParty {
        id: EXCHANGE_MODULE,
        name: "Microsoft Exchange REST API Based Powershell",
        resource: EXCHANGE_APP_ID,
        preauthorized: Some(&["Exchange.Manage"]),
    },
];

const AZURE_TOOLS: &[&str] = &[
    "Application.ReadWrite.All",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Directory.Read.All",
    "Group.ReadWrite.All",
    "User.Read",
];

/// A client as sign-in sees it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// Redirect addresses of public clients.
    public: Vec<String>,
    /// Redirect addresses that need a credential at the token endpoint.
    web: Vec<String>,
    /// Whether it may use flows without a redirect address.
    pub(crate) fallback_public: bool,
    pub(crate) first_party: Option<&'static FirstParty>,
}

/// Finds a client for a person's sign-in at a tenant segment.
pub(crate) fn find(view: &View, client: &str, segment: &str) -> Result<Client, Failure> {
    let tenant = view.directory().id.to_string();
    let unknown = || failure::CLIENT_UNKNOWN.with(&[client, &tenant]);
    let id: Uuid = client.parse().map_err(|_| unknown())?;
    if id.is_nil() {
        return Err(failure::CLIENT_ID_INVALID.with(&[client]));
    }
    if let Some(known) = FIRST_PARTY.iter().find(|known| known.id == id) {
        return Ok(Client {
            id,
            name: known.name.into(),
            public: [
                "http://localhost",
                "http://127.0.0.1",
                "https://login.microsoftonline.com/common/oauth2/nativeclient",
            ]
            .map(Into::into)
            .into(),
            web: Vec::new(),
            fallback_public: true,
            first_party: Some(known),
        });
    }
    let (_, application) = view.application(id).ok_or_else(unknown)?;
    if segment == "common" && application.sign_in_audience == "AzureADMyOrg" {
        return Err(failure::COMMON_SINGLE_TENANT.with(&[client]));
    }
    if let Some((_, principal)) = view.principal(id)
        && !principal.enabled
    {
        return Err(failure::CLIENT_DISABLED.with(&[client, &principal.display_name]));
    }
    Ok(Client {
        id,
        name: application.display_name.clone(),
        public: application.redirect_uris.clone(),
        web: application.web_redirect_uris.clone(),
        fallback_public: application.public_client,
        first_party: None,
    })
}

impl Client {
    /// Whether a redirect address is registered; answers whether it is a public client's.
    pub(crate) fn redirect(&self, asked: &str) -> Result<bool, Failure> {
        if self.public.iter().any(|own| same_redirect(own, asked)) {
            Ok(true)
        } else if self.web.iter().any(|own| same_redirect(own, asked)) {
            Ok(false)
        } else {
            Err(failure::REDIRECT.with(&[asked, &self.id.to_string()]))
        }
    }
}

/// Whether an address is the registered one: octet by octet, but for the port on loopback (RFC
/// 8252 §7.3) and an empty path, which is the same as a slash (RFC 3986 §6.2.3).
fn same_redirect(registered: &str, asked: &str) -> bool {
    let parts = |text: &str| -> Option<(String, String, String)> {
        let uri: http::Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_owned();
        let host = uri.host()?.to_owned();
        let loopback = scheme == "http" && matches!(&*host, "localhost" | "127.0.0.1" | "[::1]");
        let authority = if loopback {
            host
        } else {
            uri.authority()?.as_str().to_owned()
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some((scheme, authority, path.to_owned()))
    };
    if asked.contains('#') {
        return false;
    }
    match (parts(registered), parts(asked)) {
        (Some(registered), Some(asked)) => registered == asked,
        _ => registered == asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_compared_octet_by_octet_but_for_the_port_on_loopback() {
        for (registered, asked, same) in [
            ("http://localhost", "http://localhost:4711", true),
            ("http://localhost", "http://localhost:4711/", true),
            ("http://localhost/a", "http://localhost:4711/a", true),
            ("http://localhost", "http://localhost:4711/a", false),
            ("http://localhost", "http://127.0.0.1:4711", false),
            ("http://localhost", "https://localhost:4711", false),
            ("http://localhost", "http://localhost.example", false),
            ("http://127.0.0.1", "http://127.0.0.1:1", true),
            ("https://a.example/cb", "https://a.example/cb", true),
            ("https://a.example/cb", "https://a.example:444/cb", false),
            ("https://a.example/cb", "https://a.example/CB", false),
            ("https://a.example/cb", "https://a.example/cb?x=1", false),
            ("http://localhost", "http://localhost/#x", false),
        ] {
            assert_eq!(
                same_redirect(registered, asked),
                same,
                "{registered} {asked}"
            );
        }
    }
}
