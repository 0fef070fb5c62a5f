//! The admin interface of Exchange Online: cmdlets, errors, rights.

use http::{Request, StatusCode};
use http_body_util::Full;
use sendas_sandbox::{Preset, Running};
use serde_json::{Value, json};

use crate::entra::start;
use crate::https::{Answer, Https};
use crate::talk;

pub(crate) struct Admin {
    pub(crate) sandbox: Running,
    pub(crate) https: Https,
    pub(crate) token: String,
}

impl Admin {
    pub(crate) async fn start(tenant: Preset) -> Self {
        let (sandbox, https) = start(tenant).await;
        let (_, token) = sandbox.admin_tokens();
        Self {
            sandbox,
            https,
            token,
        }
    }

    pub(crate) fn place(&self) -> String {
        let details = self.sandbox.details();
        format!(
            "{}/adminapi/beta/{}",
            details.exchange_admin, details.tenant.id
        )
    }

    pub(crate) async fn post(&self, url: &str, body: Value) -> Answer {
        let request = Request::post(url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json; charset=utf-8")
            .header("prefer", "odata.maxpagesize=2")
            .body(Full::from(body.to_string()))
            .unwrap();
        self.https.send(request).await
    }

    pub(crate) async fn run(&self, cmdlet: &str, parameters: Value) -> Answer {
        let url = format!("{}/InvokeCommand", self.place());
        self.post(&url, input(cmdlet, parameters)).await
    }

    /// The objects a cmdlet writes.
    #[track_caller]
    pub(crate) fn objects(answer: &Answer) -> Vec<Value> {
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()["value"].as_array().unwrap().clone()
    }

    async fn done(&self, cmdlet: &str, parameters: Value) {
        let answer = self.run(cmdlet, parameters).await;
        assert!(answer.status.is_success(), "{cmdlet}: {:?}", answer.body);
    }
}

pub(crate) fn input(cmdlet: &str, parameters: impl Into<Value>) -> Value {
    json!({"CmdletInput": {"CmdletName": cmdlet, "Parameters": parameters.into()}})
}

#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, exception: &str, said: &str) {
    assert_eq!(answer.status.as_u16(), status, "{:?}", answer.body);
    assert_eq!(answer.headers["x-exceptiontype"], exception);
    let body = answer.json();
    let error = &body["error"];
    assert_eq!(error["message"], "Error executing cmdlet");
    assert_eq!(error["details"][0]["code"], "Context");
    let triple: Vec<&str> = error["details"][0]["message"]
        .as_str()
        .unwrap()
        .split('|')
        .collect();
    assert_eq!(triple.len(), 3, "{body}");
    assert_eq!((&triple[0][..2], triple[0].len()), ("Ex", 8), "{body}");
    assert!(triple[1].ends_with(exception), "{body}");
    assert!(triple[2].contains(said), "{body}");
    assert_eq!(
        error["innererror"]["internalexception"]["message"],
        triple[2]
    );
}

