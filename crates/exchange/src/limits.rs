//! The service's numbers: unit, source, mark, and what happens beyond.
//!
//! Hosts and resources of a cloud are not here; they belong to `sendas-entra`.

use std::time::Duration;

use crate::entry::Mark;

/// Sends under way at once in one mailbox; one more is answered `432 4.3.2` at the **end** of
/// its message (IMPROVE, documented; since September 2018).
pub const SENDS_AT_ONCE_MAX: u32 = 3;

/// Sends at once that leave room for one program we do not know of (observed practice).
pub const SENDS_AT_ONCE_SAFE: u32 = 2;

/// Messages a minute of one mailbox (documented, and contradictory: one page has the rest
/// delayed, another has it refused; the reply is unknown).
pub const MESSAGES_PER_MINUTE_MAX: u32 = 30;

/// Recipients of one mailbox within any [`DAY`]; beyond it `554 5.2.0` with
/// `SubmissionQuotaExceededException` (IMPROVE and NDR, documented).
pub const RECIPIENTS_PER_DAY_MAX: u32 = 10_000;

/// The sliding window of every daily limit.
pub const DAY: Duration = Duration::from_hours(24);

/// Recipients of one message as a mailbox has it at first (`Set-Mailbox -RecipientLimits`, PS,
/// documented); the reply beyond is not published.
pub const RECIPIENTS_PER_MESSAGE_DEFAULT: u32 = 500;

/// Recipients of one message that a mailbox or an organisation can be given at most (PS,
/// documented).
pub const RECIPIENTS_PER_MESSAGE_MAX: u32 = 1_000;

/// Recipients of one domain in one envelope; beyond it `4.5.3 Too many recipients` (NDR,
/// documented).
pub const RECIPIENTS_PER_DOMAIN_MAX: u32 = 200;

/// Octets of a message on the wire: what `SIZE` announces, 150 MiB (MK, observed). A larger one
/// is not offered.
pub const MESSAGE_OCTETS_MAX: u64 = 157_286_400;

/// Messages that one mailbox receives in an hour; beyond it `554 5.2.122` (documented).
pub const RECEIVED_PER_HOUR_MAX: u32 = 3_600;

/// Percent of those from one sender; beyond it `554 5.2.121` (documented).
pub const RECEIVED_FROM_ONE_SENDER_PERCENT_MAX: u32 = 33;

/// External recipients of a trial tenant within any [`DAY`]; beyond it `550 5.7.233` (TERRL,
/// documented).
pub const TRIAL_EXTERNAL_RECIPIENTS_MAX: u64 = 5_000;

/// Time that a token must have left at the High Volume Email host; below it `501 5.5.127` (SX2,
/// observed, roughly).
pub const HVE_TOKEN_LEFT_MIN: Duration = Duration::from_mins(10);

/// Applications that one High Volume Email account admits (PS, documented).
pub const HVE_APPLICATIONS_MAX: u32 = 10;

/// Time after a change of rights until which a refusal proves nothing: 90 minutes were measured,
/// in both directions (SG, observed).
pub const PROPAGATION_MAX: Duration = Duration::from_hours(2);

/// The delay before each error reply (observed; documented for Exchange Server).
pub const TARPIT: Duration = Duration::from_secs(5);

/// Time to wait for the reply to AUTH at least (observed: five to seven seconds, and the tarpit).
pub const AUTH_REPLY_WAIT_MIN: Duration = Duration::from_secs(30);

/// Idle time after which a session is not to be relied on: Exchange Server's default; nothing is
/// published for Exchange Online (unsure).
pub const IDLE_MAX: Duration = Duration::from_mins(5);

/// Length of a session that is not to be relied on: Exchange Server's default; nothing is
/// published for Exchange Online (unsure).
pub const SESSION_MAX: Duration = Duration::from_mins(10);

/// External recipients of a tenant within any [`DAY`], by its licences that are not trials:
/// 500 × licences^0.7 + 9,500, rounded down (TERRL, documented).
///
/// Counted are recipients of each message, not different addresses; journals, automatic replies
/// and delivery notices are not counted. A trial tenant has [`TRIAL_EXTERNAL_RECIPIENTS_MAX`].
pub fn external_recipients_max(licences: u32) -> u64 {
    let max = 500.0 * f64::from(licences).powf(0.7) + 9_500.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at 2^32 licences it is less than 2.8 thousand million"
    )]
    let max = max as u64;
    max
}

const _: () = {
    assert!(SENDS_AT_ONCE_SAFE > 0 && SENDS_AT_ONCE_SAFE < SENDS_AT_ONCE_MAX);
    // At full pace one recipient a message, the day's recipients last less than six hours: pacing
    // by the minute does not replace counting by the day.
    assert!(MESSAGES_PER_MINUTE_MAX * 60 * 6 > RECIPIENTS_PER_DAY_MAX);
    assert!(RECIPIENTS_PER_DOMAIN_MAX <= RECIPIENTS_PER_MESSAGE_DEFAULT);
    assert!(RECIPIENTS_PER_MESSAGE_DEFAULT <= RECIPIENTS_PER_MESSAGE_MAX);
    assert!(RECIPIENTS_PER_MESSAGE_MAX <= RECIPIENTS_PER_DAY_MAX);
    assert!(MESSAGE_OCTETS_MAX == 150 * 1024 * 1024);
    assert!(MESSAGE_OCTETS_MAX < sendas_smtp::limits::CHUNK_OCTETS_MAX);
    assert!(TRIAL_EXTERNAL_RECIPIENTS_MAX < 9_500);
    assert!(RECEIVED_FROM_ONE_SENDER_PERCENT_MAX < 100);
    assert!(TARPIT.as_secs() < AUTH_REPLY_WAIT_MIN.as_secs());
    assert!(IDLE_MAX.as_secs() < SESSION_MAX.as_secs());
    assert!(SESSION_MAX.as_secs() < PROPAGATION_MAX.as_secs());
};

