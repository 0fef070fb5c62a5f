//! The HTTP proxy of the machine, from its environment.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::Environment;

/// Which hosts are reached through an HTTP proxy (CONNECT).
///
/// `localhost` and loopback addresses never are, nor are the endpoints of managed identities.
#[derive(Clone, Default)]
pub struct Proxy {
    matcher: Option<Arc<Matcher>>,
}

/// Why the proxy settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Not a URL with a host.
    #[error(
        "{variable} is not the address of a proxy; wanted: http://host:port or http://user:password@host:port"
    )]
    NotUrl {
        /// The variable.
        variable: &'static str,
    },
    /// A proxy that does not speak HTTP.
    #[error("{variable} names a {scheme} proxy; only HTTP proxies (CONNECT) are supported")]
    Unsupported {
        /// The variable.
        variable: &'static str,
        /// `socks5`, for instance.
        scheme: String,
    },
}

/// The variables that name a proxy for `https`, the first one set wins. Lower case comes first, as
/// with curl.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

impl Proxy {
    /// No proxy.
    pub fn none() -> Self {
        Self::default()
    }

    /// The proxy that `HTTPS_PROXY` or `ALL_PROXY` names, for all hosts but those of `NO_PROXY`
    /// (names, also of parent domains, addresses, networks as `10.0.0.0/8`, or `*`).
    ///
    /// # Errors
    /// [`ProxyError`]; a broken setting is not passed over, because going around a proxy is not
    /// what its owner wants.
    pub fn from_environment(environment: &Environment) -> Result<Self, ProxyError> {
        let set = VARIABLES
            .into_iter()
            .find_map(|name| Some((name, environment.get(name)?)));
        let Some((variable, url)) = set else {
            return Ok(Self::none());
        };
        let no_proxy = environment
            .first(&["no_proxy", "NO_PROXY"])
            .unwrap_or_default();
        // A matcher without exceptions tells whether the address itself is usable.
        let probe = Matcher::builder().https(url.to_owned()).build();
        let intercept = probe
            .intercept(&Uri::from_static("https://probe.invalid/"))
            .ok_or(ProxyError::NotUrl { variable })?;
        match intercept.uri().scheme_str() {
            Some("http" | "https") => {}
            scheme => {
                let scheme = scheme.unwrap_or_default().to_owned();
                return Err(ProxyError::Unsupported { variable, scheme });
            }
        }
        let matcher = Matcher::builder()
            .https(url.to_owned())
            .no(no_proxy.to_owned())
            .build();
        Ok(Self {
            matcher: Some(Arc::new(matcher)),
        })
    }

    /// Whether any host is reached through a proxy.
    pub fn is_set(&self) -> bool {
        self.matcher.is_some()
    }

    /// Host and port of the proxy for this URL, without user and password.
    pub fn address_for(&self, url: &str) -> Option<String> {
        let intercept = self.intercept(&url.parse().ok()?)?;
        intercept.uri().authority().map(ToString::to_string)
    }

    pub(crate) fn intercept(&self, target: &Uri) -> Option<Intercept> {
        let host = target.host()?;
        if is_loopback(host) {
            return None;
        }
        self.matcher.as_ref()?.intercept(target)
    }
}

/// Shows the proxy's address, not its password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.matcher {
            Some(matcher) => write!(f, "Proxy({matcher:?})"),
            None => f.write_str("Proxy(none)"),
        }
    }
}

/// `localhost`, or a loopback address, with or without brackets.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(pairs: &[(&str, &str)]) -> Result<Proxy, ProxyError> {
        Proxy::from_environment(&pairs.iter().copied().collect())
    }

    #[test]
    fn exceptions_are_obeyed() {
        let proxy = proxy(&[
            (
                "HTTPS_PROXY",
                "http://user:CANARY-SECRET@proxy.example:3128",
            ),
            ("NO_PROXY", "internal.example, 10.0.0.0/8,192.0.2.7"),
        ])
        .unwrap();
        for (url, through) in [
            ("https://login.microsoftonline.com/x", true),
            ("https://internal.example/", false),
            ("https://login.internal.example/", false),
            ("https://notinternal.example/", true),
            ("https://10.1.2.3/", false),
            ("https://192.0.2.7:8443/", false),
            ("https://192.0.2.8/", true),
            ("https://localhost:8443/", false),
            ("https://127.0.0.1:8443/", false),
            ("https://[::1]:8443/", false),
        ] {
            let address = proxy.address_for(url);
            assert_eq!(
                address.as_deref(),
                through.then_some("proxy.example:3128"),
                "{url}"
            );
        }
        assert!(!format!("{proxy:?}").contains("CANARY-SECRET"));
    }

    #[test]
    fn lower_case_wins_and_all_proxy_comes_last() {
        let both = proxy(&[
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:2"),
        ]);
        assert_eq!(
            both.unwrap().address_for("https://a.example").as_deref(),
            Some("lower:2")
        );
        let all = proxy(&[("ALL_PROXY", "proxy:3")]).unwrap();
        assert_eq!(
            all.address_for("https://a.example").as_deref(),
            Some("proxy:3")
        );
        let star = proxy(&[("ALL_PROXY", "proxy:3"), ("NO_PROXY", "*")]).unwrap();
        assert_eq!(star.address_for("https://a.example"), None);
        assert!(!proxy(&[]).unwrap().is_set());
    }

    #[test]
    fn broken_settings_are_errors_without_the_password() {
        for bad in [
            "http://",
            "://x",
            "ftp://user:CANARY-SECRET@proxy",
            "http://user:CANARY-SECRET@",
        ] {
            let error = proxy(&[("HTTPS_PROXY", bad)]).unwrap_err();
            assert_eq!(
                error,
                ProxyError::NotUrl {
                    variable: "HTTPS_PROXY"
                },
                "{bad}"
            );
            assert!(!error.to_string().contains("CANARY-SECRET"));
        }
        let error = proxy(&[("ALL_PROXY", "socks5://user:CANARY-SECRET@proxy:1080")]).unwrap_err();
        assert!(matches!(
            error,
            ProxyError::Unsupported {
                variable: "ALL_PROXY",
                ..
            }
        ));
    }
}
