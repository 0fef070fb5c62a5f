//! The Azure CLI: signs in as the service principal, fetches a token for Exchange, and reads and
//! changes the directory through Microsoft Graph.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::inside::{Inside, TRUST};
use crate::run::{Run, Steps};

/// The scope of every token for SMTP.
pub(super) const SCOPE: &str = "https://outlook.office365.com/.default";

const GRAPH: &str = "https://graph.microsoft.com/v1.0";

/// What the application may do in Microsoft Graph for these steps.
const PERMISSION: &str = "Application.ReadWrite.All";

pub(super) fn steps(inside: &Inside, steps: &mut Steps) {
    steps.step("curl: the tenant's metadata", || metadata(inside));
    steps.step(
        "curl: the administrator grants the application rights in Graph",
        || grant(inside),
    );
    steps.step("az: sign in with the secret", || {
        // From a file, since every user of a machine sees the arguments of a process.
        let file = inside.private("client.secret", inside.text("/client/secret")?)?;
        sign_in(inside, &["--password", &format!("@{}", file.display())])
    });
    steps.step("az: a token for Exchange", || token(inside, "1"));
    steps.step("az: ad sp show, ad app credential list, rest", || {
        read(inside)
    });
    steps.step("az: make and register a certificate", || {
        certificate(inside)
    });
    steps.step("az: sign in with that certificate", || {
        az(inside, &["account", "clear"])?;
        let file = inside.folder.join("certificate.pem");
        sign_in(inside, &["--certificate", &file.to_string_lossy()])
    });
    steps.step("az: a token for Exchange", || token(inside, "2"));
}

/// Runs the Azure CLI and reads its answer; its settings are of this run alone.
fn az(inside: &Inside, arguments: &[&str]) -> Result<Value> {
    let text = Run::new(inside.tools.join("az/bin/az"))
        .args(arguments)
        .args(["--output", "json"])
        .env("AZURE_CONFIG_DIR", inside.folder.join("azure"))
        // Where it puts certificates that it makes.
        .env("HOME", &inside.folder)
        .env("AZURE_CORE_COLLECT_TELEMETRY", "no")
        .env("AZURE_CORE_ONLY_SHOW_ERRORS", "yes")
        .env("REQUESTS_CA_BUNDLE", TRUST)
        .text()?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).context("az answers in JSON")
}

fn sign_in(inside: &Inside, credential: &[&str]) -> Result<()> {
    let common = [
        "login",
        "--service-principal",
        "--username",
        inside.text("/client/id")?,
        "--tenant",
        inside.text("/tenant/id")?,
        "--skip-subscription-discovery",
    ];
    let accounts = az(inside, &[&common[..], credential].concat())?;
    let kind = &accounts[0]["user"]["type"];
    ensure!(kind == "servicePrincipal", "signed in as {accounts}");
    println!("   signed in: {}", accounts[0]["user"]["name"]);
    Ok(())
}

/// The token goes to the file that the mail programs use.
fn token(inside: &Inside, kind: &str) -> Result<()> {
    let answer = az(inside, &["account", "get-access-token", "--scope", SCOPE])?;
    let token = answer["accessToken"].as_str().context("a token")?;
    let file = inside.private("token", token)?;
    let inspected = Run::new(&inside.sendas)
        .args(["token", "inspect", "--json"])
        .stdin(&file)?
        .text()?;
    let inspected: Value = serde_json::from_str(&inspected)?;
    let claims = &inspected["claims"];
    for (claim, expected) in [
        ("aud", "https://outlook.office365.com"),
        ("appid", inside.text("/client/id")?),
        ("oid", inside.text("/client/service_principal_id")?),
        ("tid", inside.text("/tenant/id")?),
        ("appidacr", kind),
    ] {
        ensure!(claims[claim] == expected, "{claim} is {}", claims[claim]);
    }
    println!("   aud {}, roles {}", claims["aud"], claims["roles"]);
    Ok(())
}

fn metadata(inside: &Inside) -> Result<()> {
    let tenant = inside.text("/tenant/id")?;
    let place = "https://login.microsoftonline.com";
    let answer = curl(&[&format!(
        "{place}/{tenant}/v2.0/.well-known/openid-configuration"
    )])?;
    let token = format!("{place}/{tenant}/oauth2/v2.0/token");
    ensure!(answer["token_endpoint"] == token.as_str(), "{answer}");
    Ok(())
}

fn curl(arguments: &[&str]) -> Result<Value> {
    let text = Run::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body"])
        .args(arguments)
        .text()?;
    Ok(serde_json::from_str(&text)?)
}

/// As an administrator would in the portal: the role of Graph, assigned to our principal.
fn grant(inside: &Inside) -> Result<()> {
    let tokens: Value = serde_json::from_str(&inside.control("POST", "admin/tokens")?)?;
    let token = tokens["graph"].as_str().context("a token for Graph")?;
    let header = format!(
        "header = \"Authorization: Bearer {token}\"\nheader = \"Content-Type: application/json\"\n"
    );
    let config = inside.private("graph.curl", &header)?;
    let config = config.to_string_lossy();
    let graph = "servicePrincipals?$filter=appId%20eq%20'00000003-0000-0000-c000-000000000000'";
    let found = curl(&["--config", &config, &format!("{GRAPH}/{graph}")])?;
    let resource = &found["value"][0];
    let role = resource["appRoles"].as_array().into_iter().flatten();
    let role = role
        .into_iter()
        .find(|role| role["value"] == PERMISSION)
        .context("Graph offers the permission")?;
    let body = json!({
        "principalId": inside.text("/client/service_principal_id")?,
        "resourceId": resource["id"],
        "appRoleId": role["id"],
    });
    let place = format!(
        "{GRAPH}/servicePrincipals/{}/appRoleAssignedTo",
        resource["id"].as_str().unwrap_or_default()
    );
    let made = curl(&["--config", &config, "--data", &body.to_string(), &place])?;
    ensure!(made["appRoleId"] == role["id"], "{made}");
    Ok(())
}

fn read(inside: &Inside) -> Result<()> {
    let client = inside.text("/client/id")?;
    let principal = az(inside, &["ad", "sp", "show", "--id", client])?;
    ensure!(
        principal["id"] == inside.text("/client/service_principal_id")?,
        "{principal}"
    );
    let listed = az(inside, &["ad", "app", "credential", "list", "--id", client])?;
    ensure!(
        listed.as_array().is_some_and(|all| all.len() == 1),
        "{listed}"
    );
    println!(
        "   secret {} ends {}",
        listed[0]["hint"], listed[0]["endDateTime"]
    );
    let url = format!("{GRAPH}/applications(appId='{client}')?$select=id,appId");
    let application = az(inside, &["rest", "--method", "get", "--url", &url])?;
    ensure!(
        application["id"] == inside.text("/client/application_object_id")?,
        "{application}"
    );
    Ok(())
}

fn certificate(inside: &Inside) -> Result<()> {
    let client = inside.text("/client/id")?;
    let made = az(
        inside,
        &[
            "ad",
            "app",
            "credential",
            "reset",
            "--id",
            client,
            "--create-cert",
            "--append",
        ],
    )?;
    let file = made["fileWithCertAndPrivateKey"]
        .as_str()
        .context("a file")?;
    std::fs::rename(file, inside.folder.join("certificate.pem"))?;
    let list = ["ad", "app", "credential", "list", "--cert", "--id", client];
    let listed = az(inside, &list)?;
    ensure!(
        listed.as_array().is_some_and(|all| all.len() == 1),
        "{listed}"
    );
    println!("   thumbprint {}", listed[0]["customKeyIdentifier"]);
    Ok(())
}
