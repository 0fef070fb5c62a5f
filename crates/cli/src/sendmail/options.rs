//! The command line of sendmail, as thirty years of callers write it. Pure.
//!
//! Values are taken glued and apart (`-fa@b.c`, `-f a@b.c`), letters in groups (`-ti`), and
//! options behind recipients; after `--` everything is a recipient. What Postfix accepts and
//! ignores is accepted and ignored; what nobody knows is told once and passed over.

use std::ffi::OsString;

use lexopt::Arg;
use sendas_envelope::{Body, EnvelopeId, Notify, Return};

/// What a call asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(super) mode: Mode,
    /// Recipients as they are written.
    pub(super) recipients: Vec<String>,
    /// `-t`: recipients of the header, too.
    pub(super) extract: bool,
    /// `-i`: a lone dot is text like any other.
    pub(super) dots_are_text: bool,
    /// `-f`, `-r`: the reverse-path as it is written, without brackets; empty for the null one.
    pub(super) sender: Option<String>,
    /// `-F`: who writes, where a From field is added.
    pub(super) name: Option<String>,
    pub(super) notify: Option<Notify>,
    pub(super) ret: Option<Return>,
    pub(super) envelope_id: Option<EnvelopeId>,
    pub(super) body: Option<Body>,
    /// `-v`: the dialogue on standard error.
    pub(super) verbose: bool,
    /// What was passed over, each once.
    pub(super) remarks: Vec<String>,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// `-bm`: send the message on standard input.
    #[default]
    Send,
    /// `-bs`: speak SMTP on standard input and output.
    Dialogue,
    /// `-bp`: list the queue.
    List,
    /// `-bv`: say what would become of the addresses.
    Verify,
    /// `-bi`, `-I`: rebuild the alias database; there is none.
    Aliases,
    /// `-bd`: become a daemon.
    Daemon,
    /// `-q30m` alone: a queue runner.
    Interval,
    /// `-q` and its kin: try again now.
    Flush(Flush),
    /// `--help`.
    Help,
}

/// Which messages are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flush {
    All,
    /// `-qI`.
    Id(String),
    /// `-qR`: a part of a recipient.
    Recipient(String),
    /// `-qS`: a part of the sender.
    Sender(String),
}

/// A call that cannot be understood; for `EX_USAGE`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

/// Reads the arguments behind the program's name.
///
/// # Errors
/// A value that is missing, is not text, holds a control character or means nothing.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Call, UsageError> {
    let mut call = Call::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = next(&mut parser)? {
        let letter = match argument {
            Given::Recipient(text) => {
                call.recipients.push(text);
                continue;
            }
            Given::Long(name) if name == "help" => {
                call.mode = Mode::Help;
                continue;
            }
            Given::Long(name) => {
                call.remark(format!("unknown option --{name}"));
                // A value glued to it belongs to it.
                drop(parser.optional_value());
                continue;
            }
            Given::Letter(letter) => letter,
        };
        match letter {
            't' => call.extract = true,
            'i' => call.dots_are_text = true,
            'v' => call.verbose = true,
            'I' => call.mode = Mode::Aliases,
            'f' | 'r' => call.sender = Some(unbracketed(&value(&mut parser, letter)?)),
            'F' => call.name = Some(value(&mut parser, letter)?),
            'b' => call.mode = mode(&value(&mut parser, letter)?)?,
            'o' => call.old_option(&value(&mut parser, letter)?),
            'q' => call.flush(&mut parser)?,
            'N' => call.notify = Some(parsed(&mut parser, letter)?),
            'R' => call.ret = Some(parsed(&mut parser, letter)?),
            'V' => {
                let text = value(&mut parser, letter)?;
                let id = EnvelopeId::new(&text);
                call.envelope_id = Some(id.map_err(|error| UsageError(format!("-V: {error}")))?);
            }
            'B' => call.body = Some(body(&value(&mut parser, letter)?)?),
            // With a value; -C and -X name files that are never opened, -O settings of another
            // program.
            'A' | 'C' | 'L' | 'M' | 'O' | 'X' | 'h' | 'p' | 'e' => {
                value(&mut parser, letter)?;
            }
            // Their value, if any, is glued.
            'd' | 'D' => drop(parser.optional_value()),
            'G' | 'U' | 'm' | 'n' | 'c' | 'x' | 's' | 'k' | 'w' => {}
            unknown => call.remark(format!("unknown option -{unknown}")),
        }
    }
    Ok(call)
}

