//! The counts a test runner prints at its end.

/// How many tests ran and how they went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Not run: ignored, filtered away or skipped.
    pub(crate) skipped: u64,
}

impl Counts {
    /// Adds up the lines `test result: ok. 3 passed; 0 failed; 1 ignored; …` of `cargo test`.
    pub(crate) fn of_cargo_test(output: &str) -> Self {
        let lines = output
            .lines()
            .filter_map(|line| line.trim().strip_prefix("test result: "));
        lines.fold(Self::default(), |sum, line| Self {
            passed: sum.passed + before(line, "passed"),
            failed: sum.failed + before(line, "failed"),
            skipped: sum.skipped + before(line, "ignored") + before(line, "filtered"),
        })
    }

    /// Reads the line `Summary [ 1.2s] 21 tests run: 20 passed, 1 failed, 0 skipped` of nextest.
    pub(crate) fn of_nextest(output: &str) -> Option<Self> {
        let line = output
            .lines()
            .rev()
            .find(|line| line.trim_start().starts_with("Summary ["))?;
        let bad = ["failed", "timed out", "exec failed"];
        Some(Self {
            passed: before(line, "passed"),
            failed: bad.iter().map(|word| before(line, word)).sum(),
            skipped: before(line, "skipped"),
        })
    }

    pub(crate) fn run(self) -> u64 {
        self.passed + self.failed
    }
}

/// The number that stands before `word` and a blank.
fn before(line: &str, word: &str) -> u64 {
    let place = line.match_indices(word).find_map(|(at, _)| {
        let number = line[..at].strip_suffix(' ')?;
        let start = number
            .rfind(|c: char| !c.is_ascii_digit())
            .map_or(0, |at| at + 1);
        number[start..].parse().ok()
    });
    place.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cargo_test() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
            \n\
            test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished\n";
        let expected = Counts {
            passed: 13,
            failed: 2,
            skipped: 5,
        };
        assert_eq!(Counts::of_cargo_test(output), expected);
        assert_eq!(Counts::of_cargo_test(""), Counts::default());
    }

    #[test]
    fn reads_nextest() {
        let cases = [
            (
                "     Summary [   0.276s] 21 tests run: 21 passed, 0 skipped",
                (21, 0, 0),
            ),
            (
                "     Summary [   9.1s] 21 tests run: 18 passed (1 leaky), 3 failed, 2 skipped",
                (18, 3, 2),
            ),
            (
                "     Summary [   9.1s] 3/5 tests run: 2 passed, 1 timed out, 0 skipped\n  FAIL x",
                (2, 1, 0),
            ),
        ];
        for (line, (passed, failed, skipped)) in cases {
            assert_eq!(
                Counts::of_nextest(line),
                Some(Counts {
                    passed,
                    failed,
                    skipped
                }),
                "{line}"
            );
        }
        assert_eq!(Counts::of_nextest("error: could not compile"), None);
    }
}