#[tokio::test]
async fn the_scoped_role_is_set_up_by_cmdlets_and_a_mailbox_in_scope_logs_in() {
    let admin = Admin::start(Preset::Fresh).await;
    let details = admin.sandbox.details();
    let (inside, outside) = (&details.mailboxes[0], &details.mailboxes[1]);
    let graph = crate::directory::Graph {
        token: admin.sandbox.admin_tokens().0,
        sandbox: admin.sandbox,
        https: admin.https.clone(),
    };
    let application = graph
        .post("applications", json!({"displayName": "x"}))
        .await
        .json();
    let app_id = application["appId"].as_str().unwrap().to_owned();
    let principal = graph
        .post("servicePrincipals", json!({"appId": app_id}))
        .await
        .json();
    let object_id = principal["id"].as_str().unwrap();
    let path = format!("applications(appId='{app_id}')/addPassword");
    let secret = graph.post(&path, Value::Null).await.json()["secretText"].clone();
    let admin = Admin {
        sandbox: graph.sandbox,
        ..admin
    };

    admin
        .done(
            "New-ServicePrincipal",
            json!({"AppId": app_id, "ObjectId": object_id, "DisplayName": "x"}),
        )
        .await;
    let group = admin
        .run(
            "New-DistributionGroup",
            json!({"Name": "smtp", "Members": [inside]}),
        )
        .await;
    let dn = Admin::objects(&group)[0]["DistinguishedName"].clone();
    let restriction = format!("MemberOfGroup -eq '{}'", dn.as_str().unwrap());
    admin
        .done(
            "New-ManagementScope",
            json!({"Name": "s", "RecipientRestrictionFilter": restriction}),
        )
        .await;
    let assignment = json!({"Name": "r", "Role": "Application SMTP.SendAsApp", "App": app_id,
        "CustomResourceScope": "s"});
    let made = admin.run("New-ManagementRoleAssignment", assignment).await;
    assert_eq!(
        Admin::objects(&made)[0]["RoleAssigneeType"],
        "ServicePrincipal"
    );
    for mailbox in [inside, outside] {
        let switch = json!({"Identity": mailbox, "SmtpClientAuthenticationDisabled": false});
        admin.done("Set-CASMailbox", switch).await;
    }
    let test = "Test-ServicePrincipalAuthorization";
    for (resource, in_scope) in [
        (json!(inside), "True"),
        (json!(outside), "False"),
        (Value::Null, "Not Run"),
    ] {
        let rows = admin
            .run(test, json!({"Identity": object_id, "Resource": resource}))
            .await;
        let row = &Admin::objects(&rows)[0];
        assert_eq!(row["InScope"], in_scope);
        assert_eq!(row["RoleName"], "Application SMTP.SendAsApp");
        assert_eq!(row["GrantedPermissions"], "SMTP.SendAsApp");
        assert_eq!(row["AllowedResourceScope"], "s");
        assert_eq!(row["ScopeType"], "CustomRecipientScope");
    }

    let parameters = [
        ("client_id", app_id.as_str()),
        ("client_secret", secret.as_str().unwrap()),
        ("scope", crate::entra::SCOPE),
        ("grant_type", "client_credentials"),
    ];
    let url = crate::entra::token_url(&admin.sandbox);
    let token = admin.https.form(&url, &parameters).await.json();
    let token = token["access_token"].as_str().unwrap();
    assert!(
        talk::auth(&admin.sandbox, inside, token)
            .await
            .1
            .starts_with("235")
    );
    assert!(
        talk::auth(&admin.sandbox, outside, token)
            .await
            .1
            .starts_with("535")
    );
    admin.sandbox.stop().await;
}

#[tokio::test]
async fn only_direct_members_are_in_scope() {
    let admin = Admin::start(Preset::Rbac).await;
    let mailbox = admin.sandbox.details().mailboxes[0].clone();
    let object_id = admin.sandbox.details().client.unwrap().service_principal_id;
    let group = "smtp-senders";
    admin
        .done(
            "Remove-DistributionGroupMember",
            json!({"Identity": group, "Member": mailbox, "Confirm": false}),
        )
        .await;
    admin
        .done(
            "New-DistributionGroup",
            json!({"Name": "inner", "Members": mailbox}),
        )
        .await;
    admin
        .done(
            "Add-DistributionGroupMember",
            json!({"Identity": group, "Member": "inner"}),
        )
        .await;
    let rows = admin
        .run(
            "Test-ServicePrincipalAuthorization",
            json!({"Identity": object_id, "Resource": mailbox}),
        )
        .await;
    assert_eq!(Admin::objects(&rows)[0]["InScope"], "False");
    let members = admin
        .run("Get-DistributionGroupMember", json!({"Identity": group}))
        .await;
    let nested = Admin::objects(&members)
        .iter()
        .any(|m| m["RecipientTypeDetails"] == "MailUniversalDistributionGroup");
    assert!(nested || members.json()["@odata.nextLink"].is_string());
    admin.sandbox.stop().await;
}

