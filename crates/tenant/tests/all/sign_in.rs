//! The administrator's sign-in at the sandbox's pages, with the tokens it brings put to use.

use std::sync::Arc;

use sendas_entra::{HttpClient, Proxy, Tenant};
use sendas_sandbox::{Preset, Running};
use sendas_tenant::trouble::Service;
use sendas_tenant::{
    AdminTokens, CredentialWish, Method, SignIn, SignInError, SystemTimer, Transport,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sandbox::{mailboxes, stage, start};
use crate::stage::{Stage, wish};

/// What a browser sees.
struct Seen {
    head: String,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The value of an attribute after a marker.
    fn after(&self, marker: &str) -> Option<String> {
        let rest = self.body.split_once(marker)?.1;
        Some(rest.split('"').next()?.replace("&amp;", "&"))
    }
}

/// A browser of few words: one request, cookies kept.
struct Browser<'a> {
    stage: &'a Stage,
    cookies: Vec<String>,
}

impl Browser<'_> {
    async fn ask(&mut self, url: &str, form: Option<&[(&str, &str)]>) -> Seen {
        let (scheme, rest) = url.split_once("://").unwrap();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}");
        let body = form.map(|form| {
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(form)
                .finish()
        });
        let cookies = self.cookies.join("; ");
        let request = match &body {
            None => format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n"
            ),
            Some(body) => format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {scheme}://{host}\r\nCookie: {cookies}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ),
        };
        let tcp = TcpStream::connect(host).await.unwrap();
        let mut answer = Vec::new();
        if scheme == "https" {
            let config = self
                .stage
                .cloud
                .tls_policy()
                .unwrap()
                .client_config()
                .unwrap();
            let name = host.split(':').next().unwrap().to_owned();
            let name = rustls_pki_types::ServerName::try_from(name).unwrap();
            let connector = tokio_rustls::TlsConnector::from(config);
            let mut tls = connector.connect(name, tcp).await.unwrap();
            tls.write_all(request.as_bytes()).await.unwrap();
            drop(tls.read_to_end(&mut answer).await);
        } else {
            let mut tcp = tcp;
            tcp.write_all(request.as_bytes()).await.unwrap();
            tcp.read_to_end(&mut answer).await.unwrap();
        }
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let seen = Seen {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        for line in seen.head.lines() {
            if let Some(cookie) = line.strip_prefix("set-cookie: ") {
                self.cookies
                    .push(cookie.split(';').next().unwrap().to_owned());
            }
        }
        seen
    }

    /// Fills one page after the other until the authority sends the browser elsewhere, or is done.
    async fn go(&mut self, sandbox: &Running, mut url: String, agree: bool) -> Seen {
        let admin = sandbox.details().admin;
        let mut seen = self.ask(&url, None).await;
        for _ in 0..8 {
            if let Some(next) = seen.header("location").map(str::to_owned) {
                url = absolute(&next, &url);
                seen = self.ask(&url, None).await;
                continue;
            }
            let (Some(action), Some(flow)) = (
                seen.after("action=\""),
                seen.after("name=\"flow\" value=\""),
            ) else {
                return seen;
            };
            let answer = if agree { "accept" } else { "cancel" };
            let form = [
                ("flow", flow.as_str()),
                ("loginfmt", admin.user.as_str()),
                ("passwd", admin.password.as_str()),
                ("answer", answer),
            ];
            let password = seen.body.contains("passwd");
            let form = if password { &form[..3] } else { &form[..] };
            url = absolute(&action, &url);
            seen = self.ask(&url, Some(form)).await;
        }
        seen
    }
}

fn absolute(link: &str, base: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap();
    format!("{scheme}://{}{link}", rest.split('/').next().unwrap())
}

fn sign_in(sandbox: &Running, stage: &Stage, method: Method) -> SignIn {
    let http = HttpClient::new(stage.cloud.tls_policy().unwrap(), Proxy::none());
    SignIn::new(
        &stage.cloud,
        &Tenant::parse(&sandbox.tenant().domain).unwrap(),
        method,
        None,
        Arc::new(http) as Arc<dyn Transport>,
        Arc::new(SystemTimer),
    )
}

#[tokio::test]
async fn a_sign_in_in_the_browser_sets_a_tenant_up() {
    for method in [Method::Rbac, Method::Classic] {
        let sandbox = start(Preset::Fresh).await;
        let mut stage = stage(&sandbox);
        let sign_in = sign_in(&sandbox, &stage, method);
        let mut tokens = Vec::new();
        for service in [Service::Graph, Service::Exchange] {
            let waiting = sign_in.browser(service).await.unwrap();
            let url = waiting.url.clone();
            let mut browser = Browser {
                stage: &stage,
                cookies: Vec::new(),
            };
            let (token, seen) =
                tokio::join!(sign_in.finish(waiting), browser.go(&sandbox, url, true));
            assert!(
                seen.body.contains("Signed in"),
                "{}\n{}",
                seen.head,
                seen.body
            );
            tokens.push(token.unwrap());
        }
        let exchange = tokens.pop().unwrap();
        stage.tokens = AdminTokens {
            graph: tokens.pop().unwrap(),
            exchange,
        };
        let list = mailboxes(&sandbox);
        let wish = wish(method, &[&list[0]], CredentialWish::Certificate);
        assert!(stage.apply(&wish, None).await.0.lived().plan.is_done());
        stage.undo(None).await.0.lived();
    }
}

#[tokio::test]
async fn consent_that_is_refused_is_told() {
    let sandbox = start(Preset::Fresh).await;
    let stage = stage(&sandbox);
    let sign_in = sign_in(&sandbox, &stage, Method::Rbac);
    let waiting = sign_in.browser(Service::Graph).await.unwrap();
    let url = waiting.url.clone();
    let mut browser = Browser {
        stage: &stage,
        cookies: Vec::new(),
    };
    let (token, _) = tokio::join!(sign_in.finish(waiting), browser.go(&sandbox, url, false));
    match token {
        Err(SignInError::Declined { words, .. }) => {
            assert!(words.starts_with("access_denied"), "{words}");
        }
        other => panic!("{other:?}"),
    }
}
