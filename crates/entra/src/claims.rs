//! What a token says about itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::limits::TOKEN_OCTETS_MAX;

/// The claims of a token, decoded and **not verified**: only the service can tell whether the
/// signature holds. Good for telling a person what a token is for, never for letting anybody in.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    header: Map<String, Value>,
    payload: Map<String, Value>,
}

/// Why a text cannot be shown as claims.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// Not three parts joined by dots.
    #[error("this is no JWT: {parts} parts joined by dots, where 3 are wanted")]
    Parts {
        /// How many there are.
        parts: usize,
    },
    /// Longer than any token.
    #[error("this is no token: it is longer than {TOKEN_OCTETS_MAX} octets")]
    TooLong,
    /// A part is not base64url.
    #[error("the {part} of the token is not base64url")]
    NotBase64 {
        /// `header` or `payload`.
        part: &'static str,
    },
    /// A part is no JSON object.
    #[error("the {part} of the token is not a JSON object")]
    NotObject {
        /// `header` or `payload`.
        part: &'static str,
    },
}

impl Claims {
    /// Decodes header and payload of a JWT; the signature is not looked at.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub fn decode(token: &str) -> Result<Self, ClaimsError> {
        if token.len() > TOKEN_OCTETS_MAX {
            return Err(ClaimsError::TooLong);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, _] = parts.as_slice() else {
            return Err(ClaimsError::Parts { parts: parts.len() });
        };
        Ok(Self {
            header: object(header, "header")?,
            payload: object(payload, "payload")?,
        })
    }

    /// The header, as it stands.
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// Every claim, as it stands.
    pub fn payload(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// `aud`: the resources the token is for; usually one.
    pub fn audiences(&self) -> Vec<&str> {
        self.texts("aud")
    }

    /// `iss`: who issued it.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `tid`: the id of the tenant.
    pub fn tenant_id(&self) -> Option<&str> {
        self.text("tid")
    }

    /// `oid`: the object id of the **service principal** (enterprise application), which
    /// `New-ServicePrincipal` in Exchange must have been given.
    pub fn object_id(&self) -> Option<&str> {
        self.text("oid")
    }

    /// `appid`, or `azp` in v2 tokens: the client id.
    pub fn client_id(&self) -> Option<&str> {
        self.text("appid").or_else(|| self.text("azp"))
    }

    /// `roles`: the application permissions granted.
    pub fn roles(&self) -> Vec<&str> {
        self.texts("roles")
    }

    /// `scp`: delegated permissions; only a user's token has them.
    pub fn scopes(&self) -> Option<&str> {
        self.text("scp")
    }

    /// The claim that shows a user behind the token, if one does.
    pub fn user_clue(&self) -> Option<(&'static str, &str)> {
        ["scp", "upn", "unique_name", "preferred_username", "name"]
            .into_iter()
            .find_map(|name| Some((name, self.text(name)?)))
            .or_else(|| Some(("idtyp", self.id_type().filter(|kind| *kind != "app")?)))
    }

    /// `idtyp`: `app` for an application, where the optional claim is switched on.
    pub fn id_type(&self) -> Option<&str> {
        self.text("idtyp")
    }

    /// `appidacr`, or `azpacr`: how the application proved itself: `1` secret, `2` certificate or
    /// assertion, `0` not at all.
    pub fn proof(&self) -> Option<&str> {
        self.text("appidacr").or_else(|| self.text("azpacr"))
    }

    /// `xms_mirid`: the Azure resource whose managed identity this is.
    pub fn managed_identity(&self) -> Option<&str> {
        self.text("xms_mirid")
    }

    /// `app_displayname`: the application's name.
    pub fn display_name(&self) -> Option<&str> {
        self.text("app_displayname")
    }

    /// `exp`: when it ends.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.moment("exp")
    }

    /// `nbf`: when it begins.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.moment("nbf")
    }

    /// `iat`: when it was issued.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.moment("iat")
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.payload.get(name).and_then(Value::as_str)
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        match self.payload.get(name) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn moment(&self, name: &str) -> Option<Timestamp> {
        let seconds = match self.payload.get(name)? {
            Value::Number(number) => number.as_i64()?,
            Value::String(text) => text.parse().ok()?,
            _ => return None,
        };
        Timestamp::from_second(seconds).ok()
    }
}

fn object(part: &str, name: &'static str) -> Result<Map<String, Value>, ClaimsError> {
    let octets = URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .map_err(|_| ClaimsError::NotBase64 { part: name })?;
    serde_json::from_slice(&octets).map_err(|_| ClaimsError::NotObject { part: name })
}
