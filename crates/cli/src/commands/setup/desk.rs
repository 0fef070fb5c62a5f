//! Everything one call works with: the cloud, the wish, the sign-in, the state, the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendas_entra::{ClientId, Cloud, HttpClient, Proxy, Tenant};
use sendas_tenant::trouble::Service;
use sendas_tenant::{
    AdminTokens, CredentialWish, Federation, FileStore, Method, SecretStore, Setup, State,
    StateFile, SystemTimer, SystemdStore, Timer, Wish,
};

use super::options::{CredentialChoice, Options, StoreChoice};
use super::tell;
use crate::administrator::{SignInDesk, read_tokens};
use crate::machine::Machine;
use crate::report::{Failure, chain};

/// What one call works with.
pub(super) struct Desk<'a> {
    pub(super) options: &'a Options,
    pub(super) cloud: Cloud,
    tenant: Option<Tenant>,
    http: HttpClient,
    store: Arc<dyn SecretStore>,
    state: PathBuf,
}

impl<'a> Desk<'a> {
    /// Reads the options; asks nobody yet.
    ///
    /// # Errors
    /// When an option cannot be meant.
    pub(super) fn open(options: &'a Options, machine: &Machine) -> Result<Self, Box<Failure>> {
        let cloud = match &options.cloud_file {
            Some(path) => Cloud::from_file(path),
            None => Cloud::named(&options.cloud),
        }
        .map_err(|error| wrong("--cloud", &error))?;
        let tenant = options
            .tenant
            .as_deref()
            .map(Tenant::parse)
            .transpose()
            .map_err(|error| wrong("--tenant", &error))?;
        let tls = cloud
            .tls_policy()
            .map_err(|error| wrong("--cloud-file", &error))?;
        let proxy = Proxy::from_environment(&machine.environment)
            .map_err(|error| wrong("the proxy of the environment", &error))?;
        let state = match (&options.state, &tenant) {
            (Some(path), _) => path.clone(),
            (None, Some(tenant)) => machine.state_folder().join(format!("setup-{tenant}.json")),
            (None, None) => {
                return Err(Box::new(
                    Failure::usage("nothing was done: no tenant is named").cause(
                        "a set-up belongs to a tenant",
                        Some("add --tenant contoso.com, or --state FILE".into()),
                    ),
                ));
            }
        };
        let folder = options
            .secrets_folder
            .clone()
            .or_else(|| Some(state.parent()?.to_owned()))
            .unwrap_or_default();
        Ok(Self {
            store: store(options, folder)?,
            http: HttpClient::new(tls, proxy),
            options,
            cloud,
            tenant,
            state,
        })
    }

    /// What the options ask for.
    ///
    /// # Errors
    /// When they cannot be meant.
    pub(super) fn wish(&self) -> Result<Wish, Box<Failure>> {
        if self.tenant.is_none() {
            return Err(Box::new(
                Failure::usage("nothing was done: no tenant is named").cause(
                    "a set-up belongs to a tenant",
                    Some("add --tenant contoso.com".into()),
                ),
            ));
        }
        self.wish_for(self.options.method.into(), &self.options.mailboxes)
    }

    /// The same with what an earlier run recorded where the options say nothing.
    ///
    /// # Errors
    /// When they cannot be meant.
    pub(super) fn wish_of(&self, state: Option<&State>) -> Result<Wish, Box<Failure>> {
        let options = self.options;
        match state {
            Some(state) if options.mailboxes.is_empty() => {
                self.wish_for(state.method, &state.mailboxes)
            }
            _ => self.wish_for(options.method.into(), &options.mailboxes),
        }
    }

