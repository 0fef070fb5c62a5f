//! Every error answer of the token endpoint, by its cause.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sendas_sandbox::{Preset, Running};
use serde_json::{Value, json};

use crate::entra::{SCOPE, ask, start, token_url};
use crate::https::{Answer, Https};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const OTHER: &str = "11111111-2222-3333-4444-555555555555";

fn said(answer: &Answer) -> (u16, u64, String) {
    let body = answer.json();
    let code = body["error_codes"][0].as_u64().unwrap_or_default();
    let error = body["error"].as_str().unwrap_or_default().to_owned();
    let text = body["error_description"].as_str().unwrap_or_default();
    if code > 0 {
        assert!(text.starts_with(&format!("AADSTS{code}: ")), "{text}");
        for member in ["timestamp", "trace_id", "correlation_id"] {
            assert!(
                text.contains(body[member].as_str().unwrap()),
                "{member}: {text}"
            );
        }
    }
    (answer.status.as_u16(), code, error)
}

struct Ids {
    client: String,
    application: String,
    principal: String,
    exchange: String,
    key: String,
}

fn ids(sandbox: &Running) -> Ids {
    let client = sandbox.details().client.unwrap();
    let tenant = sandbox.tenant();
    let exchange = tenant
        .service_principals
        .iter()
        .find(|(_, p)| p.names.iter().any(|n| n == "https://outlook.office365.com"))
        .unwrap();
    let key = tenant.applications[&client.application_object_id]
        .secrets
        .keys()
        .next()
        .unwrap();
    Ids {
        client: client.id.to_string(),
        application: client.application_object_id.to_string(),
        principal: client.service_principal_id.to_string(),
        exchange: exchange.0.to_string(),
        key: key.to_string(),
    }
}

type Case = (
    u64,
    u16,
    &'static str,
    fn(&Ids) -> Value,
    &'static [(&'static str, &'static str)],
);

/// Code, status, error, change to the tenant, change to the request (empty removes).
const CASES: &[Case] = &[
    (
        7_000_215,
        401,
        "invalid_client",
        |_| json!({}),
        &[("client_secret", "wrong")],
    ),
    (
        7_000_218,
        401,
        "invalid_client",
        |_| json!({}),
        &[("client_secret", "")],
    ),
    (
        700_016,
        400,
        "unauthorized_client",
        |_| json!({}),
        &[("client_id", OTHER)],
    ),
    (
        700_016,
        400,
        "unauthorized_client",
        |_| json!({}),
        &[("client_id", "no-guid")],
    ),
    (
        700_038,
        400,
        "unauthorized_client",
        |_| json!({}),
        &[("client_id", "00000000-0000-0000-0000-000000000000")],
    ),
    (
        900_144,
        400,
        "invalid_request",
        |_| json!({}),
        &[("client_id", "")],
    ),
    (
        900_144,
        400,
        "invalid_request",
        |_| json!({}),
        &[("scope", "")],
    ),
    (
        900_144,
        400,
        "invalid_request",
        |_| json!({}),
        &[("grant_type", "")],
    ),
    (
        70003,
        400,
        "unsupported_grant_type",
        |_| json!({}),
        &[("grant_type", "nothing")],
    ),
    (
        1_002_012,
        400,
        "invalid_scope",
        |_| json!({}),
        &[("scope", "https://outlook.office365.com/SMTP.Send")],
    ),
    (
        70011,
        400,
        "invalid_scope",
        |_| json!({}),
        &[("scope", "/.default")],
    ),
    (
        70011,
        400,
        "invalid_scope",
        |_| json!({}),
        &[(
            "scope",
            "https://outlook.office365.com/.default offline_access",
        )],
    ),
    (
        700_022,
        400,
        "invalid_grant",
        |_| json!({}),
        &[(
            "scope",
            "https://outlook.office365.com/.default https://graph.microsoft.com/.default",
        )],
    ),
    (
        500_011,
        400,
        "invalid_resource",
        |_| json!({}),
        &[("scope", "https://outlok.office365.com/.default")],
    ),
    (
        500_011,
        400,
        "invalid_resource",
        |n| json!({"service_principals":{(&n.exchange):null}}),
        &[],
    ),
    (
        7_000_222,
        401,
        "invalid_client",
        |n| json!({"applications":{(&n.application):{"secrets":{(&n.key):{"ends":"2020-01-01T00:00:00Z"}}}}}),
        &[],
    ),
    (
        7_000_229,
        400,
        "unauthorized_client",
        |n| json!({"service_principals":{(&n.principal):null}}),
        &[],
    ),
    (
        700_025,
        400,
        "invalid_client",
        |n| json!({"applications":{(&n.application):{"public_client":true}}}),
        &[],
    ),
    (
        7_000_112,
        400,
        "unauthorized_client",
        |n| json!({"service_principals":{(&n.principal):{"enabled":false}}}),
        &[],
    ),
    (
        501_051,
        400,
        "invalid_grant",
        |n| json!({"service_principals":{(&n.exchange):{"assignment_required":true}}}),
        &[],
    ),
    (
        53003,
        400,
        "invalid_grant",
        |n| json!({"policies":{"blocked_service_principals":[n.principal]}}),
        &[],
    ),
    (
        9_002_313,
        400,
        "invalid_request",
        |_| json!({}),
        &[("client_assertion", "both")],
    ),
];

