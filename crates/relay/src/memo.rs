//! What the relay keeps with each message in the spool: small, versioned, its own business.

use sendas_envelope::Address;
use serde::{Deserialize, Serialize};

/// What is needed when a message's fate is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memo {
    /// Who is told when the sender cannot be.
    pub(crate) owner: Option<Address>,
    /// The sender was replaced: nobody reads what is sent to it.
    pub(crate) is_rewritten: bool,
    /// Recipients whose delay has been told, by their place in the envelope.
    pub(crate) delay_told: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    v: u8,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rewritten: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    told: Vec<u32>,
}

impl Memo {
    /// The text for the spool; empty when there is nothing to keep.
    pub(crate) fn to_text(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        let form = Form {
            v: 1,
            owner: self
                .owner
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            rewritten: self.is_rewritten,
            told: self.delay_told.clone(),
        };
        serde_json::to_string(&form).expect("texts and numbers always become JSON")
    }

    /// Reads it back; what cannot be read is nothing, so that a message is never stuck on it.
    pub(crate) fn parse(text: &str) -> Self {
        let Some(form) = serde_json::from_str::<Form>(text).ok().filter(|f| f.v == 1) else {
            return Self::default();
        };
        Self {
            owner: form.owner.parse().ok(),
            is_rewritten: form.rewritten,
            delay_told: form.told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let memo = Memo {
            owner: Some("it@contoso.com".parse().unwrap()),
            is_rewritten: true,
            delay_told: vec![1, 7],
        };
        assert_eq!(Memo::parse(&memo.to_text()), memo);
        assert_eq!(Memo::default().to_text(), "");
        for text in ["", "{}", "x", "{\"v\":2}"] {
            assert_eq!(Memo::parse(text), Memo::default(), "{text}");
        }
    }
}
