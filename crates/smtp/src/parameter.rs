//! MAIL and RCPT: paths with their extension parameters, read and written.

use std::str::FromStr as _;

use bytes::{BufMut, BytesMut};
use sendas_envelope::{
    Body, EnvelopeId, ForwardPath, Notify, OriginalRecipient, Recipient, Return, ReversePath,
};

use crate::error::CommandError;
use crate::limits::PARAMETERS_MAX;

/// `MAIL FROM` with everything it may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailCommand {
    /// The path.
    pub reverse_path: ReversePath,
    /// `SIZE=` in octets (RFC 1870).
    pub size_octets: Option<u64>,
    /// `BODY=` (RFC 6152, RFC 3030).
    pub body: Option<Body>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `RET=` (RFC 3461).
    pub ret: Option<Return>,
    /// `ENVID=` (RFC 3461).
    pub envelope_id: Option<EnvelopeId>,
    /// Whether `AUTH=` stood there (RFC 4954 §5). Its value is checked and not kept: nobody here
    /// trusts a client to name another submitter.
    pub auth: bool,
}

/// `RCPT TO` with everything it may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptCommand {
    /// The recipient with its DSN parameters.
    pub recipient: Recipient,
}

impl MailCommand {
    /// Reads what follows `MAIL`.
    ///
    /// # Errors
    /// [`CommandError`] for a path or parameter that is not plainly right.
    pub fn parse(rest: &str) -> Result<Self, CommandError> {
        let (path, parameters) = path_and_parameters(rest, "FROM:")?;
        let mut mail = Self {
            reverse_path: ReversePath::parse(path).map_err(CommandError::Address)?,
            size_octets: None,
            body: None,
            smtputf8: false,
            ret: None,
            envelope_id: None,
            auth: false,
        };
        for parameter in Parameters::new(parameters) {
            let (name, value) = parameter?;
            match name.as_str() {
                "SIZE" => once(&mut mail.size_octets, size(required(&name, value)?)?, &name)?,
                "BODY" => once(&mut mail.body, body(required(&name, value)?)?, &name)?,
                "SMTPUTF8" if value.is_none() && !mail.smtputf8 => mail.smtputf8 = true,
                "RET" => once(
                    &mut mail.ret,
                    Return::from_str(required(&name, value)?)?,
                    &name,
                )?,
                "ENVID" => {
                    let id = EnvelopeId::from_xtext(required(&name, value)?)?;
                    once(&mut mail.envelope_id, id, &name)?;
                }
                "AUTH" if !mail.auth => {
                    let text = required(&name, value)?;
                    if text != "<>" {
                        OriginalRecipient::from_xtext(&format!("auth;{text}"))?;
                    }
                    mail.auth = true;
                }
                "SMTPUTF8" | "AUTH" => return Err(CommandError::Parameter(name)),
                _ => return Err(CommandError::UnknownParameter(name)),
            }
        }
        if !mail.smtputf8 && !path.is_ascii() {
            return Err(CommandError::NeedsSmtputf8);
        }
        Ok(mail)
    }

    /// Writes the command.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_slice(b"MAIL FROM:<");
        out.put_slice(self.reverse_path.as_str().as_bytes());
        out.put_u8(b'>');
        if let Some(octets) = self.size_octets {
            out.put_slice(b" SIZE=");
            out.put_slice(octets.to_string().as_bytes());
        }
        if let Some(body) = self.body {
            out.put_slice(b" BODY=");
            out.put_slice(body.keyword().as_bytes());
        }
        if self.smtputf8 {
            out.put_slice(b" SMTPUTF8");
        }
        if let Some(ret) = self.ret {
            out.put_slice(b" RET=");
            out.put_slice(ret.to_string().as_bytes());
        }
        if let Some(id) = &self.envelope_id {
            out.put_slice(b" ENVID=");
            out.put_slice(id.to_xtext().as_bytes());
        }
        out.put_slice(b"\r\n");
    }
}