#[tokio::test]
async fn each_cause_has_its_number() {
    for (code, status, error, change, request) in CASES {
        let (sandbox, https) = start(Preset::Rbac).await;
        sandbox
            .patch(&change(&ids(&sandbox)))
            .unwrap_or_else(|e| panic!("{code}: {e}"));
        let answer = ask(&sandbox, &https, request).await;
        assert_eq!(
            said(&answer),
            (*status, *code, (*error).to_owned()),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn conditional_access_names_its_policy() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let principal = ids(&sandbox).principal;
    sandbox
        .patch(&json!({"policies":{"blocked_service_principals":[principal]}}))
        .unwrap();
    let body = ask(&sandbox, &https, &[]).await.json();
    assert!(
        body["claims"].as_str().unwrap().contains("capolids"),
        "{body}"
    );
    assert_eq!(body["suberror"], "message_only");
}

#[tokio::test]
async fn tenants_in_the_path() {
    let (sandbox, https) = start(Preset::Rbac).await;
    sandbox
        .patch(&json!({"policies":{"other_clouds":{"fabrikam.us":"government"}}}))
        .unwrap();
    let details = sandbox.details();
    let client = details.client.unwrap();
    let id = client.id.to_string();
    let parameters = [
        ("client_id", id.as_str()),
        ("client_secret", client.secret.as_str()),
        ("scope", SCOPE),
        ("grant_type", "client_credentials"),
    ];
    for (tenant, code) in [
        (details.tenant.domain.as_str(), 0),
        (OTHER, 90002),
        ("nowhere.example", 90002),
        ("not a tenant", 900_023),
        ("fabrikam.us", 900_382),
        ("common", 50194),
        ("organizations", 9_001_023),
        ("consumers", 9_001_023),
    ] {
        let tenant = tenant.replace(' ', "%20");
        let url = format!("{}/{tenant}/oauth2/v2.0/token", details.authority);
        let answer = https.form(&url, &parameters).await;
        assert_eq!(said(&answer).1, code, "{tenant}");
    }
    let application = client.application_object_id.to_string();
    let multi = json!({"applications":{(application):{"sign_in_audience":"AzureADMultipleOrgs"}}});
    sandbox.patch(&multi).unwrap();
    let url = format!("{}/common/oauth2/v2.0/token", details.authority);
    assert_eq!(said(&https.form(&url, &parameters).await).1, 9_001_023);
}

#[tokio::test]
async fn what_is_no_form_and_what_is_no_post() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let url = token_url(&sandbox);
    let answer = https.get(&url).await;
    assert_eq!(said(&answer), (400, 900_561, "invalid_request".into()));
    for (kind, body) in [
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded", "scope=a&scope=b"),
    ] {
        let request = Request::post(&url)
            .header("content-type", kind)
            .header("client-request-id", OTHER)
            .body(Full::from(Bytes::from(body)))
            .unwrap();
        let answer = https.send(request).await;
        assert_eq!(
            said(&answer),
            (400, 9_002_313, "invalid_request".into()),
            "{kind}"
        );
        assert_eq!(answer.json()["correlation_id"], OTHER);
    }
}

#[tokio::test]
async fn a_new_secret_is_not_valid_at_once() {
    let (sandbox, https) = start(Preset::Rbac).await;
    let application = ids(&sandbox).application;
    sandbox
        .patch(&json!({"propagation_s":{"credential":10}}))
        .unwrap();
    sandbox
        .patch(&json!({"applications":{(application):{"secrets":{(OTHER):
            {"value":"a-new-secret","ends":"2040-01-01T00:00:00Z"}}}}}))
        .unwrap();
    let new = [("client_secret", "a-new-secret")];
    assert_eq!(said(&ask(&sandbox, &https, &new).await).1, 7_000_215);
    sandbox.advance(std::time::Duration::from_secs(11));
    assert_eq!(said(&ask(&sandbox, &https, &new).await).0, 200);
}

pub(crate) struct Signer {
    pair: RsaKeyPair,
    der: Vec<u8>,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = pair.as_der().unwrap();
        let signer = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
            &pkcs8.as_ref().into(),
            &rcgen::PKCS_RSA_SHA256,
        )
        .unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let der = params.self_signed(&signer).unwrap().der().to_vec();
        Self { pair, der }
    }

    pub(crate) fn sign(
        &self,
        encoding: &'static dyn RsaEncoding,
        header: &Value,
        claims: &Value,
    ) -> String {
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.pair
            .sign(encoding, &random, text.as_bytes(), &mut signature)
            .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn thumbprint(&self, algorithm: &'static aws_lc_rs::digest::Algorithm) -> String {
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(algorithm, &self.der))
    }

    fn ps256(&self, claims: &Value) -> String {
        let thumbprint = self.thumbprint(&aws_lc_rs::digest::SHA256);
        let header = json!({"alg":"PS256","typ":"JWT","x5t#S256":thumbprint});
        self.sign(&RSA_PSS_SHA256, &header, claims)
    }

    fn rs256(&self, claims: &Value) -> String {
        let thumbprint = self.thumbprint(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
        let header = json!({"alg":"RS256","typ":"JWT","x5t":thumbprint});
        self.sign(&RSA_PKCS1_SHA256, &header, claims)
    }

    pub(crate) fn jwk(&self) -> Value {
        let (_, certificate) = x509_parser::parse_x509_certificate(&self.der).unwrap();
        let x509_parser::public_key::PublicKey::RSA(key) =
            certificate.public_key().parsed().unwrap()
        else {
            panic!(
                "an RSA key of {} octets",
                self.pair.public_key().as_ref().len()
            )
        };
        json!({"kty":"RSA","kid":"k1","n":URL_SAFE_NO_PAD.encode(&key.modulus[1..]),
            "e":URL_SAFE_NO_PAD.encode(key.exponent)})
    }
}

