//! AUTH PLAIN and AUTH LOGIN, from the first word to a user name and a password.

use sendas_smtp::Reply;
use sendas_smtp::sasl::Response;
use zeroize::Zeroizing;

/// An exchange under way.
#[derive(Debug)]
pub(super) enum Exchange {
    /// PLAIN without its initial response.
    Plain,
    /// LOGIN before its user name.
    LoginUser,
    /// LOGIN before its password.
    LoginPassword { user: String },
}

/// What a step of it brought.
pub(super) enum Turn {
    /// Another line is wanted.
    Ask(Exchange, Reply),
    /// Both are there.
    Check {
        user: String,
        password: Zeroizing<String>,
    },
    /// It is over.
    Refuse(Reply),
}

/// `Username:`, as every client since 1997 expects it: some devices compare the text.
const USER_PROMPT: &str = "VXNlcm5hbWU6";

/// `Password:`.
const PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

/// AUTH has come, perhaps with an initial response.
pub(super) fn begin(mechanism: &str, initial: Option<&Response>) -> Turn {
    match (mechanism, initial) {
        ("PLAIN", None) => Turn::Ask(Exchange::Plain, Reply::new(334, "")),
        ("PLAIN", Some(response)) => go_on(Exchange::Plain, response),
        ("LOGIN", None) => Turn::Ask(Exchange::LoginUser, Reply::new(334, USER_PROMPT)),
        ("LOGIN", Some(response)) => go_on(Exchange::LoginUser, response),
        _ => Turn::Refuse(Reply::new(504, "5.5.4 Log in with PLAIN or LOGIN")),
    }
}

/// The client's next line.
pub(super) fn go_on(exchange: Exchange, response: &Response) -> Turn {
    match exchange {
        Exchange::Plain => match response.plain() {
            // Nobody here may act for another (RFC 4616 §2).
            Ok(plain) if plain.authorize.is_empty() || plain.authorize == plain.user => {
                Turn::Check {
                    user: plain.user.clone(),
                    password: plain.password.clone(),
                }
            }
            _ => malformed(),
        },
        Exchange::LoginUser => match response.login() {
            Ok(user) if !user.is_empty() => {
                let user = user.as_str().to_owned();
                Turn::Ask(
                    Exchange::LoginPassword { user },
                    Reply::new(334, PASSWORD_PROMPT),
                )
            }
            _ => malformed(),
        },
        Exchange::LoginPassword { user } => match response.login() {
            Ok(password) => Turn::Check { user, password },
            Err(_) => malformed(),
        },
    }
}

fn malformed() -> Turn {
    Turn::Refuse(Reply::new(
        501,
        "5.5.2 That is no response of this mechanism",
    ))
}
