//! What the tests share: clock, dialogue runner, client processes, round-trip counter.
