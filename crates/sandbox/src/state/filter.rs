//! Recipient filters of management scopes: the part of the language that scopes for sending use.
//!
//! Comparisons `Property -eq 'value'`, `-ne`, `-like` (with `*`), joined by `-and`, `-or`,
//! `-not`, and parentheses. `MemberOfGroup` counts direct members only.

use super::Tenant;
use super::exchange::MailboxKind;

/// Whether the mailbox at `address` matches `filter`; a filter that cannot be read matches nothing.
pub(crate) fn matches(filter: &str, tenant: &Tenant, address: &str) -> bool {
    parse(filter).is_ok_and(|filter| filter.holds(tenant, address))
}

/// Whether a mailbox is a direct member of a group named by id, address, name or distinguished
/// name.
pub(crate) fn is_member(tenant: &Tenant, group: &str, address: &str) -> bool {
    tenant.groups.iter().any(|(id, g)| {
        (group.parse() == Ok(*id)
            || g.mail.eq_ignore_ascii_case(group)
            || g.display_name.eq_ignore_ascii_case(group)
            || g.distinguished_name.eq_ignore_ascii_case(group))
            && g.members.contains(address)
    })
}

/// Reads a filter.
///
/// # Errors
/// A sentence that says what was expected and where.
pub(crate) fn parse(text: &str) -> Result<Filter, String> {
    let mut parser = Parser {
        words: split(text)?,
        next: 0,
    };
    let filter = parser.any()?;
    match parser.words.get(parser.next) {
        None => Ok(filter),
        Some(word) => Err(format!("unexpected `{}` in the filter", word.text())),
    }
}

/// A filter that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Compare {
        property: String,
        operator: Operator,
        value: String,
    },
    Not(Box<Self>),
    All(Box<Self>, Box<Self>),
    Any(Box<Self>, Box<Self>),
}

/// How a property is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Like,
}

impl Filter {
    fn holds(&self, tenant: &Tenant, address: &str) -> bool {
        match self {
            Self::Not(inner) => !inner.holds(tenant, address),
            Self::All(a, b) => a.holds(tenant, address) && b.holds(tenant, address),
            Self::Any(a, b) => a.holds(tenant, address) || b.holds(tenant, address),
            Self::Compare {
                property,
                operator,
                value,
            } => {
                let equal = |candidate: &str| match operator {
                    Operator::Like => like(candidate, value),
                    Operator::Equal | Operator::NotEqual => candidate.eq_ignore_ascii_case(value),
                };
                let found =
                    match property.to_ascii_lowercase().as_str() {
                        "memberofgroup" => is_member(tenant, value, address),
                        "primarysmtpaddress" | "windowsemailaddress" | "userprincipalname" => {
                            equal(address)
                        }
                        "alias" => equal(address.split('@').next().unwrap_or_default()),
                        "displayname" | "name" => tenant
                            .exchange
                            .mailboxes
                            .get(address)
                            .is_some_and(|mailbox| equal(&mailbox.display_name)),
                        "recipienttypedetails" => tenant
                            .exchange
                            .mailboxes
                            .get(address)
                            .is_some_and(|mailbox| {
                                equal(match mailbox.kind {
                                    MailboxKind::Shared => "SharedMailbox",
                                    MailboxKind::User => "UserMailbox",
                                })
                            }),
                        _ => false,
                    };
                found != (*operator == Operator::NotEqual)
            }
        }
    }
}

fn like(candidate: &str, pattern: &str) -> bool {
    let (candidate, pattern) = (candidate.to_lowercase(), pattern.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = candidate.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(String),
    Open,
    Close,
}

impl Word {
    fn text(&self) -> &str {
        match self {
            Self::Bare(text) | Self::Quoted(text) => text,
            Self::Open => "(",
            Self::Close => ")",
        }
    }
}

fn split(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            c if c.is_whitespace() => {}
            '(' | '{' => words.push(Word::Open),
            ')' | '}' => words.push(Word::Close),
            quote @ ('\'' | '"') => {
                let mut value = String::new();
                loop {
                    match letters.next() {
                        // A doubled quote stands for itself.
                        Some(c) if c == quote && letters.peek() == Some(&quote) => {
                            letters.next();
                            value.push(quote);
                        }
                        Some(c) if c == quote => break,
                        Some(c) => value.push(c),
                        None => return Err("a quote in the filter is not closed".into()),
                    }
                }
                words.push(Word::Quoted(value));
            }
            first => {
                let mut value = String::from(first);
                while let Some(c) = letters.next_if(|c| {
                    !c.is_whitespace() && !matches!(c, '(' | ')' | '{' | '}' | '\'' | '"')
                }) {
                    value.push(c);
                }
                words.push(Word::Bare(value));
            }
        }
    }
    Ok(words)
}

