//! Configurations that are right, and what they mean.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must fail"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use sendas_config::{
    Cloud, Coverage, Credential, Listen, ListenTls, Loaded, Method, RewriteFrom, Search,
    SecretPlace, Spool, load,
};

const CONTOSO: &str = r#"
[[principal]]
name = "contoso"
tenant = "contoso.onmicrosoft.com"
client_id = "11111111-2222-3333-4444-555555555555"
credential = { certificate = "/etc/sendas/contoso.pem" }
cloud = "global"
mailboxes = ["noreply@contoso.com", "*@billing.contoso.com"]

[relay]
spool = "sqlite:///var/lib/sendas/spool.db"
listen = [
  { address = "127.0.0.1:2525", tls = "none" },
  { address = "[::]:587", tls = "starttls" },
  { address = "[::]:465", tls = "implicit" },
]
admin = "127.0.0.1:8025"

[[relay.client]]
name = "hp-floor-2"
networks = ["10.1.2.3/32"]
senders = ["printer@contoso.com"]
rewrite_from = "if-not-allowed"
"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn read(folder: &Path, variables: &[(&str, &str)]) -> Loaded {
    load(&Search {
        option: None,
        variable: None,
        usual: vec![folder.join("none.toml"), folder.join("sendas.toml")],
        variables: variables
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
    })
    .unwrap()
}

#[test]
fn the_whole_file() {
    let folder = folder(&[("sendas.toml", CONTOSO)]);
    let loaded = read(folder.path(), &[]);
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.files, [folder.path().join("sendas.toml")]);
    assert_eq!(loaded.missing, [folder.path().join("none.toml")]);
    let settings = loaded.settings;
    let [principal] = settings.principals.as_slice() else {
        panic!()
    };
    assert_eq!(principal.tenant.as_deref(), Some("contoso.onmicrosoft.com"));
    assert_eq!(principal.cloud, Cloud::Named("global".to_owned()));
    assert_eq!(
        principal.credential,
        Credential::Certificate {
            path: "/etc/sendas/contoso.pem".into(),
            password: None
        }
    );
    assert_eq!(
        settings.coverage("x@billing.contoso.com"),
        Some(Coverage {
            principal: 0,
            mailbox: "x@billing.contoso.com".to_owned()
        })
    );
    assert_eq!(settings.coverage("x@contoso.com"), None);
    assert_eq!(settings.network.connect_timeout, Duration::from_secs(30));
    assert_eq!(settings.send.message_size_octets_max, 157_286_400);
    let relay = settings.relay.unwrap();
    assert_eq!(
        relay.spool,
        Spool::Sqlite("/var/lib/sendas/spool.db".into())
    );
    assert_eq!(relay.listen.len(), 3);
    let last = Listen {
        address: "[::]:465".parse().unwrap(),
        tls: ListenTls::Implicit,
    };
    assert_eq!(relay.listen[2], last);
    assert_eq!(relay.clients[0].rewrite_from, RewriteFrom::IfNotAllowed);
    assert!(relay.clients[0].networks[0].contains("10.1.2.3".parse().unwrap()));
}

