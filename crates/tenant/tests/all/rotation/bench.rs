//! One machine with a credential at the sandbox: a configuration, a folder, and a run that may die
//! or fail at any operation.

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use sendas_entra::{
    Audience, Certificate, Claims, ClientId, Clock, Cloud, Credential, Generation, HttpClient,
    HttpError, Moment, Principal, Proxy, Request, Requester, Response, Secret, Tenant, Token,
};
use sendas_envelope::Mailbox;
use sendas_sandbox::Running;
use sendas_smtp::ClientName;
use sendas_submit::{Connector, SubmitError};
use sendas_tenant::rotation::stage::Kind;
use sendas_tenant::rotation::{
    Access, Host, HostError, Journal, JournalFile, Ledger, Old, Replacement, Rotated, Rotation,
    RotationError, RotationWish,
};
use sendas_tenant::state::StateError;
use sendas_tenant::store::StoreError;
use sendas_tenant::verify::{About, Prover, Refusal};
use sendas_tenant::{AdminToken, AdminTokens, FileStore, Place, SecretStore, Transport};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::sandbox::Advance;

/// What happens to a run, and at which of its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It dies before this operation.
    DiesBefore(usize),
    /// It dies after it.
    DiesAfter(usize),
    /// The operation fails when it is one on a file.
    Fails(usize),
}

/// Counts the operations of one run, and ends it at one of them.
pub(crate) struct Gate {
    fate: Option<Fate>,
    count: AtomicUsize,
    lines: Mutex<Vec<String>>,
}

/// A run ended here.
struct Killed;

impl Gate {
    fn new(fate: Option<Fate>) -> Arc<Self> {
        Arc::new(Self {
            fate,
            count: AtomicUsize::new(0),
            lines: Mutex::default(),
        })
    }

    fn begin(&self, line: impl Into<String>) -> usize {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        self.lines.lock().unwrap().push(line.into());
        if self.fate == Some(Fate::DiesBefore(number)) {
            resume_unwind(Box::new(Killed));
        }
        number
    }

    fn end(&self, number: usize) {
        if self.fate == Some(Fate::DiesAfter(number)) {
            resume_unwind(Box::new(Killed));
        }
    }

    /// An operation on a file, which may fail.
    fn file<T>(
        &self,
        line: &str,
        fails: impl FnOnce(io::Error) -> T,
        acts: impl FnOnce() -> T,
    ) -> T {
        let number = self.begin(line);
        if self.fate == Some(Fate::Fails(number)) {
            return fails(io::ErrorKind::StorageFull.into());
        }
        let done = acts();
        self.end(number);
        done
    }
}

/// The machine.
pub(crate) struct Bench {
    pub(crate) sandbox: Arc<Running>,
    folder: tempfile::TempDir,
    cloud: Cloud,
    tenant: Tenant,
    pub(crate) client_id: ClientId,
    pub(crate) mailbox: String,
}

/// The configuration: which credential, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
}

/// What became of a run.
pub(crate) enum Ended {
    Died,
    Lived(Box<Result<Rotated, RotationError>>),
}

impl Ended {
    #[track_caller]
    pub(crate) fn done(self) -> Rotated {
        match self.lived() {
            Ok(done) => done,
            Err(error) => panic!("{}", crate::stage::whole(&error)),
        }
    }

    #[track_caller]
    pub(crate) fn error(self) -> RotationError {
        match self.lived() {
            Err(error) => error,
            Ok(_) => panic!("the run succeeded"),
        }
    }

    #[track_caller]
    pub(crate) fn lived(self) -> Result<Rotated, RotationError> {
        match self {
            Self::Lived(result) => *result,
            Self::Died => panic!("the run died"),
        }
    }
}

impl Bench {
    /// A machine that uses the secret of the sandbox's application.
    pub(crate) fn new(sandbox: &Arc<Running>) -> Arc<Self> {
        let details = sandbox.details();
        let client = details.client.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/contoso.secret");
        let place = Place::File(path.clone());
        let store = FileStore::new(folder.path().join("keys"));
        store.put(&place, client.secret.as_bytes()).unwrap();
        let bench = Self {
            sandbox: Arc::clone(sandbox),
            cloud: Cloud::from_file(sandbox.folder().join("cloud.toml")).unwrap(),
            tenant: Tenant::parse(&details.tenant.id.to_string()).unwrap(),
            client_id: ClientId::parse(&client.id.to_string()).unwrap(),
            mailbox: details.mailboxes[0].clone(),
            folder,
        };
        let kind = Kind::Secret;
        bench.write(&Named { kind, path });
        Arc::new(bench)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.folder.path().join("journal.json")
    }