struct Parser {
    words: Vec<Word>,
    next: usize,
}

impl Parser {
    fn any(&mut self) -> Result<Filter, String> {
        let mut left = self.all()?;
        while self.took("-or") {
            left = Filter::Any(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut left = self.one()?;
        while self.took("-and") {
            left = Filter::All(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.took("-not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        match self.word()? {
            Word::Open => {
                let inner = self.any()?;
                match self.word()? {
                    Word::Close => Ok(inner),
                    other => Err(format!("expected `)`, found `{}`", other.text())),
                }
            }
            Word::Bare(property) => {
                let operator = match self.word()?.text().to_ascii_lowercase().as_str() {
                    "-eq" => Operator::Equal,
                    "-ne" => Operator::NotEqual,
                    "-like" => Operator::Like,
                    other => return Err(format!("`{other}` is no comparison")),
                };
                match self.word()? {
                    Word::Quoted(value) | Word::Bare(value) => Ok(Filter::Compare {
                        property,
                        operator,
                        value,
                    }),
                    other => Err(format!("expected a value, found `{}`", other.text())),
                }
            }
            other => Err(format!("expected a property, found `{}`", other.text())),
        }
    }

    fn took(&mut self, operator: &str) -> bool {
        let found = matches!(self.words.get(self.next), Some(Word::Bare(w)) if w.eq_ignore_ascii_case(operator));
        self.next += usize::from(found);
        found
    }

    fn word(&mut self) -> Result<Word, String> {
        let word = self
            .words
            .get(self.next)
            .cloned()
            .ok_or("the filter ends too early")?;
        self.next += 1;
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::state::preset::{self, Preset};

    #[test]
    fn filters_select_mailboxes() {
        let (tenant, made) = preset::make(
            Preset::Rbac,
            &Chance::seeded(1),
            jiff::Timestamp::UNIX_EPOCH,
        );
        let dn = preset::distinguished_name("smtp-senders", &tenant.domain);
        let table = [
            (format!("MemberOfGroup -eq '{dn}'"), true, false),
            (format!("memberofgroup -EQ \"{dn}\""), true, false),
            ("MemberOfGroup -eq 'CN=nobody'".into(), false, false),
            (
                "RecipientTypeDetails -eq 'SharedMailbox'".into(),
                true,
                false,
            ),
            (
                "-not (RecipientTypeDetails -eq 'SharedMailbox')".into(),
                false,
                true,
            ),
            (
                "Alias -like 'nore*' -or Alias -eq 'megan'".into(),
                true,
                true,
            ),
            (
                "Alias -like '*o*y' -and Alias -ne 'megan'".into(),
                true,
                false,
            ),
            ("Alias -lik 'x'".into(), false, false),
        ];
        for (filter, inside, outside) in table {
            assert_eq!(
                matches(&filter, &tenant, &made.mailboxes[0]),
                inside,
                "{filter}"
            );
            assert_eq!(
                matches(&filter, &tenant, &made.outside),
                outside,
                "{filter}"
            );
        }
    }

    #[test]
    fn unreadable_filters_say_what_is_wrong() {
        for (filter, said) in [
            ("", "ends too early"),
            ("Alias -eq", "ends too early"),
            ("Alias -eq 'x", "not closed"),
            ("(Alias -eq 'x'", "ends too early"),
            ("Alias is 'x'", "no comparison"),
            ("Alias -eq 'x' y", "unexpected"),
        ] {
            let error = parse(filter).unwrap_err();
            assert!(error.contains(said), "{filter}: {error}");
        }
    }
}
