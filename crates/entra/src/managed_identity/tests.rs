use super::*;

const RESOURCE: &str = "https://outlook.office365.com";

fn detect(pairs: &[(&str, &str)]) -> Result<ManagedIdentity, ManagedIdentityError> {
    ManagedIdentity::detect(&pairs.iter().copied().collect(), IdentityName::System)
}

#[test]
fn the_kind_of_machine_is_told_by_its_variables() {
    type Variables = &'static [(&'static str, &'static str)];
    let cases: [(Variables, &str); 6] = [
        (&[], "Imds(http://169.254.169.254)"),
        (
            &[("IMDS_ENDPOINT", "http://127.0.0.1:8080/")],
            "Imds(http://127.0.0.1:8080)",
        ),
        (
            &[
                ("IDENTITY_ENDPOINT", "http://127.0.0.1:41/msi/token"),
                ("IDENTITY_HEADER", "h"),
            ],
            "AppService(http://127.0.0.1:41/msi/token)",
        ),
        (
            &[
                ("IDENTITY_ENDPOINT", "http://169.254.129.2:8081/msi"),
                ("IDENTITY_HEADER", "h"),
            ],
            "AppService(http://169.254.129.2:8081/msi)",
        ),
        (
            &[
                ("MSI_ENDPOINT", "http://localhost:46808/MSI"),
                ("MSI_SECRET", "s"),
            ],
            "MachineLearning(http://localhost:46808/MSI)",
        ),
        (
            &[
                ("IDENTITY_ENDPOINT", "http://localhost:40342/x"),
                ("IMDS_ENDPOINT", "http://localhost:40342"),
            ],
            "Arc(http://localhost:40342/x)",
        ),
    ];
    for (variables, kind) in cases {
        assert_eq!(format!("{:?}", detect(variables).unwrap().host()), kind);
    }
}

#[test]
fn unsupported_and_foreign_endpoints_are_refused() {
    let fabric = detect(&[
        ("IDENTITY_ENDPOINT", "https://localhost:2377"),
        ("IDENTITY_HEADER", "h"),
        ("IDENTITY_SERVER_THUMBPRINT", "AB"),
    ]);
    assert!(matches!(
        fabric,
        Err(ManagedIdentityError::Unsupported {
            host: "Service Fabric",
            ..
        })
    ));
    let shell = detect(&[("MSI_ENDPOINT", "http://localhost:50342/oauth2/token")]);
    assert!(matches!(
        shell,
        Err(ManagedIdentityError::Unsupported {
            host: "Cloud Shell",
            ..
        })
    ));
    for endpoint in [
        "http://evil.example/",
        "https://127.0.0.1/",
        "http://127.0.0.1@evil.example/",
        "http://10.0.0.1/",
        "http://localhost.evil.example/",
        "ftp://localhost/",
        "localhost",
        "http://user@localhost/",
    ] {
        let result = detect(&[("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", "h")]);
        assert!(
            matches!(result, Err(ManagedIdentityError::NotLocal { .. })),
            "{endpoint}"
        );
    }
}

