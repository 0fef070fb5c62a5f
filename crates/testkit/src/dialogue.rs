//! Dialogues as text files, run against a protocol core or, by [`crate::socket`], against a socket.
//!
//! ```text
//! # The greeting of a server and the first command.
//! S: 220 <...> ready
//! C: EHLO client.example
//! S: 250-server.example
//! S: 250 SIZE 1000
//! !tls
//! C: BDAT 5 LAST
//! C: a\x00b\r\n\
//! ```
//!
//! - `C: ` is a line of the client, `S: ` one of the server. CR LF follows each line, unless it ends
//!   in a single `\`.
//! - `\r \n \t \0 \\ \xHH` are octets; `\(TEXT*N)` is TEXT, N times.
//! - `<...>` in a line of the side under test stands for one octet or more, up to the line's end.
//! - Lines of one side that follow each other travel together, as one flight.
//! - `!word arguments` is an event between two lines: `!end` says that the side under test has closed
//!   the connection; any other word is for the caller (`!tls`).
//! - `#` begins a comment line.

use std::fmt;
use std::path::Path;

/// The two sides of a dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side whose lines begin with `C:`.
    Client,
    /// The side whose lines begin with `S:`.
    Server,
}

/// A protocol core as the runner sees it: octets in, octets out, no waiting.
pub trait Machine {
    /// Takes octets of the other side; `octets` may begin and end anywhere.
    fn receive(&mut self, octets: &[u8]);

    /// Gives what is to be sent now and forgets it.
    fn transmit(&mut self) -> Vec<u8>;

    /// Says whether the core wants the connection closed once everything is sent.
    fn is_closed(&self) -> bool;

    /// Performs an event of the file (`!word arguments`).
    ///
    /// # Errors
    /// When the core knows no such event or refuses it now.
    fn event(&mut self, word: &str, arguments: &str) -> Result<(), String>;
}

/// How the octets sent to the core are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Each flight at once.
    Flights,
    /// So many octets at a time.
    Octets(usize),
}

/// One dialogue, parsed.
#[derive(Debug, Clone)]
pub struct Dialogue {
    /// The file's name without its ending, or what the caller called it.
    pub name: String,
    pub(crate) steps: Vec<Step>,
}

/// One line of the file that says something.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) act: Act,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    Say(Side, Pattern),
    Event { word: String, arguments: String },
}

/// Octets with gaps.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Octets(Vec<u8>),
    Any,
}

/// A dialogue that did not go as its file says, or a file that cannot be read.
#[derive(Debug)]
pub struct Mismatch {
    /// The dialogue's name.
    pub dialogue: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// What went wrong, with the octets escaped.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.dialogue, self.line, self.what)
    }
}

impl std::error::Error for Mismatch {}

impl Dialogue {
    /// Parses the text of a dialogue.
    ///
    /// # Errors
    /// Names the first line that is not one of the module's forms.
    pub fn parse(name: &str, text: &str) -> Result<Self, Mismatch> {
        let mut steps = Vec::new();
        for (at, raw) in text.lines().enumerate() {
            let line = at + 1;
            let wrong = |what: String| Mismatch {
                dialogue: name.to_owned(),
                line,
                what,
            };
            let act = if raw.trim().is_empty() || raw.starts_with('#') {
                continue;
            } else if let Some(event) = raw.strip_prefix('!') {
                let (word, arguments) = event.split_once(' ').unwrap_or((event, ""));
                Act::Event {
                    word: word.to_owned(),
                    arguments: arguments.trim().to_owned(),
                }
            } else if let Some(text) = said(raw, "C:") {
                Act::Say(Side::Client, Pattern::parse(text).map_err(wrong)?)
            } else if let Some(text) = said(raw, "S:") {
                Act::Say(Side::Server, Pattern::parse(text).map_err(wrong)?)
            } else {
                return Err(wrong(
                    "a line begins with `C:`, `S:`, `!` or `#`".to_owned(),
                ));
            };
            steps.push(Step { line, act });
        }
        Ok(Self {
            name: name.to_owned(),
            steps,
        })
    }

