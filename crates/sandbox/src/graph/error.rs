//! The error answers of Microsoft Graph, as a table.
//!
//! Texts marked *observed* stand in recorded answers or reports; nobody recorded the others.

use serde_json::{Value, json};

use crate::entra::failure::Stamp;
use crate::mark::Mark;

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// When it is answered, for the page of behaviours.
    pub(crate) when: &'static str,
    /// HTTP status.
    pub(crate) status: u16,
    /// `error.code`.
    pub(crate) code: &'static str,
    /// `error.message`; `{}` stands for what varies.
    pub(crate) text: &'static str,
    /// Where it comes from.
    pub(crate) mark: Mark,
}

macro_rules! rows {
    ($($name:ident = $status:literal $code:literal $mark:ident $when:literal $text:literal;)*) => {
        $(pub(crate) static $name: Row = Row {
            when: $when, status: $status, code: $code, text: $text, mark: Mark::$mark,
        };)*
        /// Every row, in the order of the page.
        pub(crate) static ROWS: &[&Row] = &[$(&$name),*];
    };
}

rows! {
    TOKEN_MISSING = 401 "InvalidAuthenticationToken" Assumed
        "the request has no token" "Access token is empty.";
    TOKEN_INVALID = 401 "InvalidAuthenticationToken" Assumed
        "the token's signature, tenant or form is wrong" "Access token validation failure.";
    TOKEN_AUDIENCE = 401 "InvalidAuthenticationToken" Assumed
        "the token is for another resource" "Access token validation failure. Invalid audience.";
    TOKEN_EXPIRED = 401 "InvalidAuthenticationToken" Assumed
        "the token has expired" "Lifetime validation failed, the token is expired.";
    DENIED = 403 "Authorization_RequestDenied" Assumed
        "the token has no scope or role for it, or the person no directory role"
        "Insufficient privileges to complete the operation.";
    NOT_FOUND = 404 "Request_ResourceNotFound" Observed
        "an object does not exist, or is not replicated yet"
        "Resource '{}' does not exist or one of its queried reference-property objects are not present.";
    SEGMENT = 400 "BadRequest" Assumed
        "the path names nothing" "Resource not found for the segment '{}'.";
    METHOD = 405 "Request_BadRequest" Assumed
        "the method does not fit the path" "Specified HTTP method is not allowed for the request target.";
    BODY = 400 "BadRequest" Assumed
        "the body is no JSON object"
        "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.";
    PROPERTY = 400 "Request_BadRequest" Assumed
        "a property has no such value" "Invalid value specified for property '{}' of resource '{}'.";
    PROPERTY_UNKNOWN = 400 "Request_BadRequest" Assumed
        "a property does not exist" "Invalid property '{}'.";
    PROPERTY_MISSING = 400 "Request_BadRequest" Assumed
        "a property is missing" "A value is required for property '{}' of resource '{}'.";
    FILTER = 400 "BadRequest" Assumed
        "a `$filter` cannot be read" "Invalid filter clause: {}";
    FILTER_PROPERTY = 400 "Request_UnsupportedQuery" Assumed
        "a `$filter` asks for a property that cannot be filtered by"
        "Unsupported or invalid query filter clause specified for property '{}' of resource '{}'.";
    QUERY = 400 "Request_UnsupportedQuery" Assumed
        "a query option is not supported" "The query option '{}' is not supported here.";
    TOP = 400 "Request_UnsupportedQuery" Assumed
        "`$top` is not a number from 1 to 999" "Invalid page size specified: '{}'. Must be between 1 and 999 inclusive.";
    SKIP_TOKEN = 400 "Request_BadRequest" Assumed
        "a `$skiptoken` was not given by the service" "The specified page token value is invalid.";
    SP_APPLICATION = 400 "Request_BadRequest" Observed
        "a service principal is made for an application that does not exist, or is not replicated yet"
        "The appId '{}' of the service principal does not reference a valid application object.";
    SP_EXISTS = 409 "Request_MultipleObjectsWithSameKeyValue" Assumed
        "a service principal is made twice"
        "The service principal cannot be created, updated, or restored because the service principal name {} is already in use.";
    RESERVED = 400 "Request_BadRequest" Assumed
        "a service principal of Microsoft's is to be deleted or changed"
        "The service principal '{}' belongs to Microsoft and cannot be changed.";
    REFERENCE = 400 "Request_BadRequest" Observed
        "a grant refers to an object that is not replicated yet" "Not a valid reference update";
    ASSIGNMENT_EXISTS = 400 "Request_BadRequest" Observed
        "an application permission is granted twice" "Permission being assigned already exists on the object";
    ROLE_UNKNOWN = 400 "Request_BadRequest" Assumed
        "the resource has no such app role" "Permission being assigned was not found on application '{}'";
    CERTIFICATE = 400 "Request_BadRequest" Observed
        "a key is no certificate" "Invalid credential value. Error: Cannot find the requested object.\r\n";
    KEY_UNKNOWN = 400 "Request_BadRequest" Assumed
        "an entry of `keyCredentials` has neither a key nor the `keyId` of a registered one"
        "Update to existing credential with KeyId '{}' is not allowed.";
    KEY_END = 400 "KeyCredentialsInvalidEndDate" Assumed
        "a key is to be valid for longer than its certificate" "Key credential end date is invalid.";
    NO_CREDENTIAL = 400 "Request_BadRequest" Observed
        "a key or secret to remove is not there" "No credentials found to be removed.";
    SECRET_SET = 400 "Request_BadRequest" Documented
        "a secret is given when an application is made or changed"
        "New password credentials must be generated with service actions.";
    SECRET_DATES = 400 "Request_BadRequest" Assumed
        "a secret ends before it starts" "Password credential start date or end date is invalid.";
    SECRET_FORBIDDEN = 400 "CredentialTypeNotAllowedAsPerAppPolicy" Assumed
        "an app management policy forbids secrets"
        "Credential type not allowed as per assigned policy 'passwordAddition'.";
    SECRET_LIFE = 400 "CredentialInvalidLifetimeAsPerAppPolicy" Assumed
        "a secret would live longer than an app management policy allows"
        "Credential lifetime exceeds the max value allowed as per assigned policy 'passwordLifetime'.";
    PROOF = 401 "Authentication_MissingOrMalformed" Assumed
        "the proof for `addKey` or `removeKey` is not good" "Access Token missing or malformed.";
    ME = 400 "BadRequest" Assumed
        "an application asks for `/me`" "/me request is only valid with delegated authentication flow.";
    EXISTS = 400 "Request_BadRequest" Assumed
        "an object with the same key value exists"
        "A conflicting object with one or more of the specified property values is present in the directory.";
    MEMBER_EXISTS = 400 "Request_BadRequest" Assumed
        "a member is added twice"
        "One or more added object references already exist for the following modified properties: 'members'.";
    MAIL_GROUP = 400 "Request_BadRequest" Assumed
        "a mail-enabled group is to be made or changed, which only Exchange does"
        "Cannot Update a mail-enabled security groups and or distribution list.";
    THROTTLED = 429 "TooManyRequests" Assumed
        "a fault throttles" "Too many requests.";
}

/// One refusal: a row, what varies in its text, and the cause for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphError {
    /// The row.
    pub(crate) row: &'static Row,
    /// The text with its blanks filled.
    pub(crate) text: String,
    /// Why, when the text does not say.
    pub(crate) cause: Option<String>,
}

impl Row {
    /// The refusal of this row with the blanks of its text filled in order.
    pub(crate) fn with(&'static self, blanks: &[&str]) -> GraphError {
        let mut parts = self.text.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (index, part) in parts.enumerate() {
            text.push_str(blanks.get(index).copied().unwrap_or_default());
            text.push_str(part);
        }
        GraphError {
            row: self,
            text,
            cause: None,
        }
    }

    /// The refusal of a text without blanks.
    pub(crate) fn said(&'static self) -> GraphError {
        self.with(&[])
    }
}

impl GraphError {
    /// Adds the cause for the journal.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The body of the answer.
    pub(crate) fn body(&self, stamp: Stamp) -> Value {
        json!({"error": {
            "code": self.row.code,
            "message": self.text,
            "innerError": {
                "date": stamp.at.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                "request-id": stamp.trace_id,
                "client-request-id": stamp.correlation_id,
            },
        }})
    }
}
