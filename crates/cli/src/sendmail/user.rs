//! Who calls: the user of this process, for senders and names that nobody gave.

use crate::machine::Machine;

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// The login name.
    pub(super) name: String,
    /// What people call them.
    pub(super) full_name: Option<String>,
}

impl User {
    /// Looks the process's user up; the environment is asked where the system does not tell.
    pub(super) fn look_up(machine: &Machine) -> Self {
        let environment = &machine.environment;
        let mut user = id()
            .and_then(|id| {
                std::fs::read_to_string("/etc/passwd")
                    .ok()
                    .map(|text| (id, text))
            })
            .and_then(|(id, text)| of_passwd(&text, id))
            .unwrap_or_else(|| Self {
                name: ["LOGNAME", "USER", "USERNAME"]
                    .iter()
                    .find_map(|name| environment.get(name))
                    .filter(|name| is_name(name))
                    .unwrap_or("nobody")
                    .to_owned(),
                full_name: None,
            });
        if let Some(name) = environment.get("NAME") {
            user.full_name = Some(name.to_owned());
        }
        user.full_name = user
            .full_name
            .filter(|name| !name.is_empty() && !name.chars().any(char::is_control));
        user
    }
}

/// The id of the process's user, as Linux shows it.
#[cfg(unix)]
fn id() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self")
        .ok()
        .map(|process| process.uid())
}

#[cfg(not(unix))]
const fn id() -> Option<u32> {
    None
}

/// The line of `/etc/passwd` with that id; `&` in the full name stands for the login name.
fn of_passwd(text: &str, id: u32) -> Option<User> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, found, full) = (fields.first()?, fields.get(2)?, fields.get(4)?);
        if found.parse() != Ok(id) || !is_name(name) {
            return None;
        }
        let full = full.split(',').next().unwrap_or_default();
        let mut letters = name.chars();
        let capitalized: String = letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect())
            .unwrap_or_default();
        Some(User {
            name: (*name).to_owned(),
            full_name: Some(full.replace('&', &capitalized)).filter(|full| !full.is_empty()),
        })
    })
}

/// Whether a login name can be the local part of an address as it stands.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_lines() {
        let text = "\
root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
anna:x:1000:1000:& Meyer,Room 3,,:/home/anna:/bin/bash
odd name:x:7:7::/:/bin/sh
plain:x:8:8::/:/bin/sh
broken
";
        let user = |id| of_passwd(text, id).map(|user| (user.name, user.full_name));
        assert_eq!(user(0), Some(("root".into(), Some("root".into()))));
        assert_eq!(user(1000), Some(("anna".into(), Some("Anna Meyer".into()))));
        assert_eq!(user(8), Some(("plain".into(), None)));
        assert_eq!(user(7), None);
        assert_eq!(user(9), None);
    }
}
