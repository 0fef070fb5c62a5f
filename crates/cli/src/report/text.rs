//! A failure as a person reads it.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{Failure, Lasting};
use crate::output::visible;

/// Width of the column of words at the left.
const LABEL: usize = 9;

/// Draws a failure; every line that came from elsewhere is made harmless first.
pub(crate) fn render(failure: &Failure, colour: bool) -> String {
    let mut page = Page {
        out: String::new(),
        colour,
    };
    page.head(failure.id, &failure.what);
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
        let label = if failure.is_all { "and" } else { "or else" };
        page.row(label, &text, AnsiColor::Cyan);
    }
    if let Some(lasting) = failure.lasting {
        let text = match lasting {
            Lasting::Passes => "no: the same call may succeed later",
            Lasting::UntilChanged => {
                "until somebody changes something: trying again alone does not help"
            }
            Lasting::Stays => "yes: the same call never succeeds",
        };
        page.row("lasting", text, AnsiColor::Cyan);
    }
    if let Some(after) = failure.retry_after {
        let text = format!("{} s, as the service asks", after.as_secs());
        page.row("wait", &text, AnsiColor::Yellow);
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
    fn head(&mut self, id: Option<&str>, text: &str) {
        let (on, off) = self.style(AnsiColor::Red);
        let id = id.map(|id| format!("[{id}]")).unwrap_or_default();
        _ = writeln!(self.out, "{on}error{id}:{off} {}", visible(text));
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
    use crate::report::{Failure, Kind, Lasting};

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
        .lasting(Lasting::UntilChanged)
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
  lasting  until somebody changes something: trying again alone does not help
  try      sendas probe --mailbox a@b.example
"
        );
        assert!(render(&failure, true).contains("\u{1b}["));
    }
}
