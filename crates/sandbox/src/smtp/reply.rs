//! The replies of SMTP submission, as a table.
//!
//! `{}` stands for what varies. `…TAIL` rows end in the front end's tail
//! `[host time session]`, `…HOST` rows in the mailbox server's `[Hostname=…]`.

use sendas_smtp::Reply;

use crate::mark::Mark;

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The code.
    pub(crate) code: u16,
    /// What stands in brackets at the end.
    pub(crate) end: End,
    /// When it is given.
    pub(crate) when: &'static str,
    /// The text.
    pub(crate) text: &'static str,
    /// Where it comes from.
    pub(crate) mark: Mark,
}

/// What stands in brackets at the end of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing.
    Bare,
    /// The front end, the time and the session.
    Tail,
    /// The mailbox server.
    Host,
}

macro_rules! rows {
    ($($name:ident = $code:literal $end:ident $mark:ident $when:literal $text:literal;)*) => {
        $(pub(crate) static $name: Row = Row {
            code: $code, end: End::$end, when: $when, text: $text, mark: Mark::$mark,
        };)*
        /// Every row, in the order of the page.
        pub(crate) static ROWS: &[&Row] = &[$(&$name),*];
    };
}

rows! {
    GREETING = 220 Bare Observed "a connection is accepted"
        "{} Microsoft ESMTP MAIL Service ready at {} [{}]";
    TLS_TOO_OLD = 421 Bare Observed "`behaviour.tls_too_old` is set"
        "4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. Visit https://aka.ms/smtp_auth_tls";
    HELO = 250 Bare Observed "HELO: no extensions, so no AUTH" "{} Hello [{}]";
    STARTTLS = 220 Bare Observed "STARTTLS" "2.0.0 SMTP server ready";
    HELLO_MISSING = 503 Tail Observed "a command before EHLO, also after STARTTLS"
        "5.5.2 Send hello first";
    AUTH_GIVEN = 235 Bare Documented "AUTH XOAUTH2 succeeds" "2.7.0 Authentication successful";
    AUTH_CHALLENGE = 334 Bare Documented "AUTH XOAUTH2 without an initial response" "";
    AUTH_USER = 334 Bare Observed "AUTH LOGIN asks for the user" "VXNlcm5hbWU6";
    AUTH_PASSWORD = 334 Bare Observed "AUTH LOGIN asks for the password" "UGFzc3dvcmQ6";
    AUTH_FAILED = 535 Tail Documented
        "AUTH: any fault of token, service principal, mailbox or permission; also `*`"
        "5.7.3 Authentication unsuccessful";
    AUTH_OFF_TENANT = 535 Tail Observed
        "AUTH: the organisation's switch is off and the mailbox has no value of its own"
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.";
    AUTH_OFF_MAILBOX = 535 Tail Observed "AUTH: the mailbox's own switch is off"
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.";
    BASIC_DISABLED = 535 Tail Observed "AUTH LOGIN, `behaviour.basic_auth` = `disabled`"
        "5.7.139 Authentication unsuccessful, basic authentication is disabled.";
    BASIC_RETIRED = 550 Bare Documented "AUTH LOGIN, `behaviour.basic_auth` = `retired`"
        "5.7.30 Basic authentication is not supported for Client Submission.";
    BASIC_INCORRECT = 535 Tail Observed "AUTH LOGIN, `behaviour.basic_auth` = `incorrect`"
        "5.7.139 Authentication unsuccessful, the user credentials were incorrect.";
    BASIC_SECURITY_DEFAULTS = 535 Tail Observed
        "AUTH LOGIN, `behaviour.basic_auth` = `security-defaults`"
        "5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.";
    BASIC_POLICY = 535 Tail Observed "AUTH LOGIN, `behaviour.basic_auth` = `policy`"
        "5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.";
    AUTH_TYPE = 504 Tail Observed "AUTH before TLS, or a mechanism that is not offered"
        "5.7.4 Unrecognized authentication type";
    AUTH_AGAIN = 503 Tail Assumed "AUTH after AUTH, or inside a transaction"
        "5.5.2 Already authenticated";
    NOT_AUTHENTICATED = 530 Tail Observed "MAIL FROM without AUTH"
        "5.7.57 Client not authenticated to send mail.";
    MAIL_TAKEN = 250 Bare Observed "MAIL FROM" "2.1.0 Sender OK";
    RCPT_TAKEN = 250 Bare Assumed "RCPT TO" "2.1.5 Recipient OK";
    DATA_GO = 354 Bare Observed "DATA" "Start mail input; end with <CRLF>.<CRLF>";
    CHUNK_TAKEN = 250 Bare Assumed "BDAT, not the last" "2.6.0 {} octets received";
    MESSAGE_TAKEN = 250 Host Observed "the end of an accepted message, by DATA or BDAT"
        "2.0.0 OK {}";
    RESET = 250 Bare Assumed "RSET" "2.0.0 Resetting";
    NOOP = 250 Bare Assumed "NOOP" "2.0.0 OK";
    HELP = 214 Bare Assumed "HELP"
        "This server supports the following commands:\nHELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH BDAT";
    VERIFY = 252 Bare Assumed "VRFY or EXPN" "2.1.5 Cannot VRFY user";
    QUIT = 221 Bare Assumed "QUIT" "2.0.0 Service closing transmission channel";
    IDLE = 421 Tail Assumed "nothing is heard for five minutes" "4.4.2 Connection timed out";
    COMMAND_UNKNOWN = 500 Tail Observed "an unknown verb" "5.3.3 Unrecognized command '{}'";
    LINE_TOO_LONG = 500 Tail Assumed "a line beyond the limit" "5.3.3 Line too long";
    LINE_END = 500 Tail Assumed "a command with a bare CR, LF or NUL; the connection closes"
        "5.3.3 Unrecognized command ''";
    INJECTED = 501 Tail Assumed "octets behind STARTTLS; the connection closes"
        "5.5.4 Command injected after STARTTLS";
    ARGUMENTS = 501 Bare Assumed "arguments or parameters that cannot be read"
        "5.5.4 Invalid arguments";
    ADDRESS = 501 Bare Observed "an address that cannot be read" "5.1.3 Invalid address";
    TLS_AGAIN = 503 Tail Assumed "STARTTLS inside TLS" "5.5.2 Only one STARTTLS is allowed";
    MAIL_AGAIN = 503 Bare Assumed "MAIL inside a transaction" "5.5.2 Sender already specified";
    MAIL_MISSING = 503 Bare Assumed "RCPT, DATA or BDAT without MAIL" "5.5.2 Need mail command";
    RCPT_MISSING = 503 Bare Assumed "DATA or BDAT without a recipient" "5.5.2 Need rcpt command";
    CHUNK_ORDER = 503 Bare Assumed "DATA or RCPT between chunks, or a chunk after a refused one"
        "5.5.2 Bad sequence of commands";
    TOO_MANY_RECIPIENTS = 452 Bare Assumed
        "more recipients than the mailbox or organisation allows in one message"
        "4.5.3 Too many recipients";
    TOO_MANY_OF_DOMAIN = 452 Bare Documented "more than 200 recipients of one domain"
        "4.5.3 Too many recipients";
    TOO_LARGE = 552 Bare Assumed "SIZE or the message is larger than the service takes"
        "5.3.4 Message size exceeds fixed maximum message size";
    TOO_LARGE_MAILBOX = 552 Bare Assumed "the message is larger than the mailbox may send"
        "5.3.4 Message exceeds the maximum send size of the mailbox";
    RATE = 421 Tail Assumed "MAIL FROM past 30 messages in a minute, `behaviour.message_rate` = `refuse`"
        "4.4.2 Message submission rate for this client has exceeded the configured limit";
    SEND_AS_DENIED = 554 Host Observed
        "end of data: the mailbox of the AUTH may not send as the From address"
        "5.2.252 SendAsDenied; {} not allowed to send as {}; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message [BeginDiagnosticData]Cannot submit message. 0.35250:0A000000[EndDiagnosticData]";
    LOGON_FAILURE = 430 Host Observed
        "end of data: FullAccess is missing and `behaviour.permission_missing` = `mailbox-logon`, or the mailbox's `trouble` is `logon-failure`"
        "4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:ConnectionFailedTransientException.MapiExceptionLogonFailed; Failed to process message due to a transient exception with message [BeginDiagnosticData]Cannot open mailbox. Server = {}[EndDiagnosticData]";
    FROM_MISSING = 550 Bare Documented "end of data: From is missing or cannot be read"
        "5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant";
    FROM_MANY = 550 Bare Documented "end of data: several addresses in From and no Sender"
        "5.1.20 Multiple From addresses are present without a Sender address";
    BARE_LINE_FEED = 550 Bare Documented "end of data: a bare line feed, carriage return or NUL"
        "5.6.11 Invalid characters";
    TOO_MANY_SENDS = 432 Host Observed "end of data: more than 3 sends at once in the mailbox"
        "4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.";
    DAILY_RECIPIENTS = 554 Host Documented "end of data: 10,000 recipients in a sliding day"
        "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception with message The message can't be submitted because the sender's submission quota was exceeded.";
    EXTERNAL_RECIPIENTS = 550 Bare Observed
        "end of data: the tenant's external recipients in a sliding day"
        "5.7.233 - Your message can't be sent because your tenant has exceeded its daily limit for sending email to external recipients (tenant external recipient rate limit)";
    MAILBOX_FULL = 554 Host Documented "end of data: the mailbox's `trouble` is `full`"
        "5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded";
    OUTBOUND_SPAM = 554 Host Observed "end of data: the mailbox's `trouble` is `outbound-spam`"
        "5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent exception with message WASCL UserAction verdict is not None. Actual verdict is HipNotify, ShowTierUpgrade.";
    RESTRICTED = 550 Bare Documented "end of data: the mailbox's `trouble` is `restricted`"
        "5.1.8 Access denied, bad outbound sender";
    TENANT_BLOCKED = 550 Bare Documented "end of data: the mailbox's `trouble` is `tenant-blocked`"
        "5.7.705 Access denied, tenant has exceeded threshold";
    KEEP_FAILED = 451 Bare Assumed "the sandbox cannot write its files"
        "4.3.0 The sandbox cannot keep the message";
}

