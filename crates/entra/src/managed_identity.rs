//! The identity Azure gives a machine: where its endpoint is and how it is asked (MSI-DOC).

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use zeroize::Zeroizing;

use crate::answer::Refusal;
use crate::http::is_local;
use crate::{ClientId, CredentialError, Environment, HttpError, Request, Secret, request};

/// The identity of the machine: which endpoint gives tokens, and for which identity.
#[derive(Clone, Debug)]
pub struct ManagedIdentity {
    host: IdentityHost,
    name: IdentityName,
}

/// Which identity, where a machine has several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityName {
    /// The one that belongs to the machine itself.
    #[default]
    System,
    /// A user-assigned one, by client id.
    ClientId(ClientId),
    /// A user-assigned one, by the object id of its service principal.
    ObjectId(String),
    /// A user-assigned one, by its Azure resource id.
    ResourceId(String),
}

/// What kind of machine this is.
#[derive(Clone)]
#[non_exhaustive]
pub enum IdentityHost {
    /// A virtual machine.
    Imds {
        /// The origin, `http://169.254.169.254`.
        origin: String,
    },
    /// App Service, Functions, Container Apps, Automation.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        endpoint: String,
        /// `IDENTITY_HEADER`.
        header: Secret,
    },
    /// Azure Machine Learning.
    MachineLearning {
        /// `MSI_ENDPOINT`.
        endpoint: String,
        /// `MSI_SECRET`.
        secret: Secret,
    },
    /// A machine elsewhere that the Azure Arc agent has enrolled; system identity only.
    Arc {
        /// The agent's endpoint.
        endpoint: String,
        /// The only folder from which a key file is sent.
        keys: PathBuf,
    },
}

