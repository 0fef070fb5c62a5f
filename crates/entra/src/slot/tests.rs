use std::sync::Arc;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::Refusal;

/// A moment so many seconds after the start, on both clocks.
fn at(second: u64) -> Moment {
    Moment {
        wall: Timestamp::from_second(1_770_000_000 + second.cast_signed()).unwrap(),
        steady: Duration::from_secs(1000 + second),
    }
}

fn token(generation: Generation, asked: Moment, life: i64, refresh: i64) -> Token {
    let after = |seconds| {
        asked
            .wall
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap()
    };
    let text = Zeroizing::new(format!("token-{}", generation.0));
    Token::new(text, after(life), after(refresh), generation)
}

fn refusal(status: u16, codes: &[u32], retry_after: Option<u64>) -> TokenError {
    TokenError::Refused(Arc::new(Refusal {
        status,
        error: String::new(),
        codes: codes.to_vec(),
        words: String::new(),
        trace_id: None,
        correlation_id: None,
        suberror: None,
        retry_after: retry_after.map(Duration::from_secs),
    }))
}

/// Asks, expects that a request is wanted, and lands an ordinary token.
fn fetch(slot: &mut Slot, now: Moment) -> Token {
    match slot.ask(now) {
        Action::Fetch(generation) => slot
            .land(generation, Ok(token(generation, now, 3599, 2999)), now, now)
            .unwrap(),
        other => panic!("{other:?}"),
    }
}

fn fail(slot: &mut Slot, now: Moment, error: TokenError) {
    match slot.ask(now) {
        Action::Fetch(generation) => {
            slot.land(generation, Err(error), now, now).unwrap_err();
        }
        other => panic!("{other:?}"),
    }
}

