//! A failure as a person reads it.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::Failure;
use crate::output::visible;

/// Width of the column of words at the left.
const LABEL: usize = 9;

/// Draws a failure; every line that came from elsewhere is made harmless first.
pub(crate) fn render(failure: &Failure, colour: bool) -> String {
    let mut page = Page {
        out: String::new(),
        colour,
    };
    page.head(&failure.what);
    if let Some(quote) = &failure.quote {
        page.row("said", &quote.text, AnsiColor::Yellow);
        page.more(&format!("(the words of {})", quote.who));
    }
    let mut causes = failure.causes.iter();
    if let Some(first) = causes.next() {
        page.row("cause", &first.cause, AnsiColor::Cyan);
        for evidence in &failure.evidence {
            page.row("seen", evidence, AnsiColor::Cyan);
        }
        if let Some(fix) = &first.fix {
            page.row("fix", fix, AnsiColor::Green);
        }
    } else {
        for evidence in &failure.evidence {
            page.row("seen", evidence, AnsiColor::Cyan);
        }
    }
    for other in causes {
        let text = match &other.fix {
            Some(fix) => format!("{} — {fix}", other.cause),
            None => other.cause.clone(),
        };
        page.row("or else", &text, AnsiColor::Cyan);
    }
    match failure.temporary {
        Some(true) => page.row(
            "lasting",
            "no: the same call may succeed later",
            AnsiColor::Cyan,
        ),
        Some(false) => page.row(
            "lasting",
            "yes: trying again changes nothing",
            AnsiColor::Cyan,
        ),
        None => {}
    }
    if let Some(command) = &failure.command {
        page.row("try", command, AnsiColor::Green);
    }
    page.out
}

struct Page {
    out: String,
    colour: bool,
}

impl Page {
    fn head(&mut self, text: &str) {
        let (on, off) = self.style(AnsiColor::Red);
        _ = writeln!(self.out, "{on}error:{off} {}", visible(text));
    }

    fn row(&mut self, label: &str, text: &str, colour: AnsiColor) {
        let (on, off) = self.style(colour);
        let text = visible(text);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        _ = writeln!(self.out, "  {on}{label:<LABEL$}{off}{first}");
        for line in lines {
            self.more(line);
        }
    }

    fn more(&mut self, text: &str) {
        _ = writeln!(self.out, "  {:<LABEL$}{text}", "");
    }

    fn style(&self, colour: AnsiColor) -> (String, String) {
        if !self.colour {
            return (String::new(), String::new());
        }
        let style = Style::new().bold().fg_color(Some(colour.into()));
        (style.render().to_string(), style.render_reset().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::exit::Exit;
    use crate::report::{Failure, Kind};

    #[test]
    fn a_whole_report() {
        let failure = Failure::new(
            Kind::Identity,
            Exit::Authentication,
            "the message from a@b.example was not sent: Exchange Online did not let mailbox a@b.example log in",
        )
        .quote("Exchange Online", "535 5.7.3 Authentication unsuccessful \u{1b}[0m")
        .cause("the service principal is not known to Exchange", Some("New-ServicePrincipal …".to_owned()))
        .cause("the mailbox is outside the scope", None)
        .evidence("oid 1234")
        .temporary(false)
        .command("sendas probe --mailbox a@b.example");
        assert_eq!(
            render(&failure, false),
            "\
error: the message from a@b.example was not sent: Exchange Online did not let mailbox a@b.example log in
  said     535 5.7.3 Authentication unsuccessful \\u{1b}[0m
           (the words of Exchange Online)
  cause    the service principal is not known to Exchange
  seen     oid 1234
  fix      New-ServicePrincipal …
  or else  the mailbox is outside the scope
  lasting  yes: trying again changes nothing
  try      sendas probe --mailbox a@b.example
"
        );
        assert!(render(&failure, true).contains("\u{1b}["));
    }
}
