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
    /// What recipients have met more than one attempt may have to bear: by place, reason and
    /// attempts that met it.
    pub(crate) met: Vec<(u32, String, u32)>,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    met: Vec<(u32, String, u32)>,
}

impl Memo {
    /// Counts an attempt that met this for a recipient; says how many have.
    pub(crate) fn met(&mut self, number: u32, reason: &str) -> u32 {
        let known = self
            .met
            .iter_mut()
            .find(|(n, known, _)| *n == number && known == reason);
        if let Some((_, _, count)) = known {
            *count = count.saturating_add(1);
            return *count;
        }
        self.met.push((number, reason.to_owned(), 1));
        1
    }

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
            met: self.met.clone(),
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
            met: form.met,
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
            met: vec![(1, "S-X".to_owned(), 2)],
        };
        assert_eq!(Memo::parse(&memo.to_text()), memo);
        assert_eq!(Memo::default().to_text(), "");
        for text in ["", "{}", "x", "{\"v\":2}"] {
            assert_eq!(Memo::parse(text), Memo::default(), "{text}");
        }
    }
}
