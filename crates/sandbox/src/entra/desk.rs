//! What sign-in remembers between requests: flows, codes, devices, refresh tokens, browsers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::scope::Wanted;

/// How long a person may take for the pages. Source: assumed.
const FLOW_LIFE: SignedDuration = SignedDuration::from_mins(15);
/// How long an authorization code can be redeemed. Source: authorization code page (ten minutes).
const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// How long a device code can be used. Source: device code page (15 minutes).
pub(crate) const DEVICE_LIFE_S: i64 = 900;
/// How long a refresh token lives. Source: refresh token page (90 days).
const REFRESH_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Things of one kind remembered at once; the oldest is forgotten beyond.
const KEPT_MAX: usize = 1000;

/// What a sign-in is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An authorization code for a client.
    Code(CodeAsked),
    /// Letting a device in, named by its device code.
    Device(String),
    /// Consent of the administrator for the whole organisation.
    AdminConsent(AdminAsked),
}

/// An authorization request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeAsked {
    pub(crate) redirect_uri: String,
    pub(crate) public: bool,
    pub(crate) mode: Mode,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) ask_again: bool,
}

/// How the answer to an authorization request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Query,
    Fragment,
    FormPost,
}

/// A request for the administrator's consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminAsked {
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    /// As asked; none at the v1.0 address.
    pub(crate) scope: Option<String>,
}

/// The page a person is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Password,
    SecondFactor,
    Consent(BTreeSet<String>),
    Confirm,
}

/// One person's way through the pages.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) tenant: String,
    pub(crate) client: Uuid,
    /// None for the administrator's consent.
    pub(crate) wanted: Option<Wanted>,
    pub(crate) purpose: Purpose,
    pub(crate) stage: Stage,
    pub(crate) user: Option<Uuid>,
    pub(crate) second_factor: bool,
    /// Scopes found granted before the last question.
    pub(crate) granted: BTreeSet<String>,
}

/// Who signed in, to what: what codes and refresh tokens stand for.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) client: Uuid,
    pub(crate) user: Uuid,
    pub(crate) second_factor: bool,
    /// Whether the client needs no credential.
    pub(crate) public: bool,
    /// Digest of the password of that time: another one revokes.
    pub(crate) password: String,
    pub(crate) wanted: Wanted,
    /// Scopes that were granted then.
    pub(crate) scopes: BTreeSet<String>,
}

/// An authorization code.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) signed_in: SignedIn,
    pub(crate) asked: CodeAsked,
    pub(crate) redeemed: bool,
}

/// What became of a device's request.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Pending,
    Approved(SignedIn),
    Declined,
    Blocked,
}

/// A device that waits to be let in.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) user_code: String,
    pub(crate) client: Uuid,
    pub(crate) wanted: Wanted,
    pub(crate) verdict: Verdict,
    pub(crate) polled: Option<Timestamp>,
}

/// Things that end.
#[derive(Debug)]
struct Shelf<T>(BTreeMap<String, (Timestamp, T)>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Shelf<T> {
    fn put(&mut self, key: String, thing: T, until: Timestamp, now: Timestamp) {
        if self.0.len() >= KEPT_MAX {
            // A day longer, so that what has ended is still told from what never was.
            self.0.retain(|_, (until, _)| {
                now.duration_since(*until) < SignedDuration::from_hours(24)
            });
        }
        while self.0.len() >= KEPT_MAX {
            let oldest = self.0.iter().min_by_key(|(_, (until, _))| *until);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            self.0.remove(&key);
        }
        self.0.insert(key, (until, thing));
    }
}

/// Whether something is there, and still good.
#[derive(Debug)]
pub(crate) enum Kept<T> {
    Good(T),
    Ended,
    Unknown,
}

/// Everything remembered.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    flows: Shelf<Flow>,
    codes: Shelf<Code>,
    devices: Shelf<Device>,
    refresh: Shelf<SignedIn>,
    browsers: Shelf<(Uuid, bool)>,
}

