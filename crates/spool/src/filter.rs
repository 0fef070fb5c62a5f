//! Which messages: the same filter for lists, counts and changes.

use jiff::Timestamp;
use rusqlite::types::Value;

use crate::id::{IdPrefix, MessageId};
use crate::message::State;

/// Chooses messages; every condition that is set must hold, and none chooses all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// These messages only; all when empty.
    pub ids: Vec<MessageId>,
    /// In one of these states; in any when empty.
    pub states: Vec<State>,
    /// Delivered through this mailbox; `*` stands for any text.
    pub mailbox: Option<String>,
    /// Waiting, held or failed for this reason.
    pub reason: Option<String>,
    /// With this reverse-path, empty for the null one; `*` stands for any text.
    pub sender: Option<String>,
    /// With such a recipient; `*` stands for any text.
    pub recipient: Option<String>,
    /// Handed in by this client; `*` stands for any text.
    pub client: Option<String>,
    /// Accepted before.
    pub before: Option<Timestamp>,
    /// Accepted at this time or after.
    pub since: Option<Timestamp>,
    /// At least so many octets.
    pub octets_min: Option<u64>,
    /// At most so many octets.
    pub octets_max: Option<u64>,
}

impl Filter {
    /// Chooses one message.
    pub fn id(id: MessageId) -> Self {
        Self {
            ids: vec![id],
            ..Self::default()
        }
    }

    /// Chooses whatever is still in the queue: all but settled messages.
    pub fn open() -> Self {
        Self {
            states: State::ALL
                .iter()
                .copied()
                .filter(|&s| s != State::Settled)
                .collect(),
            ..Self::default()
        }
    }

    /// Chooses messages in one state.
    pub fn state(state: State) -> Self {
        Self {
            states: vec![state],
            ..Self::default()
        }
    }

    /// The condition as SQL over `messages`, with its values.
    pub(crate) fn to_sql(&self) -> (String, Vec<Value>) {
        let mut sql = Sql::default();
        if !self.ids.is_empty() {
            let ids = self.ids.iter().map(|id| id.number().into()).collect();
            sql.one_of("id", ids);
        }
        if !self.states.is_empty() {
            let states = self.states.iter().map(|s| s.as_str().to_owned().into());
            sql.one_of("state", states.collect());
        }
        for (column, pattern) in [
            ("mailbox", &self.mailbox),
            ("sender", &self.sender),
            ("json_extract(envelope, '$.client')", &self.client),
        ] {
            if let Some(pattern) = pattern {
                sql.like(column, pattern);
            }
        }
        if let Some(reason) = &self.reason {
            sql.compare("reason =", reason.clone().into());
        }
        if let Some(pattern) = &self.recipient {
            sql.and(
                "EXISTS (SELECT 1 FROM recipients WHERE message = messages.id \
                 AND path LIKE ? ESCAPE '\\')",
                like(pattern).into(),
            );
        }
        let ms = |time: Timestamp| Value::from(time.as_millisecond());
        let octets = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
        for (condition, value) in [
            ("accepted_at <", self.before.map(ms)),
            ("accepted_at >=", self.since.map(ms)),
            ("octets >=", self.octets_min.map(octets)),
            ("octets <=", self.octets_max.map(octets)),
        ] {
            if let Some(value) = value {
                sql.compare(condition, value);
            }
        }
        if sql.text.is_empty() {
            "1".clone_into(&mut sql.text);
        }
        (sql.text, sql.values)
    }
}

/// The condition that an id begins so.
pub(crate) fn prefix_sql(prefix: IdPrefix) -> (&'static str, [i64; 2]) {
    let (first, last) = prefix.range();
    ("id BETWEEN ?1 AND ?2", [first, last])
}

#[derive(Default)]
struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    fn and(&mut self, condition: &str, value: Value) {
        self.join(condition);
        self.values.push(value);
    }

    fn join(&mut self, condition: &str) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(condition);
    }

    fn compare(&mut self, condition: &str, value: Value) {
        self.and(&format!("{condition} ?"), value);
    }

    fn like(&mut self, column: &str, pattern: &str) {
        self.and(
            &format!("{column} LIKE ? ESCAPE '\\'"),
            like(pattern).into(),
        );
    }

    fn one_of(&mut self, column: &str, values: Vec<Value>) {
        let marks = vec!["?"; values.len()].join(", ");
        self.join(&format!("{column} IN ({marks})"));
        self.values.extend(values);
    }
}

/// A pattern with `*` as LIKE wants it.
fn like(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '*' => out.push('%'),
            '%' | '_' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_join() {
        assert_eq!(Filter::default().to_sql(), ("1".to_owned(), vec![]));
        let filter = Filter {
            states: vec![State::Held, State::Waiting],
            sender: Some("50%_*@x".to_owned()),
            octets_min: Some(7),
            ..Filter::default()
        };
        let (text, values) = filter.to_sql();
        assert_eq!(
            text,
            "state IN (?, ?) AND sender LIKE ? ESCAPE '\\' AND octets >= ?"
        );
        assert_eq!(
            values,
            vec![
                Value::from("held".to_owned()),
                Value::from("waiting".to_owned()),
                Value::from("50\\%\\_%@x".to_owned()),
                Value::from(7),
            ]
        );
    }
}
