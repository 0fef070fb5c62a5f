//! Rotation of a principal's credential: a new one is added, proven, named in the configuration,
//! and only then is the old one removed.
//!
//! [`stage`] is the state machine, pure; [`Rotation`] carries it out and writes the [`Journal`]
//! around every step that acts. At every instant the credential that the configuration names is
//! registered and on disk; a run that dies anywhere is taken up again by the same call, or taken
//! back by [`Rotation::back`] as long as the configuration names the old credential.
//!
//! The configuration itself, loading credentials and logging in belong to the program: see
//! [`Host`].

mod directory;
mod error;
mod host;
mod journal;
pub mod stage;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::directory::Access;
use self::directory::Directory;
pub use self::error::RotationError;
pub use self::host::{Host, HostError};
pub use self::journal::{Journal, JournalFile, Ledger, Old, Replacement};
use self::stage::{Act, Added, Begun, Fresh, Kept, Kind, Proven, Stage, Switched};
use self::waits::Waits;
use crate::apply::{Event, Progress, Silent};
use crate::key::MadeCertificate;
use crate::limits::{LOGIN_REPEATS_MAX, PROOF_MS_BETWEEN, PROOFS_IN_A_ROW, YOUNG_CREDENTIAL_S_MAX};
use crate::store::{Place, SecretStore};
use crate::timer::Backoff;
use crate::verify::{About, Refusal};

/// What is wanted of a rotation.
#[derive(Clone, Debug)]
pub struct RotationWish {
    /// The principal's name in the configuration.
    pub principal: String,
    /// The kind of the new credential.
    pub kind: Kind,
    /// Days it is valid.
    pub days: i64,
    /// Whether the old one stays.
    pub keep_old: bool,
    /// The mailbox to log in as for the proof.
    pub mailbox: String,
    /// The credential in use, as far as this machine knows it.
    pub old: Old,
}

/// A rotation of one principal's credential.
pub struct Rotation {
    client_id: String,
    access: Access,
    host: Arc<dyn Host>,
    store: Arc<dyn SecretStore>,
    ledger: Arc<dyn Ledger>,
    waits: Waits,
}

/// What a rotation ended with.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The credential in use.
    pub fresh: Fresh,
    /// The one that was in use before.
    pub old: Old,
    /// What became of it.
    pub end_of_old: EndOfOld,
    /// Whether an earlier run had begun it.
    pub is_resumed: bool,
}

/// What became of the old credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfOld {
    /// It is removed from Entra, and its file from this machine.
    Removed,
    /// It stays, as was wanted.
    Kept,
    /// Its file is removed; in Entra it stays until its end, because nobody here knows its id or
    /// may remove it.
    LeftInEntra,
}

/// Steps of a rotation that are counted for whoever watches.
const STEPS: usize = 5;

impl Rotation {
    /// A rotation for this client id. The timer is that of `access`.
    pub fn new(
        client_id: &str,
        access: Access,
        host: Arc<dyn Host>,
        store: Arc<dyn SecretStore>,
        ledger: Arc<dyn Ledger>,
    ) -> Self {
        let waits = Waits {
            timer: access.timer(),
            progress: Arc::new(Silent),
        };
        Self {
            client_id: client_id.to_owned(),
            access,
            host,
            store,
            ledger,
            waits,
        }
    }

