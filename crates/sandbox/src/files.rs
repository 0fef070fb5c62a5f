//! The files a sandbox writes into its folder, and the text of its ready line.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use crate::control;
use crate::world::World;

/// What `sandbox.json` holds: every address, id and secret of one sandbox.
#[derive(Clone, Serialize)]
pub struct Details {
    /// The tenant.
    pub tenant: TenantDetails,
    /// The administrator.
    pub admin: AdminDetails,
    /// The application; none in a fresh tenant.
    pub client: Option<ClientDetails>,
    /// Mailboxes the application may send as; all of them in a fresh tenant.
    pub mailboxes: Vec<String>,
    /// A mailbox the application may not send as.
    pub mailbox_outside: String,
    /// The authority's address.
    pub authority: String,
    /// Microsoft Graph's address.
    pub graph: String,
    /// The Exchange admin interface's address.
    pub exchange_admin: String,
    /// An issuer that is not Entra, for federated credentials: its name and address.
    pub issuer: String,
    /// SMTP submission.
    pub smtp: SmtpDetails,
    /// The control interface.
    pub control: ControlDetails,
    /// Path of the certificate authority to trust.
    pub ca: String,
}

/// The tenant's names.
#[derive(Clone, Debug, Serialize)]
pub struct TenantDetails {
    /// Its id.
    pub id: Uuid,
    /// Its initial domain.
    pub domain: String,
}

/// The administrator's sign-in.
#[derive(Clone, Serialize)]
pub struct AdminDetails {
    /// The sign-in name.
    pub user: String,
    /// The password.
    pub password: String,
    /// The six digits the second page of a sign-in takes, for everybody who has `mfa` set.
    pub mfa_code: String,
}

/// The application.
#[derive(Clone, Serialize)]
pub struct ClientDetails {
    /// The client id.
    pub id: Uuid,
    /// The client secret.
    pub secret: String,
    /// The enterprise application's object id.
    pub service_principal_id: Uuid,
    /// The application registration's object id: not the one Exchange wants.
    pub application_object_id: Uuid,
}

