//! The pages of a sign-in: plain HTML under a strict policy, which lets one script of one line run:
//! the one that posts an answer on to the client.

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Response, StatusCode, header};

use super::desk::{Mode, Stage};

/// Where the style sheet is.
pub(super) const STYLE_PATH: &str = "/sandbox/sign-in.css";

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:light-dark(#f2f2f2,#1b1b1b)}\
main{width:min(26rem,100% - 2rem);padding:2rem;background:Canvas;border:1px solid GrayText;border-radius:.5rem}\
h1{font-size:1.4rem;margin:.5rem 0 1rem}label{display:block;margin:.75rem 0 .25rem}\
input{box-sizing:border-box;width:100%;font:inherit;padding:.4rem}\
button{font:inherit;padding:.4rem 1.2rem;margin:1rem .5rem 0 0}\
[role=alert]{border-left:.25rem solid #b3261e;padding-left:.75rem}\
small{color:GrayText}ul{padding-left:1.2rem}";

/// Posts the only form of a page; a button does the same where scripts are off.
const POST_ON: &str = "document.forms[0].submit()";

/// A text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A page; `targets` are addresses outside that its forms may lead to.
fn page(status: StatusCode, title: &str, body: &str, targets: &[&str]) -> Response<Body> {
    let title = escaped(title);
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"{STYLE_PATH}\"></head><body><main>\
         <small>Sandbox sign-in: stands in for Microsoft</small><h1>{title}</h1>{body}\
         </main></body></html>"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    // Browsers apply `form-action` to where a form's answer redirects, too.
    let mut policy = String::from(
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    );
    for origin in targets.iter().filter_map(|target| origin(target)) {
        policy.push(' ');
        policy.push_str(&origin);
    }
    guard(&mut response, &policy);
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn guard(response: &mut Response<Body>, policy: &str) {
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store, no-cache"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn origin(address: &str) -> Option<String> {
    let uri: http::Uri = address.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"))?;
    Some(format!("{scheme}://{}", uri.authority()?))
}

/// The style sheet.
pub(super) fn style() -> Response<Body> {
    let mut response = Response::new(Body::from(STYLE));
    guard(&mut response, "default-src 'none'");
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// What a page of a flow shows.
pub(super) struct Shown<'a> {
    /// Where its form goes.
    pub(super) action: String,
    /// The flow's id.
    pub(super) flow: &'a str,
    /// The client's name.
    pub(super) client: &'a str,
    /// The sign-in name, when it is known.
    pub(super) user: Option<&'a str>,
    /// What went wrong before.
    pub(super) error: Option<String>,
    /// Where the flow ends.
    pub(super) target: Option<&'a str>,
    /// Whether an administrator consents for everybody.
    pub(super) for_everybody: bool,
}

impl Shown<'_> {
    fn alert(&self) -> String {
        self.error.as_deref().map_or_else(String::new, |error| {
            format!("<p role=\"alert\" id=\"error\">{}</p>", escaped(error))
        })
    }

    fn form(&self, title: &str, inner: &str) -> Response<Body> {
        let body = format!(
            "{}<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"flow\" value=\"{}\">{inner}</form>",
            self.alert(),
            escaped(&self.action),
            escaped(self.flow),
        );
        let targets: Vec<&str> = self.target.into_iter().collect();
        page(StatusCode::OK, title, &body, &targets)
    }

    /// The page of a stage.
    pub(super) fn at(&self, stage: &Stage) -> Response<Body> {
        let client = escaped(self.client);
        let user = escaped(self.user.unwrap_or_default());
        match stage {
            Stage::Password => self.form(
                "Sign in",
                &format!(
                    "<p>to continue to {client}</p>\
                     <label for=\"loginfmt\">User name</label>\
                     <input id=\"loginfmt\" name=\"loginfmt\" type=\"email\" autocomplete=\"username\" required value=\"{user}\">\
                     <label for=\"passwd\">Password</label>\
                     <input id=\"passwd\" name=\"passwd\" type=\"password\" autocomplete=\"current-password\" required>\
                     <button id=\"idSIButton9\">Sign in</button>\
                     <button name=\"answer\" value=\"cancel\" formnovalidate>Cancel</button>"
                ),
            ),
            Stage::SecondFactor => self.form(
                "Enter code",
                &format!(
                    "<p>{user}: the six digits are in the sandbox's details (<code>admin.mfa_code</code>).</p>\
                     <label for=\"otc\">Code</label>\
                     <input id=\"otc\" name=\"otc\" inputmode=\"numeric\" autocomplete=\"one-time-code\" required>\
                     <button id=\"idSubmit_SAOTCC_Continue\">Verify</button>\
                     <button name=\"answer\" value=\"cancel\" formnovalidate>Cancel</button>"
                ),
            ),
            Stage::Consent(scopes) => {
                let mut items = String::new();
                for scope in scopes {
                    items.push_str("<li>");
                    items.push_str(&escaped(scope));
                    items.push_str("</li>");
                }
                let title = if self.for_everybody {
                    "Permissions requested: review for your organization"
                } else {
                    "Permissions requested"
                };
                self.form(
                    title,
                    &format!(
                        "<p>{user}: <strong>{client}</strong> asks for</p><ul>{items}</ul>\
                         <button id=\"idBtn_Accept\" name=\"answer\" value=\"accept\">Accept</button>\
                         <button id=\"idBtn_Back\" name=\"answer\" value=\"cancel\">Cancel</button>"
                    ),
                )
            }
            Stage::Confirm => self.form(
                &format!("Are you trying to sign in to {}?", self.client),
                &format!(
                    "<p>{user}: only continue if you started this yourself, on another device or in a terminal.</p>\
                     <button id=\"idSIButton9\" name=\"answer\" value=\"accept\">Continue</button>\
                     <button name=\"answer\" value=\"cancel\">Cancel</button>"
                ),
            ),
        }
    }
}

/// The page that asks for a device's code.
pub(super) fn device(error: Option<&str>) -> Response<Body> {
    let alert = error.map_or_else(String::new, |error| {
        format!("<p role=\"alert\" id=\"error\">{}</p>", escaped(error))
    });
    let body = format!(
        "{alert}<form method=\"post\" action=\"/devicelogin\">\
         <label for=\"otc\">Code shown by the application or device</label>\
         <input id=\"otc\" name=\"otc\" autocomplete=\"off\" required>\
         <button id=\"idSIButton9\">Next</button></form>"
    );
    page(StatusCode::OK, "Enter code", &body, &[])
}

/// A page that ends a flow.
pub(super) fn end(title: &str, text: &str) -> Response<Body> {
    let body = format!("<p id=\"end\">{}</p>", escaped(text));
    page(StatusCode::OK, title, &body, &[])
}

/// A page for an error that may not be sent to the client.
pub(super) fn error(text: &str) -> Response<Body> {
    let body = format!("<p role=\"alert\" id=\"error\">{}</p>", escaped(text));
    page(StatusCode::BAD_REQUEST, "Sign-in failed", &body, &[])
}

/// Sends a person back to the client with these parameters.
pub(super) fn back(redirect: &str, mode: Mode, parameters: &[(&str, String)]) -> Response<Body> {
    if mode == Mode::FormPost {
        let mut fields = String::new();
        for (name, value) in parameters {
            fields.push_str("<input type=\"hidden\" name=\"");
            fields.push_str(name);
            fields.push_str("\" value=\"");
            fields.push_str(&escaped(value));
            fields.push_str("\">");
        }
        let body = format!(
            "<form method=\"post\" action=\"{}\">{fields}<button id=\"idSIButton9\">Continue</button></form><script>{POST_ON}</script>",
            escaped(redirect)
        );
        let mut response = page(StatusCode::OK, "Back to the application", &body, &[]);
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'sha256-{}'; base-uri 'none'; frame-ancestors 'none'; form-action {}",
            STANDARD.encode(digest(&SHA256, POST_ON.as_bytes())),
            origin(redirect).unwrap_or_else(|| "'none'".into()),
        );
        guard(&mut response, &policy);
        return response;
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let mark = match mode {
        Mode::Fragment => '#',
        _ if redirect.contains('?') => '&',
        _ => '?',
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    guard(&mut response, "default-src 'none'");
    if let Ok(place) = HeaderValue::from_str(&format!("{redirect}{mark}{}", query.finish())) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_is_escaped() {
        assert_eq!(
            escaped("<b a='1' c=\"2\">&"),
            "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;"
        );
    }

    #[test]
    fn forms_may_lead_to_the_client_only() {
        let shown = Shown {
            action: "/x/login".into(),
            flow: "f",
            client: "<c>",
            user: None,
            error: None,
            target: Some("http://localhost:4711/cb?x"),
            for_everybody: false,
        };
        let response = shown.at(&Stage::Password);
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'"));
        assert!(
            policy.ends_with("form-action 'self' http://localhost:4711"),
            "{policy}"
        );
    }
}
