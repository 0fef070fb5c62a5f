//! Query options: `$filter`, `$select`, `$top`, `$skiptoken`, `$count`, `$orderby`, over objects
//! as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::error::{self, GraphError};

/// Objects on a page unless `$top` says otherwise. Source: paging page of Microsoft Graph.
const PAGE_OBJECTS: usize = 100;
/// Objects on a page at most; more is refused with 400.
const PAGE_OBJECTS_MAX: usize = 999;

/// The options of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    filter: Option<Filter>,
    select: Vec<String>,
    top: Option<usize>,
    skip: usize,
    count: bool,
    descending: Option<bool>,
    // What a next page repeats.
    raw: Vec<(String, String)>,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Value>,
    /// Objects of all pages, when they were asked for.
    pub(crate) count: Option<usize>,
    /// The query of the next page.
    pub(crate) next: Option<String>,
}

impl Query {
    /// Reads the query of a request.
    pub(crate) fn read(query: &str) -> Result<Self, GraphError> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let bare = name.trim_start_matches('$').to_ascii_lowercase();
            match bare.as_str() {
                "filter" => read.filter = Some(parse(&value)?),
                "select" => {
                    let names = value.split(',').map(|name| name.trim().to_owned());
                    read.select = names.filter(|name| !name.is_empty()).collect();
                }
                "top" => match value.parse() {
                    Ok(top @ 1..=PAGE_OBJECTS_MAX) => read.top = Some(top),
                    _ => return Err(error::TOP.with(&[&value])),
                },
                "skiptoken" => {
                    read.skip = place(&value).ok_or_else(|| error::SKIP_TOKEN.said())?;
                    continue;
                }
                "count" => read.count = value == "true",
                "orderby" => {
                    let mut words = value.split_ascii_whitespace();
                    if words.next() != Some("displayName") {
                        return Err(error::QUERY.with(&["$orderby"]));
                    }
                    read.descending = Some(words.next() == Some("desc"));
                }
                "format" | "api-version" => {}
                // An expansion would need objects the sandbox does not keep.
                _ => return Err(error::QUERY.with(&[&name])),
            }
            read.raw.push((name.into_owned(), value.into_owned()));
        }
        Ok(read)
    }

    /// The names selected, as the context of an answer shows them: `(a,b)` or nothing.
    pub(crate) fn selected(&self) -> String {
        if self.select.is_empty() {
            String::new()
        } else {
            format!("({})", self.select.join(","))
        }
    }

    /// Whether a property was asked for by name.
    pub(crate) fn selects(&self, property: &str) -> bool {
        self.select
            .iter()
            .any(|name| name.eq_ignore_ascii_case(property))
    }

    /// Leaves the selected properties of an object.
    pub(crate) fn narrow(&self, object: Value) -> Value {
        let Value::Object(members) = object else {
            return object;
        };
        if self.select.is_empty() {
            return Value::Object(members);
        }
        let kept: Map<String, Value> = members
            .into_iter()
            .filter(|(name, _)| self.selects(name))
            .collect();
        Value::Object(kept)
    }

    /// The page asked for, of all `objects` of a kind named `resource`.
    pub(crate) fn page(&self, objects: Vec<Value>, resource: &str) -> Result<Page, GraphError> {
        let mut found = Vec::new();
        for object in objects {
            match &self.filter {
                Some(filter) if !filter.holds(&object, resource)? => {}
                _ => found.push(object),
            }
        }
        if let Some(descending) = self.descending {
            let name = |object: &Value| {
                object["displayName"]
                    .as_str()
                    .unwrap_or_default()
                    .to_lowercase()
            };
            found.sort_by_key(name);
            if descending {
                found.reverse();
            }
        }
        let total = found.len();
        let top = self.top.unwrap_or(PAGE_OBJECTS);
        let end = self.skip.saturating_add(top);
        let next = (end < total).then(|| {
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&self.raw)
                .append_pair("$skiptoken", &token(end))
                .finish()
        });
        let objects = found.into_iter().skip(self.skip).take(top);
        Ok(Page {
            objects: objects.map(|object| self.narrow(object)).collect(),
            count: self.count.then_some(total),
            next,
        })
    }
}