    pub(crate) fn journal(&self) -> Option<Journal> {
        JournalFile::open(self.journal_path())
            .unwrap()
            .load()
            .unwrap()
    }

    fn write(&self, named: &Named) {
        std::fs::write(self.config(), serde_json::to_vec(named).unwrap()).unwrap();
    }

    /// What the configuration names.
    pub(crate) fn named(&self) -> Named {
        serde_json::from_slice(&std::fs::read(self.config()).unwrap()).unwrap()
    }

    /// The files of credentials.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let list = std::fs::read_dir(self.folder.path().join("keys")).unwrap();
        let mut list: Vec<PathBuf> = list.map(|entry| entry.unwrap().path()).collect();
        list.sort();
        list
    }

    /// How many secrets and certificates Entra holds.
    pub(crate) fn registered(&self) -> (usize, usize) {
        let tenant = serde_json::to_value(&*self.sandbox.tenant()).unwrap();
        let applications = tenant["applications"].as_object().unwrap();
        let own = applications
            .values()
            .find(|found| found["app_id"] == self.client_id.as_str())
            .unwrap();
        let count = |name: &str| own[name].as_object().map_or(0, serde_json::Map::len);
        (count("secrets"), count("certificates"))
    }

    /// Whether the configured credential gets a token and logs in.
    pub(crate) async fn works(self: &Arc<Self>) -> Result<(), String> {
        let program = self.program(&Gate::new(None));
        let prover = program.present().map_err(|error| error.words)?;
        prover.token().await.map_err(|refusal| refusal.words)?;
        let entered = prover.login(&self.mailbox).await;
        entered.map(drop).map_err(|refusal| refusal.words)
    }

    /// One credential in Entra, one file, both what the configuration names, and it works.
    pub(crate) async fn check_one(self: &Arc<Self>, kind: Kind, told: &str) {
        let expected = match kind {
            Kind::Secret => (1, 0),
            Kind::Certificate => (0, 1),
        };
        assert_eq!(self.registered(), expected, "{told}");
        let named = self.named();
        assert_eq!(named.kind, kind, "{told}");
        assert_eq!(self.files(), [named.path], "{told}");
        assert!(!self.journal().is_some_and(|open| open.is_open()), "{told}");
        self.works()
            .await
            .unwrap_or_else(|words| panic!("{told}: {words}"));
    }

    fn program(self: &Arc<Self>, gate: &Arc<Gate>) -> Program {
        Program {
            bench: Arc::clone(self),
            gate: Arc::clone(gate),
        }
    }

    pub(crate) fn rotation(
        self: &Arc<Self>,
        gate: &Arc<Gate>,
        is_administrator: bool,
    ) -> (Rotation, RotationWish) {
        let (graph, exchange) = self.sandbox.admin_tokens();
        let tokens = serde_json::json!({ "graph": graph, "exchange": exchange }).to_string();
        let tokens = AdminTokens::from_json(tokens.as_bytes()).unwrap();
        let http = HttpClient::new(self.cloud.tls_policy().unwrap(), Proxy::none());
        let transport = Gated(Arc::new(http), Arc::clone(gate));
        let access = Access::new(
            &self.cloud,
            is_administrator.then_some(tokens.graph),
            Arc::new(transport),
            Arc::new(Advance(Arc::clone(&self.sandbox))),
        );
        let store = FileStore::new(self.folder.path().join("keys"));
        let rotation = Rotation::new(
            self.client_id.as_str(),
            access,
            Arc::new(self.program(gate)),
            Arc::new(Gated(store, Arc::clone(gate))),
            Arc::new(Gated(
                JournalFile::open(self.journal_path()).unwrap(),
                Arc::clone(gate),
            )),
        );
        let named = self.named();
        let thumbprint = (named.kind == Kind::Certificate)
            .then(|| Certificate::from_file(&named.path).unwrap().thumbprint());
        let wish = RotationWish {
            principal: "contoso".into(),
            kind: Kind::Secret,
            days: 90,
            keep_old: false,
            mailbox: self.mailbox.clone(),
            old: Old {
                kind: named.kind,
                place: Some(Place::File(named.path)),
                thumbprint,
                key_id: None,
                end: None,
            },
        };
        (rotation, wish)
    }

    /// Rotates to this kind; answers the operations too.
    pub(crate) async fn rotate(
        self: &Arc<Self>,
        kind: Kind,
        is_administrator: bool,
        fate: Option<Fate>,
    ) -> (Ended, Vec<String>) {
        let gate = Gate::new(fate);
        let (rotation, wish) = self.rotation(&gate, is_administrator);
        let wish = RotationWish { kind, ..wish };
        let run = tokio::spawn(async move { rotation.run(&wish).await });
        let ended = match run.await {
            Ok(result) => Ended::Lived(Box::new(result)),
            Err(error) => {
                let payload = error.into_panic();
                if !payload.is::<Killed>() {
                    resume_unwind(payload);
                }
                Ended::Died
            }
        };
        let lines = gate.lines.lock().unwrap().clone();
        (ended, lines)
    }

    /// Takes an open rotation back.
    pub(crate) async fn back(
        self: &Arc<Self>,
        is_administrator: bool,
    ) -> Result<(), RotationError> {
        let (rotation, _) = self.rotation(&Gate::new(None), is_administrator);
        rotation.back().await
    }

    fn credential(named: &Named) -> Result<Credential, HostError> {
        match named.kind {
            Kind::Secret => Credential::secret_file(&named.path),
            Kind::Certificate => Credential::certificate_file(&named.path),
        }
        .map_err(|error| HostError::new(crate::stage::whole(&error)))
    }

    fn requester(&self, credential: Credential, audience: Audience) -> Requester {
        Requester::new(
            Principal::new(
                self.cloud.clone(),
                self.tenant.clone(),
                self.client_id.clone(),
                credential,
            ),
            audience,
            HttpClient::new(self.cloud.tls_policy().unwrap(), Proxy::none()),
            Arc::new(SandboxClock(Arc::clone(&self.sandbox))),
        )
    }
}

