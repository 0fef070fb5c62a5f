//! Names another credential in a configuration file, and leaves everything else as it is: comments,
//! order, spaces.

use std::path::{Path, PathBuf};

use sendas_tenant::rotation::stage::Kind;
use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

/// The text of a file with the principal's credential replaced.
///
/// `own_name` is the principal's name, or its client id where it has no name. A path in the folder
/// of the old one is written as the old one was, relative to the file.
///
/// # Errors
/// What is wrong, in words; nothing was written.
pub(super) fn replaced(
    text: &str,
    file: &Path,
    own_name: &str,
    kind: Kind,
    place: &Path,
) -> Result<String, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    let principals = document.get_mut("principal").ok_or("it has no principal")?;
    let principal =
        find(principals, own_name).ok_or_else(|| format!("it has no principal `{own_name}`"))?;
    let credential = principal
        .get_mut("credential")
        .and_then(Item::as_table_like_mut)
        .ok_or("its principal has no credential there")?;
    let path = written_path(credential, file, place)?;
    // The key that stays keeps its place and its comment.
    let (key, others) = match kind {
        Kind::Certificate => ("certificate", ["secret", "password"]),
        Kind::Secret => ("secret", ["certificate", "password"]),
    };
    for other in others.iter().chain(&["federated", "managed_identity"]) {
        credential.remove(other);
    }
    match (kind, credential.get_mut(key)) {
        (Kind::Certificate, Some(item)) => replace_text(item, &path),
        (Kind::Secret, Some(item)) if item.is_table_like() => {
            let secret = item.as_table_like_mut().expect("it is like a table");
            secret.remove("systemd");
            secret.remove("env");
            match secret.get_mut("file") {
                Some(item) => replace_text(item, &path),
                None => {
                    secret.insert("file", toml_edit::value(path));
                }
            }
        }
        (Kind::Certificate, None) => {
            credential.insert(key, toml_edit::value(path));
        }
        (Kind::Secret, _) => {
            let mut secret = InlineTable::new();
            secret.insert("file", path.into());
            credential.insert(key, toml_edit::value(secret));
        }
    }
    if let Some(inline) = principal
        .get_mut("credential")
        .and_then(Item::as_inline_table_mut)
    {
        tidy(inline);
    }
    Ok(document.to_string())
}

/// The principal of this name, in either form of the list.
fn find<'a>(principals: &'a mut Item, own_name: &str) -> Option<&'a mut dyn TableLike> {
    let is_own = |table: &dyn TableLike| {
        let text = |key: &str| table.get(key).and_then(Item::as_str);
        text("name").or_else(|| text("client_id")) == Some(own_name)
    };
    match principals {
        Item::ArrayOfTables(list) => list
            .iter_mut()
            .map(|table| table as &mut dyn TableLike)
            .find(|table| is_own(&**table)),
        Item::Value(Value::Array(list)) => list
            .iter_mut()
            .filter_map(Value::as_inline_table_mut)
            .map(|table| table as &mut dyn TableLike)
            .find(|table| is_own(&**table)),
        _ => None,
    }
}

/// The path as it is to be written.
fn written_path(old: &dyn TableLike, file: &Path, place: &Path) -> Result<String, String> {
    let old = old
        .get("certificate")
        .and_then(Item::as_str)
        .or_else(|| old.get("secret")?.as_table_like()?.get("file")?.as_str())
        .map(PathBuf::from);
    let base = file.parent().unwrap_or(Path::new(""));
    let sibling = old.filter(|old| old.is_relative()).and_then(|old| {
        let folder = old.parent()?.to_owned();
        let is_same = absolute(&base.join(&folder)) == absolute(place.parent()?);
        is_same.then(|| folder.join(place.file_name().unwrap_or_default()))
    });
    let path = sibling.unwrap_or_else(|| absolute(place));
    path.into_os_string()
        .into_string()
        .map_err(|path| format!("{} is no UTF-8", path.display()))
}

/// A path that means the same from any folder.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Another text in the same place, with the same spaces and comments around it.
fn replace_text(item: &mut Item, text: &str) {
    let decor = item.as_value().map(|value| value.decor().clone());
    let mut value = Value::from(text);
    if let Some(decor) = decor {
        *value.decor_mut() = decor;
    }
    *item = Item::Value(value);
}

