//! As whom Microsoft Graph is asked: an administrator, or the application itself.

use std::path::PathBuf;

use clap::Args;
use sendas_entra::{Cloud, HttpClient, Tenant};
use sendas_tenant::trouble::Service;
use sendas_tenant::{AdminToken, Method};

use crate::administrator::{SignInDesk, graph_token_from_stdin, read_graph_token};
use crate::report::Failure;

/// How an administrator signs in, if one does.
#[derive(Debug, Args)]
pub(super) struct Who {
    /// Sign in as an administrator in the browser.
    #[arg(long)]
    sign_in: bool,
    /// Sign in as an administrator by a code typed on another machine. Many tenants block this.
    #[arg(long, conflicts_with = "sign_in")]
    device_code: bool,
    /// Read an administrator's token for Microsoft Graph from standard input.
    #[arg(long, conflicts_with_all = ["sign_in", "device_code", "admin_tokens"])]
    token_stdin: bool,
    /// An administrator's tokens, a JSON file with the member graph; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sign_in", "device_code"])]
    admin_tokens: Option<PathBuf>,
    /// Sign in through this public client of yours, instead of Microsoft's own tools.
    #[arg(long, value_name = "ID")]
    sign_in_client_id: Option<String>,
}

impl Who {
    /// Whether an administrator is at hand.
    pub(super) fn is_administrator(&self) -> bool {
        self.sign_in || self.device_code || self.token_stdin || self.admin_tokens.is_some()
    }

    /// The token that was given, if one was; the same for every tenant.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn given(&self) -> Result<Option<AdminToken>, Box<Failure>> {
        if self.token_stdin {
            return graph_token_from_stdin().map(Some);
        }
        self.admin_tokens
            .as_deref()
            .map(read_graph_token)
            .transpose()
    }

    /// Signs an administrator of this tenant in.
    ///
    /// # Errors
    /// When nobody signed in.
    pub(super) async fn sign_in(
        &self,
        cloud: &Cloud,
        tenant: &Tenant,
        http: &HttpClient,
    ) -> Result<AdminToken, Box<Failure>> {
        let desk = SignInDesk {
            cloud,
            tenant,
            http,
            // Grants nothing: only applications are changed.
            method: Method::Rbac,
            client_id: self.sign_in_client_id.as_deref(),
            is_device: self.device_code,
        };
        desk.sign_in(Service::Graph).await
    }
}
