//! The page for administrators who do it by hand, done as it says: its cmdlets, parsed by a grammar
//! of others and sent to the sandbox by curl, let a message through; its undo leaves nothing.

use sendas_sandbox::{Filter, Options, Preset, Running, Sandbox};
use sendas_testkit::process::Program;
use sendas_testkit::tools;
use serde_json::{Map, Value, json};

use crate::powershell::{Call, blocks, calls};
use crate::support::Home;

const MAILBOX: &str = "noreply@contoso.onmicrosoft.com";
const SEND_AS_APP: &str = "SMTP.SendAsApp";

/// The administrator, with nothing but curl.
struct Admin<'a> {
    sandbox: &'a Running,
    home: &'a Home,
    client_id: String,
    object_id: String,
    secret: String,
}

impl<'a> Admin<'a> {
    /// Registers an application and gives it a secret.
    async fn new(sandbox: &'a Running, home: &'a Home) -> Self {
        let mut admin = Self {
            sandbox,
            home,
            client_id: String::new(),
            object_id: String::new(),
            secret: String::new(),
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let body = json!({ "displayName": "sendas", "signInAudience": "AzureADMyOrg" });
        let application = admin.graph("applications", &body).await;
        admin.client_id = text(&application["appId"]);
        let body = json!({ "appId": admin.client_id });
        admin.object_id = text(&admin.graph("servicePrincipals", &body).await["id"]);
        let place = format!("applications/{}/addPassword", text(&application["id"]));
        let body = json!({ "passwordCredential": { "displayName": "by hand" } });
        admin.secret = text(&admin.graph(&place, &body).await["secretText"]);
        admin
    }

    async fn post(&self, url: &str, token: &str, body: &Value) -> Value {
        self.home.write(
            "admin.curl",
            &format!(
                "header = \"Authorization: Bearer {token}\"\nheader = \"Content-Type: application/json\"\n"
            ),
        );
        let answer = Program::new(tools::program("curl"))
            .clean_env()
            .folder(self.home.path())
            .args([
                "--silent",
                "--show-error",
                "--fail-with-body",
                "--max-time",
                "40",
            ])
            .args([
                "--config",
                "admin.curl",
                "--cacert",
                &self.sandbox.details().ca,
            ])
            .args(["--data", "@-", url])
            .stdin(body.to_string())
            .stdout_is_secret()
            .run()
            .await
            .success();
        serde_json::from_slice(&answer.stdout).unwrap_or(Value::Null)
    }

    async fn graph(&self, place: &str, body: &Value) -> Value {
        let (token, _) = self.sandbox.admin_tokens();
        let url = format!("{}/v1.0/{place}", self.sandbox.details().graph);
        self.post(&url, &token, body).await
    }

    /// Grants the permission of the classic way, as the portal does with its consent.
    async fn consent(&self) {
        let tenant = self.sandbox.tenant();
        let exchange = tenant
            .service_principals
            .iter()
            .find_map(|(id, principal)| {
                let roles = &mut principal.app_roles.iter();
                let (role, _) = roles.find(|(_, role)| role.value == SEND_AS_APP)?;
                Some((*id, *role))
            });
        let (resource, role) = exchange.unwrap();
        let place = format!("servicePrincipals/{resource}/appRoleAssignedTo");
        let body =
            json!({ "principalId": self.object_id, "resourceId": resource, "appRoleId": role });
        self.graph(&place, &body).await;
    }

    /// Runs lines of the page; `fits` chooses among their cmdlets.
    async fn run(&self, lines: &[&str], fits: impl Fn(&str) -> bool) {
        let filled = lines
            .join("\n")
            .replace("<client id>", &format!("'{}'", self.client_id))
            .replace(
                "<object id of the ENTERPRISE APPLICATION>",
                &format!("'{}'", self.object_id),
            )
            .replace("<mailbox>", &format!("'{MAILBOX}'"));
        let mut group = String::new();
        for call in calls(&[("by-hand.md".to_owned(), filled)]).await.remove(0) {
            if call.name == "Connect-ExchangeOnline" || !fits(&call.name) {
                continue;
            }
            let rows = self.cmdlet(&call, &group).await;
            if call.name == "Get-DistributionGroup" {
                let name = &rows["value"][0]["DistinguishedName"];
                name.as_str().unwrap().clone_into(&mut group);
            }
        }
    }

    async fn cmdlet(&self, call: &Call, group: &str) -> Value {
        let parameters: Map<String, Value> = call
            .parameters
            .iter()
            .map(|(name, written)| (name.clone(), value(written.as_deref().unwrap(), group)))
            .collect();
        let body = json!({ "CmdletInput": { "CmdletName": call.name, "Parameters": parameters } });
        let details = self.sandbox.details();
        let url = format!(
            "{}/adminapi/beta/{}/InvokeCommand",
            details.exchange_admin, details.tenant.id
        );
        let (_, token) = self.sandbox.admin_tokens();
        self.post(&url, &token, &body).await
    }

    /// Sends one message as the application.
    async fn send(&self) {
        self.home.write("client.secret", &self.secret);
        self.home.write(
            "sendas.toml",
            &format!(
                "[[principal]]\ntenant = \"{}\"\nclient_id = \"{}\"\n\
                 credential = {{ secret = {{ file = \"client.secret\" }} }}\n\
                 cloud = {{ file = \"{}\" }}\nmailboxes = [\"{MAILBOX}\"]\n",
                self.sandbox.details().tenant.id,
                self.client_id,
                self.sandbox.folder().join("cloud.toml").display()
            ),
        );
        let program = self.home.sendas(["send", "-f", MAILBOX, "x@example.com"]);
        let sent = program
            .env("SENDAS_CONFIG", self.home.path().join("sendas.toml"))
            .stdin(format!(
                "From: {MAILBOX}\r\nTo: x@example.com\r\n\r\nhello\r\n"
            ));
        drop(sent.run().await.success());
    }
}

/// What PowerShell would make of an argument of the page.
fn value(written: &str, group: &str) -> Value {
    if let Some(text) = written.strip_prefix('\'') {
        return text.strip_suffix('\'').unwrap().replace("''", "'").into();
    }
    if let Some(text) = written.strip_prefix('"') {
        let text = text.strip_suffix('"').unwrap();
        return text.replace("$($Group.DistinguishedName)", group).into();
    }
    match written {
        "$true" => true.into(),
        "$false" => false.into(),
        "$null" => Value::Null,
        word => {
            assert!(!word.contains('$'), "{word}");
            word.into()
        }
    }
}

fn exchange(sandbox: &Running) -> Value {
    serde_json::to_value(&sandbox.tenant().exchange).unwrap()
}

#[tokio::test]
async fn the_page_does_what_it_says() {
    let page = tools::checkout().join("docs/guide/by-hand.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = |from: &str, to: &str| -> Vec<&str> {
        let text = page.split_once(from).unwrap().1.split_once(to).unwrap().0;
        blocks(text).map(str::trim).collect()
    };
    let switch = section("## 4.", "## 5.");
    let undo: Vec<&str> = blocks(page.split_once("## Undo").unwrap().1).collect();
    for (method, way, own) in [
        (
            "rbac",
            section("### By a role", "What Exchange makes of it"),
            ["Management", "Distribution"],
        ),
        (
            "classic",
            section("### By a permission", "## 4."),
            ["MailboxPermission", "RecipientPermission"],
        ),
    ] {
        assert!(way.len() > 3, "{method}: {way:?}");
        let options = Options {
            tenant: Preset::Fresh,
            ..Options::default()
        };
        let (sandbox, home) = (Sandbox::start(options).await.unwrap(), Home::new());
        let before = exchange(&sandbox);
        let admin = Admin::new(&sandbox, &home).await;
        if method == "classic" {
            admin.consent().await;
        }
        admin.run(&way, |_| true).await;
        admin.run(&switch, |_| true).await;
        admin.send().await;
        assert_eq!(sandbox.messages(&Filter::default()).len(), 1, "{method}");
        let shared = ["Remove-ServicePrincipal", "Set-CASMailbox"];
        admin
            .run(&undo, |name| {
                shared.contains(&name) || own.iter().any(|part| name.contains(part))
            })
            .await;
        assert_eq!(exchange(&sandbox), before, "{method}");
        sandbox.stop().await;
    }
}