/// The first second from `from` on at which a request is wanted again.
fn quiet_until(slot: &mut Slot, from: u64) -> u64 {
    for second in from..from + 10_000 {
        match slot.ask(at(second)) {
            Action::CoolDown(_) => {}
            Action::Fetch(generation) => {
                slot.lost(generation);
                return second;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("quiet for ever");
}

#[test]
fn a_token_is_used_then_renewed_in_the_background_then_expired() {
    let mut slot = Slot::new(1);
    let first = fetch(&mut slot, at(0));
    assert!(matches!(slot.ask(at(2998)), Action::Use(t) if t.generation() == first.generation()));
    let Action::UseAndFetch(used, renewal) = slot.ask(at(2999)) else {
        panic!()
    };
    assert_eq!(used.generation(), first.generation());
    assert!(
        matches!(slot.ask(at(3000)), Action::Use(_)),
        "one renewal at a time"
    );
    assert!(
        matches!(slot.ask(at(3300)), Action::Wait),
        "less than 300 s left is expired"
    );
    slot.land(
        renewal,
        Ok(token(renewal, at(2999), 3599, 2999)),
        at(2999),
        at(3301),
    )
    .unwrap();
    assert!(matches!(slot.ask(at(3301)), Action::Use(t) if t.generation() == renewal));
}

#[test]
fn everybody_waits_for_the_one_request() {
    let mut slot = Slot::new(1);
    let Action::Fetch(generation) = slot.ask(at(0)) else {
        panic!()
    };
    for _ in 0..1000 {
        assert!(matches!(slot.ask(at(0)), Action::Wait));
    }
    slot.lost(generation);
    assert!(matches!(slot.ask(at(0)), Action::Fetch(next) if next > generation));
}

#[test]
fn short_lives_are_used_to_their_half() {
    let mut slot = Slot::new(1);
    let Action::Fetch(generation) = slot.ask(at(0)) else {
        panic!()
    };
    slot.land(
        generation,
        Ok(token(generation, at(0), 60, 30)),
        at(0),
        at(0),
    )
    .unwrap();
    assert!(matches!(slot.ask(at(29)), Action::Use(_)));
    assert!(matches!(slot.ask(at(30)), Action::Fetch(_)));
}

#[test]
fn either_clock_ends_a_token() {
    for (wall, steady, usable) in [
        (10, 10, true),
        (3299, 10, false),
        (10, 3299, false),
        (3298, 2998, true),
        (-86_400, 10, true),
    ] {
        let mut slot = Slot::new(1);
        fetch(&mut slot, at(0));
        let now = Moment {
            wall: at(0)
                .wall
                .saturating_add(SignedDuration::from_secs(wall))
                .unwrap(),
            steady: at(0).steady + Duration::from_secs(steady),
        };
        let used = matches!(slot.ask(now), Action::Use(_) | Action::UseAndFetch(..));
        assert_eq!(used, usable, "{wall} {steady}");
    }
}

#[test]
fn retry_after_is_obeyed_and_never_shortened() {
    for seed in 0..50 {
        let mut slot = Slot::new(seed);
        fail(&mut slot, at(0), refusal(429, &[], Some(120)));
        let Action::CoolDown(error) = slot.ask(at(60)) else {
            panic!()
        };
        assert!(error.is_temporary());
        let wait = error.retry_after().unwrap().as_secs();
        assert!((60..=91).contains(&wait), "{wait}");
        let until = quiet_until(&mut slot, 0);
        assert!((120..=151).contains(&until), "{until}");
    }
}

#[test]
fn temporary_failures_are_met_with_growing_pauses() {
    let mut slot = Slot::new(3);
    let mut now = 0;
    for wanted in [5, 10, 20, 40, 80, 160, 300, 300] {
        fail(&mut slot, at(now), refusal(500, &[], None));
        let until = quiet_until(&mut slot, now);
        let pause = until - now;
        assert!(
            (wanted..=wanted + wanted / 4 + 1).contains(&pause),
            "{wanted}: {pause}"
        );
        now = until;
    }
    fetch(&mut slot, at(now));
    slot.refuse(Generation(u64::MAX), at(now));
    fail(&mut slot, at(now + 4000), refusal(500, &[], None));
    let again = quiet_until(&mut slot, now + 4000) - now - 4000;
    assert!((5..=7).contains(&again), "a success resets: {again}");
}

#[test]
fn permanent_failures_pause_a_minute_and_young_credentials_less() {
    for (codes, pauses) in [
        (&[7_000_222][..], [60, 60, 60]),
        (&[7_000_215], [10, 20, 40]),
        (&[700_027], [10, 20, 40]),
    ] {
        let mut slot = Slot::new(9);
        let mut now = 0;
        for wanted in pauses {
            fail(&mut slot, at(now), refusal(401, codes, None));
            let until = quiet_until(&mut slot, now);
            let pause = until - now;
            assert!(
                (wanted..=wanted + wanted / 4 + 1).contains(&pause),
                "{codes:?} {wanted}: {pause}"
            );
            now = until;
        }
    }
}

#[test]
fn a_failed_renewal_leaves_the_token_in_use() {
    let mut slot = Slot::new(1);
    let first = fetch(&mut slot, at(0));
    let Action::UseAndFetch(_, renewal) = slot.ask(at(3000)) else {
        panic!()
    };
    slot.land(
        renewal,
        Err(refusal(503, &[], Some(100))),
        at(3000),
        at(3000),
    )
    .unwrap_err();
    for second in 3001..3100 {
        assert!(
            matches!(slot.ask(at(second)), Action::Use(t) if t.generation() == first.generation())
        );
    }
    assert!(matches!(slot.ask(at(3130)), Action::UseAndFetch(..)));
}

#[test]
fn a_late_answer_does_not_replace_a_newer_token() {
    let mut slot = Slot::new(1);
    let Action::Fetch(old) = slot.ask(at(0)) else {
        panic!()
    };
    slot.lost(old);
    let newer = fetch(&mut slot, at(1));
    slot.land(old, Ok(token(old, at(0), 3599, 2999)), at(0), at(2))
        .unwrap();
    assert!(matches!(slot.ask(at(3)), Action::Use(t) if t.generation() == newer.generation()));
}

#[test]
fn a_refused_token_is_never_handed_out_again() {
    let mut slot = Slot::new(1);
    let first = fetch(&mut slot, at(0));
    slot.refuse(first.generation(), at(1));
    let second = fetch(&mut slot, at(1));
    assert!(second.generation() > first.generation());
    slot.refuse(first.generation(), at(2));
    assert!(
        matches!(slot.ask(at(2)), Action::Use(_)),
        "a late report about an older token"
    );
}

#[test]
fn a_token_that_has_just_logged_in_is_not_blamed_for_a_mailbox() {
    let mut slot = Slot::new(1);
    let first = fetch(&mut slot, at(0));
    slot.accept(first.generation(), at(10));
    slot.refuse(first.generation(), at(609));
    assert!(matches!(slot.ask(at(609)), Action::Use(t) if t.generation() == first.generation()));
    slot.refuse(first.generation(), at(610));
    assert!(
        matches!(slot.ask(at(610)), Action::Fetch(_)),
        "an old login says nothing"
    );
}

#[test]
fn fresh_tokens_refused_in_a_row_bring_growing_pauses() {
    let mut slot = Slot::new(1);
    let mut now = 0;
    for wanted in [0, 30, 60, 120, 240, 480, 900, 900] {
        let token = fetch(&mut slot, at(now));
        slot.refuse(token.generation(), at(now));
        if wanted > 0 {
            assert!(matches!(
                slot.ask(at(now)),
                Action::CoolDown(TokenError::RefusedRepeatedly { .. })
            ));
        }
        let pause = quiet_until(&mut slot, now) - now;
        assert!(
            (wanted..=wanted + wanted / 4 + 1).contains(&pause),
            "{wanted}: {pause}"
        );
        now += pause;
    }
    let token = fetch(&mut slot, at(now));
    slot.refuse(token.generation(), at(now + 600));
    fetch(&mut slot, at(now + 600));
}

#[test]
fn the_same_text_after_a_refusal_is_an_error() {
    let mut slot = Slot::new(1);
    let first = fetch(&mut slot, at(0));
    slot.refuse(first.generation(), at(1));
    let Action::Fetch(next) = slot.ask(at(1)) else {
        panic!()
    };
    let again = Token::new(
        Zeroizing::new(first.expose().to_owned()),
        first.expires_at(),
        first.refresh_at(),
        next,
    );
    let error = slot.land(next, Ok(again), at(1), at(1)).unwrap_err();
    assert!(matches!(error, TokenError::SameTokenAgain));
    assert!(matches!(slot.ask(at(2)), Action::CoolDown(_)));
}

#[derive(Clone, Debug)]
enum Event {
    Ask,
    Land {
        life: i64,
    },
    Fail {
        status: u16,
        retry_after: Option<u64>,
    },
    Lose,
    Refuse,
    Pass {
        seconds: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask),
        3 => (1_i64..90_000).prop_map(|life| Event::Land { life }),
        2 => (prop_oneof![Just(400_u16), Just(429), Just(500)], proptest::option::of(0_u64..4000))
            .prop_map(|(status, retry_after)| Event::Fail { status, retry_after }),
        1 => Just(Event::Lose),
        1 => Just(Event::Refuse),
        4 => (0_u64..5000).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

proptest! {
    /// Whatever happens: one request at a time, no expired or refused token, no request within a
    /// pause the service asked for.
    #[test]
    fn the_promises_hold_in_any_order(seed in any::<u64>(), events in proptest::collection::vec(event(), 1..200)) {
        let mut slot = Slot::new(seed);
        let mut now = 0;
        let mut flight: Option<(Generation, u64)> = None;
        let mut handed: Option<Token> = None;
        let mut refused: Vec<Generation> = Vec::new();
        let mut forbidden_until = 0;
        for event in events {
            match event {
                Event::Pass { seconds } => now += seconds,
                Event::Ask => {
                    let (used, started) = match slot.ask(at(now)) {
                        Action::Use(token) => (Some(token), None),
                        Action::UseAndFetch(token, generation) => (Some(token), Some(generation)),
                        Action::Fetch(generation) => (None, Some(generation)),
                        Action::Wait => { prop_assert!(flight.is_some()); (None, None) }
                        Action::CoolDown(_) => (None, None),
                    };
                    if let Some(token) = used {
                        prop_assert!(token.expires_at() > at(now).wall);
                        prop_assert!(!refused.contains(&token.generation()));
                        handed = Some(token);
                    }
                    if let Some(generation) = started {
                        prop_assert!(flight.is_none());
                        prop_assert!(now >= forbidden_until);
                        flight = Some((generation, now));
                    }
                }
                Event::Land { life } => {
                    if let Some((generation, asked)) = flight.take() {
                        let token = token(generation, at(asked), life, life / 2);
                        drop(slot.land(generation, Ok(token), at(asked), at(now)));
                        forbidden_until = 0;
                    }
                }
                Event::Fail { status, retry_after } => {
                    if let Some((generation, asked)) = flight.take() {
                        let error = refusal(status, &[], retry_after);
                        drop(slot.land(generation, Err(error), at(asked), at(now)));
                        forbidden_until = now + retry_after.unwrap_or(0);
                    }
                }
                Event::Lose => {
                    if let Some((generation, _)) = flight.take() {
                        slot.lost(generation);
                    }
                }
                Event::Refuse => {
                    if let Some(token) = handed.take() {
                        slot.refuse(token.generation(), at(now));
                        refused.push(token.generation());
                    }
                }
            }
        }
    }
}
