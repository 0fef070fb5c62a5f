//! The reference page, made of the table.

use std::fmt::Write as _;

use crate::reference::{self, Presence};

/// What stands before the settings.
const HEAD: &str = "\
# Configuration

*Made from the table in `crates/config/src/reference.rs`; a test compares the two.*

## Where it is looked for

The first of these files that exists counts; the first two must exist when they are named:

1. `--config FILE`
2. the file named by the environment variable `SENDAS_CONFIG`
3. `$XDG_CONFIG_HOME/sendas/sendas.toml` (`~/.config/sendas/sendas.toml`; on Windows `%APPDATA%\\sendas\\sendas.toml`)
4. `/etc/sendas/sendas.toml`

Every `conf.d/*.toml` in the same folder is laid over it in the order of the names: tables join
key by key, `[[principal]]` and `[[relay.client]]` sections join by `name`, any other value is
replaced. A credential, or the place of a secret, is replaced as a whole.

A path in a file is seen from the folder of that file; a path in a variable from the working
folder. An unknown key is an error. `sendas config check` checks, `sendas config show` prints
every value with its origin, `sendas config schema` prints the JSON schema.

## Environment

Every setting can be overridden: its variable is `SENDAS_`, then its path in capitals, joined
with `_`, with the number of the list element (from 0) after the name of a list. A list of
values is written with commas, or as a TOML list when it starts with `[`. A `SENDAS_…` variable
that is no setting but resembles one is a warning.

```sh
SENDAS_PRINCIPAL_0_TENANT=contoso.onmicrosoft.com
SENDAS_PRINCIPAL_0_CREDENTIAL_SECRET_FILE=/run/secrets/contoso
SENDAS_PRINCIPAL_0_MAILBOXES='noreply@contoso.com,*@billing.contoso.com'
```

The variables of the Azure SDKs make one principal named `azure` that covers every address, as
long as no file names a principal; `SENDAS_PRINCIPAL_0_…` variables change it.

| Variable | Stands for |
|---|---|
| `AZURE_TENANT_ID` | `tenant` |
| `AZURE_CLIENT_ID` | `client_id` |
| `AZURE_CLIENT_SECRET` | `credential = { secret = { env = \"AZURE_CLIENT_SECRET\" } }`; goes before a certificate |
| `AZURE_CLIENT_CERTIFICATE_PATH` | `credential = { certificate = \"…\" }`; goes before a federated token |
| `AZURE_CLIENT_CERTIFICATE_PASSWORD` | `password = { env = \"AZURE_CLIENT_CERTIFICATE_PASSWORD\" }` |
| `AZURE_FEDERATED_TOKEN_FILE` | `credential = { federated = { file = \"…\" } }` |
| `AZURE_AUTHORITY_HOST` | `cloud`, by the address of its authority; one that belongs to no known cloud is refused, since only a cloud file redirects credentials |

## Secrets

A secret never stands in a configuration file or an argument. A setting names the place where
it is kept: a file of its own, a systemd credential, or an environment variable.

## Settings
";

/// Writes the reference page in Markdown.
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    for section in reference::SECTIONS {
        let keys: Vec<_> = reference::KEYS
            .iter()
            .filter(|key| {
                key.path
                    .rsplit_once('.')
                    .is_some_and(|(parent, _)| parent == section.path)
            })
            .collect();
        _ = write!(out, "\n### `{}`\n\n{}\n", section.path, section.sentence);
        if keys.is_empty() {
            continue;
        }
        out.push_str("\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
        for key in keys {
            let name = key.path.rsplit('.').next().unwrap_or(key.path);
            let default = match key.presence {
                Presence::Required => "required".to_owned(),
                Presence::Optional => "—".to_owned(),
                Presence::Default(value) => format!("`{value}`"),
            };
            let variable = if reference::has_variable(key.path) {
                format!(" `{}`", reference::variable(key.path))
            } else {
                String::new()
            };
            _ = writeln!(
                out,
                "| `{name}` | {}, as in `{}` | {default} | {}{variable} |",
                key.kind, key.example, key.sentence,
            );
        }
    }
    out
}
