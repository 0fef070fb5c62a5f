//! How the doctor's examination is told.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use sendas_tenant::doctor::{Check, Examination, Group, Row, Status, Verdict};
use serde_json::{Value, json};

use crate::clock;
use crate::output::visible;

/// Causes that are told behind the first.
const OTHERS_MAX: usize = 6;

/// The report for people: the cause first, then each group with what is wrong in it.
pub(crate) fn text(examination: &Examination, all: bool, colour: bool) -> String {
    let mut page = Page {
        out: String::new(),
        colour,
    };
    page.causes(examination);
    for group in Group::ALL {
        let rows: Vec<&Row> = examination
            .rows
            .iter()
            .filter(|row| row.check.group == group)
            .collect();
        if !rows.is_empty() {
            page.group(group, &rows, all);
        }
    }
    page.sum(examination);
    page.out
}

struct Page {
    out: String,
    colour: bool,
}

impl Page {
    fn painted(&self, text: &str, colour: AnsiColor) -> String {
        if self.colour {
            let style = Style::new().fg_color(Some(colour.into())).bold();
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn row(&mut self, label: &str, text: &str, colour: AnsiColor) {
        let label = self.painted(&format!("{label:<9}"), colour);
        _ = writeln!(self.out, "  {label}{}", visible(text));
    }

    fn causes(&mut self, examination: &Examination) {
        let mut verdicts = examination.verdicts.iter();
        let Some(first) = verdicts.next() else {
            return;
        };
        let head = self.painted(&format!("cause[{}]", first.id), AnsiColor::Red);
        _ = writeln!(
            self.out,
            "{head}: {} ({})",
            visible(&first.cause),
            first.certainty.name()
        );
        for evidence in &first.evidence {
            self.row("seen", evidence, AnsiColor::Cyan);
        }
        if let Some(left) = first.remaining {
            let minutes = left.as_secs().div_ceil(60);
            self.row(
                "wait",
                &format!("{minutes} minutes at most; this is no error yet"),
                AnsiColor::Yellow,
            );
        }
        if let Some(command) = &first.command {
            self.row("fix", command, AnsiColor::Green);
        }
        for other in verdicts.take(OTHERS_MAX) {
            let line = format!("{} ({}, {})", other.cause, other.certainty.name(), other.id);
            self.row("or else", &line, AnsiColor::Cyan);
        }
        for unseen in &examination.unseen {
            self.row("unseen", unseen, AnsiColor::Yellow);
        }
        self.row(
            "more",
            &format!("sendas doctor --explain {}", first.id),
            AnsiColor::Cyan,
        );
        self.out.push('\n');
    }

    fn group(&mut self, group: Group, rows: &[&Row], all: bool) {
        let worst = rows
            .iter()
            .map(|row| row.status)
            .filter(|status| *status != Status::NotSeen)
            .max()
            .unwrap_or(Status::NotSeen);
        let count = |status| rows.iter().filter(|row| row.status == status).count();
        let mut parts = vec![format!("{} ok", count(Status::Ok))];
        for (status, one) in [
            (Status::Problem, "problem"),
            (Status::Warning, "warning"),
            (Status::NotSeen, "not seen"),
        ] {
            match count(status) {
                0 => {}
                1 => parts.push(format!("1 {one}")),
                many if status == Status::NotSeen => parts.push(format!("{many} {one}")),
                many => parts.push(format!("{many} {one}s")),
            }
        }
        let mark = self.mark(worst);
        _ = writeln!(self.out, "{mark} {:<14} {}", group.name(), parts.join(", "));
        for row in rows {
            match row.status {
                Status::Problem | Status::Warning => self.wrong(row),
                Status::Ok | Status::NotSeen if all => {
                    let mark = self.mark(row.status);
                    _ = writeln!(
                        self.out,
                        "  {mark} {}  {}: {}",
                        row.check.id,
                        row.check.title,
                        visible(&row.seen)
                    );
                }
                _ => {}
            }
        }
    }

    fn wrong(&mut self, row: &Row) {
        let mark = self.mark(row.status);
        _ = writeln!(
            self.out,
            "  {mark} {}  is wanted: {}",
            row.check.id, row.check.title
        );
        self.row("   saw", &row.seen, AnsiColor::Cyan);
        self.row("   why", row.check.why, AnsiColor::Cyan);
        if let Some(fix) = &row.fix {
            self.row("   fix", fix, AnsiColor::Green);
        }
    }

    fn mark(&self, status: Status) -> String {
        match status {
            Status::Ok => self.painted("ok ", AnsiColor::Green),
            Status::Warning => self.painted(" ! ", AnsiColor::Yellow),
            Status::Problem => self.painted(" x ", AnsiColor::Red),
            Status::NotSeen => self.painted(" - ", AnsiColor::Cyan),
        }
    }

    fn sum(&mut self, examination: &Examination) {
        let count = |status| {
            examination
                .rows
                .iter()
                .filter(|row| row.status == status)
                .count()
        };
        _ = writeln!(
            self.out,
            "{}: {} ok, {}, {}, {} not seen ({})",
            counted(examination.rows.len(), "check"),
            count(Status::Ok),
            counted(count(Status::Problem), "problem"),
            counted(count(Status::Warning), "warning"),
            count(Status::NotSeen),
            clock::ms(examination.took)
        );
    }
}

/// A number with its noun.
fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The report for programs.
pub(crate) fn json(examination: &Examination) -> Value {
    let count = |status| {
        examination
            .rows
            .iter()
            .filter(|row| row.status == status)
            .count()
    };
    json!({
        "ok": count(Status::Problem) == 0 && examination.verdicts.is_empty(),
        "problems": count(Status::Problem),
        "warnings": count(Status::Warning),
        "not_seen": count(Status::NotSeen),
        "ms": clock::ms_number(examination.took),
        "causes": examination.verdicts.iter().map(verdict).collect::<Vec<_>>(),
        "unseen": examination.unseen,
        "checks": examination.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    json!({
        "id": verdict.id,
        "certainty": verdict.certainty.name(),
        "cause": verdict.cause,
        "evidence": verdict.evidence,
        "command": verdict.command,
        "remaining_s": verdict.remaining.map(|left| left.as_secs()),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "id": row.check.id,
        "group": row.check.group.name(),
        "title": row.check.title,
        "status": row.status.name(),
        "seen": row.seen,
        "fix": row.fix,
        "ms": clock::ms_number(row.took),
    })
}

/// One check for people.
pub(crate) fn check_text(check: &Check) -> String {
    let after = if check.after.is_empty() {
        "nothing".to_owned()
    } else {
        check.after.join(", ")
    };
    format!(
        "{}  {}\n  group     {}\n  tests     {}\n  why       {}\n  fix       {}\n  needs     {}\n  waits for {after}\n",
        check.id,
        check.title,
        check.group.name(),
        check.tests,
        check.why,
        check.fix,
        check.needs.name(),
    )
}

/// One check for programs.
pub(crate) fn check_json(check: &Check) -> Value {
    json!({
        "id": check.id,
        "group": check.group.name(),
        "title": check.title,
        "tests": check.tests,
        "why": check.why,
        "fix": check.fix,
        "needs": check.needs.name(),
        "waits_for": check.after,
    })
}
