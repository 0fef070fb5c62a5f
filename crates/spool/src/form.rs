//! Types as they lie in the index and in exports: versioned, apart from the types inside.

use jiff::Timestamp;
use sendas_envelope::{
    Body, EnvelopeId, ForwardPath, Notify, OriginalRecipient, Recipient, Return, Status,
};
use serde::{Deserialize, Serialize};

use crate::limits::{REASON_OCTETS_MAX, REMARK_OCTETS_MAX};
use crate::message::{AttemptReply, Origin};

/// A stored text that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FormError(pub(crate) String);

/// What the index keeps of an envelope beside its own columns. Version 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvelopeForm {
    pub(crate) v: u8,
    pub(crate) body: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) utf8_header: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) ret: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) envid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) client: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) peer: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) login: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) greeting: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) protocol: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) subject: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) message_id: String,
}

/// The options of an envelope, read back.
pub(crate) struct EnvelopeOptions {
    pub(crate) body: Body,
    pub(crate) utf8_header: bool,
    pub(crate) ret: Option<Return>,
    pub(crate) envelope_id: Option<EnvelopeId>,
}

impl EnvelopeForm {
    pub(crate) fn new(
        options: &EnvelopeOptions,
        origin: &Origin,
        subject: &str,
        message_id: &str,
    ) -> Self {
        Self {
            v: 1,
            body: options.body.keyword().to_owned(),
            utf8_header: options.utf8_header,
            ret: options.ret.map(|r| r.to_string()).unwrap_or_default(),
            envid: options
                .envelope_id
                .as_ref()
                .map(EnvelopeId::to_xtext)
                .unwrap_or_default(),
            client: cut(&origin.client, REMARK_OCTETS_MAX),
            peer: cut(&origin.peer, REMARK_OCTETS_MAX),
            login: cut(&origin.login, REMARK_OCTETS_MAX),
            greeting: cut(&origin.greeting, REMARK_OCTETS_MAX),
            protocol: cut(&origin.protocol, REMARK_OCTETS_MAX),
            subject: cut(subject, REMARK_OCTETS_MAX),
            message_id: cut(message_id, REMARK_OCTETS_MAX),
        }
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts always become JSON")
    }

    pub(crate) fn parse(text: &str) -> Result<Self, FormError> {
        let form: Self =
            serde_json::from_str(text).map_err(|e| FormError(format!("envelope: {e}")))?;
        if form.v == 1 {
            Ok(form)
        } else {
            Err(FormError(format!("envelope has version {}", form.v)))
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin {
            client: self.client.clone(),
            peer: self.peer.clone(),
            login: self.login.clone(),
            greeting: self.greeting.clone(),
            protocol: self.protocol.clone(),
        }
    }

    pub(crate) fn options(&self) -> Result<EnvelopeOptions, FormError> {
        let body = match self.body.as_str() {
            "7BIT" => Body::SevenBit,
            "8BITMIME" => Body::EightBit,
            "BINARYMIME" => Body::Binary,
            other => return Err(FormError(format!("envelope has body {other}"))),
        };
        let ret = none_if_empty(&self.ret)
            .map(str::parse)
            .transpose()
            .map_err(|e| FormError(format!("envelope: {e}")))?;
        let envelope_id = none_if_empty(&self.envid)
            .map(EnvelopeId::from_xtext)
            .transpose()
            .map_err(|e| FormError(format!("envelope: {e}")))?;
        Ok(EnvelopeOptions {
            body,
            utf8_header: self.utf8_header,
            ret,
            envelope_id,
        })
    }
}

/// The DSN options of a recipient. Version 1; an empty text where there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipientForm {
    v: u8,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    notify: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    orcpt: String,
}

/// A recipient as path and options.
pub(crate) fn recipient_texts(recipient: &Recipient) -> (String, String) {
    let options = if recipient.notify.is_none() && recipient.original.is_none() {
        String::new()
    } else {
        serde_json::to_string(&RecipientForm {
            v: 1,
            notify: recipient.notify.map(|n| n.to_string()).unwrap_or_default(),
            orcpt: recipient
                .original
                .as_ref()
                .map(OriginalRecipient::to_xtext)
                .unwrap_or_default(),
        })
        .expect("texts always become JSON")
    };
    (recipient.path.as_str().to_owned(), options)
}

