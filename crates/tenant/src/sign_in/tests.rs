use std::pin::Pin;
use std::sync::Mutex;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::timer::SystemTimer;

/// An authority that gives these answers, and remembers what it was asked.
#[derive(Clone, Default)]
struct Authority {
    answers: Arc<Mutex<Vec<(u16, &'static str)>>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Transport for Authority {
    fn call(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, HttpError>> + Send + '_>> {
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        self.asked.lock().unwrap().push((request.url, body));
        let (status, body) = self.answers.lock().unwrap().remove(0);
        let answer = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into(),
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

const TOKEN: (u16, &str) = (
    200,
    r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t0ken"}"#,
);

fn sign_in(answers: &[(u16, &'static str)]) -> (SignIn, Authority) {
    let authority = Authority::default();
    authority.answers.lock().unwrap().extend_from_slice(answers);
    let sign_in = SignIn::new(
        &Cloud::global(),
        &Tenant::parse("contoso.com").unwrap(),
        Method::Rbac,
        None,
        Arc::new(authority.clone()),
        Arc::new(SystemTimer),
    );
    (sign_in, authority)
}

fn parameter(url: &str, wanted: &str) -> String {
    let query = url.split_once('?').unwrap().1;
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == wanted)
        .unwrap()
        .1
        .into_owned()
}

async fn visit(address: (&str, u16), target: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
        address.1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_browser_brings_a_code_that_buys_a_token() {
    let (sign_in, authority) = sign_in(&[TOKEN]);
    let browser = sign_in.browser(Service::Graph).await.unwrap();
    let url = browser.url.clone();
    assert!(
        url.starts_with("https://login.microsoftonline.com/contoso.com/oauth2/v2.0/authorize?")
    );
    assert_eq!(parameter(&url, "code_challenge_method"), "S256");
    assert_eq!(parameter(&url, "response_type"), "code");
    let scope = parameter(&url, "scope");
    assert_eq!(scope, "User.Read Application.ReadWrite.All");
    let redirect = parameter(&url, "redirect_uri");
    let port: u16 = redirect
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let state = parameter(&url, "state");
    let verifier = browser.ties.verifier.clone();
    let guest = async {
        assert!(
            visit(("127.0.0.1", port), "/favicon.ico")
                .await
                .starts_with("HTTP/1.1 404")
        );
        assert!(
            visit(("127.0.0.1", port), "/?code=x&state=guess")
                .await
                .starts_with("HTTP/1.1 404")
        );
        visit(("127.0.0.1", port), &format!("/?code=c0de&state={state}")).await
    };
    let (token, page) = tokio::join!(sign_in.finish(browser), guest);
    token.unwrap();
    assert!(
        page.contains("Signed in") && !page.contains("c0de"),
        "{page}"
    );
    let asked = authority.asked.lock().unwrap().clone();
    let (url, body) = &asked[0];
    assert_eq!(
        url,
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
    );
    for (name, value) in [
        ("code", "c0de"),
        ("code_verifier", verifier.as_str()),
        ("redirect_uri", &redirect),
        ("client_id", GRAPH_CLIENT_ID),
    ] {
        assert_eq!(parameter(&format!("?{body}"), name), value);
    }
    // One shot: the port is closed.
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn a_refusal_in_the_browser_is_told() {
    let (sign_in, authority) = sign_in(&[]);
    let browser = sign_in.browser(Service::Exchange).await.unwrap();
    assert_eq!(parameter(&browser.url, "client_id"), EXCHANGE_CLIENT_ID);
    let (port, state) = (browser.listener.port(), parameter(&browser.url, "state"));
    let target = format!("/?error=access_denied&error_description=declined&state={state}");
    let (token, _) = tokio::join!(sign_in.finish(browser), visit(("127.0.0.1", port), &target));
    let error = token.unwrap_err();
    assert!(
        error.to_string().contains("access_denied: declined"),
        "{error}"
    );
    assert_eq!(error.stop().id, "T-SIGN-IN-DECLINED");
    assert!(authority.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_and_the_port_closes() {
    let (sign_in, _) = sign_in(&[]);
    let browser = sign_in.browser(Service::Graph).await.unwrap();
    assert!(matches!(
        sign_in.finish(browser).await,
        Err(SignInError::TooLate { minutes: 5 })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_device_code_is_polled_as_told() {
    let code = (
        200,
        r#"{"device_code":"d","user_code":"ABC","verification_uri":"https://microsoft.com/devicelogin","expires_in":900,"interval":5,"message":"…"}"#,
    );
    let pending = (
        400,
        r#"{"error":"authorization_pending","error_codes":[70016]}"#,
    );
    let slow = (400, r#"{"error":"slow_down"}"#);
    let (sign_in, authority) = sign_in(&[code, pending, slow, TOKEN]);
    let code = sign_in.device_code(Service::Graph).await.unwrap();
    assert_eq!(code.user_code, "ABC");
    assert!(!format!("{code:?}").contains("\"d\""));
    let start = tokio::time::Instant::now();
    sign_in.finish_device(Service::Graph, &code).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 5 + 5 + 10);
    assert_eq!(authority.asked.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_device_code_is_told() {
    let blocked = (
        400,
        r#"{"error":"invalid_grant","error_codes":[53003],"error_description":"AADSTS53003: blocked"}"#,
    );
    let (sign_in, _) = sign_in(&[blocked]);
    let error = sign_in.device_code(Service::Graph).await.unwrap_err();
    assert!(error.to_string().contains("AADSTS53003"), "{error}");
    assert!(error.advice().unwrap().contains("Conditional Access"));
}

#[test]
fn who_said_no_in_the_browser_is_told_by_the_number() {
    for (words, id, advice) in [
        ("access_denied: declined", "T-SIGN-IN-DECLINED", "accept"),
        (
            "access_denied: AADSTS65004: User declined",
            "T-SIGN-IN-DECLINED",
            "accept",
        ),
        (
            "access_denied: AADSTS90094: admin",
            "T-SIGN-IN-CONSENT",
            "an administrator must consent",
        ),
        (
            "consent_required: AADSTS65001: no",
            "T-SIGN-IN-CONSENT",
            "an administrator must consent",
        ),
        (
            "access_denied: AADSTS53003: blocked",
            "T-SIGN-IN-POLICY",
            "Conditional Access",
        ),
        (
            "interaction_required: AADSTS530032: x",
            "T-SIGN-IN-POLICY",
            "Conditional Access",
        ),
        (
            "access_denied: AADSTS530035 x",
            "T-SIGN-IN-POLICY",
            "security defaults",
        ),
        (
            "invalid_request: AADSTS90002: no tenant",
            "S-TENANT-UNKNOWN",
            "Check tenant",
        ),
        ("server_error: odd", "T-REFUSED", "words"),
    ] {
        let stop = said_no(Service::Graph, words.to_owned()).stop();
        assert_eq!(stop.id, id, "{words}");
        assert!(stop.fix.contains(advice), "{words}: {}", stop.fix);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_code_has_its_own_time() {
    let code = (
        200,
        r#"{"device_code":"d","user_code":"A","verification_uri":"https://x.example","expires_in":900,"interval":450}"#,
    );
    let pending = (400, r#"{"error":"authorization_pending"}"#);
    let mut answers = vec![code];
    answers.extend([pending; 15]);
    let (sign_in, _) = sign_in(&answers);
    let code = sign_in.device_code(Service::Graph).await.unwrap();
    let error = sign_in
        .finish_device(Service::Graph, &code)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "nobody signed in within 15 minutes");
}
