//! What the tests share: a folder, a transport that counts and kills, and runs that may die.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sendas_entra::{Cloud, HttpError, Request, Response};
use sendas_tenant::{
    AdminTokens, Applied, CredentialWish, FileStore, Method, Setup, SetupError, StateFile, Timer,
    Transport, Undone, Wish,
};
use tokio::sync::Notify;

/// Where one run dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Before this request is sent.
    Before(usize),
    /// After this request was answered.
    After(usize),
}

/// Counts requests, and stops the run at one of them.
pub(crate) struct Counted {
    inner: Arc<dyn Transport>,
    death: Option<Death>,
    pub(crate) count: AtomicUsize,
    died: Notify,
    pub(crate) lines: Mutex<Vec<String>>,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Transport>, death: Option<Death>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            death,
            count: AtomicUsize::new(0),
            died: Notify::new(),
            lines: Mutex::default(),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

impl Transport for Counted {
    fn call(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, HttpError>> + Send + '_>> {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let cmdlet = request.headers.get("x-cmdletname");
        let line = cmdlet.map_or_else(
            || {
                format!(
                    "{} {}",
                    request.method,
                    request.url.split("/v1.0").last().unwrap()
                )
            },
            |cmdlet| cmdlet.to_str().unwrap().to_owned(),
        );
        Box::pin(async move {
            if self.death == Some(Death::Before(number)) {
                return self.die().await;
            }
            let answer = self.inner.call(request).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status.as_u16());
            self.lines.lock().unwrap().push(format!("{status} {line}"));
            if self.death == Some(Death::After(number)) {
                return self.die().await;
            }
            answer
        })
    }
}

/// One administrator's machine: a folder for state and secrets, and the way to a tenant.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) cloud: Cloud,
    pub(crate) tokens: AdminTokens,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) timer: Arc<dyn Timer>,
    /// What the last application asked.
    pub(crate) lines: Mutex<Vec<String>>,
}

/// What became of a run.
pub(crate) enum Ended<T> {
    Died,
    Lived(Result<T, SetupError>),
}

impl<T> Ended<T> {
    pub(crate) fn lived(self) -> T {
        match self {
            Self::Lived(Ok(done)) => done,
            Self::Lived(Err(error)) => panic!("{}", whole(&error)),
            Self::Died => panic!("the run died"),
        }
    }
}

/// An error with its causes.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl Stage {
    pub(crate) fn state_path(&self) -> PathBuf {
        self.folder.path().join("state.json")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    pub(crate) fn setup(&self, counted: &Arc<Counted>) -> Setup {
        Setup::new(
            &self.cloud,
            None,
            &self.tokens,
            &(Arc::<Counted>::clone(counted) as Arc<dyn Transport>),
            Arc::clone(&self.timer),
            Arc::new(FileStore::new(self.keys())),
        )
    }

    pub(crate) async fn apply(&self, wish: &Wish, death: Option<Death>) -> (Ended<Applied>, usize) {
        let counted = Counted::new(Arc::clone(&self.transport), death);
        let setup = self.setup(&counted);
        let file = StateFile::open(self.state_path()).unwrap();
        let ended = tokio::select! {
            biased;
            () = counted.died.notified() => Ended::Died,
            done = setup.apply(wish, &file) => Ended::Lived(done),
        };
        let asked = counted.lines.lock().unwrap();
        self.lines.lock().unwrap().clone_from(&asked);
        drop(asked);
        (ended, counted.count())
    }

    pub(crate) async fn undo(&self, death: Option<Death>) -> (Ended<Undone>, usize) {
        let counted = Counted::new(Arc::clone(&self.transport), death);
        let setup = self.setup(&counted);
        let file = StateFile::open(self.state_path()).unwrap();
        let ended = tokio::select! {
            biased;
            () = counted.died.notified() => Ended::Died,
            done = setup.undo(&file) => Ended::Lived(done),
        };
        (ended, counted.count())
    }

    pub(crate) async fn plan(&self, wish: &Wish) -> (sendas_tenant::Plan, Vec<String>) {
        let counted = Counted::new(Arc::clone(&self.transport), None);
        let file = StateFile::open(self.state_path()).unwrap();
        let (plan, _) = self.setup(&counted).plan(wish, &file).await.unwrap();
        let lines = counted.lines.lock().unwrap().clone();
        (plan, lines)
    }

    /// The names of the secrets kept.
    pub(crate) fn kept(&self) -> Vec<String> {
        let Ok(list) = std::fs::read_dir(self.keys()) else {
            return Vec::new();
        };
        list.map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

pub(crate) fn wish(method: Method, mailboxes: &[&str], credential: CredentialWish) -> Wish {
    let mailboxes: Vec<String> = mailboxes.iter().map(|&text| text.to_owned()).collect();
    Wish::new(method, &mailboxes, credential, None, "sendas").unwrap()
}
