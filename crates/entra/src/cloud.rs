//! Microsoft's clouds, and clouds described by a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sendas_tls::{Authority, TlsError, TlsPolicy, Trust};
use serde::Deserialize;

use crate::limits::CLOUD_FILE_OCTETS_MAX;
use crate::{Mark, Tenant};

/// Every endpoint of one Microsoft 365 cloud, and whom to trust there.
///
/// The named clouds are data below; any other (the sandbox, a test, a cloud of tomorrow) comes from
/// a file. Nothing else redirects credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    name: String,
    authority: Endpoint,
    graph: Endpoint,
    exchange_admin: Endpoint,
    resource: Endpoint,
    smtp: SmtpEndpoint,
    ca: Option<PathBuf>,
    marks: [Mark; 5],
}

/// An origin: `https://`, a host, perhaps a port; no path, user, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

/// Where SMTP submission listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpEndpoint {
    /// Host name or address, without a final dot; it is also the name the certificate must carry.
    pub host: String,
    /// TCP port; STARTTLS is spoken on every port.
    pub port: u16,
}

/// Why a cloud could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// No cloud of this name.
    #[error("no cloud is called {name:?}; known are global, gcc-high, dod, china, or a cloud file")]
    UnknownName {
        /// The name given.
        name: String,
    },
    /// The authority host belongs to no known cloud.
    #[error("{host:?} is the authority of no known cloud; describe the cloud in a file")]
    UnknownAuthority {
        /// The host or URL given.
        host: String,
    },
    /// The file could not be read.
    #[error("cannot read the cloud file {}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any cloud file.
    #[error("the cloud file {} is larger than {CLOUD_FILE_OCTETS_MAX} octets", path.display())]
    TooLarge {
        /// The file as it was named.
        path: PathBuf,
    },
    /// The text is not the TOML that is wanted.
    #[error("{place} is not a cloud file: {reason}")]
    NotCloud {
        /// The file, or the words "the given text".
        place: String,
        /// Line, column and what is wrong there.
        reason: String,
    },
    /// An endpoint is not a plain `https` origin.
    #[error(
        "{key} = {given:?} is not an endpoint: {reason}; wanted: https://host or https://host:port"
    )]
    NotEndpoint {
        /// Which endpoint.
        key: &'static str,
        /// The text given.
        given: String,
        /// What is wrong in it.
        reason: &'static str,
    },
    /// The SMTP host is no host name.
    #[error("smtp.host = {given:?} is not a host name")]
    NotHost {
        /// The text given.
        given: String,
    },
}