/// One number of the service, for the book and for `doctor`.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is limited.
    pub name: &'static str,
    /// The number, or how it is found.
    pub value: Value,
    /// What happens beyond.
    pub beyond: &'static str,
    /// The cause that a reply names then.
    pub id: Option<&'static str>,
    /// How well it is known.
    pub mark: Mark,
    /// Short name of the source.
    pub source: &'static str,
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// So many.
    Count(u64),
    /// So many octets.
    Octets(u64),
    /// So long.
    Time(Duration),
    /// A formula, in words.
    Formula(&'static str),
}

/// The numbers that the catalogue's replies belong to.
pub const TABLE: &[Limit] = &[
    Limit {
        name: "sends at once, per mailbox",
        value: Value::Count(SENDS_AT_ONCE_MAX as u64),
        beyond: "refused after the message was carried over",
        id: Some("S-CONCURRENCY"),
        mark: Mark::Documented,
        source: "IMPROVE",
    },
    Limit {
        name: "messages per minute, per mailbox",
        value: Value::Count(MESSAGES_PER_MINUTE_MAX as u64),
        beyond: "delayed or refused; Microsoft's pages disagree, and the reply is unknown",
        id: Some("S-RATE"),
        mark: Mark::Unsure,
        source: "IMPROVE",
    },
    Limit {
        name: "recipients within 24 hours, per mailbox",
        value: Value::Count(RECIPIENTS_PER_DAY_MAX as u64),
        beyond: "refused until the window has moved on",
        id: Some("S-QUOTA"),
        mark: Mark::Documented,
        source: "IMPROVE",
    },
    Limit {
        name: "recipients of a message, as a mailbox has it at first",
        value: Value::Count(RECIPIENTS_PER_MESSAGE_DEFAULT as u64),
        beyond: "the reply is not published",
        id: Some("S-ENVELOPE-FULL"),
        mark: Mark::Documented,
        source: "PS",
    },
    Limit {
        name: "recipients of a message, the most that can be set",
        value: Value::Count(RECIPIENTS_PER_MESSAGE_MAX as u64),
        beyond: "the reply is not published",
        id: Some("S-TOO-MANY-RECIPIENTS"),
        mark: Mark::Documented,
        source: "PS",
    },
    Limit {
        name: "recipients of one domain in an envelope",
        value: Value::Count(RECIPIENTS_PER_DOMAIN_MAX as u64),
        beyond: "the rest is deferred",
        id: Some("S-DOMAIN-RECIPIENTS"),
        mark: Mark::Documented,
        source: "NDR",
    },
    Limit {
        name: "external recipients within 24 hours, per tenant",
        value: Value::Formula("500 × licences^0.7 + 9,500"),
        beyond: "refused until the window has moved on",
        id: Some("S-TENANT-EXTERNAL-LIMIT"),
        mark: Mark::Documented,
        source: "TERRL",
    },
    Limit {
        name: "the same for a trial tenant",
        value: Value::Count(TRIAL_EXTERNAL_RECIPIENTS_MAX),
        beyond: "refused until the window has moved on",
        id: Some("S-TENANT-EXTERNAL-LIMIT"),
        mark: Mark::Documented,
        source: "TERRL",
    },
    Limit {
        name: "a message on the wire",
        value: Value::Octets(MESSAGE_OCTETS_MAX),
        beyond: "the reply is not published",
        id: Some("S-MESSAGE-TOO-LARGE"),
        mark: Mark::Observed,
        source: "MK",
    },
    Limit {
        name: "messages that a mailbox receives in an hour",
        value: Value::Count(RECEIVED_PER_HOUR_MAX as u64),
        beyond: "refused for an hour",
        id: Some("S-RECIPIENT-RATE"),
        mark: Mark::Documented,
        source: "NDR",
    },
    Limit {
        name: "time a token must have left at the High Volume Email host",
        value: Value::Time(HVE_TOKEN_LEFT_MIN),
        beyond: "refused at AUTH",
        id: Some("S-HVE-TOKEN-LIFE"),
        mark: Mark::Observed,
        source: "SX2",
    },
    Limit {
        name: "time until a change of rights acts everywhere",
        value: Value::Time(PROPAGATION_MAX),
        beyond: "a refusal before that proves nothing",
        id: Some("S-PROPAGATING"),
        mark: Mark::Observed,
        source: "SG",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_recipients_grow_with_the_licences() {
        let examples = [
            (0, 9_500),
            (1, 10_000),
            (100, 22_059),
            (1_000, 72_446),
            (10_000, 324_978),
        ];
        for (licences, expected) in examples {
            assert_eq!(external_recipients_max(licences), expected, "{licences}");
        }
    }
}