// Opaque to clients, so that nobody counts with it.
fn token(place: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("page at {place}"))
}

fn place(token: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("page at ")?.parse().ok()
}

/// A filter that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Equal(String, String),
    In(String, Vec<String>),
    StartsWith(String, String),
    // `names/any(x:x eq 'value')`.
    Any(String, String),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Filter {
    fn holds(&self, object: &Value, resource: &str) -> Result<bool, GraphError> {
        let property = |name: &str| {
            let members = object.as_object().into_iter().flatten();
            members
                .filter(|(member, _)| member.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
                .next()
                .ok_or_else(|| error::FILTER_PROPERTY.with(&[name, resource]))
        };
        Ok(match self {
            Self::Equal(name, value) => same(property(name)?, value),
            Self::In(name, values) => {
                let found = property(name)?;
                values.iter().any(|value| same(found, value))
            }
            Self::StartsWith(name, value) => {
                let found = property(name)?.as_str().unwrap_or_default();
                found.to_lowercase().starts_with(&value.to_lowercase())
            }
            Self::Any(name, value) => {
                let found = property(name)?.as_array();
                found.is_some_and(|all| all.iter().any(|one| same(one, value)))
            }
            Self::And(a, b) => a.holds(object, resource)? && b.holds(object, resource)?,
            Self::Or(a, b) => a.holds(object, resource)? || b.holds(object, resource)?,
        })
    }
}

fn same(found: &Value, value: &str) -> bool {
    match found {
        Value::String(text) => text.eq_ignore_ascii_case(value),
        Value::Null => value == "null",
        Value::Bool(flag) => value.parse() == Ok(*flag),
        Value::Number(number) => value.parse().ok() == number.as_f64(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn parse(text: &str) -> Result<Filter, GraphError> {
    let words = split(text)?;
    let mut parser = Parser { words, next: 0 };
    let filter = parser.any()?;
    match parser.words.get(parser.next) {
        None => Ok(filter),
        Some(word) => Err(wrong(&format!("'{}' is not expected.", word.text()))),
    }
}

fn wrong(why: &str) -> GraphError {
    error::FILTER.with(&[why])
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    Quoted(String),
    Sign(char),
}

impl Word {
    fn text(&self) -> String {
        match self {
            Self::Bare(text) | Self::Quoted(text) => text.clone(),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

fn split(text: &str) -> Result<Vec<Word>, GraphError> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            c if c.is_whitespace() => {}
            '(' | ')' | ',' | ':' => words.push(Word::Sign(letter)),
            '\'' => {
                let mut value = String::new();
                loop {
                    match letters.next() {
                        // A doubled quote stands for itself (OData ABNF, SQUOTE-in-string).
                        Some('\'') if letters.peek() == Some(&'\'') => {
                            letters.next();
                            value.push('\'');
                        }
                        Some('\'') => break,
                        Some(c) => value.push(c),
                        None => return Err(wrong("There is an unterminated literal.")),
                    }
                }
                words.push(Word::Quoted(value));
            }
            first => {
                let mut value = String::from(first);
                while let Some(c) = letters
                    .next_if(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | ',' | ':' | '\''))
                {
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
    fn any(&mut self) -> Result<Filter, GraphError> {
        let mut left = self.all()?;
        while self.took("or") {
            left = Filter::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Filter, GraphError> {
        let mut left = self.one()?;
        while self.took("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, GraphError> {
        let name = match self.word()? {
            Word::Sign('(') => {
                let inner = self.any()?;
                self.sign(')')?;
                return Ok(inner);
            }
            Word::Bare(name) => name,
            other => return Err(wrong(&format!("'{}' is not expected.", other.text()))),
        };
        if name.eq_ignore_ascii_case("startswith") {
            self.sign('(')?;
            let Word::Bare(property) = self.word()? else {
                return Err(wrong("startswith needs a property."));
            };
            self.sign(',')?;
            let value = self.word()?.text();
            self.sign(')')?;
            // `startswith(a,'b') eq true` says the same.
            if self.took("eq") && !self.took("true") {
                return Err(wrong("startswith can only be compared with true."));
            }
            return Ok(Filter::StartsWith(property, value));
        }
        if let Some(collection) = name.strip_suffix("/any") {
            self.sign('(')?;
            let variable = self.word()?;
            self.sign(':')?;
            if self.word()? != variable || !self.took("eq") {
                return Err(wrong("only 'any(x:x eq value)' is supported."));
            }
            let value = self.word()?.text();
            self.sign(')')?;
            return Ok(Filter::Any(collection.to_owned(), value));
        }
        if self.took("eq") {
            return Ok(Filter::Equal(name, self.word()?.text()));
        }
        if self.took("in") {
            self.sign('(')?;
            let mut values = vec![self.word()?.text()];
            while self.words.get(self.next) == Some(&Word::Sign(',')) {
                self.next += 1;
                values.push(self.word()?.text());
            }
            self.sign(')')?;
            return Ok(Filter::In(name, values));
        }
        Err(wrong(&format!("no supported comparison after '{name}'.")))
    }

    fn took(&mut self, word: &str) -> bool {
        let found = matches!(self.words.get(self.next), Some(Word::Bare(w)) if w.eq_ignore_ascii_case(word));
        self.next += usize::from(found);
        found
    }

    fn sign(&mut self, sign: char) -> Result<(), GraphError> {
        match self.word()? {
            Word::Sign(found) if found == sign => Ok(()),
            other => Err(wrong(&format!(
                "expected '{sign}', found '{}'.",
                other.text()
            ))),
        }
    }

    fn word(&mut self) -> Result<Word, GraphError> {
        let word = self.words.get(self.next).cloned();
        self.next += 1;
        word.ok_or_else(|| wrong("it ends too early."))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_select_objects() {
        let object = json!({"appId":"AB-1","displayName":"It's mail","names":["x","y"],"on":true});
        let table = [
            ("appId eq 'ab-1'", true),
            ("appId eq 'ab-2'", false),
            ("displayName eq 'It''s mail'", true),
            ("startswith(displayName,'it')", true),
            ("startswith(displayName, 'mail') eq true", false),
            ("names/any(n:n eq 'y')", true),
            ("names/any(n:n eq 'z')", false),
            ("appId in ('q', 'AB-1')", true),
            ("appId eq 'q' or on eq true", true),
            ("(appId eq 'ab-1' or on eq false) and on eq false", false),
        ];
        for (text, holds) in table {
            let filter = parse(text).unwrap();
            assert_eq!(filter.holds(&object, "application"), Ok(holds), "{text}");
        }
    }

    #[test]
    fn unreadable_filters_are_refused() {
        for text in [
            "",
            "a",
            "a ne 'b'",
            "a eq",
            "a eq 'b",
            "a eq 'b' c",
            "startswith(a)",
        ] {
            assert_eq!(parse(text).unwrap_err().row, &error::FILTER, "{text}");
        }
        let unknown = parse("b eq 'c'")
            .unwrap()
            .holds(&json!({"a":1}), "application");
        assert_eq!(unknown.unwrap_err().row, &error::FILTER_PROPERTY);
    }

    #[test]
    fn pages_follow_each_other() {
        let objects: Vec<Value> = (0..5).map(|n| json!({"n": n, "m": 0})).collect();
        let first = Query::read("$top=2&$select=n&$count=true").unwrap();
        let page = first.page(objects.clone(), "x").unwrap();
        assert_eq!(page.objects, [json!({"n":0}), json!({"n":1})]);
        assert_eq!(page.count, Some(5));
        let second = Query::read(&page.next.unwrap())
            .unwrap()
            .page(objects.clone(), "x")
            .unwrap();
        let third = Query::read(&second.next.unwrap())
            .unwrap()
            .page(objects, "x")
            .unwrap();
        assert_eq!(third.objects, [json!({"n":4})]);
        assert_eq!(third.next, None);
        for bad in [
            "$top=0",
            "$top=1000",
            "$skiptoken=abc",
            "$expand=owners",
            "$orderby=appId",
        ] {
            assert!(Query::read(bad).is_err(), "{bad}");
        }
    }
}
