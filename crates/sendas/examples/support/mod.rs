//! What every example starts from: a sandbox in this process in place of Microsoft 365.

use std::error::Error;

use sendas::{Client, ClientBuilder, Credential};
use sendas_sandbox::{Filter, Options, Running, Sandbox};

/// Starts a sandbox, and a builder that knows its tenant, application and cloud.
///
/// With a real tenant there is no sandbox and no `cloud_file`; the rest is the same.
pub(crate) async fn start() -> Result<(Running, ClientBuilder), Box<dyn Error>> {
    let sandbox = Sandbox::start(Options::default()).await?;
    let details = sandbox.details();
    let application = details.client.ok_or("the tenant has an application")?;
    let builder = Client::builder()
        .tenant(details.tenant.id.to_string())
        .client_id(application.id.to_string())
        .credential(Credential::secret_bytes(application.secret.into_bytes())?)
        .cloud_file(sandbox.folder().join("cloud.toml"));
    Ok((sandbox, builder))
}

/// The message as it arrived, as text.
#[allow(dead_code, reason = "not every example shows it")]
pub(crate) fn arrived(sandbox: &Running) -> Result<String, Box<dyn Error>> {
    let messages = sandbox.messages(&Filter::default());
    let last = messages.last().ok_or("a message has arrived")?;
    let octets = sandbox.raw(last.id)?.ok_or("its octets are kept")?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}