    /// Reads every `*.txt` file of a folder, in the order of the names.
    ///
    /// # Panics
    /// When the folder holds none, or one of them does not parse: a test without its dialogues
    /// must not pass.
    pub fn folder(path: impl AsRef<Path>) -> Vec<Self> {
        let path = path.as_ref();
        let entries = std::fs::read_dir(path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("a folder that opened can be listed").path())
            .filter(|file| file.extension().is_some_and(|ending| ending == "txt"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "no dialogue in {}", path.display());
        files.iter().map(Self::file).collect()
    }

    /// Reads one file.
    ///
    /// # Panics
    /// When it cannot be read or does not parse.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text).unwrap_or_else(|mismatch| panic!("{mismatch}"))
    }

    /// Runs the dialogue against `machine`, which plays `under_test`; the file plays the other side.
    ///
    /// # Errors
    /// At the first line that the machine says otherwise, leaves out or adds.
    pub fn check(
        &self,
        machine: &mut impl Machine,
        under_test: Side,
        cut: Cut,
    ) -> Result<(), Mismatch> {
        let mut heard = machine.transmit();
        let mut last_line = 0;
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            last_line = step.line;
            match &step.act {
                Act::Say(side, pattern) if *side == under_test => {
                    let length = pattern
                        .matches(&heard)
                        .ok_or_else(|| self.wrong(step.line, pattern, &heard))?;
                    heard.drain(..length);
                }
                Act::Say(side, pattern) => {
                    self.nothing_left(step.line, &heard)?;
                    let mut flight = self.octets_to_send(step.line, pattern)?;
                    while let Some(Step {
                        line,
                        act: Act::Say(next, pattern),
                    }) = steps.peek()
                    {
                        if next != side {
                            break;
                        }
                        flight.extend(self.octets_to_send(*line, pattern)?);
                        steps.next();
                    }
                    let size = match cut {
                        Cut::Flights => flight.len().max(1),
                        Cut::Octets(size) => size.max(1),
                    };
                    for part in flight.chunks(size) {
                        machine.receive(part);
                        heard.extend(machine.transmit());
                    }
                }
                Act::Event { word, .. } if word == "end" => {
                    self.nothing_left(step.line, &heard)?;
                    if !machine.is_closed() {
                        return Err(self.says(step.line, "the connection is still open".to_owned()));
                    }
                }
                Act::Event { word, arguments } => {
                    self.nothing_left(step.line, &heard)?;
                    machine
                        .event(word, arguments)
                        .map_err(|refusal| self.says(step.line, format!("!{word}: {refusal}")))?;
                    heard.extend(machine.transmit());
                }
            }
        }
        self.nothing_left(last_line, &heard)
    }

    /// Runs the dialogue against a fresh machine for every cut that has ever mattered: whole
    /// flights, and 1, 2, 3 and 7 octets at a time.
    ///
    /// # Errors
    /// As [`Dialogue::check`], with the cut in the text.
    pub fn check_every_cut<M: Machine>(
        &self,
        under_test: Side,
        mut fresh: impl FnMut() -> M,
    ) -> Result<(), Mismatch> {
        let cuts = [
            Cut::Flights,
            Cut::Octets(1),
            Cut::Octets(2),
            Cut::Octets(3),
            Cut::Octets(7),
        ];
        for cut in cuts {
            self.check(&mut fresh(), under_test, cut)
                .map_err(|mismatch| Mismatch {
                    what: format!("{} (cut: {cut:?})", mismatch.what),
                    ..mismatch
                })?;
        }
        Ok(())
    }

    pub(crate) fn octets_to_send(
        &self,
        line: usize,
        pattern: &Pattern,
    ) -> Result<Vec<u8>, Mismatch> {
        pattern
            .octets()
            .ok_or_else(|| self.says(line, "`<...>` can only be expected, not sent".to_owned()))
    }

    pub(crate) fn nothing_left(&self, line: usize, heard: &[u8]) -> Result<(), Mismatch> {
        if heard.is_empty() {
            return Ok(());
        }
        Err(self.says(
            line,
            format!("before this line came, unasked: {}", show(heard)),
        ))
    }

    pub(crate) fn wrong(&self, line: usize, expected: &Pattern, heard: &[u8]) -> Mismatch {
        self.says(
            line,
            format!("expected {expected}\n     but came {}", show(heard)),
        )
    }

    pub(crate) fn says(&self, line: usize, what: String) -> Mismatch {
        Mismatch {
            dialogue: self.name.clone(),
            line,
            what,
        }
    }
}

