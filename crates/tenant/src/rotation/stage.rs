//! The stages of a rotation, as types: each has only what is known there, and leads only onward.
//!
//! ```text
//! Begun ──(certificate)──▶ Kept ──▶ Added ──▶ Proven ──▶ Switched ──▶ Finished
//!   └────────(secret)───────────────▲
//! ```
//!
//! Pure: nothing here asks, waits or writes. Until `Switched` the configuration names the old
//! credential, and the way back is open; from `Switched` on only the way forward is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::Place;

/// Which kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A certificate whose key is on this machine.
    Certificate,
    /// A client secret.
    Secret,
}

/// A rotation that has begun; nothing was surely made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Since when a secret may exist whose text nobody has.
    pub asked: Option<Timestamp>,
}

/// The key and its certificate are on disk; Entra may know the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where the key is.
    pub place: Place,
    /// The certificate's thumbprint.
    pub thumbprint: String,
    /// The certificate, DER in base64.
    pub der: String,
    /// The end of its life.
    pub end: Timestamp,
    /// Since when Entra may know it.
    pub asked: Option<Timestamp>,
}

/// A credential that is on disk and registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fresh {
    /// Which kind.
    pub kind: Kind,
    /// Where it is on this machine.
    pub place: Place,
    /// Its id in Entra; none when the answer with it was lost and nobody could read it since.
    pub key_id: Option<String>,
    /// A certificate's thumbprint.
    pub thumbprint: Option<String>,
    /// The end of its life.
    pub end: Option<Timestamp>,
}

/// Entra has registered the new credential; whether it acts is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added(pub Fresh);

/// The new credential got tokens, and Exchange took one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven(pub Fresh);

/// The configuration names the new credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched(pub Fresh);

/// The old credential is gone, or stays because that was wanted or nobody may remove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished(pub Fresh);

/// Where a rotation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// See [`Begun`].
    Begun(Begun),
    /// See [`Kept`].
    Kept(Kept),
    /// See [`Added`].
    Added(Added),
    /// See [`Proven`].
    Proven(Proven),
    /// See [`Switched`].
    Switched(Switched),
    /// See [`Finished`].
    Finished(Finished),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make a key and its certificate, and keep them.
    MakeKey,
    /// Register the certificate.
    AddCertificate,
    /// Have a secret made, and keep it.
    AddSecret,
    /// Try the new credential.
    Prove,
    /// Name it in the configuration.
    Switch,
    /// Remove the old one.
    RemoveOld,
    /// Nothing.
    Rest,
}

/// What going back must remove, in this order: from Entra, then from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retreat {
    /// A secret of our label may be in Entra since then.
    pub stray_since: Option<Timestamp>,
    /// This credential is registered, or may be since that time.
    pub registered: Option<(Fresh, Option<Timestamp>)>,
    /// A file that only the new credential uses.
    pub place: Option<Place>,
}

impl Begun {
    /// A secret is about to be asked for.
    #[must_use]
    pub fn asking(self, now: Timestamp) -> Self {
        Self {
            asked: self.asked.or(Some(now)),
        }
    }

    /// No secret without a known text is left.
    #[must_use]
    pub fn clean(self) -> Self {
        Self { asked: None }
    }

    /// The secret was made, and its text is kept.
    pub fn added(self, place: Place, key_id: String, end: Option<Timestamp>) -> Added {
        Added(Fresh {
            kind: Kind::Secret,
            place,
            key_id: Some(key_id),
            thumbprint: None,
            end,
        })
    }

    /// A key was made, and is kept.
    pub fn kept(self, place: Place, thumbprint: String, der: String, end: Timestamp) -> Kept {
        Kept {
            place,
            thumbprint,
            der,
            end,
            asked: None,
        }
    }
}

impl Kept {
    /// Entra is about to be told.
    #[must_use]
    pub fn asking(self, now: Timestamp) -> Self {
        Self {
            asked: self.asked.or(Some(now)),
            ..self
        }
    }

    /// Entra has registered it.
    pub fn added(self, key_id: Option<String>) -> Added {
        Added(self.fresh(key_id))
    }

    /// The credential it is, or would be.
    pub fn fresh(self, key_id: Option<String>) -> Fresh {
        Fresh {
            kind: Kind::Certificate,
            place: self.place,
            key_id,
            thumbprint: Some(self.thumbprint),
            end: Some(self.end),
        }
    }
}

impl Added {
    /// It got tokens, and Exchange took one.
    pub fn proven(self) -> Proven {
        Proven(self.0)
    }
}

impl Proven {
    /// The configuration names it.
    pub fn switched(self) -> Switched {
        Switched(self.0)
    }
}

impl Switched {
    /// The old one is dealt with.
    pub fn finished(self) -> Finished {
        Finished(self.0)
    }
}

