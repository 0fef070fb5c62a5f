//! What helps, with one command where one exists, and the names put into it.

/// What helps against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What to do, as a sentence.
    pub advice: &'static str,
    /// One command, PowerShell for Exchange or `sendas`, with `{mailbox}`, `{from}`,
    /// `{principal}` and `{object}` where names belong; see [`Fix::command_for`].
    pub command: Option<&'static str>,
}

/// The names that a command can hold; a missing one stays a word in angle brackets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subjects<'a> {
    /// The mailbox of `user=`.
    pub mailbox: Option<&'a str>,
    /// The address in the From header.
    pub from: Option<&'a str>,
    /// The principal's application id, by which Exchange finds it too.
    pub principal: Option<&'a str>,
    /// The object id of the enterprise application: `oid` in the token.
    pub object: Option<&'a str>,
}

impl Fix {
    /// Advice alone.
    pub const fn advice(advice: &'static str) -> Self {
        Self {
            advice,
            command: None,
        }
    }

    /// Advice with the command that carries it out.
    pub const fn command(advice: &'static str, command: &'static str) -> Self {
        Self {
            advice,
            command: Some(command),
        }
    }

    /// The command with the names put in, ready to be pasted.
    ///
    /// A name that PowerShell might read as more than one plain word stands in single quotes: an
    /// address comes out of a message that somebody else wrote. One with a control character is
    /// not put in at all.
    pub fn command_for(&self, subjects: &Subjects<'_>) -> Option<String> {
        self.command.map(|command| fill(command, subjects))
    }
}

/// Puts the names into a command; what is no placeholder stays as it is.
pub(crate) fn fill(command: &str, subjects: &Subjects<'_>) -> String {
    let mut out = String::with_capacity(command.len() + 64);
    let mut rest = command;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let placeholder = after.split_once('}').and_then(|(name, behind)| {
            let value = match name {
                "mailbox" => subjects.mailbox,
                "from" => subjects.from,
                "principal" => subjects.principal,
                "object" => subjects.object,
                _ => return None,
            };
            Some((name, value, behind))
        });
        let Some((name, value, behind)) = placeholder else {
            out.push('{');
            rest = after;
            continue;
        };
        let is_word = |value: &&str| !value.is_empty() && !value.chars().any(char::is_control);
        if let Some(value) = value.filter(is_word) {
            quote(value, &mut out);
        } else {
            out.push('<');
            out.push_str(name);
            out.push('>');
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Writes one PowerShell word. Within single quotes only a single quote means anything, and
/// PowerShell takes the typographic ones for it too; doubled, each stands for itself.
fn quote(value: &str, out: &mut String) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    // A leading `@` would be splatting, a leading `-` a parameter, a leading `.` or `+` an operator.
    if value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.chars().all(is_plain) {
        out.push_str(value);
        return;
    }
    out.push('\'');
    for c in value.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_in() {
        let subjects = Subjects {
            mailbox: Some("scan@contoso.com"),
            from: Some("o'neil@contoso.com"),
            ..Subjects::default()
        };
        let cases = [
            ("Get {mailbox}", "Get scan@contoso.com"),
            ("Get {from}", "Get 'o''neil@contoso.com'"),
            ("Get {principal} {object}", "Get <principal> <object>"),
            (
                "Where {$_.Name -eq {mailbox}}",
                "Where {$_.Name -eq scan@contoso.com}",
            ),
            ("{unknown} {", "{unknown} {"),
        ];
        for (command, expected) in cases {
            assert_eq!(fill(command, &subjects), expected);
        }
    }

    #[test]
    fn a_name_cannot_become_a_command() {
        let cases = [
            ("a@b.c; Remove-Mailbox x", "Get 'a@b.c; Remove-Mailbox x'"),
            ("$(evil)@b.c", "Get '$(evil)@b.c'"),
            ("a`nb@b.c", "Get 'a`nb@b.c'"),
            ("x' ; evil '@b.c", "Get 'x'' ; evil ''@b.c'"),
            (
                "x\u{2019} ; evil \u{2018}@b.c",
                "Get 'x\u{2019}\u{2019} ; evil \u{2018}\u{2018}@b.c'",
            ),
            ("@b.c", "Get '@b.c'"),
            ("-Force", "Get '-Force'"),
            ("a\r\nevil", "Get <mailbox>"),
            ("", "Get <mailbox>"),
            ("{from}", "Get '{from}'"),
        ];
        for (mailbox, expected) in cases {
            let subjects = Subjects {
                mailbox: Some(mailbox),
                from: Some("filled"),
                ..Subjects::default()
            };
            assert_eq!(fill("Get {mailbox}", &subjects), expected);
        }
    }
}