impl RcptCommand {
    /// Reads what follows `RCPT`. `smtputf8` is what MAIL said.
    ///
    /// # Errors
    /// [`CommandError`] for a path or parameter that is not plainly right.
    pub fn parse(rest: &str, smtputf8: bool) -> Result<Self, CommandError> {
        let (path, parameters) = path_and_parameters(rest, "TO:")?;
        let path = ForwardPath::parse(path).map_err(CommandError::Address)?;
        if !smtputf8 && !path.as_str().is_ascii() {
            return Err(CommandError::NeedsSmtputf8);
        }
        let mut recipient = Recipient::new(path);
        for parameter in Parameters::new(parameters) {
            let (name, value) = parameter?;
            match name.as_str() {
                "NOTIFY" => {
                    once(
                        &mut recipient.notify,
                        Notify::from_str(required(&name, value)?)?,
                        &name,
                    )?;
                }
                "ORCPT" => {
                    let original = OriginalRecipient::from_xtext(required(&name, value)?)?;
                    once(&mut recipient.original, original, &name)?;
                }
                _ => return Err(CommandError::UnknownParameter(name)),
            }
        }
        Ok(Self { recipient })
    }

    /// Writes the command for a recipient; DSN parameters only where the server offers them.
    pub fn write(recipient: &Recipient, dsn: bool, out: &mut BytesMut) {
        out.put_slice(b"RCPT TO:<");
        out.put_slice(recipient.path.as_str().as_bytes());
        out.put_u8(b'>');
        if dsn {
            if let Some(notify) = recipient.notify {
                out.put_slice(b" NOTIFY=");
                out.put_slice(notify.to_string().as_bytes());
            }
            if let Some(original) = &recipient.original {
                out.put_slice(b" ORCPT=");
                out.put_slice(original.to_xtext().as_bytes());
            }
        }
        out.put_slice(b"\r\n");
    }
}

/// The path between brackets and the text after it. White space after the colon is taken: many
/// clients write it, and it has no second reading.
fn path_and_parameters<'a>(
    rest: &'a str,
    keyword: &str,
) -> Result<(&'a str, &'a str), CommandError> {
    let syntax = || {
        CommandError::Syntax(if keyword == "FROM:" {
            "MAIL FROM:<address>"
        } else {
            "RCPT TO:<address>"
        })
    };
    let head = rest.get(..keyword.len()).ok_or_else(syntax)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(syntax());
    }
    let text = rest[keyword.len()..]
        .trim_start_matches(' ')
        .strip_prefix('<')
        .ok_or_else(syntax)?;
    let end = closing_bracket(text).ok_or_else(syntax)?;
    let after = &text[end + 1..];
    if !(after.is_empty() || after.starts_with(' ')) {
        return Err(syntax());
    }
    Ok((&text[..end], after))
}

/// The bracket that closes a path; one inside quotes does not.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(i),
            _ => {}
        }
    }
    None
}

/// `name` or `name=value` words (RFC 5321 §4.1.2 `esmtp-param`), names in upper case.
struct Parameters<'a> {
    words: std::str::Split<'a, char>,
    count: usize,
}

impl<'a> Parameters<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            words: text.split(' '),
            count: 0,
        }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(String, Option<&'a str>), CommandError>;

    fn next(&mut self) -> Option<Self::Item> {
        let word = self.words.find(|word| !word.is_empty())?;
        self.count += 1;
        if self.count > PARAMETERS_MAX {
            return Some(Err(CommandError::Syntax("fewer parameters")));
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let keyword = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !name.starts_with('-');
        let printable =
            value.is_none_or(|v| !v.is_empty() && v.chars().all(|c| c > ' ' && c != '\x7f'));
        if !(keyword && printable) {
            return Some(Err(CommandError::Parameter(
                name.escape_debug().to_string(),
            )));
        }
        Some(Ok((name.to_ascii_uppercase(), value)))
    }
}

fn required<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, CommandError> {
    value.ok_or_else(|| CommandError::Parameter(name.to_owned()))
}

fn once<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), CommandError> {
    if place.replace(value).is_some() {
        return Err(CommandError::Parameter(name.to_owned()));
    }
    Ok(())
}