fn said<'a>(raw: &'a str, prefix: &str) -> Option<&'a str> {
    let text = raw.strip_prefix(prefix)?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

const GAP: &str = "<...>";

impl Pattern {
    /// Parses what follows `C: ` or `S: `; CR LF is added unless a lone `\` ends it.
    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut octets = Vec::new();
        let mut rest = text;
        loop {
            if let Some(after) = rest.strip_prefix(GAP) {
                pieces.push(Piece::Octets(std::mem::take(&mut octets)));
                pieces.push(Piece::Any);
                rest = after;
            } else if rest == "\\" {
                break;
            } else if let Some(after) = rest.strip_prefix('\\') {
                rest = escape(after, &mut octets)?;
            } else if let Some(character) = rest.chars().next() {
                let length = character.len_utf8();
                octets.extend_from_slice(&rest.as_bytes()[..length]);
                rest = &rest[length..];
            } else {
                octets.extend_from_slice(b"\r\n");
                break;
            }
        }
        pieces.push(Piece::Octets(octets));
        Ok(Self(pieces))
    }

    fn octets(&self) -> Option<Vec<u8>> {
        match self.0.as_slice() {
            [Piece::Octets(octets)] => Some(octets.clone()),
            _ => None,
        }
    }

    /// How many octets at the beginning of `heard` the pattern covers, if it does.
    pub(crate) fn matches(&self, heard: &[u8]) -> Option<usize> {
        matches(&self.0, heard)
    }

    /// Whether more octets could still turn `heard` into a match.
    #[cfg(feature = "net")]
    pub(crate) fn may_grow(&self, heard: &[u8]) -> bool {
        match self.0.first() {
            Some(Piece::Octets(octets)) if self.0.len() == 1 => octets.starts_with(heard),
            _ => !heard.ends_with(b"\n"),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Octets(octets) => f.write_str(&show(octets)),
            Piece::Any => f.write_str(GAP),
        })
    }
}

fn matches(pieces: &[Piece], heard: &[u8]) -> Option<usize> {
    match pieces.split_first() {
        None => Some(0),
        Some((Piece::Octets(octets), rest)) => {
            let after = heard.strip_prefix(octets.as_slice())?;
            Some(octets.len() + matches(rest, after)?)
        }
        Some((Piece::Any, rest)) => {
            let line = heard
                .iter()
                .position(|octet| matches!(octet, b'\r' | b'\n'));
            let line = line.unwrap_or(heard.len());
            (1..=line).find_map(|gap| Some(gap + matches(rest, &heard[gap..])?))
        }
    }
}

/// Reads one escape, without its `\`, and returns what follows it.
fn escape<'a>(text: &'a str, octets: &mut Vec<u8>) -> Result<&'a str, String> {
    let unknown = || {
        format!(
            "unknown escape `\\{}`",
            text.chars().take(4).collect::<String>()
        )
    };
    let rest = &text[text.chars().next().map_or(0, char::len_utf8)..];
    match text.bytes().next().ok_or_else(unknown)? {
        b'r' => octets.push(b'\r'),
        b'n' => octets.push(b'\n'),
        b't' => octets.push(b'\t'),
        b'0' => octets.push(0),
        b'\\' => octets.push(b'\\'),
        b'x' => {
            let digits = rest.get(..2).ok_or_else(unknown)?;
            octets.push(u8::from_str_radix(digits, 16).map_err(|_| unknown())?);
            return Ok(&rest[2..]);
        }
        b'(' => {
            let (inside, after) = rest.split_once(')').ok_or_else(unknown)?;
            let (text, times) = inside.rsplit_once('*').ok_or_else(unknown)?;
            let times: usize = times.parse().map_err(|_| unknown())?;
            octets.extend(text.as_bytes().repeat(times));
            return Ok(after);
        }
        _ => return Err(unknown()),
    }
    Ok(rest)
}

