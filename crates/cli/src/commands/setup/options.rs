//! The options that all four commands take, so that a script writes them once.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sendas_tenant::Method;
use sendas_tenant::wish::FEDERATION_AUDIENCE;

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(super) struct Options {
    /// The tenant: its id or a verified domain.
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<String>,
    /// A mailbox the application may send as; give it once for each.
    #[arg(long = "mailbox", value_name = "ADDRESS")]
    pub(super) mailboxes: Vec<String>,
    /// How the application is authorized: by a role in Exchange, or by a permission in Entra.
    /// Without it, as the last run was told; for a new set-up rbac.
    #[arg(long, value_name = "METHOD")]
    pub(super) method: Option<MethodChoice>,
    /// What proves the application. Without it, as the last run was told; for a new set-up
    /// certificate.
    #[arg(long, value_name = "KIND")]
    pub(super) credential: Option<CredentialChoice>,
    /// Use this existing application instead of making one.
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// Begins the names of everything that is made. Without it, as the last run was told; for a
    /// new set-up sendas.
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// With --credential federated: the issuer whose tokens prove the application.
    #[arg(long, value_name = "URL")]
    pub(super) federated_issuer: Option<String>,
    /// With --credential federated: the subject of those tokens.
    #[arg(long, value_name = "TEXT")]
    pub(super) federated_subject: Option<String>,
    /// With --credential federated: the audience of those tokens.
    #[arg(long, value_name = "TEXT", default_value = FEDERATION_AUDIENCE)]
    pub(super) federated_audience: String,
    /// With --credential federated: where this machine finds those tokens.
    #[arg(long, value_name = "FILE")]
    pub(super) federated_token_file: Option<PathBuf>,
    /// The cloud: global, gcc-high, dod, china.
    #[arg(long, value_name = "NAME", default_value = "global")]
    pub(super) cloud: String,
    /// A file that names every endpoint, instead of a named cloud.
    #[arg(long, value_name = "FILE", conflicts_with = "cloud")]
    pub(super) cloud_file: Option<PathBuf>,
    /// The administrator's tokens, a JSON file with the members graph and exchange; `-` is
    /// standard input. Without it, the browser opens for the sign-in.
    #[arg(long, value_name = "FILE")]
    pub(super) admin_tokens: Option<PathBuf>,
    /// Read the administrator's tokens from standard input: the same as --admin-tokens -.
    #[arg(long, conflicts_with = "admin_tokens")]
    pub(super) token_stdin: bool,
    /// Sign in by a code typed on another machine. Many tenants block this.
    #[arg(long, conflicts_with_all = ["admin_tokens", "token_stdin"])]
    pub(super) device_code: bool,
    /// Sign in through this public client of yours, instead of Microsoft's own tools.
    #[arg(long, value_name = "ID")]
    pub(super) sign_in_client_id: Option<String>,
    /// Where what was made is recorded; holds no secret.
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// How a secret is kept.
    #[arg(long, value_name = "STORE", default_value = "file")]
    pub(super) store: StoreChoice,
    /// The folder of keys and secrets; without it, beside the state file.
    #[arg(long, value_name = "FOLDER")]
    pub(super) secrets_folder: Option<PathBuf>,
    /// Write the principal into this configuration file when everything is done.
    #[arg(long, value_name = "FILE")]
    pub(super) write_config: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, short = 'y')]
    pub(super) yes: bool,
    /// Answer in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum MethodChoice {
    /// A role in Exchange with a scope; no permission in Entra.
    Rbac,
    /// The permission SMTP.SendAsApp and rights on each mailbox.
    Classic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CredentialChoice {
    /// Made on this machine; the key never leaves it.
    Certificate,
    /// A client secret, made by Entra.
    Secret,
    /// Tokens of a foreign issuer; nothing is stored.
    Federated,
    /// What the application has already.
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StoreChoice {
    /// A file only its owner can read.
    File,
    /// An encrypted systemd credential; for secrets.
    Systemd,
}

impl Options {
    /// Whether an administrator's tokens are at hand without a sign-in.
    pub(super) fn has_tokens(&self) -> bool {
        self.tokens().is_some()
    }

    /// Where those tokens are; `-` is standard input.
    pub(super) fn tokens(&self) -> Option<&Path> {
        if self.token_stdin {
            return Some(Path::new("-"));
        }
        self.admin_tokens.as_deref()
    }
}

impl CredentialChoice {
    /// As it is written.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Secret => "secret",
            Self::Federated => "federated",
            Self::Keep => "keep",
        }
    }
}

impl From<MethodChoice> for Method {
    fn from(choice: MethodChoice) -> Self {
        match choice {
            MethodChoice::Rbac => Self::Rbac,
            MethodChoice::Classic => Self::Classic,
        }
    }
}
