//! The keys of a foreign issuer, fetched from where it publishes them: its metadata first, then the
//! key set that the metadata names (`OpenID` Connect Discovery 1.0 §4).
//!
//! Only addresses of this machine are asked: a sandbox reaches nothing else.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::jwt::Jwt;
use crate::limits::{ISSUER_OCTETS_MAX, ISSUER_S_MAX};
use crate::world::World;

/// Keys as their issuer publishes them, or why there are none.
pub(crate) type Published = Result<Value, String>;

/// The key set of the assertion's issuer; nothing when the assertion's issuer is trusted by no
/// application, or its keys are part of the tenant's document.
pub(super) async fn of_assertion(world: &World, assertion: &str) -> Option<Published> {
    let jwt = Jwt::parse(assertion)?;
    let issuer = jwt.text("iss")?.to_owned();
    let tenant = world.written();
    let known = tenant.issuers.get(&issuer);
    let is_trusted = tenant
        .applications
        .values()
        .flat_map(|application| application.federated.values())
        .any(|credential| credential.issuer == issuer);
    if !is_trusted || known.is_some_and(|known| known.jwks.is_some()) {
        return None;
    }
    let mut roots = world.ca_pem.clone();
    roots.push_str(
        known
            .and_then(|known| known.ca.as_deref())
            .unwrap_or_default(),
    );
    let fetched = tokio::time::timeout(Duration::from_secs(ISSUER_S_MAX), fetch(&issuer, &roots));
    Some(fetched.await.unwrap_or_else(|_| {
        Err(format!(
            "{issuer} did not answer within {ISSUER_S_MAX} seconds"
        ))
    }))
}

async fn fetch(issuer: &str, roots: &str) -> Published {
    let tls = connector(roots)?;
    // One slash between the two, whether or not the name ends with one.
    let place = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let metadata = get(&place, &tls).await?;
    // A document that speaks for another issuer proves nothing about this one.
    if metadata["issuer"] != issuer {
        return Err(format!("{place} is the metadata of {}", metadata["issuer"]));
    }
    let place = metadata["jwks_uri"]
        .as_str()
        .ok_or_else(|| format!("{place} names no jwks_uri"))?;
    get(place, &tls).await
}

fn connector(roots: &str) -> Result<TlsConnector, String> {
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        let wrong = |error: &dyn std::fmt::Display| format!("the issuer's CA: {error}");
        let certificate = certificate.map_err(|error| wrong(&error))?;
        store.add(certificate).map_err(|error| wrong(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// One document by HTTPS, without redirects.
async fn get(place: &str, tls: &TlsConnector) -> Published {
    let wrong = |error: &dyn std::fmt::Display| format!("{place}: {error}");
    let uri: Uri = place.parse().map_err(|error| wrong(&error))?;
    if uri.scheme_str() != Some("https") {
        return Err(wrong(&"not https"));
    }
    let authority = uri.authority().ok_or_else(|| wrong(&"no host"))?;
    let host = authority.host();
    let bare = host.trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(443);
    let addresses = tokio::net::lookup_host((bare, port)).await;
    let address = addresses
        .map_err(|error| wrong(&error))?
        .find(|address| address.ip().is_loopback())
        .ok_or_else(|| wrong(&"not on this machine; give its keys in `issuers`"))?;
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| wrong(&error))?;
    let tcp = TcpStream::connect(address)
        .await
        .map_err(|error| wrong(&error))?;
    let stream = tls
        .connect(name, tcp)
        .await
        .map_err(|error| wrong(&error))?;
    let (mut sender, talk) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| wrong(&error))?;
    let asked = async {
        let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, authority.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Empty::<bytes::Bytes>::new())
            .map_err(|error| wrong(&error))?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| wrong(&error))?;
        if !answer.status().is_success() {
            return Err(wrong(&answer.status()));
        }
        let body = Limited::new(answer.into_body(), ISSUER_OCTETS_MAX).collect();
        let body = body.await.map_err(|error| wrong(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| wrong(&error))
    };
    tokio::pin!(asked);
    tokio::select! {
        biased;
        found = &mut asked => found,
        // The connection has ended; what was read of it is still an answer.
        _ = talk => asked.await,
    }
}