/// Why the managed identity cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagedIdentityError {
    /// The machine is of a kind that is not supported.
    #[error("managed identities of {host} are not supported: {reason}")]
    Unsupported {
        /// The kind of machine.
        host: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The endpoint is not one of this machine.
    #[error("{variable} does not name an endpoint of this machine (http, loopback or link-local)")]
    NotLocal {
        /// The variable.
        variable: &'static str,
    },
    /// A value of the environment cannot be a header.
    #[error("the value of {variable} cannot be sent as a header")]
    NotHeader {
        /// The variable.
        variable: &'static str,
    },
    /// Azure Arc knows the system identity only.
    #[error("Azure Arc gives a machine its system identity only; leave client_id out")]
    ArcSystemOnly,
    /// The Arc agent did not say which key file proves that we may ask.
    #[error("the Azure Arc agent sent no challenge with a key file (status {status})")]
    NoChallenge {
        /// The status it sent.
        status: u16,
    },
    /// The Arc agent named a file outside its folder; nothing has been read or sent.
    #[error("the Azure Arc agent named a key file outside of {}; nothing was sent", allowed.display())]
    KeyOutside {
        /// The only folder that is allowed.
        allowed: PathBuf,
    },
    /// The Arc agent's key file cannot be read.
    #[error(
        "the key file of the Azure Arc agent cannot be used; the program's user must be in the group himds"
    )]
    Key(#[source] CredentialError),
    /// The endpoint refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The endpoint gave no answer.
    #[error("the managed identity endpoint gave no answer; does this machine have an identity?")]
    Http(#[source] HttpError),
    /// The answer is no token answer.
    #[error("the managed identity endpoint sent an answer that is not understood: {reason}")]
    NotUnderstood {
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// The runtime was shut down.
    #[error("the request was interrupted")]
    Interrupted,
}

const IMDS_ORIGIN: &str = "http://169.254.169.254";
const TOKEN_PATH: &str = "/metadata/identity/oauth2/token";
const ARC_ORIGIN: &str = "http://localhost:40342";
const ARC_KEYS_LINUX: &str = "/var/opt/azcmagent/tokens";
const ARC_KEYS_WINDOWS: &str = r"AzureConnectedMachineAgent\Tokens";

impl ManagedIdentity {
    /// An identity on a known kind of machine.
    pub fn new(host: IdentityHost, name: IdentityName) -> Self {
        Self { host, name }
    }

    /// Finds out what kind of machine this is from its variables, in MSAL's order: Service Fabric,
    /// App Service, Machine Learning, Arc, virtual machine.
    ///
    /// # Errors
    /// [`ManagedIdentityError`] for Service Fabric and Cloud Shell, which are not supported, and
    /// for endpoints that are not on this machine.
    pub fn detect(
        environment: &Environment,
        name: IdentityName,
    ) -> Result<Self, ManagedIdentityError> {
        let host = IdentityHost::detect(environment)?;
        if matches!(host, IdentityHost::Arc { .. }) && name != IdentityName::System {
            return Err(ManagedIdentityError::ArcSystemOnly);
        }
        Ok(Self { host, name })
    }

    /// The kind of machine.
    pub fn host(&self) -> &IdentityHost {
        &self.host
    }

    /// Which identity.
    pub fn name(&self) -> &IdentityName {
        &self.name
    }

    /// The request for a token; for Arc it is the one that brings the challenge.
    pub(crate) fn request(&self, resource: &str) -> Result<Request, ManagedIdentityError> {
        let mut query = vec![("api-version", self.host.version()), ("resource", resource)];
        match &self.name {
            IdentityName::System => {}
            IdentityName::ClientId(id) => query.push((self.host.client_id_key(), id.as_str())),
            IdentityName::ObjectId(id) => query.push(("object_id", id)),
            IdentityName::ResourceId(id) => query.push((self.host.resource_id_key(), id)),
        }
        let mut headers = HeaderMap::new();
        let endpoint = match &self.host {
            IdentityHost::Imds { origin } => {
                headers.insert("metadata", HeaderValue::from_static("true"));
                format!("{origin}{TOKEN_PATH}")
            }
            IdentityHost::AppService { endpoint, header } => {
                headers.insert("x-identity-header", sensitive("IDENTITY_HEADER", header)?);
                headers.insert("metadata", HeaderValue::from_static("true"));
                endpoint.clone()
            }
            IdentityHost::MachineLearning { endpoint, secret } => {
                headers.insert(
                    HeaderName::from_static("secret"),
                    sensitive("MSI_SECRET", secret)?,
                );
                endpoint.clone()
            }
            IdentityHost::Arc { endpoint, .. } => {
                headers.insert("metadata", HeaderValue::from_static("true"));
                endpoint.clone()
            }
        };
        Ok(request::managed_identity(&endpoint, &query, headers))
    }
}

impl IdentityHost {
    fn detect(environment: &Environment) -> Result<Self, ManagedIdentityError> {
        let identity = environment.get("IDENTITY_ENDPOINT");
        let header = environment.get("IDENTITY_HEADER");
        let msi = environment.get("MSI_ENDPOINT");
        if let (Some(endpoint), Some(_)) = (identity, header) {
            if environment.get("IDENTITY_SERVER_THUMBPRINT").is_some() {
                return Err(ManagedIdentityError::Unsupported {
                    host: "Service Fabric",
                    reason: "its endpoint proves itself by a thumbprint instead of a trusted \
                             certificate; use a certificate or a federated credential",
                });
            }
            return Ok(Self::AppService {
                endpoint: local("IDENTITY_ENDPOINT", endpoint)?,
                header: taken("IDENTITY_HEADER", environment)?,
            });
        }
        match (msi, environment.get("MSI_SECRET")) {
            (Some(endpoint), Some(_)) => {
                return Ok(Self::MachineLearning {
                    endpoint: local("MSI_ENDPOINT", endpoint)?,
                    secret: taken("MSI_SECRET", environment)?,
                });
            }
            (Some(_), None) => {
                return Err(ManagedIdentityError::Unsupported {
                    host: "Cloud Shell",
                    reason: "its tokens act for the user who is signed in",
                });
            }
            _ => {}
        }
        let imds = environment.get("IMDS_ENDPOINT");
        if identity.is_some() || has_arc_agent(environment) {
            let endpoint = match identity {
                Some(endpoint) => local("IDENTITY_ENDPOINT", endpoint)?,
                None => format!("{ARC_ORIGIN}{TOKEN_PATH}"),
            };
            return Ok(Self::Arc {
                endpoint,
                keys: arc_keys(environment),
            });
        }
        let origin = match imds {
            Some(origin) => local("IMDS_ENDPOINT", origin)?
                .trim_end_matches('/')
                .to_owned(),
            None => IMDS_ORIGIN.to_owned(),
        };
        Ok(Self::Imds { origin })
    }

    fn version(&self) -> &'static str {
        match self {
            Self::Imds { .. } => "2018-02-01",
            Self::AppService { .. } => "2019-08-01",
            Self::MachineLearning { .. } => "2017-09-01",
            Self::Arc { .. } => "2020-06-01",
        }
    }

    fn client_id_key(&self) -> &'static str {
        match self {
            Self::MachineLearning { .. } => "clientid",
            _ => "client_id",
        }
    }

    fn resource_id_key(&self) -> &'static str {
        match self {
            Self::Imds { .. } => "msi_res_id",
            _ => "mi_res_id",
        }
    }
}

