//! The error answers of the token endpoint, as a table.
//!
//! Texts marked *observed* are the recorded ones word by word; the others say the same thing in
//! words of our own, since nobody recorded them. Clients must go by the numbers.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::mark::Mark;

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The AADSTS number.
    pub(crate) code: u32,
    /// HTTP status.
    pub(crate) status: u16,
    /// The OAuth error (RFC 6749 §5.2).
    pub(crate) error: &'static str,
    /// The text; `{}` stands for what varies.
    pub(crate) text: &'static str,
    /// Whether the answer has `error_uri`.
    pub(crate) uri: bool,
    /// Where text, status and error come from.
    pub(crate) mark: Mark,
}

macro_rules! rows {
    ($($name:ident = $code:literal $status:literal $error:literal $uri:literal $mark:ident $text:literal;)*) => {
        $(pub(crate) static $name: Row = Row {
            code: $code, status: $status, error: $error, text: $text, uri: $uri, mark: Mark::$mark,
        };)*
        /// Every row, in the order of the page.
        pub(crate) static ROWS: &[&Row] = &[$(&$name),*];
    };
}

rows! {
    GRANT_UNSUPPORTED = 70003 400 "unsupported_grant_type" false Observed
        "The app requested an unsupported grant type '{}'.";
    CLIENT_ID_INVALID = 700_038 400 "unauthorized_client" false Observed
        "{} is not a valid application identifier.";
    SECRET_WRONG = 7_000_215 401 "invalid_client" true Observed
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{}'.";
    RESOURCE_UNKNOWN = 500_011 400 "invalid_resource" true Observed
        "The resource principal named {} was not found in the tenant named {}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.";
    SECRET_EXPIRED = 7_000_222 401 "invalid_client" true Assumed
        "The provided client secret keys for app '{}' are expired. Create new keys for the app, or use certificate credentials instead.";
    CLIENT_UNKNOWN = 700_016 400 "unauthorized_client" true Assumed
        "Application with identifier '{}' was not found in the directory '{}'. It may not be installed by the administrator of the tenant, or the request may have gone to the wrong tenant.";
    PRINCIPAL_MISSING = 7_000_229 400 "unauthorized_client" true Observed
        "The client application {} is missing service principal in the tenant {}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119";
    CREDENTIAL_MISSING = 7_000_218 401 "invalid_client" true Assumed
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
    CLIENT_PUBLIC = 700_025 400 "invalid_client" true Assumed
        "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
    ASSERTION_KEY = 700_027 401 "invalid_client" true Assumed
        "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - {}, Thumbprint of key used by client: '{}']";
    ASSERTION_TIME = 700_024 401 "invalid_client" true Observed
        "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of assertion {}.";
    ASSERTION_SUBJECT_NAME = 700_030 401 "invalid_client" true Assumed
        "Invalid certificate - subject name in certificate is not authorized for app '{}'.";
    ASSERTION_INVALID = 50013 400 "invalid_client" true Assumed
        "Assertion failed validation: {}.";
    ASSERTION_ISSUER = 50012 400 "invalid_client" true Assumed
        "Assertion issuer or subject '{}' is not the client '{}'.";
    ASSIGNMENT_MISSING = 501_051 400 "invalid_grant" true Assumed
        "Application '{}' is not assigned to a role for the application '{}'.";
    SCOPE_INVALID = 70011 400 "invalid_scope" true Assumed
        "The provided value for the input parameter 'scope' is not valid. The scope '{}' is not valid.";
    SCOPE_NOT_DEFAULT = 1_002_012 400 "invalid_scope" true Observed
        "The provided value for scope {} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.";
    SCOPE_TWO_RESOURCES = 700_022 400 "invalid_grant" true Assumed
        "The provided value for the input parameter 'scope' is not valid because it contains more than one resource. Scope: '{}'.";
    TENANT_UNKNOWN = 90002 400 "invalid_request" true Observed
        "Tenant '{}' not found. This may happen if there are no active subscriptions for the tenant.";
    TENANT_MALFORMED = 900_023 400 "invalid_request" true Assumed
        "Specified tenant identifier '{}' is neither a valid DNS name, nor a valid external domain.";
    TENANT_OTHER_CLOUD = 900_382 400 "invalid_request" true Assumed
        "Confidential client is not supported in cross-cloud request: tenant '{}' belongs to the cloud '{}'.";
    PARAMETER_MISSING = 900_144 400 "invalid_request" true Assumed
        "The request body must contain the following parameter: '{}'.";
    REQUEST_MALFORMED = 9_002_313 400 "invalid_request" true Assumed
        "Invalid request. Request is malformed or invalid.";
    METHOD = 900_561 400 "invalid_request" true Assumed
        "The endpoint only accepts POST requests. Received a {} request.";
    COMMON_SINGLE_TENANT = 50194 400 "unauthorized_client" true Assumed
        "Application '{}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps. Use a tenant-specific endpoint or configure the application to be multi-tenant.";
    COMMON_GRANT = 9_001_023 400 "invalid_request" true Assumed
        "The grant type is not supported over the /common or /consumers endpoints. Use the /organizations or tenant-specific endpoint.";
    CONDITIONAL_ACCESS = 53003 400 "invalid_grant" true Assumed
        "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.";
    CLIENT_DISABLED = 7_000_112 400 "unauthorized_client" true Assumed
        "Application '{}' ({}) is disabled.";
    FEDERATED_ISSUER = 700_211 401 "invalid_client" true Assumed
        "No matching federated identity record found for presented assertion issuer '{}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.";
    FEDERATED_AUDIENCE = 700_212 401 "invalid_client" true Assumed
        "No matching federated identity record found for presented assertion audience '{}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.";
    FEDERATED_SUBJECT = 700_213 401 "invalid_client" true Observed
        "No matching federated identity record found for presented assertion subject '{}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.";
    FEDERATED_CASE = 7_002_138 401 "invalid_client" true Assumed
        "No matching federated identity record found for presented assertion subject '{}': the subject matches except for upper and lower case, and matching is case sensitive.";
    FEDERATED_USER_TOKEN = 700_229 400 "invalid_client" true Assumed
        "The {} token is not an app-only token; only app-only tokens can be used as federated identity credentials.";
    REDIRECT = 50011 400 "invalid_request" true Assumed
        "The redirect URI '{}' specified in the request does not match the redirect URIs configured for the application '{}'. Make sure the redirect URI sent in the request matches one added to your application.";
    RESPONSE_TYPE = 700_054 400 "unsupported_response_type" true Assumed
        "The response_type '{}' is not enabled for the application.";
    RESPONSE_MODE = 702_001 400 "invalid_request" true Assumed
        "The response_mode '{}' is not supported for this request.";
    PKCE_MISSING = 9_002_325 400 "invalid_request" true Assumed
        "Proof Key for Code Exchange (code_challenge with method S256) is required for public clients.";
    LOGIN_REQUIRED = 50058 400 "login_required" true Assumed
        "A silent sign-in request was sent but no user is signed in.";
    CONSENT_REQUIRED = 65001 400 "invalid_grant" true Assumed
        "The user or administrator has not consented to use the application with ID '{}' named '{}'. Send an interactive authorization request for this user and resource.";
    CONSENT_FIRST_PARTY = 65002 400 "invalid_request" true Assumed
        "Consent between first party application '{}' and first party resource '{}' must be configured via preauthorization.";
    CONSENT_DECLINED = 65004 400 "access_denied" true Assumed
        "User declined to consent to access the app.";
    CONSENT_ADMIN = 90094 400 "access_denied" true Assumed
        "Administrator consent is required for the permissions this application asks for.";
    PASSWORD_WRONG = 50126 400 "invalid_grant" true Assumed
        "Error validating credentials due to invalid username or password.";
    MFA_WRONG = 500_121 400 "invalid_grant" true Assumed
        "Authentication failed during the strong authentication request.";
    SCOPE_RESOURCES = 28000 400 "invalid_request" true Assumed
        "The provided value for the input parameter 'scope' is not valid because it contains more than one resource: '{}'.";
    SCOPE_UNKNOWN = 650_053 400 "invalid_client" true Assumed
        "The application '{}' asked for scope '{}' that doesn't exist on the resource '{}'.";
    CODE_INVALID = 70000 400 "invalid_grant" true Assumed
        "The provided value for the input parameter '{}' is not valid, or was issued to another client.";
    CODE_EXPIRED = 70008 400 "invalid_grant" true Assumed
        "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.";
    CODE_REDEEMED = 54005 400 "invalid_grant" true Assumed
        "OAuth2 authorization code was already redeemed. Retry with a new valid code or use an existing refresh token.";
    VERIFIER_WRONG = 501_481 400 "invalid_grant" true Assumed
        "The code_verifier does not match the code_challenge supplied in the authorization request.";
    REVOKED = 50173 400 "invalid_grant" true Assumed
        "The provided grant has expired because it was revoked: a fresh sign-in is needed.";
    DEVICE_PENDING = 70016 400 "authorization_pending" true Documented
        "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
    DEVICE_SLOW = 70017 400 "slow_down" true Assumed
        "The device code was polled more often than its interval says.";
    DEVICE_UNKNOWN = 70018 400 "bad_verification_code" true Documented
        "The device code was not recognised, or was redeemed already.";
    DEVICE_EXPIRED = 70020 400 "expired_token" true Documented
        "The provided value for the input parameter 'device_code' is not valid. This device code has expired.";
    DEVICE_DECLINED = 70021 400 "authorization_declined" true Documented
        "The user declined the device's sign-in.";
    INSTANCE_UNKNOWN = 50049 400 "invalid_instance" false Observed
        "Unknown or invalid instance.";
}

