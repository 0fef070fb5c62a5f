//! The token request as octets: a pure function of what is asked for.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{ClientId, Request};

/// What proves the client in the body of the request.
pub(crate) enum Proof<'a> {
    /// `client_secret`.
    Secret(&'a str),
    /// `client_assertion`: signed by our certificate, or issued by somebody else.
    Assertion(&'a str),
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const AGENT: &str = concat!("sendas/", env!("CARGO_PKG_VERSION"));

/// The client credentials grant (CC-DOC): one resource followed by `/.default`.
pub(crate) fn client_credentials(
    endpoint: &str,
    client_id: &ClientId,
    resource: &str,
    proof: &Proof<'_>,
    request_id: Uuid,
) -> Request {
    let scope = format!("{resource}/.default");
    let mut form = Form::with_capacity(512 + proof.octets() * 3);
    form.pair("client_id", client_id.as_str());
    form.pair("scope", &scope);
    form.pair("grant_type", "client_credentials");
    match proof {
        Proof::Secret(secret) => form.pair("client_secret", secret),
        Proof::Assertion(assertion) => {
            form.pair("client_assertion_type", ASSERTION_TYPE);
            form.pair("client_assertion", assertion);
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(HeaderName::from_static("client-request-id"), id);
    }
    Request {
        method: Method::POST,
        url: endpoint.to_owned(),
        headers,
        body: form.into_body(),
    }
}

/// A GET of a managed identity endpoint: `query` is escaped here.
pub(crate) fn managed_identity(
    endpoint: &str,
    query: &[(&str, &str)],
    headers: HeaderMap,
) -> Request {
    let mut form = Form::with_capacity(256);
    for (name, value) in query {
        form.pair(name, value);
    }
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    Request {
        method: Method::GET,
        url: format!("{endpoint}{joint}{}", form.text.as_str()),
        headers,
        body: Bytes::new(),
    }
}

impl Proof<'_> {
    fn octets(&self) -> usize {
        match self {
            Self::Secret(text) | Self::Assertion(text) => text.len(),
        }
    }
}

/// A form body that is wiped on drop; it never grows, so no copy is left behind.
struct Form {
    text: Zeroizing<String>,
}

impl Form {
    fn with_capacity(octets: usize) -> Self {
        Self {
            text: Zeroizing::new(String::with_capacity(octets)),
        }
    }

    fn pair(&mut self, name: &str, value: &str) {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(name);
        self.text.push('=');
        for piece in form_urlencoded::byte_serialize(value.as_bytes()) {
            self.text.push_str(piece);
        }
    }

    fn into_body(self) -> Bytes {
        struct Wiped(Zeroizing<String>);
        impl AsRef<[u8]> for Wiped {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }
        Bytes::from_owner(Wiped(self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(proof: &Proof<'_>) -> String {
        let request = client_credentials(
            "https://login.example/t/oauth2/v2.0/token",
            &ClientId::parse("11111111-2222-3333-4444-555555555555").unwrap(),
            "https://outlook.office365.com",
            proof,
            Uuid::nil(),
        );
        assert_eq!(request.method, Method::POST);
        assert_eq!(
            request.headers[CONTENT_TYPE],
            "application/x-www-form-urlencoded"
        );
        assert_eq!(
            request.headers["client-request-id"],
            Uuid::nil().to_string()
        );
        String::from_utf8(request.body.to_vec()).unwrap()
    }

    #[test]
    fn a_secret_is_sent_as_the_documentation_shows_it() {
        assert_eq!(
            body(&Proof::Secret("a~b c&d=e+f%\u{e9}")),
            "client_id=11111111-2222-3333-4444-555555555555\
             &scope=https%3A%2F%2Foutlook.office365.com%2F.default\
             &grant_type=client_credentials\
             &client_secret=a%7Eb+c%26d%3De%2Bf%25%C3%A9"
        );
    }

    #[test]
    fn an_assertion_is_sent_with_its_type() {
        let body = body(&Proof::Assertion("aaa.bbb.c_-"));
        assert!(body.ends_with(
            "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion=aaa.bbb.c_-"
        ));
        assert!(!body.contains("client_secret"));
    }

    #[test]
    fn a_managed_identity_query_is_escaped() {
        let query = [("resource", "https://a/b?c"), ("client_id", "x&y")];
        let request = managed_identity("http://localhost:1/msi", &query, HeaderMap::new());
        assert_eq!(
            request.url,
            "http://localhost:1/msi?resource=https%3A%2F%2Fa%2Fb%3Fc&client_id=x%26y"
        );
        let request = managed_identity("http://localhost:1/msi?a=b", &query[..1], HeaderMap::new());
        assert_eq!(
            request.url,
            "http://localhost:1/msi?a=b&resource=https%3A%2F%2Fa%2Fb%3Fc"
        );
    }
}