/// Shows the kind and the endpoint, not the header.
impl fmt::Debug for IdentityHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imds { origin } => write!(f, "Imds({origin})"),
            Self::AppService { endpoint, .. } => write!(f, "AppService({endpoint})"),
            Self::MachineLearning { endpoint, .. } => write!(f, "MachineLearning({endpoint})"),
            Self::Arc { endpoint, .. } => write!(f, "Arc({endpoint})"),
        }
    }
}

impl ManagedIdentityError {
    /// Whether asking again later helps: the endpoint may be starting or updating (404, 410, 429,
    /// 5xx), or could not be reached for a moment.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_temporary() || matches!(refusal.status, 404 | 410),
            Self::Http(error) => error.is_temporary(),
            Self::Interrupted => true,
            _ => false,
        }
    }

    /// The refusal, if the endpoint spoke.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// The key file an Arc agent names in `WWW-Authenticate: Basic realm=PATH`.
///
/// Only a `.key` file that lies directly in the allowed folder passes, so that an endpoint that is
/// not the agent cannot have any other file sent to it.
pub(crate) fn arc_key_file(
    status: u16,
    headers: &HeaderMap,
    allowed: &Path,
) -> Result<PathBuf, ManagedIdentityError> {
    let challenge = headers
        .get(http::header::WWW_AUTHENTICATE)
        .filter(|_| status == 401)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().strip_prefix("Basic realm="))
        .ok_or(ManagedIdentityError::NoChallenge { status })?;
    let path = Path::new(challenge.trim().trim_matches('"'));
    let plain = path.components().all(|part| {
        matches!(
            part,
            Component::Normal(_) | Component::RootDir | Component::Prefix(_)
        )
    });
    let inside = path.parent() == Some(allowed) && path.extension().is_some_and(|e| e == "key");
    if plain && inside {
        Ok(path.to_owned())
    } else {
        Err(ManagedIdentityError::KeyOutside {
            allowed: allowed.to_owned(),
        })
    }
}

/// The `Authorization` header that answers the Arc agent's challenge.
pub(crate) fn arc_answer(key: &[u8]) -> Result<HeaderValue, ManagedIdentityError> {
    let key = key.trim_ascii();
    let mut text = Zeroizing::new(Vec::with_capacity(key.len() + 6));
    text.extend_from_slice(b"Basic ");
    text.extend_from_slice(key);
    let mut value =
        HeaderValue::from_bytes(&text).map_err(|_| ManagedIdentityError::NotHeader {
            variable: "the Arc key file",
        })?;
    value.set_sensitive(true);
    Ok(value)
}

fn has_arc_agent(environment: &Environment) -> bool {
    arc_keys(environment).is_dir()
}

fn arc_keys(environment: &Environment) -> PathBuf {
    if cfg!(windows) {
        let data = environment.get("ProgramData").unwrap_or(r"C:\ProgramData");
        Path::new(data).join(ARC_KEYS_WINDOWS)
    } else {
        PathBuf::from(ARC_KEYS_LINUX)
    }
}

/// The endpoint, if it is plain `http` on this machine: the header sent there is a credential.
fn local(variable: &'static str, text: &str) -> Result<String, ManagedIdentityError> {
    let uri: Option<Uri> = text.parse().ok();
    let good = uri.is_some_and(|uri| {
        uri.scheme_str() == Some("http")
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.host().is_some_and(is_local)
    });
    if good {
        Ok(text.to_owned())
    } else {
        Err(ManagedIdentityError::NotLocal { variable })
    }
}

fn taken(
    variable: &'static str,
    environment: &Environment,
) -> Result<Secret, ManagedIdentityError> {
    Secret::from_environment(variable, environment)
        .map_err(|_| ManagedIdentityError::NotHeader { variable })
}

fn sensitive(variable: &'static str, secret: &Secret) -> Result<HeaderValue, ManagedIdentityError> {
    let mut value = HeaderValue::from_str(secret.expose())
        .map_err(|_| ManagedIdentityError::NotHeader { variable })?;
    value.set_sensitive(true);
    Ok(value)
}

impl From<ManagedIdentityError> for crate::TokenError {
    fn from(error: ManagedIdentityError) -> Self {
        Self::ManagedIdentity(Arc::new(error))
    }
}

#[cfg(test)]
mod tests;