#[tokio::test]
async fn an_unknown_service_principal_answers_all_of_them() {
    let admin = Admin::start(Preset::Rbac).await;
    let client = admin.sandbox.details().client.unwrap();
    let other = json!({"AppId": uuid(1), "ObjectId": uuid(2), "DisplayName": "other"});
    admin.done("New-ServicePrincipal", other.clone()).await;
    for identity in [json!(client.service_principal_id), json!(client.id)] {
        let found = admin
            .run("Get-ServicePrincipal", json!({"Identity": identity}))
            .await;
        let found = Admin::objects(&found);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0]["ObjectId"],
            client.service_principal_id.to_string()
        );
        assert_eq!(found[0]["AppId"], client.id.to_string());
    }
    for identity in [json!(uuid(9)), Value::Null, json!("SMTP sender")] {
        let found = admin
            .run("Get-ServicePrincipal", json!({"Identity": identity}))
            .await;
        assert_eq!(Admin::objects(&found).len(), 2, "{identity}");
    }
    refused(
        &admin.run("New-ServicePrincipal", other).await,
        400,
        "ADObjectAlreadyExistsException",
        "already exists",
    );
    refused(
        &admin
            .run("Remove-ServicePrincipal", json!({"Identity": uuid(9)}))
            .await,
        404,
        "ManagementObjectNotFoundException",
        "couldn't be found",
    );
    let rename = json!({"Identity": uuid(2), "DisplayName": "renamed"});
    admin.done("Set-ServicePrincipal", rename).await;
    let change = json!({"Identity": uuid(2), "AppId": uuid(3)});
    refused(
        &admin.run("Set-ServicePrincipal", change).await,
        400,
        "ParameterBindingException",
        "'AppId'",
    );
    admin
        .done(
            "Remove-ServicePrincipal",
            json!({"Identity": uuid(1), "Confirm": false}),
        )
        .await;
    assert_eq!(admin.sandbox.tenant().exchange.service_principals.len(), 1);
    admin.sandbox.stop().await;
}