/// The sandbox's clock.
struct SandboxClock(Arc<Running>);

impl Clock for SandboxClock {
    fn now(&self) -> Moment {
        Moment {
            wall: self.0.now(),
            steady: Duration::ZERO,
        }
    }
}

/// Something whose every operation passes the gate.
struct Gated<T>(T, Arc<Gate>);

impl Transport for Gated<Arc<HttpClient>> {
    fn call(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, HttpError>> + Send + '_>> {
        Box::pin(async move {
            let path = request.url.split("/v1.0").last().unwrap_or_default();
            let line = format!("{} {}", request.method, path.split('?').next().unwrap());
            let number = self.1.begin(line);
            let answer = HttpClient::call(&self.0, request).await;
            self.1.end(number);
            answer
        })
    }
}

impl SecretStore for Gated<FileStore> {
    fn place(&self, name: &str) -> Place {
        self.0.place(name)
    }

    fn put(&self, place: &Place, octets: &[u8]) -> Result<(), StoreError> {
        let path = place.path().to_owned();
        let fails = |source| Err(StoreError::NotWritten { path, source });
        self.1
            .file("keep a file", fails, || self.0.put(place, octets))
    }

    fn remove(&self, place: &Place) -> Result<(), StoreError> {
        let path = place.path().to_owned();
        let fails = |source| Err(StoreError::NotWritten { path, source });
        self.1.file("remove a file", fails, || self.0.remove(place))
    }
}

impl Ledger for Gated<JournalFile> {
    fn load(&self) -> Result<Option<Journal>, StateError> {
        self.0.load()
    }

    fn save(&self, journal: &Journal) -> Result<(), StateError> {
        let path = self.path().to_owned();
        let fails = |source| Err(StateError::NotWritten { path, source });
        self.1
            .file("save the journal", fails, || self.0.save(journal))
    }

