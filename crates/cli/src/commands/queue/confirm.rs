//! Questions before what is hard to take back: the more there is, the more is asked.

use std::io::{self, BufRead as _};

use super::limits::EASY_QUESTION_MAX;
use crate::report::Failure;
use crate::{machine, output};

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// Nothing.
    None,
    /// Whether, to be answered with `y`.
    Easy,
    /// How many, to be answered with their number.
    Number(u64),
}

/// The grade of a change to so many messages.
pub(super) const fn grade(count: u64, can_be_undone: bool) -> Grade {
    match count {
        0 => Grade::None,
        1 if can_be_undone => Grade::None,
        count if count <= EASY_QUESTION_MAX => Grade::Easy,
        count => Grade::Number(count),
    }
}

/// Asks; false when the answer is no.
///
/// # Errors
/// When nobody is there to ask.
pub(super) fn ask(grade: Grade, deed: &str) -> Result<bool, Box<Failure>> {
    let prompt = match grade {
        Grade::None => return Ok(true),
        Grade::Easy => format!("{deed}? [y/N] "),
        Grade::Number(count) => format!("{deed}? Type the number {count} to go on: "),
    };
    if !machine::stdin_is_terminal() {
        return Err(Box::new(
            Failure::usage(format!("nothing was done: {deed} wants a yes"))
                .cause(
                    "standard input is no terminal, so nobody can be asked",
                    None,
                )
                .command("the same with --yes, or with --dry-run to see what it would do"),
        ));
    }
    output::say(&prompt);
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Box::new(Failure::machine("nothing was done", &error)))?;
    Ok(is_yes(grade, &answer))
}

fn is_yes(grade: Grade, answer: &str) -> bool {
    let answer = answer.trim();
    match grade {
        Grade::None => true,
        Grade::Easy => answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"),
        Grade::Number(count) => answer.parse() == Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_asks_more() {
        for (count, can_be_undone, expected) in [
            (0, false, Grade::None),
            (1, true, Grade::None),
            (1, false, Grade::Easy),
            (2, true, Grade::Easy),
            (20, true, Grade::Easy),
            (21, true, Grade::Number(21)),
            (21, false, Grade::Number(21)),
        ] {
            assert_eq!(grade(count, can_be_undone), expected, "{count}");
        }
    }

    #[test]
    fn only_a_plain_yes_is_one() {
        for (grade, answer, expected) in [
            (Grade::Easy, "y\n", true),
            (Grade::Easy, "YES\n", true),
            (Grade::Easy, "\n", false),
            (Grade::Easy, "", false),
            (Grade::Easy, "n\n", false),
            (Grade::Number(30), "30\n", true),
            (Grade::Number(30), "y\n", false),
            (Grade::Number(30), "31\n", false),
        ] {
            assert_eq!(is_yes(grade, answer), expected, "{answer:?}");
        }
    }
}