pub(crate) async fn assert_with(
    sandbox: &Running,
    https: &Https,
    assertion: &str,
) -> (u16, u64, String) {
    let changed = [
        ("client_secret", ""),
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion),
    ];
    said(&ask(sandbox, https, &changed).await)
}

#[tokio::test]
async fn certificate_assertions() {
    let (sandbox, https) = start(Preset::Classic).await;
    let (own, stranger) = (Signer::new(), Signer::new());
    let names = ids(&sandbox);
    let certificate = json!({"der":STANDARD.encode(&own.der),"ends":"2040-01-01T00:00:00Z"});
    let change =
        json!({"applications":{(&names.application):{"certificates":{(OTHER):certificate}}}});
    sandbox.patch(&change).unwrap();
    let now = sandbox.now().as_second();
    let url = token_url(&sandbox);
    let claims = |change: Value| {
        let mut claims = json!({"aud":url,"iss":names.client,"sub":names.client,"jti":OTHER,
            "nbf":now,"exp":now + 600});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let good = claims(json!({}));
    assert_eq!(
        assert_with(&sandbox, &https, &own.ps256(&good)).await.0,
        200
    );
    assert_eq!(
        assert_with(&sandbox, &https, &own.rs256(&good)).await.0,
        200
    );
    let real = format!(
        "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
        sandbox.details().tenant.id
    );
    let elsewhere = claims(json!({"aud":real}));
    assert_eq!(
        assert_with(&sandbox, &https, &own.ps256(&elsewhere))
            .await
            .0,
        200
    );

    let mut forged = own.ps256(&good);
    forged.truncate(forged.len() - 8);
    forged.push_str("AAAAAAAA");
    let chained = {
        let thumbprint = stranger.thumbprint(&aws_lc_rs::digest::SHA256);
        let header = json!({"alg":"PS256","x5t#S256":thumbprint,"x5c":["AA"]});
        stranger.sign(&RSA_PSS_SHA256, &header, &good)
    };
    for (name, assertion, code, status) in [
        ("unregistered", stranger.ps256(&good), 700_027, 401),
        ("forged", forged, 700_027, 401),
        ("a chain", chained, 700_030, 401),
        (
            "old",
            own.ps256(&claims(json!({"nbf":now - 2000,"exp":now - 1400}))),
            700_024,
            401,
        ),
        (
            "early",
            own.ps256(&claims(json!({"nbf":now + 2000,"exp":now + 2600}))),
            700_024,
            401,
        ),
        (
            "no end",
            own.ps256(&claims(json!({"exp":null}))),
            700_024,
            401,
        ),
        (
            "audience",
            own.ps256(&claims(json!({"aud":"https://elsewhere.example/"}))),
            50013,
            400,
        ),
        (
            "subject",
            own.ps256(&claims(json!({"sub":OTHER}))),
            50012,
            400,
        ),
        ("no token", "nonsense".into(), 50013, 400),
    ] {
        let (found, number, _) = assert_with(&sandbox, &https, &assertion).await;
        assert_eq!((number, found), (code, status), "{name}");
    }
    let expired = json!({"applications":{(&names.application):{"certificates":{(OTHER):
        {"ends":"2020-01-01T00:00:00Z"}}}}});
    sandbox.patch(&expired).unwrap();
    assert_eq!(
        assert_with(&sandbox, &https, &own.ps256(&good)).await.1,
        700_027
    );
}

#[tokio::test]
async fn federated_assertions() {
    let (sandbox, https) = start(Preset::Classic).await;
    let (issuer, stranger) = (Signer::new(), Signer::new());
    let names = ids(&sandbox);
    let url = "https://issuer.example";
    sandbox
        .patch(&json!({
            "issuers":{(url):{"jwks":{"keys":[issuer.jwk()]}}},
            "applications":{(&names.application):{"federated":{(OTHER):
                {"name":"k8s","issuer":url,"subject":"system:serviceaccount:mail:Relay"}}}}
        }))
        .unwrap();
    let now = sandbox.now().as_second();
    let sign = |signer: &Signer, change: Value| {
        let mut claims = json!({"iss":url,"sub":"system:serviceaccount:mail:Relay",
            "aud":["api://AzureADTokenExchange"],"iat":now,"exp":now + 3600});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        signer.sign(
            &RSA_PKCS1_SHA256,
            &json!({"alg":"RS256","kid":"k1"}),
            &claims,
        )
    };
    assert_eq!(
        assert_with(&sandbox, &https, &sign(&issuer, json!({})))
            .await
            .0,
        200
    );
    for (name, assertion, code, status) in [
        (
            "issuer",
            sign(&issuer, json!({"iss":"https://other.example"})),
            700_211,
            401,
        ),
        (
            "audience",
            sign(&issuer, json!({"aud":"api://else"})),
            700_212,
            401,
        ),
        (
            "subject",
            sign(&issuer, json!({"sub":"system:serviceaccount:mail:other"})),
            700_213,
            401,
        ),
        (
            "case",
            sign(&issuer, json!({"sub":"system:serviceaccount:mail:relay"})),
            7_002_138,
            401,
        ),
        (
            "a person's",
            sign(&issuer, json!({"upn":"x@y.example"})),
            700_229,
            400,
        ),
        ("signature", sign(&stranger, json!({})), 50013, 400),
        (
            "old",
            sign(&issuer, json!({"exp":now - 3600})),
            700_024,
            401,
        ),
    ] {
        let (found, number, _) = assert_with(&sandbox, &https, &assertion).await;
        assert_eq!((number, found), (code, status), "{name}");
    }
    let answer = ask(
        &sandbox,
        &https,
        &[
            ("client_secret", ""),
            ("client_assertion_type", TYPE),
            ("client_assertion", &sign(&issuer, json!({}))),
        ],
    )
    .await
    .json();
    let (_, claims) = crate::entra::claims(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["appidacr"], "2");
}