/// Shows octets on one line, long ones cut in the middle.
pub(crate) fn show(octets: &[u8]) -> String {
    const SHOWN_OCTETS_MAX: usize = 400;
    if octets.is_empty() {
        return "nothing".to_owned();
    }
    if octets.len() > SHOWN_OCTETS_MAX {
        let (head, tail) = (
            &octets[..SHOWN_OCTETS_MAX / 2],
            &octets[octets.len() - 40..],
        );
        return format!(
            "{} [{} octets] {}",
            head.escape_ascii(),
            octets.len() - head.len() - tail.len(),
            tail.escape_ascii()
        );
    }
    octets.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each line with its length and closes at `bye`.
    #[derive(Default)]
    struct Counter {
        line: Vec<u8>,
        out: Vec<u8>,
        closed: bool,
    }

    impl Machine for Counter {
        fn receive(&mut self, octets: &[u8]) {
            for octet in octets {
                self.line.push(*octet);
                if *octet == b'\n' {
                    let line = std::mem::take(&mut self.line);
                    self.out
                        .extend(format!("250 {} octets\r\n", line.len()).into_bytes());
                    self.closed |= line == b"bye\r\n";
                }
            }
        }

        fn transmit(&mut self) -> Vec<u8> {
            std::mem::take(&mut self.out)
        }

        fn is_closed(&self) -> bool {
            self.closed
        }

        fn event(&mut self, word: &str, arguments: &str) -> Result<(), String> {
            if word != "hello" {
                return Err("no such event".to_owned());
            }
            self.out
                .extend(format!("220 hello {arguments}\r\n").into_bytes());
            Ok(())
        }
    }

    fn run(text: &str) -> Result<(), String> {
        let dialogue = Dialogue::parse("test", text).map_err(|error| error.to_string())?;
        dialogue
            .check_every_cut(Side::Server, Counter::default)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_dialogue_that_goes_as_written() {
        run("# a comment\n\
             !hello you\n\
             S: 220 hello you\n\
             C: abc\n\
             S: 250 5 octets\n\
             C: \\(ab*100)\n\
             C: \\x41\\0\\t\\\\\\\n\
             C:\n\
             S: 250 202 octets\n\
             S: 250 <...> octets\n\
             C: bye\n\
             S: <...> octets\n\
             !end\n")
        .unwrap();
    }

    #[test]
    fn every_departure_is_told_with_its_line() {
        let cases = [
            (
                "C: a\nS: 250 4 octets\n",
                "test:2: expected 250 4 octets\\r\\n\n     but came 250 3 octets\\r\\n",
            ),
            (
                "C: a\nC: b\nS: 250 3 octets\n",
                "before this line came, unasked: 250 3 octets",
            ),
            (
                "C: a\nC: b\nS: 250 3 octets\nC: c\n",
                "test:4: before this line came, unasked",
            ),
            (
                "C: a\nS: 250 3 octets\nS: 250 3 octets\n",
                "test:3: expected 250 3 octets\\r\\n\n     but came nothing",
            ),
            (
                "C: a\nS: 250 3 octets\n!end\n",
                "test:3: the connection is still open",
            ),
            ("!other\n", "test:1: !other: no such event"),
            (
                "C: <...>\n",
                "test:1: `<...>` can only be expected, not sent",
            ),
            ("X: a\n", "test:1: a line begins with"),
            ("C: \\q\n", "test:1: unknown escape `\\q`"),
            ("C: \\x4\n", "unknown escape"),
        ];
        for (text, expected) in cases {
            let error = run(text).unwrap_err();
            assert!(error.contains(expected), "{text:?} gave {error}");
        }
    }

    #[test]
    fn a_gap_covers_one_octet_at_least_and_no_line_end() {
        let pattern = Pattern::parse("250 <...> ok").unwrap();
        assert_eq!(pattern.matches(b"250 x ok\r\nmore"), Some(10));
        assert_eq!(pattern.matches(b"250 x ok ok\r\n"), Some(13));
        assert_eq!(pattern.matches(b"250  ok\r\n"), None);
        assert_eq!(pattern.matches(b"250 x\r\n ok\r\n"), None);
    }
}