/// Where SMTP submission listens.
#[derive(Clone, Debug, Serialize)]
pub struct SmtpDetails {
    /// The host name, which the certificate covers.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The control interface.
#[derive(Clone, Serialize)]
pub struct ControlDetails {
    /// Its base address.
    pub url: String,
    /// Its bearer token.
    pub token: String,
}

macro_rules! unprintable {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

unprintable!(Details, AdminDetails, ClientDetails, ControlDetails);

/// The details of a sandbox.
pub(crate) fn details(world: &World) -> Details {
    let tenant = world.written();
    let places = &world.places;
    Details {
        tenant: TenantDetails {
            id: tenant.id,
            domain: tenant.domain.clone(),
        },
        admin: AdminDetails {
            user: world.made.admin_user.clone(),
            password: world.made.admin_password.clone(),
            mfa_code: world.made.mfa_code.clone(),
        },
        client: world.made.client.as_ref().map(|client| ClientDetails {
            id: client.id,
            secret: client.secret.clone(),
            service_principal_id: client.service_principal_id,
            application_object_id: client.application_object_id,
        }),
        mailboxes: world.made.mailboxes.clone(),
        mailbox_outside: world.made.outside.clone(),
        authority: places.authority.clone(),
        graph: places.graph.clone(),
        exchange_admin: places.exchange_admin.clone(),
        issuer: crate::entra::issuer::address(world),
        smtp: SmtpDetails {
            host: places.smtp_host.clone(),
            port: places.smtp.port(),
        },
        control: ControlDetails {
            url: format!("http://{}{}", places.control, control::BASE),
            token: world.control_token.clone(),
        },
        ca: world.folder.join("ca.pem").display().to_string(),
    }
}

/// The details without secrets, on one line.
pub(crate) fn ready_line(world: &World) -> String {
    let mut line = serde_json::to_value(details(world)).expect("details are plain data");
    for (part, secret) in [
        ("admin", "password"),
        ("admin", "mfa_code"),
        ("client", "secret"),
        ("control", "token"),
    ] {
        if let Some(members) = line[part].as_object_mut() {
            members.remove(secret);
        }
    }
    line["file"] = world
        .folder
        .join("sandbox.json")
        .display()
        .to_string()
        .into();
    line.to_string()
}

/// Writes every file; those with secrets are readable by their owner only.
pub(crate) fn write(world: &World) -> io::Result<()> {
    let folder = &world.folder;
    let details = details(world);
    let json = serde_json::to_string_pretty(&details).expect("details are plain data");
    put(&folder.join("ca.pem"), &world.ca_pem, false)?;
    put(&folder.join("cloud.toml"), &cloud(&details), false)?;
    if let Some(client) = &details.client {
        put(&folder.join("client.secret"), &client.secret, true)?;
    }
    put(
        &folder.join("sendas.toml"),
        &config(&details, folder),
        false,
    )?;
    put(&folder.join("env"), &env(&details, folder), true)?;
    // Last: who waits for this file finds the others.
    put(&folder.join("sandbox.json"), &(json + "\n"), true)
}

/// The shell exports that point other programs at a sandbox.
pub fn env(details: &Details, folder: &Path) -> String {
    let ca = quoted(&details.ca);
    let mut text = String::from("# Points programs at the sandbox: . this file\n");
    let mut export = |name: &str, value: &str| {
        for part in ["export ", name, "=", value, "\n"] {
            text.push_str(part);
        }
    };
    export("AZURE_TENANT_ID", &details.tenant.id.to_string());
    export("AZURE_AUTHORITY_HOST", &details.authority);
    if let Some(client) = &details.client {
        export("AZURE_CLIENT_ID", &client.id.to_string());
        export("AZURE_CLIENT_SECRET", &quoted(&client.secret));
    }
    // curl and OpenSSL, Node, Python (requests, ssl).
    for name in [
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "REQUESTS_CA_BUNDLE",
    ] {
        export(name, &ca);
    }
    export(
        "SENDAS_CONFIG",
        &quoted(&folder.join("sendas.toml").display().to_string()),
    );
    export("SANDBOX_SMTP_HOST", &details.smtp.host);
    export("SANDBOX_SMTP_PORT", &details.smtp.port.to_string());
    export("SANDBOX_CONTROL_URL", &details.control.url);
    export("SANDBOX_CONTROL_TOKEN", &quoted(&details.control.token));
    text
}

fn cloud(details: &Details) -> String {
    let Details {
        authority,
        graph,
        exchange_admin,
        smtp,
        ..
    } = details;
    format!(
        "# The sandbox as a cloud: every endpoint, and the one authority to trust.\n\
         name = \"sandbox\"\n\
         authority = \"{authority}\"\n\
         graph = \"{graph}\"\n\
         exchange_admin = \"{exchange_admin}\"\n\
         resource = \"https://outlook.office365.com\"\n\
         smtp = {{ host = \"{}\", port = {} }}\n\
         ca = \"ca.pem\"\n",
        smtp.host, smtp.port
    )
}

fn config(details: &Details, folder: &Path) -> String {
    let Some(client) = &details.client else {
        return format!(
            "# The tenant {} is fresh: it has no application yet.\n\
             # `sendas setup apply --cloud-file cloud.toml` makes one.\n",
            details.tenant.domain
        );
    };
    let path = |name: &str| toml::Value::String(folder.join(name).display().to_string());
    let mailboxes: Vec<String> = details
        .mailboxes
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    format!(
        "[[principal]]\n\
         name = \"sandbox\"\n\
         tenant = \"{}\"\n\
         client_id = \"{}\"\n\
         credential = {{ secret = {{ file = {} }} }}\n\
         cloud = {{ file = {} }}\n\
         mailboxes = [{}]\n",
        details.tenant.id,
        client.id,
        path("client.secret"),
        path("cloud.toml"),
        mailboxes.join(", ")
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

// Written beside and renamed, so that nobody reads half a file.
fn put(path: &Path, text: &str, secret: bool) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    std::fs::rename(beside, path)
}
