//! Time.

use super::checks;
use crate::doctor::check::{known, of, ok, problem, warning};
use crate::doctor::judge::CLOCK_SKEW_S_MAX;

/// Difference that is told, in seconds.
const SKEW_S_TOLD: i64 = 30;

checks! { CHECKS, Clock:
    "D-CLOCK-01" Nothing Given [] "the clock does not stand before this program"
        tests "now is later than the day this version was made"
        why "a machine without a battery begins in 1970, and every certificate is from the future then"
        fix "timedatectl set-ntp true"
        look |scene| Ok(if scene.seen.now >= scene.case.host.not_before {
            ok("it does not")
        } else {
            problem(format!("it says {}", scene.seen.now))
        });
    "D-CLOCK-02" Network Web ["D-NET-01"] "the clock agrees with Entra's"
        tests "the Date header of the token endpoint against the local time, to 30 seconds"
        why "assertions and tokens carry times; five minutes off, both are refused"
        fix "timedatectl set-ntp true"
        look |scene| {
            of(&scene.seen.web)?;
            let skew = known(scene.facts.clock_skew_s, "the token endpoint")?;
            let side = if skew > 0 { "ahead" } else { "behind" };
            Ok(match skew.abs() {
                0 => ok("to the second"),
                off if off > CLOCK_SKEW_S_MAX => problem(format!("{off} s {side}")),
                off if off > SKEW_S_TOLD => warning(format!("{off} s {side}")),
                off => ok(format!("{off} s {side}")),
            })
        };
}
