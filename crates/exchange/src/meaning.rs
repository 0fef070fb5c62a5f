//! What a failure means: who is concerned, and whether waiting helps.

use std::fmt;
use std::time::Duration;

use sendas_smtp::client::Stage;

/// The wait between two probes of what an administrator must change. Five seconds of tarpit and
/// a session each are cheap; a change takes up to two hours to act anyway.
pub const PROBE_EVERY: Duration = Duration::from_mins(15);

/// The same where each attempt may make things worse, or nobody can act within the hour.
pub const PROBE_SLOWLY_EVERY: Duration = Duration::from_hours(1);

/// Who is concerned by a failure, and hence what else waits with it. From narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One recipient of one message.
    Recipient,
    /// One message with all its recipients.
    Message,
    /// Everything sent as one mailbox.
    Mailbox,
    /// Everything sent by one service principal.
    Principal,
    /// Everything sent within one directory.
    Tenant,
    /// Everything that goes to this host.
    Service,
}

/// Whether another attempt can succeed: as it really is, not as the reply's first digit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// It passes by itself.
    Temporary {
        /// The wait before the next attempt; later waits grow from it.
        first_retry: Duration,
    },
    /// Never in this form.
    Permanent,
    /// It stays until an administrator changes something, and heals at once when that is done:
    /// what is concerned is held, and one attempt goes out now and then to find out.
    NeedsAdministrator {
        /// The wait between two such attempts.
        probe_every: Duration,
    },
    /// Mostly permanent, but known to appear for no reason and to pass: tried a few times.
    TransientThenPermanent {
        /// Attempts in all, the refused one included, after which it counts as permanent.
        attempts_max: u32,
        /// The wait before the next attempt.
        first_retry: Duration,
    },
}

impl Scope {
    /// The scope's name as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Mailbox => "mailbox",
            Self::Principal => "principal",
            Self::Tenant => "tenant",
            Self::Service => "service",
        }
    }

    /// The scope of a reply at `stage`: one to the whole message speaks for each of its
    /// recipients, and one before MAIL cannot be about a message.
    #[must_use]
    pub fn at(self, stage: Stage) -> Self {
        match self {
            Self::Recipient | Self::Message if stage < Stage::Auth || stage == Stage::Quit => {
                Self::Service
            }
            Self::Recipient | Self::Message if stage == Stage::Auth => Self::Mailbox,
            Self::Recipient if stage != Stage::Rcpt => Self::Message,
            scope => scope,
        }
    }
}

impl Persistence {
    /// The wait before another attempt, or `None` when there is none.
    pub const fn first_retry(self) -> Option<Duration> {
        match self {
            Self::Temporary { first_retry } | Self::TransientThenPermanent { first_retry, .. } => {
                Some(first_retry)
            }
            Self::NeedsAdministrator { probe_every } => Some(probe_every),
            Self::Permanent => None,
        }
    }

    /// Whether the failure is final when `attempts` have been made, the last one included.
    pub const fn is_final_after(self, attempts: u32) -> bool {
        match self {
            Self::Permanent => true,
            Self::TransientThenPermanent { attempts_max, .. } => attempts >= attempts_max,
            Self::Temporary { .. } | Self::NeedsAdministrator { .. } => false,
        }
    }

    /// The persistence's name as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temporary { .. } => "temporary",
            Self::Permanent => "permanent",
            Self::NeedsAdministrator { .. } => "needs an administrator",
            Self::TransientThenPermanent { .. } => "tried again, then permanent",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Persistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