/// A reply that was decided: a row and what varies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) row: &'static Row,
    pub(crate) blanks: Vec<String>,
    /// Why, when the reply does not say.
    pub(crate) cause: Option<String>,
}

impl Row {
    /// The reply without blanks.
    pub(crate) fn said(&'static self) -> Said {
        Said {
            row: self,
            blanks: Vec::new(),
            cause: None,
        }
    }

    /// The reply with its blanks filled in order.
    pub(crate) fn with(&'static self, blanks: &[&str]) -> Said {
        let blanks = blanks.iter().map(|&blank| blank.to_owned()).collect();
        Said {
            row: self,
            blanks,
            cause: None,
        }
    }
}

impl Said {
    /// The same with the real cause, for the journal.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The reply as it is written; `tail` and `host` are what may stand in brackets.
    pub(crate) fn reply(&self, tail: impl FnOnce() -> String, host: &str) -> Reply {
        let mut parts = self.row.text.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (index, part) in parts.enumerate() {
            text.push_str(
                self.blanks
                    .get(index)
                    .map(String::as_str)
                    .unwrap_or_default(),
            );
            text.push_str(part);
        }
        match self.row.end {
            End::Bare => {}
            End::Tail => {
                text.push_str(" [");
                text.push_str(&tail());
                text.push(']');
            }
            End::Host => {
                text.push_str(" [Hostname=");
                text.push_str(host);
                text.push(']');
            }
        }
        Reply::new(self.row.code, text)
    }
}