enum Given {
    Letter(char),
    Long(String),
    Recipient(String),
}

fn next(parser: &mut lexopt::Parser) -> Result<Option<Given>, UsageError> {
    Ok(Some(match parser.next() {
        Ok(None) => return Ok(None),
        Ok(Some(Arg::Short(letter))) => Given::Letter(letter),
        Ok(Some(Arg::Long(name))) => Given::Long(name.to_owned()),
        Ok(Some(Arg::Value(text))) => Given::Recipient(text_of(text, "a recipient")?),
        Err(error) => return Err(UsageError(error.to_string())),
    }))
}

fn value(parser: &mut lexopt::Parser, letter: char) -> Result<String, UsageError> {
    let text = parser
        .value()
        .map_err(|_| UsageError(format!("-{letter} wants a value")))?;
    text_of(text, &format!("the value of -{letter}"))
}

/// Text without CR, LF or another control character: it ends up in an envelope or a header.
fn text_of(text: OsString, what: &str) -> Result<String, UsageError> {
    let text = text
        .into_string()
        .map_err(|_| UsageError(format!("{what} is not UTF-8")))?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(UsageError(format!("{what} holds a control character")));
    }
    Ok(text)
}

fn parsed<T>(parser: &mut lexopt::Parser, letter: char) -> Result<T, UsageError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    value(parser, letter)?
        .parse()
        .map_err(|error| UsageError(format!("-{letter}: {error}")))
}

/// `<a@b.c>` is `a@b.c`, and `<>` is nobody.
fn unbracketed(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(text)
        .to_owned()
}

fn mode(word: &str) -> Result<Mode, UsageError> {
    Ok(match word {
        "m" => Mode::Send,
        "s" => Mode::Dialogue,
        "p" => Mode::List,
        "v" => Mode::Verify,
        "i" => Mode::Aliases,
        "d" | "D" | "l" => Mode::Daemon,
        other => return Err(UsageError(format!("-b{other} is not offered"))),
    })
}

fn body(word: &str) -> Result<Body, UsageError> {
    if word.eq_ignore_ascii_case("7BIT") {
        Ok(Body::SevenBit)
    } else if word.eq_ignore_ascii_case("8BITMIME") {
        Ok(Body::EightBit)
    } else {
        Err(UsageError("-B wants 7BIT or 8BITMIME".to_owned()))
    }
}

impl Call {
    /// `-o`: only `i` still means something, `7` and `8` nearly.
    fn old_option(&mut self, word: &str) {
        match word {
            "i" => self.dots_are_text = true,
            "7" => self.body = Some(Body::SevenBit),
            "8" => self.body = Some(Body::EightBit),
            _ => {}
        }
    }

    /// `-q`: its value is glued, but for the id, recipient or sender that may stand apart.
    fn flush(&mut self, parser: &mut lexopt::Parser) -> Result<(), UsageError> {
        let glued = match parser.optional_value() {
            Some(text) => text_of(text, "the value of -q")?,
            None => String::new(),
        };
        let mut characters = glued.chars();
        let kind = characters.next();
        let mut rest = characters.as_str().to_owned();
        if matches!(kind, Some('I' | 'R' | 'S')) && rest.is_empty() {
            rest = value(parser, 'q')?;
        }
        let flush = match kind {
            None | Some('f' | 'Q') => Flush::All,
            Some('I') => Flush::Id(rest),
            Some('R') => Flush::Recipient(rest),
            Some('S') => Flush::Sender(rest),
            Some('0'..='9' | 'p') => {
                // An interval belongs to a daemon; ours retries by itself.
                if self.mode == Mode::Send {
                    self.mode = Mode::Interval;
                }
                return Ok(());
            }
            Some(_) => {
                self.remark(format!("unknown option -q{glued}"));
                return Ok(());
            }
        };
        self.mode = Mode::Flush(flush);
        Ok(())
    }

    fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}
