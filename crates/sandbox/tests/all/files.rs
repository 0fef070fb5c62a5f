//! The files a sandbox writes, and the ports it takes.

use sendas_sandbox::{Options, Ports, Preset, Sandbox, StartError};
use sendas_testkit::folder::Folder;
use serde_json::Value;

async fn written(tenant: Preset) -> (Folder, Value, sendas_sandbox::Running) {
    let folder = Folder::new();
    let options = Options {
        tenant,
        folder: Some(folder.join("dir")),
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let text = std::fs::read_to_string(folder.join("dir/sandbox.json")).unwrap();
    (folder, serde_json::from_str(&text).unwrap(), sandbox)
}

#[tokio::test]
async fn sandbox_json_has_the_promised_members() {
    let (folder, json, sandbox) = written(Preset::Classic).await;
    for path in [
        "/tenant/id",
        "/tenant/domain",
        "/admin/user",
        "/admin/password",
        "/client/id",
        "/client/secret",
        "/client/service_principal_id",
        "/client/application_object_id",
        "/mailboxes/0",
        "/mailboxes/1",
        "/authority",
        "/graph",
        "/exchange_admin",
        "/smtp/host",
        "/smtp/port",
        "/control/url",
        "/control/token",
        "/ca",
    ] {
        assert!(json.pointer(path).is_some_and(|v| !v.is_null()), "{path}");
    }
    assert!(
        json["authority"]
            .as_str()
            .unwrap()
            .starts_with("https://localhost:")
    );
    assert!(
        json["control"]["url"]
            .as_str()
            .unwrap()
            .ends_with("/sandbox/v1")
    );
    assert_eq!(json["smtp"]["port"], sandbox.smtp().port());
    assert_eq!(json["ca"], folder.join("dir/ca.pem").display().to_string());

    let line = sandbox.ready_line();
    assert!(!line.contains('\n') && !line.contains("CANARY"));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["client"]["id"], json["client"]["id"]);
    assert_eq!(
        line["file"],
        folder.join("dir/sandbox.json").display().to_string()
    );
}

#[cfg(unix)]
#[tokio::test]
async fn files_with_secrets_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, _, _sandbox) = written(Preset::Classic).await;
    for (name, mode) in [
        ("", 0o700),
        ("sandbox.json", 0o600),
        ("env", 0o600),
        ("client.secret", 0o600),
        ("ca.pem", 0o644),
        ("cloud.toml", 0o644),
        ("sendas.toml", 0o644),
    ] {
        let found = std::fs::metadata(folder.join("dir").join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
}

#[tokio::test]
async fn settings_name_the_sandbox_and_its_ca() {
    let (folder, json, _sandbox) = written(Preset::Rbac).await;
    let read = |name: &str| -> toml::Table {
        std::fs::read_to_string(folder.join("dir").join(name))
            .unwrap()
            .parse()
            .unwrap()
    };
    let cloud = read("cloud.toml");
    for member in ["authority", "graph", "exchange_admin"] {
        assert_eq!(cloud[member].as_str(), json[member].as_str(), "{member}");
    }
    assert_eq!(
        cloud["resource"].as_str(),
        Some("https://outlook.office365.com")
    );
    assert_eq!(cloud["ca"].as_str(), Some("ca.pem"));
    assert_eq!(
        cloud["smtp"]["port"].as_integer(),
        json["smtp"]["port"].as_i64()
    );
    let principal = &read("sendas.toml")["principal"][0];
    assert_eq!(
        principal["client_id"].as_str(),
        json["client"]["id"].as_str()
    );
    let secret = principal["credential"]["secret"]["file"].as_str().unwrap();
    assert_eq!(
        std::fs::read_to_string(secret).unwrap(),
        json["client"]["secret"].as_str().unwrap()
    );
    let env = std::fs::read_to_string(folder.join("dir/env")).unwrap();
    for name in [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_AUTHORITY_HOST",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "REQUESTS_CA_BUNDLE",
    ] {
        assert!(env.contains(&format!("export {name}=")), "{name}");
    }
}

#[tokio::test]
async fn a_fresh_tenant_has_no_client() {
    let (_folder, json, sandbox) = written(Preset::Fresh).await;
    assert_eq!(json["client"], Value::Null);
    assert_eq!(json["mailboxes"].as_array().unwrap().len(), 3);
    let transport = &sandbox.tenant().exchange.transport;
    assert!(transport.smtp_client_authentication_disabled);
    assert!(sandbox.tenant().applications.is_empty());
}

#[tokio::test]
async fn the_same_seed_makes_the_same_tenant() {
    let start = || {
        Sandbox::start(Options {
            seed: Some(7),
            ..Options::default()
        })
    };
    let (a, b) = (
        start().await.unwrap().details(),
        start().await.unwrap().details(),
    );
    assert_eq!(a.tenant.id, b.tenant.id);
    assert_eq!(a.client.unwrap().secret, b.client.unwrap().secret);
}

/// Takeover needs the right to take low ports; without it, it says which port it could not have.
#[tokio::test]
async fn takeover_takes_443_and_587_under_the_real_names() {
    let options = Options {
        ports: Ports::Takeover,
        address: [127, 77, 0, 1].into(),
        ..Options::default()
    };
    match Sandbox::start(options).await {
        Ok(sandbox) => {
            let details = sandbox.details();
            assert_eq!(details.authority, "https://login.microsoftonline.com");
            assert_eq!(details.graph, "https://graph.microsoft.com");
            assert_eq!(
                (details.smtp.host.as_str(), details.smtp.port),
                ("smtp.office365.com", 587)
            );
            assert_eq!(sandbox.smtp().port(), 587);
        }
        Err(StartError::Listen {
            address, source, ..
        }) => {
            assert_eq!(address.port(), 443);
            assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
        }
        Err(other) => panic!("{other}"),
    }
}
