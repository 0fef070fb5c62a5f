//! Enhanced status codes: class, subject and detail (RFC 3463).

use std::fmt;
use std::str::FromStr;

/// An enhanced status code such as `5.7.3` (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status {
    /// What it means for the message.
    pub class: Class,
    /// What it is about: 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content,
    /// 7 security. At most 999.
    pub subject: u16,
    /// The detail within the subject. At most 999.
    pub detail: u16,
}

/// The first digit of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// 2: done.
    Success,
    /// 4: not now; the same message may succeed later.
    Temporary,
    /// 5: never in this form.
    Permanent,
}

/// The text is no status: not three numbers, or a class other than 2, 4, 5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no enhanced status code such as 5.7.3")]
pub struct StatusError(String);

impl Status {
    /// A status from its three numbers.
    pub const fn new(class: Class, subject: u16, detail: u16) -> Self {
        Self {
            class,
            subject,
            detail,
        }
    }

    /// Whether another attempt may succeed.
    pub const fn is_temporary(self) -> bool {
        matches!(self.class, Class::Temporary)
    }
}

impl Class {
    /// The digit on the wire.
    pub const fn digit(self) -> u8 {
        match self {
            Self::Success => 2,
            Self::Temporary => 4,
            Self::Permanent => 5,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class.digit(), self.subject, self.detail)
    }
}

impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || StatusError(text.to_owned());
        let mut parts = text.split('.');
        let (Some(class), Some(subject), Some(detail), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let class = match class {
            "2" => Class::Success,
            "4" => Class::Temporary,
            "5" => Class::Permanent,
            _ => return Err(refuse()),
        };
        let number = |digits: &str| {
            let plain =
                (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            plain
                .then(|| digits.parse().ok())
                .flatten()
                .ok_or_else(refuse)
        };
        Ok(Self {
            class,
            subject: number(subject)?,
            detail: number(detail)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_three_numbers_and_nothing_else() {
        for text in ["2.0.0", "4.3.2", "5.7.139", "5.2.252"] {
            assert_eq!(text.parse::<Status>().unwrap().to_string(), text);
        }
        for text in [
            "", "5", "5.7", "3.0.0", "5.7.3.1", "5..3", "5.7.1234", "5.7.x", "+5.7.3", "5.7.+3",
        ] {
            assert!(text.parse::<Status>().is_err(), "{text}");
        }
    }
}
