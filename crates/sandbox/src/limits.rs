//! Every limit, with unit, source and what happens there.

/// Octets of a message the service advertises with SIZE (150 MiB): more is refused with 552.
/// Source: recorded EHLO answers.
pub const MESSAGE_OCTETS_MAX: u64 = 157_286_400;

/// Sends at once in one mailbox; one more is answered `432 4.3.2` at the end of data.
/// Source: support article on SMTP submission improvements.
pub const SENDS_AT_ONCE: u32 = 3;

/// Messages of one mailbox in a minute. Source: service description; the answer is unknown, see
/// `Behaviour::message_rate`.
pub const MESSAGES_PER_MINUTE: usize = 30;

/// Recipients of one mailbox in a sliding day; beyond, `554 5.2.0 … SubmissionQuotaExceeded`.
pub const RECIPIENTS_PER_DAY: u64 = 10_000;

/// Recipients of one message, a mailbox's default. Source: `Set-Mailbox`.
pub const RECIPIENTS_PER_MESSAGE: u32 = 500;

/// Recipients of one message, the most a mailbox or organisation can allow.
pub const RECIPIENTS_PER_MESSAGE_MAX: u32 = 1000;

/// Envelope recipients of one domain; one more is answered `452 4.5.3`. Source: NDR list.
pub const RECIPIENTS_PER_DOMAIN: u32 = 200;

/// External recipients a day of a trial tenant; beyond, `550 5.7.233`.
pub const EXTERNAL_RECIPIENTS_TRIAL: u64 = 5_000;

/// Milliseconds an error reply waits when the tarpit is on. Source: recorded time stamps.
pub const TARPIT_MS: u64 = 5_000;

/// Seconds a foreign issuer may take to tell its keys; then the assertion is refused. Assumed.
pub const ISSUER_S_MAX: u64 = 5;

/// Octets of a foreign issuer's metadata or key set; a longer one is refused. Assumed.
pub const ISSUER_OCTETS_MAX: usize = 256 * 1024;

/// Seconds between two polls with a device code. Source: device code page (`interval`).
pub const DEVICE_CODE_INTERVAL_S: u32 = 5;

/// Seconds a token lives. Source: token answer sample (3599).
pub const TOKEN_LIFE_S: u32 = 3_599;

/// Milliseconds a change of the clock can sum up to (100 years); more is cut.
pub const CLOCK_AHEAD_MS_MAX: i64 = 100 * 366 * 86_400_000;

/// Documents remembered while changes propagate; the oldest is dropped beyond.
pub const TENANT_VERSIONS_MAX: usize = 4_096;

/// Journal entries kept; the oldest is dropped beyond.
pub const JOURNAL_ENTRIES_MAX: usize = 20_000;

/// Octets of messages kept in memory; older messages are spilled to files beyond.
pub const MESSAGES_MEMORY_OCTETS: u64 = 64 * 1024 * 1024;

/// Octets of one message kept in memory while it arrives; a longer one goes to a file at once.
pub const MESSAGE_MEMORY_OCTETS: usize = 8 * 1024 * 1024;

/// Messages kept; the oldest is dropped beyond.
pub const MESSAGES_MAX: usize = 100_000;

/// Octets of a message's header section that are read for From; the rest counts as body.
pub const HEADER_OCTETS_MAX: usize = 256 * 1024;

/// Octets of an HTTP request body; a longer one is answered 413.
pub const REQUEST_OCTETS_MAX: usize = 1024 * 1024;

/// Faults waiting at once; one more is refused with 422.
pub const FAULTS_MAX: usize = 1_000;

/// Seconds `messages/wait` waits at most.
pub const WAIT_S_MAX: u64 = 600;

/// Seconds an idle SMTP connection is kept. Source: on-premises default, assumed.
pub const SMTP_IDLE_S: u64 = 300;

/// External recipients a tenant may address in a sliding day (TERRL):
/// 500 × licences^0.7 + 9500, or 5,000 for a trial.
pub(crate) fn external_recipients_per_day(licences: u32, trial: bool) -> u64 {
    if trial {
        return EXTERNAL_RECIPIENTS_TRIAL;
    }
    let grown = 500.0 * f64::from(licences).powf(0.7) + 9_500.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 9,500 and some 2.7 thousand million"
    )]
    let whole = grown.floor() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terrl_gives_the_documented_examples() {
        for (licences, expected) in [(1, 10_000), (100, 22_059), (1000, 72_446)] {
            assert_eq!(external_recipients_per_day(licences, false), expected);
        }
        assert_eq!(external_recipients_per_day(1000, true), 5_000);
    }
}
