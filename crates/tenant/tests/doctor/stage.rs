//! A sandbox that is put right again between two breakages, and the case of its principal.

use std::path::PathBuf;
use std::time::Duration;

use sendas_entra::{ClientId, Cloud, Credential, Proxy, Tenant};
use sendas_envelope::{Address, Mailbox};
use sendas_exchange::Method;
use sendas_sandbox::{Options, Preset, Running, Sandbox};
use sendas_smtp::ClientName;
use sendas_tenant::AdminTokens;
use sendas_tenant::doctor::{Case, Configuration, Host, Subject};
use serde_json::{Map, Value, json};

use crate::breakage::Breakage;

pub(crate) struct Stage {
    pub(crate) sandbox: Running,
    preset: Preset,
    right: Value,
}

impl Stage {
    pub(crate) async fn new(preset: Preset) -> Self {
        let sandbox = Sandbox::start(Options {
            tenant: preset,
            seed: Some(1),
            ..Options::default()
        })
        .await
        .unwrap();
        let right = serde_json::to_value(&*sandbox.tenant()).unwrap();
        Self {
            sandbox,
            preset,
            right,
        }
    }

    /// Puts everything right again.
    pub(crate) fn reset(&mut self) {
        self.sandbox.clear_faults();
        let now = serde_json::to_value(&*self.sandbox.tenant()).unwrap();
        if let Some(patch) = back(&now, &self.right) {
            self.sandbox.patch(&patch).unwrap();
        }
    }

    pub(crate) fn break_it(&mut self, breakage: &Breakage) {
        assert!(self.try_break(breakage), "{}", breakage.name);
    }

    /// Says whether the tenant takes the change.
    pub(crate) fn try_break(&mut self, breakage: &Breakage) -> bool {
        breakage.patches.iter().all(|patch| self.try_patch(patch))
    }

    /// Patches the tenant, with the ids put in.
    pub(crate) fn try_patch(&mut self, patch: &str) -> bool {
        let patch = serde_json::from_str(&self.fill(patch)).expect(patch);
        self.sandbox.patch(&patch).is_ok()
    }

    pub(crate) fn fault(&self, fault: &str) {
        self.sandbox
            .fault(serde_json::from_str(fault).unwrap())
            .unwrap();
    }

    /// What a configuration that fits the tenant would say.
    pub(crate) fn case(&self, is_method_said: bool) -> Case {
        let details = self.sandbox.details();
        let client = details.client.unwrap();
        let cloud = Cloud::from_file(self.sandbox.folder().join("cloud.toml")).unwrap();
        let (graph, exchange) = self.sandbox.admin_tokens();
        let tokens = json!({ "graph": graph, "exchange": exchange }).to_string();
        Case {
            host: Host {
                temporary: std::env::temp_dir(),
                has_home: true,
                not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            },
            configuration: Configuration {
                files: vec![PathBuf::from("sendas.toml")],
                principals: vec!["sandbox".into()],
                ..Configuration::default()
            },
            subject: Some(Subject {
                name: "sandbox".into(),
                tls: cloud.tls_policy().unwrap(),
                cloud,
                tenant: Some(Tenant::parse(&details.tenant.id.to_string()).unwrap()),
                client_id: Some(ClientId::parse(&client.id.to_string()).unwrap()),
                method: match (is_method_said, self.preset) {
                    (false, _) => Method::Unknown,
                    (true, Preset::Classic) => Method::Classic,
                    (true, _) => Method::Rbac,
                },
                credential: Ok(secret(&client.secret)),
                credential_file: None,
                mailbox: Some(mailbox("noreply@contoso.onmicrosoft.com")),
                is_covered: true,
                proxy: Ok(Proxy::none()),
                ehlo: ClientName::new("[127.0.0.1]").unwrap(),
                connect_timeout: Duration::from_secs(5),
            }),
            relay: None,
            admin: Some(Ok(AdminTokens::from_json(tokens.as_bytes()).unwrap())),
            changed: None,
            reply: None,
        }
    }

    /// Puts in what the words in capitals stand for.
    fn fill(&self, text: &str) -> String {
        let right = &self.right;
        let client = self.sandbox.details().client.unwrap();
        let registration = client.application_object_id.to_string();
        let first = |map: &Value| Some(map.as_object()?.keys().next()?.clone());
        let with = |map: &Value, name: &str, wanted: &str| {
            let found = map
                .as_object()?
                .iter()
                .find(|(_, row)| row[name] == wanted)?;
            Some(found.0.clone())
        };
        let principals = &right["service_principals"];
        let exchange = with(principals, "display_name", "Office 365 Exchange Online").unwrap();
        let roles = &principals[&exchange]["app_roles"];
        let graph = with(principals, "display_name", "Microsoft Graph").unwrap();
        let graph_roles = &principals[&graph]["app_roles"];
        let mut text = text.to_owned();
        for (word, id) in [
            ("CLIENT", Some(client.id.to_string())),
            ("PRINCIPAL", Some(client.service_principal_id.to_string())),
            (
                "SECRET",
                first(&right["applications"][&registration]["secrets"]),
            ),
            ("CONSENT", first(&right["app_role_assignments"])),
            ("SENDASAPP", with(roles, "value", "SMTP.SendAsApp")),
            ("OTHERROLE", with(roles, "value", "IMAP.AccessAsApp")),
            ("MAILSEND", with(graph_roles, "value", "Mail.Send")),
            ("GRAPH", Some(graph)),
            ("GROUP", first(&right["groups"])),
            ("REGISTRATION", Some(registration)),
            ("EXCHANGE", Some(exchange)),
        ] {
            if let Some(id) = id {
                text = text.replace(&format!("\"{word}\""), &format!("\"{id}\""));
            }
        }
        text
    }
}

pub(crate) fn mailbox(address: &str) -> Mailbox {
    Mailbox::new(Address::parse(address).unwrap())
}

pub(crate) fn secret(text: &str) -> Credential {
    Credential::secret_bytes(text.as_bytes().to_vec()).unwrap()
}

/// The merge patch (RFC 7396) that leads from one document to another.
fn back(now: &Value, right: &Value) -> Option<Value> {
    if now == right {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (now, right) else {
        return Some(right.clone());
    };
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in to {
        match from.get(name) {
            None => {
                patch.insert(name.clone(), value.clone());
            }
            Some(old) => {
                if let Some(change) = back(old, value) {
                    patch.insert(name.clone(), change);
                }
            }
        }
    }
    Some(Value::Object(patch))
}
