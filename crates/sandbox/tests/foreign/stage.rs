//! A sandbox, a folder, and the ways to ask it.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sendas_sandbox::{ClientDetails, Details, Options, Preset, Running, Sandbox};
use sendas_testkit::folder::Folder;
use sendas_testkit::process::Program;
use sendas_testkit::tools;
use serde_json::{Value, json};

/// The scope of every token here.
pub(crate) const SCOPE: &str = "https://outlook.office365.com/.default";

/// A running sandbox with a correct set-up of the classic kind, and what is needed to use it.
pub(crate) struct Stage {
    pub(crate) sandbox: Running,
    pub(crate) details: Details,
    pub(crate) client: ClientDetails,
    /// Where a test puts its own files.
    pub(crate) folder: Folder,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let options = Options {
            tenant: Preset::Classic,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let details = sandbox.details();
        let client = details
            .client
            .clone()
            .expect("a classic tenant has an application");
        Self {
            sandbox,
            details,
            client,
            folder: Folder::new(),
        }
    }

    pub(crate) fn ca(&self) -> &str {
        &self.details.ca
    }

    /// The authority with the tenant behind it, as MSAL wants it.
    pub(crate) fn authority(&self) -> String {
        format!("{}/{}", self.details.authority, self.details.tenant.id)
    }

    /// `curl` that trusts the sandbox.
    pub(crate) fn curl(&self) -> Program {
        Program::new(tools::program("curl"))
            .clean_env()
            .args(["--silent", "--show-error", "--max-time", "40", "--cacert"])
            .arg(self.ca())
    }

    /// A script of `clients/` in Python, with `ask` on its standard input.
    pub(crate) fn python(&self, script: &str, ask: &Value) -> Program {
        Program::new(tools::python())
            .clean_env()
            .env("REQUESTS_CA_BUNDLE", self.ca())
            .arg(client(script))
            .stdin(ask.to_string())
    }

    /// A script of `clients/` for Node, with `ask` on its standard input.
    pub(crate) fn node(&self, script: &str, ask: &Value) -> Program {
        Program::new(tools::node())
            .clean_env()
            .env("NODE_EXTRA_CA_CERTS", self.ca())
            .env("NODE_PATH", tools::node_modules())
            .arg(client(script))
            .stdin(ask.to_string())
    }

    /// The token request of Microsoft's documentation, by curl; the secret goes through its
    /// standard input.
    pub(crate) fn token_request(&self, secret: &str) -> Program {
        let scope = form_encoded(SCOPE);
        let client = self.client.id;
        self.curl()
            .args([
                "--request",
                "POST",
                "--header",
                "Content-Type: application/x-www-form-urlencoded",
            ])
            .arg("--data")
            .arg(format!(
                "client_id={client}&scope={scope}&grant_type=client_credentials"
            ))
            .args(["--data-urlencode", "client_secret@-"])
            .arg(format!("{}/oauth2/v2.0/token", self.authority()))
            .stdin(secret)
    }

    /// Makes a certificate, registers it with the application, and gives the file with key and
    /// certificate.
    pub(crate) fn certificate(&self) -> Certificate {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "foreign client");
        let certificate = parameters.self_signed(&key).unwrap();
        let file = self.folder.write(
            "client.pem",
            format!("{}{}", key.serialize_pem(), certificate.pem()),
        );
        let entry =
            json!({ "der": STANDARD.encode(certificate.der()), "ends": "2100-01-01T00:00:00Z" });
        let key_id = "00000000-0000-4000-8000-0000000000ce";
        let application = self.client.application_object_id.to_string();
        let patch =
            json!({ "applications": { application: { "certificates": { key_id: entry } } } });
        self.sandbox.patch(&patch).unwrap();
        let print = |algorithm| {
            let octets = digest::digest(algorithm, certificate.der());
            octets
                .as_ref()
                .iter()
                .map(|octet| format!("{octet:02X}"))
                .collect::<Vec<_>>()
                .concat()
        };
        Certificate {
            file,
            sha1: print(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: print(&digest::SHA256),
        }
    }

    pub(crate) async fn strike(self) {
        self.sandbox.stop().await;
    }
}

/// A certificate that the application knows.
pub(crate) struct Certificate {
    /// Key and certificate, in PEM form.
    pub(crate) file: PathBuf,
    pub(crate) sha1: String,
    pub(crate) sha256: String,
}

/// The claims of a token, unchecked: what a foreign program was given.
pub(crate) fn claims(token: &str) -> Value {
    let part = token
        .trim()
        .split('.')
        .nth(1)
        .expect("a token has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn client(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/foreign/clients")
        .join(script)
}

fn form_encoded(text: &str) -> String {
    let octets = text.bytes().map(|octet| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            (octet as char).to_string()
        }
        octet => format!("%{octet:02X}"),
    });
    octets.collect::<Vec<_>>().concat()
}