fn after(now: Timestamp, life: SignedDuration) -> Timestamp {
    now.checked_add(life).unwrap_or(Timestamp::MAX)
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a flow under `id`.
    pub(crate) fn put_flow(&self, id: String, flow: Flow, now: Timestamp) {
        self.lock().flows.put(id, flow, after(now, FLOW_LIFE), now);
    }

    /// Takes a flow away; whoever goes on with it puts it back.
    pub(crate) fn take_flow(&self, id: &str, now: Timestamp) -> Option<Flow> {
        let (until, flow) = self.lock().flows.0.remove(id)?;
        (until > now).then_some(flow)
    }

    /// Keeps an authorization code.
    pub(crate) fn put_code(&self, text: String, code: Code, now: Timestamp) {
        self.lock()
            .codes
            .put(text, code, after(now, CODE_LIFE), now);
    }

    /// Looks at a code and decides with `judge`; a good verdict redeems it.
    pub(crate) fn redeem_code<E>(
        &self,
        text: &str,
        now: Timestamp,
        judge: impl FnOnce(Kept<&Code>) -> Result<(), E>,
    ) -> Result<Option<Code>, E> {
        let mut shelves = self.lock();
        match shelves.codes.0.get_mut(text) {
            None => judge(Kept::Unknown).map(|()| None),
            Some((until, _)) if *until <= now => judge(Kept::Ended).map(|()| None),
            Some((_, code)) => {
                judge(Kept::Good(code))?;
                code.redeemed = true;
                Ok(Some(code.clone()))
            }
        }
    }

    /// Keeps a device's request.
    pub(crate) fn put_device(&self, device_code: String, device: Device, now: Timestamp) {
        let until = after(now, SignedDuration::from_secs(DEVICE_LIFE_S));
        self.lock().devices.put(device_code, device, until, now);
    }

    /// The device code behind a user code that is still good.
    pub(crate) fn device_of(&self, user_code: &str, now: Timestamp) -> Option<(String, Device)> {
        let shelves = self.lock();
        let mut devices = shelves.devices.0.iter();
        devices
            .find(|(_, (until, device))| {
                *until > now
                    && device.user_code.eq_ignore_ascii_case(user_code.trim())
                    && matches!(device.verdict, Verdict::Pending)
            })
            .map(|(code, (_, device))| (code.clone(), device.clone()))
    }

    /// Says what became of a device.
    pub(crate) fn decide(&self, device_code: &str, verdict: Verdict) {
        if let Some((_, device)) = self.lock().devices.0.get_mut(device_code) {
            device.verdict = verdict;
        }
    }

    /// Looks at a device because it polls; a decided one is forgotten.
    pub(crate) fn poll(&self, device_code: &str, now: Timestamp) -> Kept<Device> {
        let mut shelves = self.lock();
        let Some((until, device)) = shelves.devices.0.get_mut(device_code) else {
            return Kept::Unknown;
        };
        if *until <= now {
            return Kept::Ended;
        }
        let seen = device.clone();
        device.polled = Some(now);
        if matches!(device.verdict, Verdict::Approved(_)) {
            shelves.devices.0.remove(device_code);
        }
        Kept::Good(seen)
    }

    /// Keeps a refresh token.
    pub(crate) fn put_refresh(&self, text: String, signed_in: SignedIn, now: Timestamp) {
        let until = after(now, REFRESH_LIFE);
        self.lock().refresh.put(text, signed_in, until, now);
    }

    /// What a refresh token stands for.
    pub(crate) fn refresh(&self, text: &str, now: Timestamp) -> Kept<SignedIn> {
        match self.lock().refresh.0.get(text) {
            None => Kept::Unknown,
            Some((until, _)) if *until <= now => Kept::Ended,
            Some((_, signed_in)) => Kept::Good(signed_in.clone()),
        }
    }

    /// Remembers that a browser signed in.
    pub(crate) fn put_browser(&self, cookie: String, user: Uuid, factor: bool, now: Timestamp) {
        let until = after(now, REFRESH_LIFE);
        self.lock().browsers.put(cookie, (user, factor), until, now);
    }

    /// Who signed in with a browser, and whether with a second factor.
    pub(crate) fn browser(&self, cookie: &str, now: Timestamp) -> Option<(Uuid, bool)> {
        let shelves = self.lock();
        let (until, signed_in) = shelves.browsers.0.get(cookie)?;
        (*until > now).then_some(*signed_in)
    }
}