    fn remove(&self) -> Result<(), StateError> {
        let path = self.path().to_owned();
        let fails = |source| Err(StateError::NotWritten { path, source });
        self.1.file("remove the journal", fails, || self.0.remove())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The program whose credential it is.
struct Program {
    bench: Arc<Bench>,
    gate: Arc<Gate>,
}

impl Host for Program {
    fn present(&self) -> Result<Box<dyn Prover>, HostError> {
        let named = self.bench.named();
        self.fresh(named.kind, &Place::File(named.path))
    }

    fn fresh(&self, kind: Kind, place: &Place) -> Result<Box<dyn Prover>, HostError> {
        let path = place.path().to_owned();
        let credential = Bench::credential(&Named { kind, path })?;
        Ok(Box::new(Trial {
            requester: self.bench.requester(credential, Audience::Exchange),
            bench: Arc::clone(&self.bench),
            gate: Arc::clone(&self.gate),
            token: Mutex::default(),
        }))
    }

    fn own_token(&self) -> Pin<Box<dyn Future<Output = Result<AdminToken, Refusal>> + Send + '_>> {
        Box::pin(async {
            let credential = Bench::credential(&self.bench.named()).unwrap();
            let number = self.gate.begin("a token for Graph");
            let requester = self.bench.requester(credential, Audience::Graph);
            let token = requester.request(Generation(0)).await;
            self.gate.end(number);
            let token = token.map_err(|error| refused(&error))?;
            let text = Zeroizing::new(token.expose().to_owned());
            Ok(AdminToken::new(text, "Graph").unwrap())
        })
    }

    fn own_proof(&self, now: Timestamp) -> Result<Zeroizing<String>, HostError> {
        match Bench::credential(&self.bench.named())? {
            Credential::Certificate(certificate) => certificate
                .proof_of_possession(&self.bench.client_id, now)
                .map_err(|error| HostError::new(error.to_string())),
            _ => Err(HostError::new("a secret proves nothing here")),
        }
    }

    fn secret_begins_with(&self, hint: &str) -> bool {
        let secret = Secret::from_file(&self.bench.named().path);
        secret.is_ok_and(|secret| secret.expose().starts_with(hint))
    }

    fn names(&self, kind: Kind, place: &Place) -> Result<bool, HostError> {
        let path = place.path().to_owned();
        Ok(self.bench.named() == Named { kind, path })
    }

    fn switch(&self, kind: Kind, place: &Place) -> Result<(), HostError> {
        let path = place.path().to_owned();
        self.gate.file(
            "switch",
            |error| Err(HostError::new(error.to_string())),
            || {
                self.bench.write(&Named { kind, path });
                Ok(())
            },
        )
    }

    fn record(&self, _: &Replacement<'_>) -> Result<(), HostError> {
        self.gate.file(
            "record",
            |error| Err(HostError::new(error.to_string())),
            || Ok(()),
        )
    }

    fn handover(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Tries one credential.
struct Trial {
    requester: Requester,
    bench: Arc<Bench>,
    gate: Arc<Gate>,
    token: Mutex<Option<Token>>,
}

impl Prover for Trial {
    fn token(&self) -> Pin<Box<dyn Future<Output = Result<Claims, Refusal>> + Send + '_>> {
        Box::pin(async {
            let number = self.gate.begin("a token");
            let token = self.requester.request(Generation(0)).await;
            self.gate.end(number);
            let token = token.map_err(|error| refused(&error))?;
            let claims = token.claims().unwrap();
            *self.token.lock().unwrap() = Some(token);
            Ok(claims)
        })
    }

    fn login<'a>(
        &'a self,
        mailbox: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            let token = self.token.lock().unwrap().clone().unwrap();
            let number = self.gate.begin("a login");
            let connector = Connector::new(
                self.bench.cloud.smtp(),
                ClientName::new("[127.0.0.1]").unwrap(),
                self.bench.cloud.tls_policy().unwrap(),
            );
            let mailbox = Mailbox::new(mailbox.parse().unwrap());
            let entered = match connector.open().await {
                Ok(opened) => opened.authenticate(&mailbox, token.expose()).await,
                Err(error) => Err(error),
            };
            let entered = match entered {
                Ok(session) => {
                    session.quit().await;
                    Ok("yes".to_owned())
                }
                Err(error) => Err(Refusal {
                    about: match &error {
                        SubmitError::Auth { reply, .. } if reply.code() >= 500 => About::Rights,
                        _ => About::Trouble,
                    },
                    words: crate::stage::whole(&error),
                }),
            };
            self.gate.end(number);
            entered
        })
    }

    fn send<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send + 'a>> {
        unreachable!("a rotation sends no message")
    }
}

fn refused(error: &sendas_entra::TokenError) -> Refusal {
    Refusal {
        about: if error.is_temporary() {
            About::Trouble
        } else {
            About::Credential {
                may_be_too_young: error.may_be_too_young(),
            }
        },
        words: crate::stage::whole(error),
    }
}