/// RFC 1870 §4: at most 20 digits.
fn size(value: &str) -> Result<u64, CommandError> {
    let digits = value.len() <= 20 && value.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| value.parse().ok())
        .flatten()
        .ok_or_else(|| CommandError::Parameter("SIZE".to_owned()))
}

fn body(value: &str) -> Result<Body, CommandError> {
    [Body::SevenBit, Body::EightBit, Body::Binary]
        .into_iter()
        .find(|body| body.keyword().eq_ignore_ascii_case(value))
        .ok_or_else(|| CommandError::Parameter("BODY".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_read_as_written() {
        for line in [
            "FROM:<>",
            "FROM:<a@b.c> SIZE=12 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb",
            "FROM:<\"x> y\"@b.c> BODY=BINARYMIME",
        ] {
            let mut out = BytesMut::new();
            MailCommand::parse(line)
                .unwrap_or_else(|e| panic!("{line}: {e}"))
                .write(&mut out);
            assert_eq!(out, format!("MAIL {line}\r\n"));
        }
    }

    #[test]
    fn rcpt_is_read_as_written() {
        for line in [
            "TO:<postmaster@b.c>",
            "TO:<a@b.c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@b.c",
        ] {
            let mut out = BytesMut::new();
            let rcpt = RcptCommand::parse(line, false).unwrap_or_else(|e| panic!("{line}: {e}"));
            RcptCommand::write(&rcpt.recipient, true, &mut out);
            assert_eq!(out, format!("RCPT {line}\r\n"));
        }
    }

    #[test]
    fn what_is_not_plainly_right_is_refused() {
        for line in [
            "",
            "FROM:",
            "FROM:a@b.c",
            "FROM:<a@b.c",
            "FROM:<a@b.c>x",
            "FROM:<@r:a@b.c>",
            "FROM:<a@b.c> SIZE",
            "FROM:<a@b.c> SIZE=-1",
            "FROM:<a@b.c> SIZE=1 SIZE=2",
            "FROM:<a@b.c> SIZE=99999999999999999999",
            "FROM:<a@b.c> BODY=9BIT",
            "FROM:<a@b.c> SMTPUTF8=1",
            "FROM:<a@b.c> ENVID=+0D+0A",
            "FROM:<a@b.c> X=1",
            "FROM:<a@b.c> =1",
            "FROM:<a@b.c> AUTH=a b",
            "FROM:<ü@b.c>",
            "TO:<a@b.c>",
            "FROM:<a@b.c> AUTH=+0A",
            "FROM:<a@b.c> SIZE=+1",
        ] {
            assert!(MailCommand::parse(line).is_err(), "{line:?} was accepted");
        }
        assert_eq!(
            MailCommand::parse("FROM:<ü@b.c>"),
            Err(CommandError::NeedsSmtputf8)
        );
        assert!(MailCommand::parse("FROM: <ü@b.c> SMTPUTF8").is_ok());
        for line in [
            "TO:<>",
            "TO:<a@b.c> NOTIFY=NEVER,FAILURE",
            "TO:<a@b.c> ORCPT=a@b.c",
            "TO:<a@b.c> SIZE=1",
        ] {
            assert!(
                RcptCommand::parse(line, false).is_err(),
                "{line:?} was accepted"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_text_never_panics(rest in "\\PC{0,120}") {
            drop(MailCommand::parse(&rest));
            drop(RcptCommand::parse(&rest, true));
            drop(MailCommand::parse(&format!("FROM:{rest}")));
        }
    }
}