    fn wish_for(&self, method: Method, mailboxes: &[String]) -> Result<Wish, Box<Failure>> {
        let options = self.options;
        let client_id = options
            .client_id
            .as_deref()
            .map(ClientId::parse)
            .transpose()
            .map_err(|error| wrong("--client-id", &error))?;
        let credential = match options.credential {
            CredentialChoice::Certificate => CredentialWish::Certificate,
            CredentialChoice::Secret => CredentialWish::Secret,
            CredentialChoice::Keep => CredentialWish::Keep,
            CredentialChoice::Federated => {
                let (Some(issuer), Some(subject)) =
                    (&options.federated_issuer, &options.federated_subject)
                else {
                    return Err(Box::new(
                        Failure::usage("nothing was done: --credential federated says too little")
                            .cause(
                                "Entra must know whose tokens to trust",
                                Some("add --federated-issuer and --federated-subject".into()),
                            ),
                    ));
                };
                CredentialWish::Federated(Federation {
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    audience: options.federated_audience.clone(),
                })
            }
        };
        Wish::new(method, mailboxes, credential, client_id, &options.name)
            .map_err(|error| wrong("the set-up", &error))
    }

    /// Signs the administrator in, or takes the tokens that were given.
    ///
    /// # Errors
    /// When there are no tokens.
    pub(super) async fn setup(&self, method: Method) -> Result<Setup, Box<Failure>> {
        let tokens = match &self.options.admin_tokens {
            Some(path) => read_tokens(path)?,
            None => self.sign_in(method).await?,
        };
        Ok(Setup::new(
            &self.cloud,
            self.tenant.clone(),
            &tokens,
            &(Arc::new(self.http.clone()) as Arc<dyn sendas_tenant::Transport>),
            Arc::new(SystemTimer),
            Arc::clone(&self.store),
        ))
    }

    async fn sign_in(&self, method: Method) -> Result<AdminTokens, Box<Failure>> {
        let tenant = self.tenant.as_ref().ok_or_else(|| {
            Box::new(
                Failure::usage("nobody was signed in: no tenant is named")
                    .cause("the sign-in needs a tenant", Some("add --tenant".into())),
            )
        })?;
        let desk = SignInDesk {
            cloud: &self.cloud,
            tenant,
            http: &self.http,
            method,
            client_id: self.options.sign_in_client_id.as_deref(),
            is_device: self.options.device_code,
        };
        Ok(AdminTokens {
            graph: desk.sign_in(Service::Graph).await?,
            exchange: desk.sign_in(Service::Exchange).await?,
        })
    }

    /// Opens the state for this run.
    ///
    /// # Errors
    /// When another run holds it.
    pub(super) fn state_file(&self) -> Result<StateFile, Box<Failure>> {
        StateFile::open(&self.state)
            .map_err(|error| tell::failed("nothing was done", &error.into()))
    }

    pub(super) fn state_path(&self) -> &Path {
        &self.state
    }

    pub(super) fn http(&self) -> &HttpClient {
        &self.http
    }

    #[expect(clippy::unused_self, reason = "the desk is where things are asked for")]
    pub(super) fn timer(&self) -> &'static dyn Timer {
        &SystemTimer
    }

    pub(super) fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }
}

fn store(options: &Options, folder: PathBuf) -> Result<Arc<dyn SecretStore>, Box<Failure>> {
    let refused = |cause: &str, fix: &str| {
        Box::new(
            Failure::usage("nothing was done: the store cannot be used")
                .cause(cause, Some(fix.to_owned())),
        )
    };
    Ok(match options.store {
        StoreChoice::File => Arc::new(FileStore::new(folder)),
        StoreChoice::Systemd if options.credential != CredentialChoice::Secret => {
            return Err(refused(
                "systemd hands a service secrets; a certificate is read from a file",
                "use --store file, or --credential secret",
            ));
        }
        StoreChoice::Systemd => {
            let folder = options
                .secrets_folder
                .clone()
                .unwrap_or_else(|| SystemdStore::FOLDER.into());
            Arc::new(SystemdStore::new(folder))
        }
        StoreChoice::Keyring => {
            return Err(refused(
                "this build has no keyring",
                "use --store file, or --store systemd",
            ));
        }
    })
}

/// An option that cannot be meant.
pub(super) fn wrong(what: &str, error: &dyn std::error::Error) -> Box<Failure> {
    Box::new(
        Failure::usage(format!("nothing was done: {what} cannot be used"))
            .cause(chain(error), None),
    )
}