impl Stage {
    /// What comes next for a rotation to this kind.
    pub fn next(&self, kind: Kind) -> Act {
        match (self, kind) {
            (Self::Begun(_), Kind::Certificate) => Act::MakeKey,
            (Self::Begun(_), Kind::Secret) => Act::AddSecret,
            (Self::Kept(_), _) => Act::AddCertificate,
            (Self::Added(_), _) => Act::Prove,
            (Self::Proven(_), _) => Act::Switch,
            (Self::Switched(_), _) => Act::RemoveOld,
            (Self::Finished(_), _) => Act::Rest,
        }
    }

    /// What going back must remove; none when the configuration names the new credential.
    ///
    /// `is_named` is whether it does now: at `Proven` the switch may have happened without being
    /// noted.
    pub fn retreat(&self, is_named: bool) -> Option<Retreat> {
        Some(match self.clone() {
            Self::Begun(begun) => Retreat {
                stray_since: begun.asked,
                registered: None,
                place: None,
            },
            Self::Kept(kept) => Retreat {
                stray_since: None,
                place: Some(kept.place.clone()),
                registered: kept.asked.map(|asked| (kept.fresh(None), Some(asked))),
            },
            Self::Added(Added(fresh)) | Self::Proven(Proven(fresh)) if !is_named => Retreat {
                stray_since: None,
                place: Some(fresh.place.clone()),
                registered: Some((fresh, None)),
            },
            _ => return None,
        })
    }

    /// The new credential, as far as it is known.
    pub fn fresh(&self) -> Option<&Fresh> {
        match self {
            Self::Begun(_) | Self::Kept(_) => None,
            Self::Added(Added(fresh))
            | Self::Proven(Proven(fresh))
            | Self::Switched(Switched(fresh))
            | Self::Finished(Finished(fresh)) => Some(fresh),
        }
    }
}

impl Kind {
    /// `certificate` or `secret`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Secret => "secret",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::File("/etc/sendas/contoso-1a2b3c4d.pem".into())
    }

    fn kept() -> Kept {
        Begun::default().kept(place(), "AB".into(), "MII".into(), Timestamp::MAX)
    }

    /// Every stage on both ways.
    fn ways() -> [Vec<(Stage, Act)>; 2] {
        let onward = |added: Added| {
            let (proven, switched) = (added.clone().proven(), added.clone().proven().switched());
            [
                (Stage::Added(added), Act::Prove),
                (Stage::Proven(proven), Act::Switch),
                (Stage::Switched(switched.clone()), Act::RemoveOld),
                (Stage::Finished(switched.finished()), Act::Rest),
            ]
        };
        let begun = Begun::default();
        let mut certificate = vec![
            (Stage::Begun(begun.clone()), Act::MakeKey),
            (Stage::Kept(kept()), Act::AddCertificate),
        ];
        certificate.extend(onward(kept().added(Some("id".into()))));
        let asking = begun.clone().asking(Timestamp::UNIX_EPOCH);
        let mut secret = vec![
            (Stage::Begun(begun), Act::AddSecret),
            (Stage::Begun(asking.clone()), Act::AddSecret),
        ];
        secret.extend(onward(asking.added(place(), "id".into(), None)));
        [certificate, secret]
    }

    #[test]
    fn each_stage_leads_to_the_next_and_comes_back_from_disk_as_it_was() {
        for (way, kind) in ways().into_iter().zip([Kind::Certificate, Kind::Secret]) {
            for (stage, act) in way {
                assert_eq!(stage.next(kind), act, "{stage:?}");
                let text = serde_json::to_string(&stage).unwrap();
                assert_eq!(serde_json::from_str::<Stage>(&text).unwrap(), stage);
            }
        }
    }

    #[test]
    fn the_way_back_ends_before_the_switch_and_leaves_nothing() {
        for way in ways() {
            for (stage, act) in way {
                let before = matches!(act, Act::MakeKey | Act::AddCertificate | Act::AddSecret);
                assert_eq!(stage.retreat(true).is_some(), before, "{stage:?}");
                let open = before || matches!(act, Act::Prove | Act::Switch);
                let retreat = stage.retreat(false);
                assert_eq!(retreat.is_some(), open, "{stage:?}");
                if let Some(retreat) = retreat {
                    let fresh = stage.fresh();
                    assert_eq!(
                        retreat.registered.as_ref().map(|found| &found.0),
                        fresh,
                        "{stage:?}"
                    );
                }
            }
        }
        let asked = kept().asking(Timestamp::UNIX_EPOCH).asking(Timestamp::MAX);
        let retreat = Stage::Kept(asked).retreat(false).unwrap();
        let (fresh, since) = retreat.registered.unwrap();
        assert_eq!((fresh.key_id, since), (None, Some(Timestamp::UNIX_EPOCH)));
        assert_eq!(retreat.place, Some(place()));
    }
}
