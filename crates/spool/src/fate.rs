//! From the recipients' states to the message's: pure.

use crate::message::{RecipientState, State};

/// The date of what never happens by itself.
pub(crate) const NEVER: i64 = i64::MAX;

/// What the decision needs of one recipient.
pub(crate) struct Slot<'a> {
    pub(crate) state: RecipientState,
    pub(crate) due: i64,
    pub(crate) reason: &'a str,
    pub(crate) changed_at: i64,
}

/// Where a message that nobody has claimed stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) state: State,
    /// Milliseconds: when something happens next; for a settled message, when it was settled.
    pub(crate) due: i64,
    pub(crate) reason: String,
}

/// Judges the recipients together: a suspect one stops all, then waiting, held, removed.
///
/// `undo_until` is the end of the undo window of a removal, while it is open.
pub(crate) fn judge<'a>(
    slots: impl Iterator<Item = Slot<'a>> + Clone,
    undo_until: Option<i64>,
) -> Fate {
    for (wanted, state) in [
        (RecipientState::Suspect, State::Suspect),
        (RecipientState::Waiting, State::Waiting),
        (RecipientState::Held, State::Held),
    ] {
        let first = slots
            .clone()
            .filter(|s| s.state == wanted)
            .min_by_key(|s| s.due);
        if let Some(slot) = first {
            return Fate {
                state,
                due: slot.due,
                reason: slot.reason.to_owned(),
            };
        }
    }
    let removed = slots.clone().any(|s| s.state == RecipientState::Removed);
    if let (true, Some(until)) = (removed, undo_until) {
        return Fate {
            state: State::Removed,
            due: until,
            reason: String::new(),
        };
    }
    let refused = slots.clone().find(|s| s.state == RecipientState::Refused);
    Fate {
        state: State::Settled,
        due: slots.map(|s| s.changed_at).max().unwrap_or(0),
        reason: refused.map_or_else(String::new, |s| s.reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RecipientState as R;

    fn check(states: &[(R, i64)], undo: Option<i64>, state: State, due: i64) {
        let slots = states.iter().map(|&(state, due)| Slot {
            state,
            due,
            reason: state.as_str(),
            changed_at: 7,
        });
        let fate = judge(slots, undo);
        assert_eq!((fate.state, fate.due), (state, due), "{states:?}");
    }

    #[test]
    fn the_most_urgent_recipient_decides() {
        check(&[(R::Waiting, 5), (R::Waiting, 3)], None, State::Waiting, 3);
        check(&[(R::Waiting, 5), (R::Held, 3)], None, State::Waiting, 5);
        check(
            &[(R::Waiting, 5), (R::Suspect, NEVER)],
            None,
            State::Suspect,
            NEVER,
        );
        check(
            &[(R::Accepted, 0), (R::Held, NEVER)],
            None,
            State::Held,
            NEVER,
        );
        check(
            &[(R::Accepted, 0), (R::Removed, 0)],
            Some(9),
            State::Removed,
            9,
        );
        check(
            &[(R::Accepted, 0), (R::Removed, 0)],
            None,
            State::Settled,
            7,
        );
        check(
            &[(R::Accepted, 0), (R::Refused, 0)],
            Some(9),
            State::Settled,
            7,
        );
    }
}
