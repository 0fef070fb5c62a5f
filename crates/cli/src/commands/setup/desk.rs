//! Everything one call works with: the cloud, the wish, the sign-in, the state, the store.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendas_entra::{ClientId, Cloud, HttpClient, Proxy, Tenant};
use sendas_tenant::trouble::Service;
use sendas_tenant::{
    AdminTokens, CredentialWish, Federation, FileStore, Method, SecretStore, Setup, SignIn, State,
    StateFile, SystemTimer, SystemdStore, Timer, Wish,
};

use super::options::{CredentialChoice, Options, StoreChoice};
use super::tell;
use crate::machine::Machine;
use crate::report::{Failure, Kind, chain};
use crate::{exit::Exit, output};

/// Octets of a file of tokens at most; two tokens have some thousand each.
const TOKENS_OCTETS_MAX: u64 = 256 * 1024;

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
            (None, Some(tenant)) => state_folder(machine).join(format!("setup-{tenant}.json")),
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
        let client_id = self
            .options
            .sign_in_client_id
            .as_deref()
            .map(ClientId::parse)
            .transpose()
            .map_err(|error| wrong("--sign-in-client-id", &error))?;
        let sign_in = SignIn::new(
            &self.cloud,
            tenant,
            method,
            client_id,
            Arc::new(self.http.clone()),
            Arc::new(SystemTimer),
        );
        let failed = |error| tell::not_signed_in(&error);
        let mut tokens = Vec::new();
        for service in [Service::Graph, Service::Exchange] {
            output::line(&format!(
                "Sign in to {tenant} as an administrator, for {service} ({}).",
                self.cloud.authority()
            ));
            tokens.push(if self.options.device_code {
                let code = sign_in.device_code(service).await.map_err(failed)?;
                output::line(&format!(
                    "Open {} and type {}. Type it only if you started this yourself.",
                    output::visible(&code.verification_uri),
                    output::visible(&code.user_code)
                ));
                sign_in.finish_device(service, &code).await
            } else {
                let browser = sign_in.browser(service).await.map_err(failed)?;
                output::line(&format!("If no browser opens, go to:\n{}", browser.url));
                // A machine without a browser still shows the address.
                drop(open::that_detached(&browser.url));
                sign_in.finish(browser).await
            });
        }
        let exchange = tokens.pop().expect("two sign-ins give two answers");
        let graph = tokens.pop().expect("two sign-ins give two answers");
        Ok(AdminTokens {
            graph: graph.map_err(failed)?,
            exchange: exchange.map_err(failed)?,
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

fn read_tokens(path: &Path) -> Result<AdminTokens, Box<Failure>> {
    let failed = |error: &std::io::Error| {
        Box::new(Failure::machine(
            format!(
                "the administrator's tokens in {} were not read",
                path.display()
            ),
            error,
        ))
    };
    let mut octets = Vec::new();
    let read = if path == Path::new("-") {
        let stdin = std::io::stdin().lock();
        stdin.take(TOKENS_OCTETS_MAX).read_to_end(&mut octets)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(TOKENS_OCTETS_MAX).read_to_end(&mut octets))
    };
    read.map_err(|error| failed(&error))?;
    AdminTokens::from_json(&octets).map_err(|error| {
        Box::new(
            Failure::new(Kind::Identity, Exit::Usage, "nobody is signed in")
                .cause(chain(&error), None),
        )
    })
}

/// Where state is kept (XDG base directory specification).
fn state_folder(machine: &Machine) -> PathBuf {
    let environment = &machine.environment;
    let path = |name: &str| environment.get(name).map(PathBuf::from);
    let folder = if cfg!(windows) {
        path("LOCALAPPDATA")
    } else {
        path("XDG_STATE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| path("HOME").map(|home| home.join(".local/state")))
    };
    folder.unwrap_or_default().join("sendas")
}

/// An option that cannot be meant.
pub(super) fn wrong(what: &str, error: &dyn std::error::Error) -> Box<Failure> {
    Box::new(
        Failure::usage(format!("nothing was done: {what} cannot be used"))
            .cause(chain(error), None),
    )
}