struct Known {
    name: &'static str,
    authority: (&'static str, Mark),
    graph: (&'static str, Mark),
    exchange_admin: (&'static str, Mark),
    resource: (&'static str, Mark),
    smtp: (&'static str, Mark),
}

/// The clouds of Microsoft; each address with how well it is known.
const KNOWN: [Known; 4] = [
    Known {
        name: "global",
        authority: ("https://login.microsoftonline.com", Mark::Documented),
        graph: ("https://graph.microsoft.com", Mark::Documented),
        exchange_admin: ("https://outlook.office365.com", Mark::Documented),
        resource: ("https://outlook.office365.com", Mark::Documented),
        smtp: ("smtp.office365.com", Mark::Documented),
    },
    Known {
        name: "gcc-high",
        authority: ("https://login.microsoftonline.us", Mark::Observed),
        graph: ("https://graph.microsoft.us", Mark::Unsure),
        exchange_admin: ("https://outlook.office365.us", Mark::Observed),
        resource: ("https://outlook.office365.us", Mark::Observed),
        smtp: ("outlook.office365.us", Mark::Documented),
    },
    Known {
        name: "dod",
        authority: ("https://login.microsoftonline.us", Mark::Observed),
        graph: ("https://dod-graph.microsoft.us", Mark::Unsure),
        exchange_admin: ("https://outlook-dod.office365.us", Mark::Observed),
        resource: ("https://outlook.office365.us", Mark::Observed),
        smtp: ("outlook-dod.office365.us", Mark::Documented),
    },
    Known {
        name: "china",
        authority: ("https://login.partner.microsoftonline.cn", Mark::Observed),
        graph: ("https://microsoftgraph.chinacloudapi.cn", Mark::Unsure),
        exchange_admin: ("https://partner.outlook.cn", Mark::Observed),
        resource: ("https://partner.outlook.cn", Mark::Observed),
        smtp: ("smtp.partner.outlook.cn", Mark::Unsure),
    },
];

/// Other names of the authorities above (MSAL's lists); the US host serves two clouds and stands
/// for GCC High.
const AUTHORITY_ALIASES: [(&str, &str); 9] = [
    ("login.microsoftonline.com", "global"),
    ("login.windows.net", "global"),
    ("login.microsoft.com", "global"),
    ("sts.windows.net", "global"),
    ("login.microsoftonline.us", "gcc-high"),
    ("login.usgovcloudapi.net", "gcc-high"),
    ("login-us.microsoftonline.com", "gcc-high"),
    ("login.partner.microsoftonline.cn", "china"),
    ("login.chinacloudapi.cn", "china"),
];

/// The port of SMTP submission (RFC 6409).
const SUBMISSION_PORT: u16 = 587;

impl Cloud {
    /// The worldwide cloud, which also serves GCC.
    pub fn global() -> Self {
        Self::known(&KNOWN[0])
    }

    /// US Government, GCC High.
    pub fn gcc_high() -> Self {
        Self::known(&KNOWN[1])
    }

    /// US Government, Department of Defense.
    pub fn dod() -> Self {
        Self::known(&KNOWN[2])
    }

    /// The cloud operated by 21Vianet.
    pub fn china() -> Self {
        Self::known(&KNOWN[3])
    }

    /// The cloud of this name: `global`, `gcc-high`, `dod` or `china`.
    ///
    /// # Errors
    /// [`CloudError::UnknownName`].
    pub fn named(name: &str) -> Result<Self, CloudError> {
        KNOWN
            .iter()
            .find(|known| known.name == name)
            .map(Self::known)
            .ok_or_else(|| CloudError::UnknownName {
                name: name.to_owned(),
            })
    }

    /// The cloud whose authority this is; takes what `AZURE_AUTHORITY_HOST` holds, a URL or a host.
    ///
    /// # Errors
    /// [`CloudError::UnknownAuthority`]: any other host needs a cloud file.
    pub fn from_authority_host(text: &str) -> Result<Self, CloudError> {
        let host = text.strip_prefix("https://").unwrap_or(text);
        let host = host.strip_suffix('/').unwrap_or(host);
        AUTHORITY_ALIASES
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(host))
            .and_then(|(_, name)| Self::named(name).ok())
            .ok_or_else(|| CloudError::UnknownAuthority {
                host: text.to_owned(),
            })
    }

    /// Reads a cloud file; a relative `ca` is looked for beside the file.
    ///
    /// ```toml
    /// authority = "https://localhost:8443"
    /// graph = "https://localhost:8443"
    /// exchange_admin = "https://localhost:8443"
    /// resource = "https://outlook.office365.com"
    /// smtp = { host = "localhost", port = 2587 }
    /// ca = "ca.pem"           # optional; when named, only this CA is trusted
    /// name = "sandbox"        # optional, for messages
    /// ```
    ///
    /// # Errors
    /// [`CloudError`] for a file that cannot be read, an unknown key, or an endpoint that is not a
    /// plain `https` origin.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, CloudError> {
        let path = path.as_ref();
        let unreadable = |source| CloudError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        File::open(path)
            .and_then(|file| {
                file.take(CLOUD_FILE_OCTETS_MAX + 1)
                    .read_to_string(&mut text)
            })
            .map_err(unreadable)?;
        if text.len() as u64 > CLOUD_FILE_OCTETS_MAX {
            return Err(CloudError::TooLarge {
                path: path.to_owned(),
            });
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder, &path.display().to_string())
    }

    /// As [`from_file`](Self::from_file), from text; `folder` is where a relative `ca` is looked for.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_toml(text: &str, folder: &Path) -> Result<Self, CloudError> {
        Self::parse(text, folder, "the given text")
    }

    /// `global`, `gcc-high`, `dod`, `china`, or what the file says (`custom` when it says nothing).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Entra's origin.
    pub fn authority(&self) -> &Endpoint {
        &self.authority
    }

    /// The origin of Microsoft Graph.
    pub fn graph(&self) -> &Endpoint {
        &self.graph
    }

    /// The origin of Exchange's administration interface.
    pub fn exchange_admin(&self) -> &Endpoint {
        &self.exchange_admin
    }

    /// Exchange Online as the resource of a token: the `aud` claim it must carry.
    pub fn resource(&self) -> &Endpoint {
        &self.resource
    }

    /// Where messages are submitted.
    pub fn smtp(&self) -> &SmtpEndpoint {
        &self.smtp
    }

    /// The file of the only authority that is trusted here, when the cloud file names one.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The URL of the token endpoint (v2.0) for this tenant.
    pub fn token_endpoint(&self, tenant: &Tenant) -> String {
        format!("{}/{tenant}/oauth2/v2.0/token", self.authority)
    }

    /// Each address with its key and how well it is known.
    pub fn addresses(&self) -> [(&'static str, &str, Mark); 5] {
        let [authority, graph, admin, resource, smtp] = self.marks;
        [
            ("authority", self.authority.as_str(), authority),
            ("graph", self.graph.as_str(), graph),
            ("exchange_admin", self.exchange_admin.as_str(), admin),
            ("resource", self.resource.as_str(), resource),
            ("smtp", &self.smtp.host, smtp),
        ]
    }

    /// The TLS policy of this cloud: the system's roots, or only the CA its file names.
    ///
    /// # Errors
    /// [`TlsError`] when the CA file is unusable. The system's roots are read later, at first use.
    pub fn tls_policy(&self) -> Result<TlsPolicy, TlsError> {
        Ok(TlsPolicy::new(match &self.ca {
            Some(ca) => Trust::Only(vec![Authority::from_file(ca)?]),
            None => Trust::System,
        }))
    }

    fn known(known: &Known) -> Self {
        let endpoint = |(text, _): (&'static str, Mark)| Endpoint(text.to_owned());
        Self {
            name: known.name.to_owned(),
            authority: endpoint(known.authority),
            graph: endpoint(known.graph),
            exchange_admin: endpoint(known.exchange_admin),
            resource: endpoint(known.resource),
            smtp: SmtpEndpoint {
                host: known.smtp.0.to_owned(),
                port: SUBMISSION_PORT,
            },
            ca: None,
            marks: [
                known.authority.1,
                known.graph.1,
                known.exchange_admin.1,
                known.resource.1,
                known.smtp.1,
            ],
        }
    }

    fn parse(text: &str, folder: &Path, place: &str) -> Result<Self, CloudError> {
        let file: CloudFile = toml::from_str(text).map_err(|error| CloudError::NotCloud {
            place: place.to_owned(),
            reason: error.to_string(),
        })?;
        let host = file.smtp.host;
        if !is_host(&host) {
            return Err(CloudError::NotHost { given: host });
        }
        Ok(Self {
            name: file.name.unwrap_or_else(|| "custom".to_owned()),
            authority: Endpoint::parse("authority", &file.authority)?,
            graph: Endpoint::parse("graph", &file.graph)?,
            exchange_admin: Endpoint::parse("exchange_admin", &file.exchange_admin)?,
            resource: Endpoint::parse("resource", &file.resource)?,
            smtp: SmtpEndpoint {
                host,
                port: file.smtp.port,
            },
            ca: file.ca.map(|ca| folder.join(ca)),
            marks: [Mark::Given; 5],
        })
    }
}

impl Endpoint {
    /// `https://host` or `https://host:port`, without a final slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port as they stand in the URL.
    pub fn host_and_port(&self) -> &str {
        self.0.strip_prefix("https://").unwrap_or(&self.0)
    }

    fn parse(key: &'static str, text: &str) -> Result<Self, CloudError> {
        origin(text)
            .map(Self)
            .map_err(|reason| CloudError::NotEndpoint {
                key,
                given: text.to_owned(),
                reason,
            })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloudFile {
    name: Option<String>,
    authority: String,
    graph: String,
    exchange_admin: String,
    resource: String,
    smtp: SmtpFile,
    ca: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmtpFile {
    host: String,
    port: u16,
}

/// The text without its final slash, if it is an `https` origin and nothing more.
fn origin(text: &str) -> Result<String, &'static str> {
    let rest = text
        .strip_prefix("https://")
        .ok_or("it does not begin with https://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("it names a user before the host");
    }
    if rest.contains(['/', '?', '#', '\\']) {
        return Err("it has more than a host and a port");
    }
    let (host, port) = match rest.rfind(':') {
        Some(colon) if !rest.ends_with(']') => (&rest[..colon], Some(&rest[colon + 1..])),
        _ => (rest, None),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_is_good = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host) && !host.contains(':'),
    };
    if !host_is_good {
        return Err("the host is not a host name or address");
    }
    if port.is_some_and(|port| {
        !port.bytes().all(|octet| octet.is_ascii_digit()) || port.parse::<u16>().unwrap_or(0) == 0
    }) {
        return Err("the port is not a number from 1 to 65535");
    }
    Ok(format!("https://{}", rest.to_ascii_lowercase()))
}

/// Whether this is a host name (one label is enough) or an IP address without brackets.
fn is_host(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
        || (text.len() <= 253
            && text.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|o| o.is_ascii_alphanumeric() || o == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        authority = "https://localhost:8443/"
        graph = "https://localhost:8444"
        exchange_admin = "https://127.0.0.1:8445"
        resource = "https://outlook.office365.com"
        smtp = { host = "localhost", port = 2587 }
        ca = "ca.pem"
    "#;

    #[test]
    fn every_known_cloud_is_well_formed() {
        for known in &KNOWN {
            let cloud = Cloud::named(known.name).unwrap();
            for (key, text, _) in &cloud.addresses()[..4] {
                assert_eq!(origin(text).as_deref(), Ok(*text), "{} {key}", known.name);
            }
            assert!(is_host(&cloud.smtp().host));
            assert_eq!(cloud.ca(), None);
        }
        for (alias, name) in AUTHORITY_ALIASES {
            let cloud = Cloud::from_authority_host(&format!("https://{alias}/")).unwrap();
            assert_eq!(cloud.name(), name);
        }
        assert!(Cloud::named("mars").is_err());
        assert!(Cloud::from_authority_host("https://evil.example").is_err());
    }

    #[test]
    fn the_token_endpoint_holds_the_tenant() {
        let tenant = Tenant::parse("contoso.com").unwrap();
        assert_eq!(
            Cloud::global().token_endpoint(&tenant),
            "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
        );
    }

    #[test]
    fn a_cloud_file_names_every_endpoint_and_its_ca_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.toml");
        std::fs::write(&path, FILE).unwrap();
        let cloud = Cloud::from_file(&path).unwrap();
        assert_eq!(cloud.authority().as_str(), "https://localhost:8443");
        assert_eq!(cloud.exchange_admin().host_and_port(), "127.0.0.1:8445");
        assert_eq!(
            cloud.smtp(),
            &SmtpEndpoint {
                host: "localhost".to_owned(),
                port: 2587
            }
        );
        assert_eq!(cloud.ca(), Some(folder.path().join("ca.pem").as_path()));
        assert!(cloud.tls_policy().is_err(), "the CA file does not exist");
        assert!(
            cloud
                .addresses()
                .iter()
                .all(|(_, _, mark)| *mark == Mark::Given)
        );
    }

    #[test]
    fn authorities_are_plain_https_origins() {
        for bad in [
            "http://login.example",
            "login.example",
            "https://",
            "https://user@login.example",
            "https://login.example/tenant",
            "https://login.example?x",
            "https://login.example#x",
            "https://login.example\\@evil",
            "https://login.example:0",
            "https://login.example:65536",
            "https://login.example:+443",
            "https://login.example:",
            "https://log in.example",
            "https://[::1",
            "https://[zz]",
            "https://::1",
            "HTTPS://login.example",
            "https://login.example//",
            "https://login.example/..",
            "https://login.example\r\nx",
            "https://\u{4e2d}.example",
        ] {
            assert!(origin(bad).is_err(), "{bad:?}");
            let text = FILE.replace("https://localhost:8443/", &bad.escape_default().to_string());
            assert!(Cloud::from_toml(&text, Path::new("")).is_err(), "{bad:?}");
        }
        for good in [
            "https://a",
            "https://LOGIN.example:1",
            "https://[::1]:8443",
            "https://127.0.0.1/",
        ] {
            assert!(origin(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn mistakes_in_a_cloud_file_are_named() {
        let unknown = FILE.replace("ca =", "cafile =");
        let error = Cloud::from_toml(&unknown, Path::new(""))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cafile") && error.contains("line"),
            "{error}"
        );
        let host = FILE.replace("host = \"localhost\"", "host = \"local host\"");
        assert!(matches!(
            Cloud::from_toml(&host, Path::new("")),
            Err(CloudError::NotHost { .. })
        ));
        assert!(matches!(
            Cloud::from_file("/nonexistent/cloud.toml"),
            Err(CloudError::Unreadable { .. })
        ));
    }
}