/// A recipient from path and options.
pub(crate) fn recipient(path: &str, options: &str) -> Result<Recipient, FormError> {
    let path = ForwardPath::parse(path).map_err(|e| FormError(format!("recipient: {e}")))?;
    let mut recipient = Recipient::new(path);
    if options.is_empty() {
        return Ok(recipient);
    }
    let form: RecipientForm =
        serde_json::from_str(options).map_err(|e| FormError(format!("recipient: {e}")))?;
    if form.v != 1 {
        return Err(FormError(format!("recipient has version {}", form.v)));
    }
    recipient.notify = none_if_empty(&form.notify)
        .map(str::parse::<Notify>)
        .transpose()
        .map_err(|e| FormError(format!("recipient: {e}")))?;
    recipient.original = none_if_empty(&form.orcpt)
        .map(OriginalRecipient::from_xtext)
        .transpose()
        .map_err(|e| FormError(format!("recipient: {e}")))?;
    Ok(recipient)
}

/// One recipient's line in an attempt's report. Version 1 is the report's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplyForm {
    pub(crate) n: u32,
    pub(crate) outcome: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reply: String,
}

/// An attempt's report as the index keeps it. Version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportForm {
    pub(crate) v: u8,
    pub(crate) replies: Vec<ReplyForm>,
}

impl From<&ReplyForm> for AttemptReply {
    fn from(form: &ReplyForm) -> Self {
        Self {
            number: form.n,
            outcome: form.outcome.clone(),
            reason: form.reason.clone(),
            status: status(&form.status),
            reply: form.reply.clone(),
        }
    }
}

/// A status as text; empty for none.
pub(crate) fn status_text(status: Option<Status>) -> String {
    status.map(|s| s.to_string()).unwrap_or_default()
}

/// A status from its text; `None` for an empty one.
pub(crate) fn status(text: &str) -> Option<Status> {
    text.parse().ok()
}

/// Milliseconds as a time; the far future for what does not fit.
pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// Milliseconds as a time; `None` for [`crate::fate::NEVER`].
pub(crate) fn maybe_time(ms: i64) -> Option<Timestamp> {
    (ms != crate::fate::NEVER).then(|| time(ms))
}

/// The text, cut at a character's border to at most `max` octets.
pub(crate) fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

/// A reason word: the key of counters.
pub(crate) fn reason(text: &str) -> String {
    cut(text, REASON_OCTETS_MAX)
}

fn none_if_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_both_ways() {
        let options = EnvelopeOptions {
            body: Body::Binary,
            utf8_header: true,
            ret: Some(Return::Headers),
            envelope_id: Some(EnvelopeId::new("a+b c").unwrap()),
        };
        let origin = Origin {
            client: "hp-floor-2".to_owned(),
            peer: "10.1.2.3".to_owned(),
            ..Origin::default()
        };
        let form = EnvelopeForm::new(&options, &origin, "Grüße", "<1@x>");
        let text = form.to_text();
        let back = EnvelopeForm::parse(&text).unwrap();
        assert_eq!(back, form);
        assert_eq!(back.origin(), origin);
        let read = back.options().unwrap();
        assert_eq!(
            (read.body, read.utf8_header, read.ret, read.envelope_id),
            (
                options.body,
                options.utf8_header,
                options.ret,
                options.envelope_id
            )
        );
        assert!(EnvelopeForm::parse(&text.replace("\"v\":1", "\"v\":9")).is_err());
        assert!(EnvelopeForm::parse("{}").is_err());
    }

    #[test]
    fn recipients_both_ways() {
        for (notify, orcpt) in [
            (None, None),
            (Some("NEVER"), None),
            (Some("SUCCESS,DELAY"), Some("rfc822;a+2Bb@example.com")),
        ] {
            let mut r = Recipient::new(ForwardPath::parse("Bob@example.com").unwrap());
            r.notify = notify.map(|n| n.parse().unwrap());
            r.original = orcpt.map(|o| OriginalRecipient::from_xtext(o).unwrap());
            let (path, options) = recipient_texts(&r);
            assert_eq!(recipient(&path, &options).unwrap(), r);
        }
        assert!(recipient("nobody", "").is_err());
        assert!(recipient("a@b.c", "{\"v\":2}").is_err());
    }

    #[test]
    fn remarks_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("abc", 10), "abc");
    }
}
