//! Everything one call works with: the cloud, the wish, the sign-in, the state, the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendas_entra::{ClientId, Cloud, HttpClient, Proxy, Tenant};
use sendas_tenant::trouble::Service;
use sendas_tenant::wish::NAME;
use sendas_tenant::{
    AdminTokens, CredentialWish, Federation, FileStore, Method, SecretStore, Setup, State,
    StateFile, SystemTimer, SystemdStore, Timer, Wish,
};

use super::options::{CredentialChoice, Options, StoreChoice};
use super::tell;
use crate::administrator::{SignInDesk, read_tokens};
use crate::global::Global;
use crate::machine::Machine;
use crate::report::{Failure, chain};
use crate::{output, shell};

/// What one call works with.
pub(super) struct Desk<'a> {
    pub(super) options: &'a Options,
    pub(super) cloud: Cloud,
    tenant: Option<Tenant>,
    http: HttpClient,
    store: Arc<dyn SecretStore>,
    state: PathBuf,
    /// What an earlier run recorded there.
    known: Option<State>,
    /// The configuration file that was named for this run.
    config: Option<PathBuf>,
}

impl<'a> Desk<'a> {
    /// Reads the options; asks nobody yet.
    ///
    /// # Errors
    /// When an option cannot be meant.
    pub(super) fn open(
        options: &'a Options,
        global: &Global,
        machine: &Machine,
    ) -> Result<Self, Box<Failure>> {
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
            (None, Some(tenant)) => find_state(&machine.state_folder(), tenant),
            (None, None) => {
                return Err(Box::new(
                    Failure::usage("nothing was done: no tenant is named")
                        .id("T-TENANT-UNNAMED")
                        .cause(
                            "a set-up belongs to a tenant",
                            Some("add --tenant contoso.com, or --state FILE".into()),
                        ),
                ));
            }
        };
        let known = StateFile::reading(&state)
            .load()
            .map_err(|error| tell::failed("nothing was done", &error.into()))?;
        let tenant = match (tenant, &known) {
            (None, Some(known)) => Some(
                Tenant::parse(&known.tenant_id).map_err(|error| wrong("the state file", &error))?,
            ),
            (tenant, _) => tenant,
        };
        let folder = options
            .secrets_folder
            .clone()
            .or_else(|| Some(state.parent()?.to_owned()))
            .unwrap_or_default();
        let mut desk = Self {
            store: Arc::new(FileStore::new(&folder)),
            http: HttpClient::new(tls, proxy),
            options,
            cloud,
            tenant,
            state,
            known,
            config: global.config.clone(),
        };
        if options.store == StoreChoice::Systemd {
            desk.store = desk.systemd()?;
        }
        for line in desk.contradictions() {
            output::line(&format!("! {line}"));
        }
        Ok(desk)
    }

    /// What is wished: what the options say, and else what an earlier run was told.
    ///
    /// # Errors
    /// When it cannot be meant.
    pub(super) fn wish(&self) -> Result<Wish, Box<Failure>> {
        if self.tenant.is_none() {
            return Err(Box::new(
                Failure::usage("nothing was done: no tenant is named")
                    .id("T-TENANT-UNNAMED")
                    .cause(
                        "a set-up belongs to a tenant",
                        Some("add --tenant contoso.com".into()),
                    ),
            ));
        }
        let (options, known) = (self.options, self.known.as_ref());
        let mailboxes = match known {
            Some(known) if options.mailboxes.is_empty() => &known.mailboxes,
            _ => &options.mailboxes,
        };
        let client_id = options
            .client_id
            .as_deref()
            .map(ClientId::parse)
            .transpose()
            .map_err(|error| wrong("--client-id", &error))?;
        let name = options
            .name
            .as_deref()
            .or(known.and_then(|known| known.name.as_deref()))
            .unwrap_or(NAME);
        Wish::new(
            self.method(),
            mailboxes,
            self.credential()?,
            client_id,
            name,
        )
        .map_err(|error| wrong("the set-up", &error))
    }

    fn method(&self) -> Method {
        match (self.options.method, &self.known) {
            (Some(choice), _) => choice.into(),
            (None, Some(known)) => known.method,
            (None, None) => Method::default(),
        }
    }

    /// What proves the application.
    ///
    /// # Errors
    /// When too little is said of it.
    pub(super) fn credential(&self) -> Result<CredentialWish, Box<Failure>> {
        let options = self.options;
        let known = self.known.as_ref().and_then(State::credential);
        match (options.credential, known) {
            (None, None) | (Some(CredentialChoice::Certificate), _) => {
                Ok(CredentialWish::Certificate)
            }
            (Some(CredentialChoice::Secret), _) => Ok(CredentialWish::Secret),
            (Some(CredentialChoice::Keep), _) => Ok(CredentialWish::Keep),
            (Some(CredentialChoice::Federated), known) => self.federation(known),
            (None, Some(known @ CredentialWish::Federated(_))) => self.federation(Some(known)),
            (None, Some(known)) => Ok(known),
        }
    }

    fn federation(&self, known: Option<CredentialWish>) -> Result<CredentialWish, Box<Failure>> {
        let options = self.options;
        match (&options.federated_issuer, &options.federated_subject, known) {
            (Some(issuer), Some(subject), _) => Ok(CredentialWish::Federated(Federation {
                issuer: issuer.clone(),
                subject: subject.clone(),
                audience: options.federated_audience.clone(),
            })),
            (None, None, Some(known @ CredentialWish::Federated(_))) => Ok(known),
            _ => Err(Box::new(
                Failure::usage("nothing was done: --credential federated says too little")
                    .id("T-OPTION")
                    .cause(
                        "Entra must know whose tokens to trust",
                        Some("add --federated-issuer and --federated-subject".into()),
                    ),
            )),
        }
    }

    /// Where this machine finds the tokens of a foreign issuer.
    pub(super) fn token_file(&self) -> Option<&Path> {
        let known = self.known.as_ref();
        self.options
            .federated_token_file
            .as_deref()
            .or_else(|| known.and_then(|known| known.token_file.as_deref()))
    }

    /// Options that say something else than an earlier run was told, in words.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        let mut list = Vec::new();
        let mut compare = |option: &str, before: Option<&str>, now: Option<&str>| {
            if let (Some(before), Some(now)) = (before, now)
                && before != now
            {
                list.push(format!(
                    "the set-up in {} was made with {option} {before}; this run goes by {option} {now}",
                    self.state.display()
                ));
            }
        };
        let options = self.options;
        let method = options.method.map(|choice| Method::from(choice).name());
        compare("--method", Some(known.method.name()), method);
        let before = known.credential();
        let now = options.credential.map(CredentialChoice::name);
        compare(
            "--credential",
            before.as_ref().map(CredentialWish::name),
            now,
        );
        compare("--name", known.name.as_deref(), options.name.as_deref());
        list
    }

    /// Signs the administrator in, or takes the tokens that were given.
    ///
    /// # Errors
    /// When there are no tokens.
    pub(super) async fn setup(&self, method: Method) -> Result<Setup, Box<Failure>> {
        let tokens = match self.options.tokens() {
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
                    .id("T-TENANT-UNNAMED")
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

    /// The state for a run that changes nothing.
    pub(super) fn state_reading(&self) -> StateFile {
        StateFile::reading(&self.state)
    }

    /// What an earlier run recorded.
    pub(super) fn known(&self) -> Option<&State> {
        self.known.as_ref()
    }

    /// A command line that goes on with the same set-up, as it can be pasted into a shell.
    pub(super) fn again(&self, verb: &str, more: &[&str]) -> String {
        let options = self.options;
        let mut words = vec![format!("sendas setup {verb}")];
        let mut add = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                words.push(format!("{option} {}", shell::quoted(&value)));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        add("--tenant", options.tenant.clone());
        add("--state", path(&options.state));
        add("--cloud-file", path(&options.cloud_file));
        let cloud = Some(options.cloud.clone()).filter(|_| options.cloud_file.is_none());
        add("--cloud", cloud.filter(|cloud| cloud != "global"));
        if verb == "verify" {
            // A credential that is no file of the set-up's is found through the configuration.
            let is_elsewhere = matches!(self.credential(), Ok(CredentialWish::Keep))
                || options.store == StoreChoice::Systemd;
            let written = options.write_config.clone().filter(|_| is_elsewhere);
            add("--config", path(&self.config.clone().or(written)));
        } else {
            let tokens = options.admin_tokens.clone();
            add("--admin-tokens", path(&tokens.filter(|path| path != "-")));
            add("--sign-in-client-id", options.sign_in_client_id.clone());
        }
        if verb != "verify" && options.device_code {
            words.push("--device-code".to_owned());
        }
        words.extend(more.iter().map(|&word| word.to_owned()));
        words.join(" ")
    }

    /// Encrypted credentials of this machine's systemd.
    fn systemd(&self) -> Result<Arc<dyn SecretStore>, Box<Failure>> {
        if self.credential()? != CredentialWish::Secret {
            return Err(Box::new(
                Failure::usage("nothing was done: the store cannot be used")
                    .id("T-OPTION")
                    .cause(
                        "systemd hands a service secrets; a certificate is read from a file",
                        Some("use --store file, or --credential secret".to_owned()),
                    ),
            ));
        }
        let folder = self.options.secrets_folder.clone();
        let folder = folder.unwrap_or_else(|| SystemdStore::FOLDER.into());
        Ok(Arc::new(SystemdStore::new(folder)))
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

/// The state file of a tenant: the one of this spelling, or that of a set-up which knows the tenant
/// by another one; a new one is named as the tenant was spelt.
fn find_state(folder: &Path, tenant: &Tenant) -> PathBuf {
    let own = folder.join(format!("setup-{tenant}.json"));
    if own.exists() {
        return own;
    }
    let mut others: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("setup-"))
                && path.extension().is_some_and(|kind| kind == "json")
        })
        .collect();
    others.sort();
    let is_of = |path: &PathBuf| {
        let state = StateFile::reading(path).load().ok().flatten();
        state.is_some_and(|state| state.is_of(tenant.as_str()))
    };
    others.into_iter().find(is_of).unwrap_or(own)
}

/// An option that cannot be meant.
pub(super) fn wrong(what: &str, error: &dyn std::error::Error) -> Box<Failure> {
    Box::new(
        Failure::usage(format!("nothing was done: {what} cannot be used"))
            .id("T-OPTION")
            .cause(chain(error), None),
    )
}