#[test]
fn every_credential() {
    let table = [
        (
            r#"{ secret = { file = "s" } }"#,
            Credential::Secret(SecretPlace::File(PathBuf::from("FOLDER/s"))),
        ),
        (
            r#"{ secret = { systemd = "s" } }"#,
            Credential::Secret(SecretPlace::Systemd("s".to_owned())),
        ),
        (
            r#"{ secret = { env = "S" } }"#,
            Credential::Secret(SecretPlace::Variable("S".to_owned())),
        ),
        (
            r#"{ federated = { file = "/t" } }"#,
            Credential::Federated {
                path: PathBuf::from("/t"),
            },
        ),
        (
            "{ managed_identity = {} }",
            Credential::ManagedIdentity { client_id: None },
        ),
        (
            r#"{ managed_identity = { client_id = "11111111-2222-3333-4444-555555555555" } }"#,
            Credential::ManagedIdentity {
                client_id: Some("11111111-2222-3333-4444-555555555555".to_owned()),
            },
        ),
        (
            r#"{ certificate = "c.pfx", password = { file = "p" } }"#,
            Credential::Certificate {
                path: PathBuf::from("FOLDER/c.pfx"),
                password: Some(SecretPlace::File(PathBuf::from("FOLDER/p"))),
            },
        ),
    ];
    for (text, expected) in table {
        let file = CONTOSO.replace(r#"{ certificate = "/etc/sendas/contoso.pem" }"#, text);
        let folder = folder(&[("sendas.toml", &file)]);
        let found = &read(folder.path(), &[]).settings.principals[0].credential;
        let found = format!("{found:?}").replace(folder.path().to_str().unwrap(), "FOLDER");
        assert_eq!(found, format!("{expected:?}"), "{text}");
    }
}

#[test]
fn a_managed_identity_needs_no_ids_and_one_principal_covers_every_sender() {
    let text = "[[principal]]\ncredential = { managed_identity = {} }\n";
    let folder = folder(&[("sendas.toml", text)]);
    let settings = read(folder.path(), &[]).settings;
    assert_eq!(settings.principals[0].name, "managed-identity");
    assert_eq!(settings.principals[0].tenant, None);
    assert!(settings.coverage("anybody@anywhere.example").is_some());
    assert!(settings.relay.is_none());
}

#[test]
fn aliases_go_through_their_mailbox() {
    let text = CONTOSO.replace(
        r#"["noreply@contoso.com", "*@billing.contoso.com"]"#,
        r#"["noreply@contoso.com", { address = "*@devices.contoso.com", mailbox = "noreply@contoso.com" }]"#,
    );
    let folder = folder(&[("sendas.toml", &text)]);
    let settings = read(folder.path(), &[]).settings;
    assert_eq!(
        settings
            .coverage("hp2@devices.contoso.com")
            .unwrap()
            .mailbox,
        "noreply@contoso.com"
    );
}

#[test]
fn conf_d_joins_by_name_and_the_environment_goes_over_all() {
    let folder = folder(&[
        ("sendas.toml", CONTOSO),
        (
            "conf.d/20-second.toml",
            "[[principal]]\nname = \"contoso\"\nmethod = \"classic\"\ncredential = { secret = { file = \"s\" } }\n",
        ),
        (
            "conf.d/10-first.toml",
            "[[principal]]\nname = \"contoso\"\nmethod = \"rbac\"\n[network]\nehlo = \"a.example\"\n",
        ),
        ("conf.d/ignored.txt", "not toml"),
    ]);
    let variables = [
        (
            "SENDAS_PRINCIPAL_0_MAILBOXES",
            "a@contoso.com, *@b.contoso.com",
        ),
        ("SENDAS_PRINCIPAL_0_CLOUD_FILE", "cloud.toml"),
        ("SENDAS_RELAY_LISTEN_0_ADDRESS", "127.0.0.1:25"),
        ("SENDAS_CONFIG", "ignored here"),
        ("SENDAS_SERVICE_HOST", "10.0.0.1"),
        ("SENDAS_PORT_587_TCP", "tcp://10.0.0.1:587"),
        ("AZURE_TENANT_ID", "other.example"),
    ];
    let loaded = read(folder.path(), &variables);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let principal = &loaded.settings.principals[0];
    assert_eq!(loaded.settings.principals.len(), 1);
    assert_eq!(principal.method, Some(Method::Classic));
    assert!(matches!(principal.credential, Credential::Secret(_)));
    assert_eq!(principal.cloud, Cloud::File("cloud.toml".into()));
    assert_eq!(principal.mailboxes.len(), 2);
    assert_eq!(loaded.settings.network.ehlo.as_deref(), Some("a.example"));
    let relay = loaded.settings.relay.unwrap();
    assert_eq!(relay.listen[0].address, "127.0.0.1:25".parse().unwrap());
    assert_eq!(relay.listen.len(), 3);

    let root = folder.path().to_str().unwrap();
    let shown: Vec<String> = loaded
        .shown
        .iter()
        .map(|shown| {
            format!("{} = {} # {}", shown.path, shown.value, shown.origin).replace(root, "")
        })
        .collect();
    for expected in [
        "principal[0].tenant = \"contoso.onmicrosoft.com\" # /sendas.toml:4",
        "principal[0].method = \"classic\" # /conf.d/20-second.toml:3",
        "principal[0].cloud.file = \"cloud.toml\" # SENDAS_PRINCIPAL_0_CLOUD_FILE",
        "principal[0].mailboxes = [\"a@contoso.com\", \"*@b.contoso.com\"] # SENDAS_PRINCIPAL_0_MAILBOXES",
        "network.ehlo = \"a.example\" # /conf.d/10-first.toml:5",
        "network.connect_timeout = \"30s\" # default",
        "send.message_size_max = \"150 MiB\" # default",
        "relay.listen[0].address = \"127.0.0.1:25\" # SENDAS_RELAY_LISTEN_0_ADDRESS",
        "relay.client[0].rewrite_from = \"if-not-allowed\" # /sendas.toml:23",
    ] {
        assert!(
            shown.iter().any(|line| line == expected),
            "{expected}\n{}",
            shown.join("\n")
        );
    }
}

#[test]
fn the_environment_alone_is_enough() {
    let folder = folder(&[]);
    let loaded = read(
        folder.path(),
        &[
            ("SENDAS_PRINCIPAL_0_TENANT", "contoso.onmicrosoft.com"),
            (
                "SENDAS_PRINCIPAL_0_CLIENT_ID",
                "11111111-2222-3333-4444-555555555555",
            ),
            ("SENDAS_PRINCIPAL_0_CREDENTIAL_SECRET_ENV", "MY_SECRET"),
            (
                "SENDAS_PRINCIPAL_0_MAILBOXES",
                "[\"a@b.example\", { address = \"c@b.example\", mailbox = \"a@b.example\" }]",
            ),
        ],
    );
    assert_eq!(loaded.files, Vec::<PathBuf>::new());
    assert_eq!(
        loaded.settings.coverage("C@b.example").unwrap().mailbox,
        "a@b.example"
    );
}

#[test]
fn the_azure_variables_alone_are_enough() {
    let ids = [
        ("AZURE_TENANT_ID", "contoso.onmicrosoft.com"),
        ("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
    ];
    let folder = folder(&[]);
    let certificate = Credential::Certificate {
        path: "c.pfx".into(),
        password: Some(SecretPlace::Variable(
            "AZURE_CLIENT_CERTIFICATE_PASSWORD".to_owned(),
        )),
    };
    let secret = ("AZURE_CLIENT_SECRET", "Abc8QCANARY-SECRET");
    let path = ("AZURE_CLIENT_CERTIFICATE_PATH", "c.pfx");
    let password = ("AZURE_CLIENT_CERTIFICATE_PASSWORD", "pw-CANARY-SECRET");
    let token = ("AZURE_FEDERATED_TOKEN_FILE", "/t");
    let by_variable = Credential::Secret(SecretPlace::Variable("AZURE_CLIENT_SECRET".to_owned()));
    for (variables, expected) in [
        (vec![secret, path, password, token], by_variable),
        (vec![path, password, token], certificate),
        (vec![token], Credential::Federated { path: "/t".into() }),
    ] {
        let host = ("AZURE_AUTHORITY_HOST", "https://login.example/");
        let all: Vec<_> = ids.into_iter().chain(variables).chain([host]).collect();
        let loaded = read(folder.path(), &all);
        let principal = &loaded.settings.principals[0];
        assert_eq!(principal.name, "azure");
        assert_eq!(principal.credential, expected);
        assert_eq!(
            principal.cloud,
            Cloud::Authority("https://login.example/".to_owned())
        );
        assert!(loaded.settings.coverage("a@b.example").is_some());
        let shown = format!("{:?}", loaded.shown);
        assert!(shown.contains("https://login.example/") && shown.contains("AZURE_CLIENT_ID"));
        assert!(!shown.contains("CANARY-SECRET"), "{shown}");
    }
}

#[test]
fn nothing_at_all_is_no_mistake_here() {
    let folder = folder(&[]);
    let loaded = read(folder.path(), &[]);
    assert!(loaded.settings.principals.is_empty());
    assert_eq!(loaded.missing.len(), 2);
}
