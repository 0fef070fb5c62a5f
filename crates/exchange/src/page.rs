//! The reference page on replies, made of the catalogue.

use std::fmt::Write as _;
use std::time::Duration;

use crate::catalogue;
use crate::diagnosis::SUSPECTS;
use crate::entry::Entry;
use crate::explain::UNLISTED;
use crate::limits::{self, Value};
use crate::meaning::Persistence;

/// What stands before the rows.
const HEAD: &str = "\
# Replies and what they mean

*Made from the tables in `crates/exchange/src`; a test compares the two.*

Every refusal of Exchange Online that is known, by its stable name. The name is the same in the
output of `sendas`, in logs and in the API. What is behind a refusal, and whether waiting helps, is
often not what its first digit says.

Marks: **D** documented by Microsoft, **O** observed in published transcripts and reports, **U**
unsure. The short names of the sources are explained in
[Exchange Online: the SMTP service](exchange-online.md#sources) and [below](#more-sources).

| Consequence | Meaning |
|---|---|
| tried again | it passes by itself; the time is that of the first wait, later ones grow |
| held and probed | it stays until an administrator changes something; nothing is refused, and one attempt finds out every so often |
| tried a few times, then refused | mostly final, but known to come and go |
| refused | final: the sender is told |

The scope says what else waits: a recipient, a message, everything of a mailbox, of a principal, of
a tenant, or everything that goes to the service.

Hosts, times and ids in the samples are examples; where the sources give a status alone, the code
before it or the words behind it are examples too. `{mailbox}` is the mailbox of `user=`, `{from}`
the address in the From header, `{principal}` the application's id, `{object}` the object id of its
enterprise application; `sendas` puts the names in.
";

/// Sources that the page on the service does not list.
const MORE_SOURCES: &str = "
## More sources

| Short name | Source |
|---|---|
| ONPREM | texts of Exchange Server, which Exchange Online may or may not use |
| RETIRE | Exchange team announcement on the end of basic authentication for client submission |
| SFM | ActiveCampaign/smtp-field-manual, collected replies, mostly from the receiving side |
| STS | Microsoft support article on SMTP AUTH with federated sign-in |
| SUPPORT | Microsoft support articles on the status codes named |
| TERRL | Exchange team announcement of the tenant external recipient rate limit, and Microsoft's script for it |
| TLS | Exchange team announcement of the end of TLS 1.0 and 1.1 |
| USERS | transcripts in issue threads and forums, as named |
| ZS | msgwing/ZeroSMTP, list of errors |
";

/// Writes the page in Markdown.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    for (heading, entries) in catalogue::TABLES {
        _ = write!(out, "\n## {heading}\n");
        for entry in *entries {
            write_entry(entry, &mut out);
        }
    }
    write_unlisted(&mut out);
    write_suspects(&mut out);
    write_limits(&mut out);
    out.push_str(MORE_SOURCES);
    out
}

fn write_entry(entry: &Entry, out: &mut String) {
    _ = write!(out, "\n### {}\n\n", entry.id);
    let mut title = entry.title.chars();
    if let Some(first) = title.next() {
        out.extend(first.to_uppercase());
    }
    _ = write!(out, "{}.\n\n```text\n", title.as_str());
    for sample in entry.samples {
        _ = writeln!(out, "{sample}");
    }
    let stages: Vec<_> = entry.stages.iter().map(|stage| stage.name()).collect();
    _ = write!(
        out,
        "```\n\n- Comes at: {}\n- Scope: {}\n- Consequence: {}\n",
        stages.join(", "),
        entry.scope,
        consequence(entry.persistence)
    );
    out.push_str("- Behind it:\n");
    for cause in entry.causes {
        _ = writeln!(out, "  - {} **{}**", cause.text, cause.mark.letter());
    }
    _ = writeln!(out, "- What helps: {}", entry.fix.advice);
    let sources: Vec<_> = entry
        .sources
        .iter()
        .map(|source| {
            format!(
                "**{}** {}, {}",
                source.mark.letter(),
                source.name,
                source.about
            )
        })
        .collect();
    _ = writeln!(out, "- Known from: {}", sources.join("; "));
    if let Some(command) = entry.fix.command {
        let language = if command.starts_with("sendas ") {
            "sh"
        } else {
            "powershell"
        };
        _ = write!(out, "\n```{language}\n{command}\n```\n");
    }
}

fn write_unlisted(out: &mut String) {
    out.push_str(
        "\n## Everything else\n\nA reply that is not listed is read by its class and the place where it came. Before MAIL it never\ncondemns a message.\n\n| Name | Reply | Scope | Consequence |\n|---|---|---|---|\n",
    );
    for words in UNLISTED {
        _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            words.id, words.when, words.scope, words.consequence
        );
    }
}

fn write_suspects(out: &mut String) {
    out.push_str(
        "\n## The causes of a bare `535 5.7.3`\n\nThe commonest first. What is known of the token, of Exchange's own state and of the last change\nrules most of them out.\n\n| Name | Cause | Shown by | Mark |\n|---|---|---|---|\n",
    );
    for suspect in SUSPECTS {
        _ = writeln!(
            out,
            "| {} | {} | `{}` | {} {} |",
            suspect.id,
            suspect.cause,
            suspect.look.replace('|', "\\|"),
            suspect.mark.letter(),
            suspect.sources.join(", ")
        );
    }
}

fn write_limits(out: &mut String) {
    out.push_str(
        "\n## The numbers behind them\n\n| Limit | Value | Beyond | Name | Mark |\n|---|---|---|---|---|\n",
    );
    for limit in limits::TABLE {
        _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} {} |",
            limit.name,
            value(limit.value),
            limit.beyond,
            limit.id.unwrap_or_default(),
            limit.mark.letter(),
            limit.source
        );
    }
    _ = write!(
        out,
        "\nExternal recipients a day for 1, 100 and 1,000 licences: {}, {} and {}.\n",
        grouped(limits::external_recipients_max(1)),
        grouped(limits::external_recipients_max(100)),
        grouped(limits::external_recipients_max(1_000)),
    );
}

fn consequence(persistence: Persistence) -> String {
    match persistence {
        Persistence::Temporary { first_retry } => {
            format!("tried again after {}", time(first_retry))
        }
        Persistence::Permanent => "refused".to_owned(),
        Persistence::NeedsAdministrator { probe_every } => {
            format!("held, and probed every {}", time(probe_every))
        }
        Persistence::TransientThenPermanent {
            attempts_max,
            first_retry,
        } => format!(
            "tried {attempts_max} times in all, first again after {}, then refused",
            time(first_retry)
        ),
    }
}

fn value(value: Value) -> String {
    match value {
        Value::Count(count) => grouped(count),
        Value::Octets(octets) => format!("{} octets", grouped(octets)),
        Value::Time(duration) => time(duration),
        Value::Formula(formula) => formula.to_owned(),
    }
}

fn time(duration: Duration) -> String {
    let (count, unit) = match duration.as_secs() {
        seconds if seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        seconds if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!(
            [0, 999, 1_000, 157_286_400].map(grouped),
            ["0", "999", "1,000", "157,286,400"]
        );
        let times = [1, 15, 60, 90, 7200].map(|s| time(Duration::from_secs(s)));
        assert_eq!(
            times,
            [
                "1 second",
                "15 seconds",
                "1 minute",
                "90 seconds",
                "2 hours"
            ]
        );
    }
}