/// One space inside the braces, where a removed neighbour left none or two.
fn tidy(inline: &mut InlineTable) {
    if inline.len() == 1 {
        for (mut key, value) in inline.iter_mut() {
            key.leaf_decor_mut().set_prefix(" ");
            value.decor_mut().set_suffix(" ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, place: &str, before: &str, after: &str) {
        let file = Path::new("/etc/sendas/sendas.toml");
        let found = replaced(before, file, "contoso", kind, Path::new(place)).unwrap();
        assert_eq!(found, after);
    }

    #[test]
    fn only_the_credential_changes() {
        check(
            Kind::Certificate,
            "/etc/sendas/new.pem",
            "# top\n[[principal]]\nname = \"other\"\ncredential = { certificate = \"a.pem\" }\n\n\
             [[principal]] # ours\nname = 'contoso'   # the name\n\
             credential = { certificate = \"/etc/sendas/old.pem\" } # until March\n\
             mailboxes = [\n  \"a@contoso.com\", # one\n]\n[relay] # end\n",
            "# top\n[[principal]]\nname = \"other\"\ncredential = { certificate = \"a.pem\" }\n\n\
             [[principal]] # ours\nname = 'contoso'   # the name\n\
             credential = { certificate = \"/etc/sendas/new.pem\" } # until March\n\
             mailboxes = [\n  \"a@contoso.com\", # one\n]\n[relay] # end\n",
        );
    }

    #[test]
    fn a_relative_path_stays_relative() {
        check(
            Kind::Certificate,
            "/etc/sendas/keys/new.pem",
            "[[principal]]\nclient_id = \"contoso\"\n[principal.credential]\n# the key\ncertificate = \"keys/old.pem\" # here\n",
            "[[principal]]\nclient_id = \"contoso\"\n[principal.credential]\n# the key\ncertificate = \"keys/new.pem\" # here\n",
        );
        check(
            Kind::Certificate,
            "/var/new.pem",
            "principal = [{ name = \"contoso\", credential = { certificate = \"old.pem\" } }]\n",
            "principal = [{ name = \"contoso\", credential = { certificate = \"/var/new.pem\" } }]\n",
        );
    }

    #[test]
    fn one_kind_takes_the_place_of_the_other() {
        check(
            Kind::Secret,
            "/k/new.secret",
            "[[principal]]\nname = \"contoso\"\ncredential = { certificate = \"/k/x.pfx\", password = { file = \"/k/p\" } } # c\n",
            "[[principal]]\nname = \"contoso\"\ncredential = { secret = { file = \"/k/new.secret\" } } # c\n",
        );
        check(
            Kind::Certificate,
            "/k/new.pem",
            "[[principal]]\nname = \"contoso\"\ncredential = { secret = { file = \"/k/old.secret\" } }\n",
            "[[principal]]\nname = \"contoso\"\ncredential = { certificate = \"/k/new.pem\" }\n",
        );
        check(
            Kind::Secret,
            "/k/new.secret",
            "[[principal]]\nname = \"contoso\"\ncredential.secret.systemd = \"name\"\n",
            "[[principal]]\nname = \"contoso\"\ncredential.secret.file = \"/k/new.secret\"\n",
        );
        check(
            Kind::Secret,
            "/k/new.secret",
            "[[principal]]\nname = \"contoso\"\ncredential = { secret = { file = \"/k/old\" } } # c\n",
            "[[principal]]\nname = \"contoso\"\ncredential = { secret = { file = \"/k/new.secret\" } } # c\n",
        );
    }

    #[test]
    fn what_cannot_be_edited_is_said() {
        let file = Path::new("/x.toml");
        for (text, words) in [
            ("", "no principal"),
            ("[[principal]]\nname = \"x\"\n", "no principal `contoso`"),
            ("[[principal]]\nname = \"contoso\"\n", "no credential"),
            ("principal = 1", "no principal `contoso`"),
            ("[[", "TOML"),
        ] {
            let error = replaced(text, file, "contoso", Kind::Secret, file).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