    /// Tells this one how it goes.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.waits.progress = progress;
        self
    }

    /// The rotation that an earlier run left open.
    ///
    /// # Errors
    /// [`RotationError`] when the journal cannot be read, or is another principal's.
    pub fn open(&self) -> Result<Option<Journal>, RotationError> {
        Ok(self.load()?.filter(Journal::is_open))
    }

    /// Rotates, or goes on with the rotation that an earlier run left open (whose wish counts).
    ///
    /// # Errors
    /// [`RotationError`]; the configuration then names a credential that works as well as the one
    /// before, and the same call goes on. What was surely refused leaves nothing behind.
    pub async fn run(&self, wish: &RotationWish) -> Result<Rotated, RotationError> {
        let left = self.load()?;
        if let Some(open) = left
            .as_ref()
            .filter(|left| left.is_open() && left.is_going_back)
        {
            Box::pin(self.go_back(open.clone())).await?;
            return Box::pin(self.begin(self.load()?, wish)).await;
        }
        match left {
            Some(open) if open.is_open() => Box::pin(self.go_on(open, &wish.mailbox, true)).await,
            left => Box::pin(self.begin(left, wish)).await,
        }
    }

    /// Takes an open rotation back: the new credential is removed from Entra and this machine.
    ///
    /// # Errors
    /// [`RotationError::NoWayBack`] when the configuration names the new credential;
    /// [`RotationError::NothingBegun`]; and those of the requests.
    pub async fn back(&self) -> Result<(), RotationError> {
        let open = self.open()?.ok_or(RotationError::NothingBegun)?;
        Box::pin(self.go_back(open)).await
    }

    async fn begin(
        &self,
        left: Option<Journal>,
        wish: &RotationWish,
    ) -> Result<Rotated, RotationError> {
        let mut old = wish.old.clone();
        let before = left.as_ref().and_then(Journal::current);
        if let Some(known) = before.filter(|known| is_same(known, &old)) {
            old.key_id = old.key_id.or_else(|| known.key_id.clone());
            old.end = old.end.or(known.end);
        }
        self.step(1, "try the present credential");
        self.try_present(&wish.mailbox).await?;
        // Without a way to read, what is known stays as it is.
        match self.directory().learn(&mut old).await {
            Err(RotationError::NoOwnToken { .. }) if !self.access.is_administrator() => {}
            learned => learned?,
        }
        let mut journal = Journal::new(
            &self.client_id,
            &wish.principal,
            wish.kind,
            wish.days,
            old,
            self.waits.now(),
        );
        journal.keep_old = wish.keep_old;
        journal.before = before.cloned();
        self.ledger.save(&journal)?;
        let marker = journal.marker.clone();
        let done = Box::pin(self.go_on(journal, &wish.mailbox, false)).await;
        if let Err(error) = &done {
            self.forget_refused(&marker, error).await;
        }
        done
    }

    /// A rotation whose first write was surely refused, or whose new credential could not be kept,
    /// is taken back at once.
    async fn forget_refused(&self, marker: &str, error: &RotationError) {
        let is_refused = match error {
            RotationError::Call(call) => !call.may_have_acted(),
            RotationError::NeedsAdministrator(_)
            | RotationError::NoApplication { .. }
            | RotationError::NoOwnToken { .. } => true,
            // A secret may have been made all the same: going back looks for it.
            RotationError::Key(_) | RotationError::Store(_) => false,
            _ => return,
        };
        let Ok(Some(mut journal)) = self.load() else {
            return;
        };
        if journal.marker != marker {
            return;
        }
        match &mut journal.stage {
            Stage::Begun(begun) if is_refused => begun.asked = None,
            Stage::Kept(kept) if is_refused => kept.asked = None,
            Stage::Begun(_) | Stage::Kept(_) => {}
            _ => return,
        }
        // When this fails, the journal stays, and the next run goes on from it.
        drop(Box::pin(self.go_back(journal)).await);
    }

    /// Whether the present credential logs in; one that is dead is what a rotation mends.
    async fn try_present(&self, mailbox: &str) -> Result<(), RotationError> {
        let Ok(prover) = self.host.present() else {
            return Ok(());
        };
        match prover.token().await {
            Ok(_) => {}
            Err(Refusal {
                about: About::Trouble,
                words,
            }) => return Err(RotationError::PresentUntried { words }),
            Err(_) => return Ok(()),
        }
        let mut repeats = 0;
        loop {
            let Err(refusal) = prover.login(mailbox).await else {
                return Ok(());
            };
            repeats += 1;
            let words = refusal.words;
            match refusal.about {
                About::Trouble if repeats <= LOGIN_REPEATS_MAX => {
                    let pause = Duration::from_secs(1 << repeats);
                    self.waits.pause("Exchange Online", pause).await;
                }
                About::Trouble => return Err(RotationError::PresentUntried { words }),
                _ => {
                    return Err(RotationError::PresentRefused {
                        mailbox: mailbox.to_owned(),
                        words,
                    });
                }
            }
        }
    }

    async fn go_on(
        &self,
        mut journal: Journal,
        mailbox: &str,
        is_resumed: bool,
    ) -> Result<Rotated, RotationError> {
        let mut end_of_old = EndOfOld::Kept;
        loop {
            let act = journal.stage.next(journal.kind);
            let stage = match (act, journal.stage.clone()) {
                (Act::MakeKey, Stage::Begun(begun)) => Stage::Kept(self.make_key(&journal, begun)?),
                (Act::AddCertificate, Stage::Kept(kept)) => {
                    Stage::Added(self.add_certificate(&mut journal, kept).await?)
                }
                (Act::AddSecret, Stage::Begun(begun)) => {
                    Stage::Added(self.add_secret(&mut journal, begun).await?)
                }
                (Act::Prove, Stage::Added(added)) => {
                    Stage::Proven(self.prove(added, mailbox).await?)
                }
                (Act::Switch, Stage::Proven(proven)) => Stage::Switched(self.switch(proven)?),
                (Act::RemoveOld, Stage::Switched(switched)) => {
                    end_of_old = self.remove_old(&journal, &switched).await?;
                    Stage::Finished(switched.finished())
                }
                _ => {
                    let fresh = journal.current().cloned();
                    return Ok(Rotated {
                        fresh: fresh.expect("a rotation rests when it has finished"),
                        old: journal.old,
                        end_of_old,
                        is_resumed,
                    });
                }
            };
            journal.stage = stage;
            self.ledger.save(&journal)?;
        }
    }

    fn make_key(&self, journal: &Journal, begun: Begun) -> Result<Kept, RotationError> {
        self.step(2, "make a key and its certificate");
        let name = format!("sendas {}", journal.principal);
        let made = MadeCertificate::make_for(&name, self.waits.now(), journal.days)?;
        let place = self.store.place(&journal.file_name());
        self.keep("certificate and private key", &place, made.pem.as_bytes())?;
        let der = STANDARD.encode(&made.der);
        Ok(begun.kept(place, made.thumbprint, der, made.end))
    }

    async fn add_certificate(
        &self,
        journal: &mut Journal,
        kept: Kept,
    ) -> Result<Added, RotationError> {
        self.step(3, "register the certificate");
        let is_resumed = kept.asked.is_some();
        let kept = kept.asking(self.waits.now());
        journal.stage = Stage::Kept(kept.clone());
        self.ledger.save(journal)?;
        let key_id = self
            .directory()
            .add_certificate(&kept, &journal.label(), is_resumed)
            .await?;
        Ok(kept.added(key_id))
    }

    async fn add_secret(
        &self,
        journal: &mut Journal,
        begun: Begun,
    ) -> Result<Added, RotationError> {
        self.step(3, "have a secret made");
        let lost_since = begun.asked;
        let begun = begun.asking(self.waits.now());
        journal.stage = Stage::Begun(begun.clone());
        self.ledger.save(journal)?;
        let made = self.directory().add_secret(journal, lost_since).await?;
        let place = self.store.place(&journal.file_name());
        self.keep("client secret", &place, made.text.expose().as_bytes())?;
        Ok(begun.added(place, made.key_id, made.end))
    }

    fn keep(&self, what: &'static str, place: &Place, octets: &[u8]) -> Result<(), RotationError> {
        self.store.put(place, octets)?;
        self.waits.progress.tell(&Event::Kept {
            what,
            place: place.clone(),
        });
        Ok(())
    }

    /// Tokens in a row, and a login with the last one.
    async fn prove(&self, added: Added, mailbox: &str) -> Result<Proven, RotationError> {
        self.step(4, "prove the new credential");
        let fresh = &added.0;
        let mut patience = Backoff::new(Duration::from_secs(YOUNG_CREDENTIAL_S_MAX));
        let mut in_a_row = 0;
        let prover = loop {
            let prover = self.host.fresh(fresh.kind, &fresh.place)?;
            let Err(refusal) = prover.token().await else {
                in_a_row += 1;
                if in_a_row == PROOFS_IN_A_ROW {
                    break prover;
                }
                let pause = Duration::from_millis(PROOF_MS_BETWEEN);
                self.waits.timer.wait(pause).await;
                continue;
            };
            in_a_row = 0;
            let waits = matches!(
                refusal.about,
                About::Credential {
                    may_be_too_young: true
                } | About::Trouble
            );
            let Some(pause) = patience.pause().filter(|_| waits) else {
                return Err(RotationError::NotEffective {
                    words: refusal.words,
                });
            };
            self.waits.pause("the new credential", pause).await;
        };
        let mut repeats = 0;
        loop {
            let Err(refusal) = prover.login(mailbox).await else {
                return Ok(added.proven());
            };
            repeats += 1;
            if refusal.about != About::Trouble || repeats > LOGIN_REPEATS_MAX {
                return Err(RotationError::LoginRefused {
                    mailbox: mailbox.to_owned(),
                    words: refusal.words,
                });
            }
            let pause = Duration::from_secs(1 << repeats);
            self.waits.pause("Exchange Online", pause).await;
        }
    }

    fn switch(&self, proven: Proven) -> Result<Switched, RotationError> {
        let fresh = &proven.0;
        self.step(5, "name the new credential in the configuration");
        self.host.switch(fresh.kind, &fresh.place)?;
        Ok(proven.switched())
    }

    async fn remove_old(
        &self,
        journal: &Journal,
        switched: &Switched,
    ) -> Result<EndOfOld, RotationError> {
        let fresh = &switched.0;
        self.host.record(&Replacement {
            client_id: &self.client_id,
            old: &journal.old,
            fresh,
        })?;
        if journal.keep_old {
            return Ok(EndOfOld::Kept);
        }
        let handover = self.host.handover();
        if !handover.is_zero() {
            self.waits
                .pause("running programs to take the new credential", handover)
                .await;
        }
        let is_removed = match self.directory().remove_old(&journal.old, fresh).await {
            // Nobody may: the new one is in use, and the old one ends by itself.
            Err(RotationError::NeedsAdministrator(_)) => false,
            removed => removed?,
        };
        if let Some(place) = journal
            .old
            .place
            .as_ref()
            .filter(|old| **old != fresh.place)
        {
            self.store.remove(place)?;
        }
        Ok(if is_removed {
            EndOfOld::Removed
        } else {
            EndOfOld::LeftInEntra
        })
    }

    async fn go_back(&self, mut journal: Journal) -> Result<(), RotationError> {
        let is_named = match journal.stage.fresh() {
            Some(fresh) => self.host.names(fresh.kind, &fresh.place)?,
            None => false,
        };
        let retreat = journal
            .stage
            .retreat(is_named)
            .ok_or(RotationError::NoWayBack)?;
        if !journal.is_going_back {
            journal.is_going_back = true;
            self.ledger.save(&journal)?;
        }
        let directory = self.directory();
        if let Some(since) = retreat.stray_since {
            directory.remove_strays(&journal.label(), since).await?;
        }
        if let Some((fresh, since)) = &retreat.registered {
            directory.take_back(fresh, *since).await?;
        }
        // A key may have been kept before that was noted.
        let place = retreat
            .place
            .unwrap_or_else(|| self.store.place(&journal.file_name()));
        self.store.remove(&place)?;
        match journal.undone() {
            Some(before) => self.ledger.save(&before)?,
            None => self.ledger.remove()?,
        }
        Ok(())
    }

    fn load(&self) -> Result<Option<Journal>, RotationError> {
        let journal = self.ledger.load()?;
        match &journal {
            Some(found) if !found.client_id.eq_ignore_ascii_case(&self.client_id) => {
                Err(RotationError::OtherPrincipal {
                    kept: found.client_id.clone(),
                    wanted: self.client_id.clone(),
                    path: self.ledger.path().to_owned(),
                })
            }
            _ => Ok(journal),
        }
    }

    fn directory(&self) -> Directory<'_> {
        Directory {
            access: &self.access,
            host: &*self.host,
            waits: &self.waits,
            key: format!("appId={}", self.client_id),
            client_id: &self.client_id,
        }
    }

    fn step(&self, number: usize, title: &str) {
        self.waits.progress.tell(&Event::Step {
            number,
            total: STEPS,
            title: title.to_owned(),
        });
    }
}

/// Whether what the last rotation left is what the configuration names now.
fn is_same(known: &Fresh, old: &Old) -> bool {
    known.kind == old.kind
        && match known.kind {
            Kind::Certificate => known.thumbprint == old.thumbprint,
            Kind::Secret => Some(&known.place) == old.place.as_ref(),
        }
}

impl std::fmt::Debug for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotation")
            .field("client_id", &self.client_id)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