pub(crate) fn uuid(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

#[tokio::test]
async fn permissions_are_added_read_and_removed() {
    let admin = Admin::start(Preset::Rbac).await;
    let details = admin.sandbox.details();
    let mailbox = &details.mailboxes[0];
    let who = details.client.unwrap().service_principal_id.to_string();
    let full = json!({"Identity": mailbox, "User": who, "AccessRights": "FullAccess",
        "InheritanceType": "All", "AutoMapping": false});
    let send =
        json!({"Identity": mailbox, "Trustee": who, "AccessRights": ["SendAs"], "Confirm": false});
    for (add, parameters) in [
        ("Add-MailboxPermission", &full),
        ("Add-RecipientPermission", &send),
    ] {
        let first = admin.run(add, parameters.clone()).await;
        assert!(
            Admin::objects(&first).len() == 1 && first.json().get("@adminapi.warnings").is_none()
        );
        let second = admin.run(add, parameters.clone()).await.json();
        assert!(
            second["@adminapi.warnings"][0]
                .as_str()
                .unwrap()
                .contains("already present")
        );
    }
    let set = |mailbox: &str| {
        let tenant = admin.sandbox.tenant();
        let mailbox = &tenant.exchange.mailboxes[mailbox];
        (mailbox.full_access.clone(), mailbox.send_as.clone())
    };
    assert_eq!((set(mailbox).0.len(), set(mailbox).1.len()), (1, 1));
    let held = admin
        .run(
            "Get-MailboxPermission",
            json!({"Identity": mailbox, "User": who}),
        )
        .await;
    assert_eq!(
        Admin::objects(&held)[0]["AccessRights"],
        json!(["FullAccess"])
    );
    let all = admin
        .run("Get-RecipientPermission", json!({"Identity": mailbox}))
        .await;
    assert_eq!(Admin::objects(&all)[0]["Trustee"], "NT AUTHORITY\\SELF");

    let wrong = json!({"Identity": mailbox, "User": who, "AccessRights": "SendAs"});
    refused(
        &admin.run("Add-MailboxPermission", wrong).await,
        400,
        "ParameterBindingException",
        "\"SendAs\"",
    );
    let nobody = json!({"Identity": mailbox, "User": uuid(7), "AccessRights": "FullAccess"});
    refused(
        &admin.run("Add-MailboxPermission", nobody).await,
        404,
        "ManagementObjectNotFoundException",
        &uuid(7),
    );
    // Only what adds a right knows about Outlook's mapping.
    let with_mapping = json!({"Identity": mailbox, "User": who, "AccessRights": "FullAccess",
        "AutoMapping": false});
    refused(
        &admin.run("Remove-MailboxPermission", with_mapping).await,
        400,
        "ParameterBindingException",
        "AutoMapping",
    );
    let less = json!({"Identity": mailbox, "User": who, "AccessRights": "FullAccess"});
    for (remove, parameters) in [
        ("Remove-MailboxPermission", &less),
        ("Remove-RecipientPermission", &send),
    ] {
        assert_eq!(
            admin.run(remove, parameters.clone()).await.status,
            StatusCode::NO_CONTENT
        );
        let again = admin.run(remove, parameters.clone()).await.json();
        assert!(
            again["@adminapi.warnings"][0]
                .as_str()
                .unwrap()
                .contains("doesn't exist")
        );
    }
    assert_eq!((set(mailbox).0.len(), set(mailbox).1.len()), (0, 0));

    // What a removed service principal was given stays, under a name nobody has.
    admin.done("Add-MailboxPermission", full).await;
    admin
        .done("Remove-ServicePrincipal", json!({"Identity": who}))
        .await;
    let left = set(mailbox).0.first().unwrap().clone();
    assert!(left.starts_with("s-1-5-21-"), "{left}");
    let orphan =
        json!({"Identity": mailbox, "User": left.to_uppercase(), "AccessRights": "FullAccess"});
    assert_eq!(
        admin.run("Remove-MailboxPermission", orphan).await.status,
        StatusCode::NO_CONTENT
    );
    admin.sandbox.stop().await;
}

#[tokio::test]
async fn switches_are_read_and_set() {
    let admin = Admin::start(Preset::Fresh).await;
    let mailbox = admin.sandbox.details().mailboxes[0].clone();
    let read = async |cmdlet: &str, parameters: Value| {
        Admin::objects(&admin.run(cmdlet, parameters).await).remove(0)
    };
    let own = json!({"Identity": mailbox});
    let name = "SmtpClientAuthenticationDisabled";
    for value in [json!(true), json!(false), json!("False"), Value::Null] {
        admin
            .done(
                "Set-CASMailbox",
                json!({"Identity": mailbox, (name): value}),
            )
            .await;
        let wanted = if value == "False" {
            json!(false)
        } else {
            value
        };
        assert_eq!(read("Get-CASMailbox", own.clone()).await[name], wanted);
    }
    admin
        .done(
            "Set-TransportConfig",
            json!({(name): false, "AllowLegacyTLSClients": true, "MaxRecipientEnvelopeLimit": 100}),
        )
        .await;
    let transport = read("get-transportconfig", json!({})).await;
    assert_eq!(
        (&transport[name], &transport["AllowLegacyTLSClients"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(transport["MaxRecipientEnvelopeLimit"], "100");
    admin
        .done(
            "Set-OrganizationConfig",
            json!({"SendFromAliasEnabled": true}),
        )
        .await;
    assert_eq!(
        read("Get-OrganizationConfig", json!({})).await["SendFromAliasEnabled"],
        true
    );
    let domain = admin.sandbox.details().tenant.domain;
    let table = json!({"@odata.type": "#Exchange.GenericHashTable", "Add": format!("smtp:second@{domain}")});
    let change = json!({"Identity": mailbox, "EmailAddresses": table, "RecipientLimits": 50,
        "MessageCopyForSMTPClientSubmissionEnabled": false});
    admin.done("Set-Mailbox", change).await;
    let shown = read(
        "Get-Mailbox",
        json!({"Identity": format!("second@{domain}")}),
    )
    .await;
    assert_eq!(shown["PrimarySmtpAddress"], mailbox);
    assert_eq!(shown["RecipientLimits"], "50");
    assert_eq!(shown["MessageCopyForSMTPClientSubmissionEnabled"], false);
    // Nothing is changed by a rehearsal.
    admin
        .done("Set-TransportConfig", json!({(name): true, "WhatIf": true}))
        .await;
    assert_eq!(read("Get-TransportConfig", json!({})).await[name], false);
    for (parameters, said) in [
        (json!({}), "missing mandatory parameters: Identity"),
        (json!({"Identity": mailbox, "Nothing": 1}), "'Nothing'"),
        (json!({"Identity": mailbox, (name): "perhaps"}), "perhaps"),
    ] {
        let answer = admin.run("Set-CASMailbox", parameters).await;
        refused(&answer, 400, "ParameterBindingException", said);
    }
    let nobody = admin
        .run("Get-CASMailbox", json!({"Identity": "nobody@contoso.com"}))
        .await;
    refused(
        &nobody,
        404,
        "ManagementObjectNotFoundException",
        "The operation couldn't be performed because object 'nobody@contoso.com' couldn't be found on '",
    );
    let triple = nobody.json()["error"]["details"][0]["message"].clone();
    assert!(triple.as_str().unwrap().starts_with(
        "Ex6F9304|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|"
    ));
    assert_eq!(nobody.json()["error"]["code"], "NotFound");
    admin.sandbox.stop().await;
}

#[tokio::test]
async fn scopes_and_assignments_hold_together() {
    let admin = Admin::start(Preset::Rbac).await;
    let app = admin.sandbox.details().client.unwrap().id;
    let role = "Application SMTP.SendAsApp";
    for (cmdlet, parameters, status, exception) in [
        (
            "Remove-ManagementScope",
            json!({"Identity": "smtp-senders"}),
            400,
            "ManagementScopeInUseException",
        ),
        (
            "New-ManagementScope",
            json!({"Name": "x", "RecipientRestrictionFilter": "Alias is x"}),
            400,
            "InvalidRecipientFilterException",
        ),
        (
            "New-ManagementScope",
            json!({"Name": "SMTP-senders", "RecipientRestrictionFilter": "Alias -eq 'x'"}),
            400,
            "ADObjectAlreadyExistsException",
        ),
        (
            "New-ManagementRoleAssignment",
            json!({"Role": "Application SMTP.Send", "App": app}),
            404,
            "ManagementObjectNotFoundException",
        ),
        (
            "New-ManagementRoleAssignment",
            json!({"Role": role, "App": uuid(1)}),
            404,
            "ManagementObjectNotFoundException",
        ),
        (
            "New-ManagementRoleAssignment",
            json!({"Role": role, "App": app, "CustomResourceScope": "none"}),
            404,
            "ManagementObjectNotFoundException",
        ),
        (
            "New-ManagementRoleAssignment",
            json!({"Role": role, "App": app, "CustomResourceScope": "a", "RecipientGroupScope": "b"}),
            400,
            "ParameterBindingException",
        ),
        (
            "New-ManagementRoleAssignment",
            json!({"Name": "smtp-sender", "Role": role, "App": app}),
            400,
            "ADObjectAlreadyExistsException",
        ),
        (
            "Enable-OrganizationCustomization",
            json!({}),
            400,
            "InvalidOperationException",
        ),
    ] {
        refused(&admin.run(cmdlet, parameters).await, status, exception, "");
    }
    // Without a name and a scope it is named by itself and reaches everything.
    let wide = admin
        .run(
            "New-ManagementRoleAssignment",
            json!({"Role": role, "App": app}),
        )
        .await;
    let wide = Admin::objects(&wide).remove(0);
    assert_eq!(wide["RecipientWriteScope"], "Organization");
    let held = admin
        .run(
            "Get-ManagementRoleAssignment",
            json!({"RoleAssignee": app, "Role": role}),
        )
        .await;
    assert_eq!(Admin::objects(&held).len(), 2);
    let narrow = json!({"Identity": wide["Name"], "RecipientGroupScope": "smtp-senders"});
    admin.done("Set-ManagementRoleAssignment", narrow).await;
    for name in [wide["Name"].as_str().unwrap(), "smtp-sender"] {
        admin
            .done(
                "Remove-ManagementRoleAssignment",
                json!({"Identity": name, "Confirm": false}),
            )
            .await;
    }
    let filter =
        json!({"Identity": "smtp-senders", "RecipientRestrictionFilter": "Alias -eq 'noreply'"});
    admin.done("Set-ManagementScope", filter).await;
    let scope = admin
        .run("Get-ManagementScope", json!({"Identity": "smtp-senders"}))
        .await;
    assert_eq!(
        Admin::objects(&scope)[0]["RecipientFilter"],
        "Alias -eq 'noreply'"
    );
    admin
        .done(
            "Remove-ManagementScope",
            json!({"Identity": "smtp-senders"}),
        )
        .await;

    admin
        .sandbox
        .patch(&json!({"exchange": {"organization": {"dehydrated": true}}}))
        .unwrap();
    let scope = json!({"Name": "x", "RecipientRestrictionFilter": "Alias -eq 'x'"});
    refused(
        &admin.run("New-ManagementScope", scope.clone()).await,
        400,
        "InvalidOperationInDehydratedContextException",
        "Enable-OrganizationCustomization",
    );
    admin
        .done("Enable-OrganizationCustomization", json!({}))
        .await;
    admin.done("New-ManagementScope", scope).await;
    admin.sandbox.stop().await;
}
