//! Replies about the service's own health: they pass.

use std::time::Duration;

use sendas_envelope::Class::Temporary;

use super::{SESSION, TRANSACTION, retry_after};
use crate::entry::{Cause, Entry, Matcher, Source};
use crate::fix::Fix;
use crate::meaning::Scope;

const WAIT: Fix = Fix::advice("wait; it is tried again");

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        id: "S-SERVICE-UNAVAILABLE",
        samples: &["421 4.3.2 Service not available"],
        matchers: &[Matcher::exact(421, Temporary, 3, 2)],
        stages: SESSION,
        scope: Scope::Service,
        persistence: retry_after(Duration::from_mins(1)),
        title: "the service takes no session now",
        causes: &[Cause::observed(
            "the front end is overloaded or being changed",
        )],
        fix: WAIT,
        sources: &[Source::observed("SFM", "collected replies")],
    },
    Entry {
        id: "S-SERVER-ERROR",
        samples: &["451 4.3.2 Temporary server error. Please try again later ATTR17"],
        matchers: &[Matcher::exact(451, Temporary, 3, 2)],
        stages: SESSION,
        scope: Scope::Service,
        persistence: retry_after(Duration::from_mins(1)),
        title: "the service failed for a moment",
        causes: &[Cause::observed("a server behind the front end failed")],
        fix: WAIT,
        sources: &[Source::observed("SFM", "collected replies")],
    },
    Entry {
        id: "S-SERVER-RESOURCES",
        samples: &["452 4.3.1 Insufficient system resources (TSTE)"],
        matchers: &[Matcher::temporary(3, 1)],
        stages: SESSION,
        scope: Scope::Service,
        persistence: retry_after(Duration::from_mins(5)),
        title: "a server of the service has no room now",
        causes: &[Cause::observed(
            "it runs low on memory or disk and takes nothing",
        )],
        fix: WAIT,
        sources: &[Source::observed("SFM", "collected replies")],
    },
    Entry {
        id: "S-ORGANISATION-QUEUE",
        samples: &["450 4.7.3 Organization queue quota exceeded."],
        matchers: &[Matcher::text(&["Organization queue quota exceeded"])],
        stages: TRANSACTION,
        scope: Scope::Tenant,
        persistence: retry_after(Duration::from_mins(15)),
        title: "too much of the organisation's mail waits within the service",
        causes: &[Cause::observed(
            "a destination of the organisation takes no mail, and what is meant for it piles up",
        )],
        fix: Fix::advice(
            "wait; if it stays, look for the destination that takes nothing in the message trace",
        ),
        sources: &[Source::observed("SFM", "collected replies")],
    },
    Entry {
        id: "S-SERVICE-ROUTING",
        samples: &["451 4.4.0 DNS query failed"],
        matchers: &[Matcher::exact(451, Temporary, 4, 0)],
        stages: SESSION,
        scope: Scope::Service,
        persistence: retry_after(Duration::from_mins(5)),
        title: "the service cannot find the way for the message now",
        causes: &[Cause::observed(
            "a look-up or a connection within the service failed",
        )],
        fix: WAIT,
        sources: &[Source::observed("SFM", "collected replies")],
    },
];