/// One refusal: a row and what varies in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The row.
    pub(crate) row: &'static Row,
    /// The text with its blanks filled.
    pub(crate) text: String,
}

impl Row {
    /// The failure of this row with the blanks of its text filled in order.
    pub(crate) fn with(&'static self, blanks: &[&str]) -> Failure {
        let mut parts = self.text.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (index, part) in parts.enumerate() {
            text.push_str(blanks.get(index).copied().unwrap_or_default());
            text.push_str(part);
        }
        Failure { row: self, text }
    }
}

/// What is different in every answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) trace_id: Uuid,
    pub(crate) correlation_id: Uuid,
    pub(crate) at: Timestamp,
}

impl Failure {
    /// The text with number, ids and time, as `error_description` holds it.
    pub(crate) fn description(&self, stamp: Stamp) -> String {
        let body = error_body(self.row.code, self.row.error, &self.text, stamp);
        body["error_description"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The body of the answer.
    pub(crate) fn body(&self, stamp: Stamp) -> Value {
        let mut body = error_body(self.row.code, self.row.error, &self.text, stamp);
        if self.row.uri {
            body["error_uri"] = error_uri(self.row.code).into();
        }
        if *self.row == CONDITIONAL_ACCESS {
            body["suberror"] = "message_only".into();
            body["claims"] = format!(
                r#"{{"access_token":{{"capolids":{{"essential":true,"values":["{}"]}}}}}}"#,
                stamp.trace_id
            )
            .into();
        }
        body
    }
}

/// The members every error answer has, in the recorded order and layout.
pub(crate) fn error_body(code: u32, error: &str, text: &str, stamp: Stamp) -> Value {
    let Stamp {
        trace_id,
        correlation_id,
        at,
    } = stamp;
    let timestamp = at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    json!({
        "error": error,
        "error_description": format!(
            "AADSTS{code}: {text} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        ),
        "error_codes": [code],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
    })
}

fn error_uri(code: u32) -> String {
    format!("https://login.microsoftonline.com/error?code={code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_in_the_table() {
        let mut codes: Vec<u32> = ROWS.iter().map(|row| row.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ROWS.len());
    }

    #[test]
    fn blanks_are_filled_in_order() {
        let failure = CLIENT_UNKNOWN.with(&["a", "b"]);
        assert!(
            failure
                .text
                .starts_with("Application with identifier 'a' was not")
        );
        assert!(failure.text.contains("directory 'b'."));
    }
}