#[test]
fn requests_follow_the_table_of_the_fact_sheet() {
    let id = ClientId::parse("11111111-2222-3333-4444-555555555555").unwrap();
    let header = Secret::from_bytes(b"h-CANARY-SECRET".to_vec()).unwrap();
    let imds = IdentityHost::Imds {
        origin: IMDS_ORIGIN.to_owned(),
    };
    let app = IdentityHost::AppService {
        endpoint: "http://127.0.0.1:1/msi".into(),
        header: header.clone(),
    };
    let ml = IdentityHost::MachineLearning {
        endpoint: "http://127.0.0.1:1/msi".into(),
        secret: header,
    };
    let r = "resource=https%3A%2F%2Foutlook.office365.com";
    let cases = [
        (
            imds.clone(),
            IdentityName::System,
            format!(
                "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&{r}"
            ),
            ("metadata", "true"),
        ),
        (
            imds.clone(),
            IdentityName::ClientId(id.clone()),
            format!(
                "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&{r}\
                 &client_id=11111111-2222-3333-4444-555555555555"
            ),
            ("metadata", "true"),
        ),
        (
            imds,
            IdentityName::ResourceId("/subscriptions/x".into()),
            format!(
                "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&{r}\
                 &msi_res_id=%2Fsubscriptions%2Fx"
            ),
            ("metadata", "true"),
        ),
        (
            app.clone(),
            IdentityName::ResourceId("/subscriptions/x".into()),
            format!(
                "http://127.0.0.1:1/msi?api-version=2019-08-01&{r}&mi_res_id=%2Fsubscriptions%2Fx"
            ),
            ("x-identity-header", "h-CANARY-SECRET"),
        ),
        (
            app,
            IdentityName::ObjectId("o".into()),
            format!("http://127.0.0.1:1/msi?api-version=2019-08-01&{r}&object_id=o"),
            ("x-identity-header", "h-CANARY-SECRET"),
        ),
        (
            ml,
            IdentityName::ClientId(id),
            format!(
                "http://127.0.0.1:1/msi?api-version=2017-09-01&{r}\
                 &clientid=11111111-2222-3333-4444-555555555555"
            ),
            ("secret", "h-CANARY-SECRET"),
        ),
    ];
    for (host, name, url, (key, value)) in cases {
        let identity = ManagedIdentity::new(host, name);
        let request = identity.request(RESOURCE).unwrap();
        assert_eq!(request.url, url);
        assert_eq!(request.headers[key], value);
        assert!(!format!("{identity:?}{request:?}").contains("CANARY-SECRET"));
    }
}

#[test]
fn arc_reads_only_key_files_of_the_agents_folder() {
    let allowed = Path::new("/var/opt/azcmagent/tokens");
    let ask = |challenge: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(
            http::header::WWW_AUTHENTICATE,
            HeaderValue::from_str(challenge).unwrap(),
        );
        arc_key_file(401, &headers, allowed)
    };
    assert_eq!(
        ask("Basic realm=/var/opt/azcmagent/tokens/a.key").unwrap(),
        Path::new("/var/opt/azcmagent/tokens/a.key")
    );
    for outside in [
        "/etc/shadow",
        "/var/opt/azcmagent/tokens/../../../../etc/x.key",
        "/var/opt/azcmagent/tokens/sub/a.key",
        "/var/opt/azcmagent/tokens/a.txt",
        "/var/opt/azcmagent/tokens",
        "a.key",
        "",
        "/var/opt/azcmagent/tokens/./../a.key",
        "/var/opt/azcmagent/tokens2/a.key",
    ] {
        let result = ask(&format!("Basic realm={outside}"));
        assert!(
            matches!(result, Err(ManagedIdentityError::KeyOutside { .. })),
            "{outside}"
        );
    }
    assert!(matches!(
        ask("Bearer x"),
        Err(ManagedIdentityError::NoChallenge { status: 401 })
    ));
    assert!(matches!(
        arc_key_file(401, &HeaderMap::new(), allowed),
        Err(ManagedIdentityError::NoChallenge { .. })
    ));
    let value = arc_answer(b"CANARY-SECRET\n").unwrap();
    assert_eq!(value, "Basic CANARY-SECRET");
    assert!(!format!("{value:?}").contains("CANARY-SECRET"));
}

#[test]
fn arc_has_no_user_assigned_identity() {
    let environment: Environment = [("IDENTITY_ENDPOINT", "http://localhost:40342/x")]
        .into_iter()
        .collect();
    let name = IdentityName::ObjectId("o".into());
    assert!(matches!(
        ManagedIdentity::detect(&environment, name),
        Err(ManagedIdentityError::ArcSystemOnly)
    ));
}
