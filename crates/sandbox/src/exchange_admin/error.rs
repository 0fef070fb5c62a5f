//! The error answers of the Exchange admin interface, as a table, in the shape that was captured.

use serde_json::{Value, json};

use crate::digest;
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
    /// The exception's type, the second part of the triple.
    pub(crate) exception: &'static str,
    /// The text, the third part; `{}` stands for what varies.
    pub(crate) text: &'static str,
    /// Where it comes from.
    pub(crate) mark: Mark,
}

macro_rules! rows {
    ($($name:ident = $status:literal $code:literal $mark:ident $when:literal $exception:literal $text:literal;)*) => {
        $(pub(crate) static $name: Row = Row {
            when: $when, status: $status, code: $code, exception: $exception, text: $text,
            mark: Mark::$mark,
        };)*
        /// Every row, in the order of the page.
        pub(crate) static ROWS: &[&Row] = &[$(&$name),*];
    };
}

rows! {
    NOT_FOUND = 404 "NotFound" Observed
        "an object named by a parameter does not exist"
        "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException"
        "The operation couldn't be performed because object '{}' couldn't be found on '{}'.";
    DENIED = 403 "Forbidden" Observed
        "the caller's roles do not have the cmdlet, or nobody knows it"
        "Microsoft.Exchange.Configuration.Authorization.CmdletAccessDeniedException"
        "The cmdlet '{}' is not present in the role definition of the current user.";
    APPLICATION_ROLE = 403 "Forbidden" Assumed
        "an application has `Exchange.ManageAsApp` and no directory role"
        "Microsoft.Exchange.Configuration.Authorization.CmdletAccessDeniedException"
        "The role assigned to application {} isn't supported here: assign it a directory role such as Exchange Administrator.";
    PARAMETER_UNKNOWN = 400 "BadRequest" Assumed
        "a cmdlet has no such parameter"
        "System.Management.Automation.ParameterBindingException"
        "A parameter cannot be found that matches parameter name '{}'.";
    PARAMETER_MISSING = 400 "BadRequest" Assumed
        "a mandatory parameter is missing"
        "System.Management.Automation.ParameterBindingException"
        "Cannot process command because of one or more missing mandatory parameters: {}.";
    PARAMETER_VALUE = 400 "BadRequest" Assumed
        "a parameter cannot be converted to its type, for example `SendAs` for `Add-MailboxPermission`"
        "System.Management.Automation.ParameterBindingException"
        "Cannot process argument transformation on parameter '{}'. Cannot convert value \"{}\" to type \"{}\".";
    PARAMETER_SET = 400 "BadRequest" Assumed
        "parameters exclude each other"
        "System.Management.Automation.ParameterBindingException"
        "Parameter set cannot be resolved using the specified named parameters: {}.";
    EXISTS = 400 "BadRequest" Observed
        "an object of the name or id is there already"
        "Microsoft.Exchange.Data.Directory.ADObjectAlreadyExistsException"
        "The object '{}' already exists.";
    MEMBER_EXISTS = 400 "BadRequest" Assumed
        "a member is added to a group twice"
        "Microsoft.Exchange.Management.Tasks.MemberAlreadyExistsException"
        "The recipient \"{}\" is already a member of the group \"{}\".";
    MEMBER_MISSING = 400 "BadRequest" Assumed
        "a member that is none is removed from a group"
        "Microsoft.Exchange.Management.Tasks.MemberNotFoundException"
        "The recipient \"{}\" isn't a member of the group \"{}\".";
    SCOPE_IN_USE = 400 "BadRequest" Assumed
        "a scope is removed that a role assignment uses"
        "Microsoft.Exchange.Configuration.Tasks.ManagementScopeInUseException"
        "The management scope '{}' can't be removed because the role assignment '{}' uses it.";
    FILTER = 400 "BadRequest" Assumed
        "a recipient filter cannot be read"
        "Microsoft.Exchange.Data.Directory.InvalidRecipientFilterException"
        "The recipient filter \"{}\" isn't valid: {}.";
    DEHYDRATED = 400 "BadRequest" Documented
        "scopes or role assignments are made in an organisation that was never customised"
        "Microsoft.Exchange.Configuration.Tasks.InvalidOperationInDehydratedContextException"
        "The command you tried to run isn't currently allowed in your organization. To run this command, you first need to run the command: Enable-OrganizationCustomization.";
    HYDRATED = 400 "BadRequest" Assumed
        "`Enable-OrganizationCustomization` runs twice"
        "Microsoft.Exchange.Configuration.Tasks.InvalidOperationException"
        "This operation is not available for the organization: it is already enabled for customization.";
    PERMISSIONS_MAX = 400 "BadRequest" Documented
        "a mailbox has 500 permission entries"
        "Microsoft.Exchange.Configuration.Tasks.RecipientTaskException"
        "The mailbox '{}' can't have more than 500 permission entries.";
    REQUEST = 400 "BadRequest" Assumed
        "the body is not `{\"CmdletInput\":{\"CmdletName\":…,\"Parameters\":{…}}}`"
        "Microsoft.Exchange.Admin.OData.Core.ODataServiceException"
        "The request isn't valid: {}.";
    BATCH = 400 "BadRequest" Observed
        "a batch has more than ten requests"
        "Microsoft.Exchange.Admin.OData.Core.ODataServiceException"
        "A batch can't have more than {} requests.";
    TENANT = 404 "NotFound" Assumed
        "the path names another tenant than the token"
        "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException"
        "The organization '{}' couldn't be found.";
    THROTTLED = 429 "TooManyRequests" Observed
        "a fault throttles"
        "Microsoft.Exchange.Configuration.Tasks.ThrottlingException"
        "You have reached the maximum number of concurrent requests per tenant. Please wait and try again";
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CmdletError {
    /// The row.
    pub(crate) row: &'static Row,
    /// The text with its blanks filled.
    pub(crate) text: String,
}

impl Row {
    /// The refusal of this row with the blanks of its text filled in order.
    pub(crate) fn with(&'static self, blanks: &[&str]) -> CmdletError {
        let mut parts = self.text.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (index, part) in parts.enumerate() {
            text.push_str(blanks.get(index).copied().unwrap_or_default());
            text.push_str(part);
        }
        CmdletError { row: self, text }
    }

    // The first part of the triple: one value was captured, the others are made like it.
    fn hash(&self) -> String {
        if *self == NOT_FOUND {
            return "Ex6F9304".into();
        }
        let digest = digest::sha256_hex(self.exception);
        format!("Ex{}", digest[..6].to_uppercase())
    }

    /// The exception's bare name (`X-ExceptionType`).
    pub(crate) fn exception_name(&self) -> &'static str {
        self.exception.rsplit('.').next().unwrap_or(self.exception)
    }
}

impl CmdletError {
    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        const SAID: &str = "Error executing cmdlet";
        let triple = format!("{}|{}|{}", self.row.hash(), self.row.exception, self.text);
        json!({"error": {
            "code": self.row.code,
            "message": SAID,
            "details": [{ "code": "Context", "target": "", "message": triple }],
            "innererror": {
                "message": SAID,
                "type": "Microsoft.Exchange.Admin.OData.Core.ODataServiceException",
                "internalexception": {
                    "message": self.text,
                    "type": self.row.exception,
                },
            },
        }})
    }
}

/// An object that a parameter names and that does not exist.
pub(crate) fn not_found(identity: &str) -> CmdletError {
    NOT_FOUND.with(&[identity, "AM0PR01A001DC01.EURPR01A001.PROD.OUTLOOK.COM"])
}
