//! Opens the connection for an HTTP exchange: straight, or through a proxy's tunnel.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::Service;

use crate::Proxy;
use crate::limits::CONNECT_S_MAX;

type BoxError = Box<dyn Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// TLS to the target, over whatever [`Route`] opened.
pub(crate) type TlsConnector = HttpsConnector<Route>;

/// TCP to the target, or a tunnel to it through the proxy.
#[derive(Clone)]
pub(crate) struct Route {
    tcp: HttpConnector,
    tls: Arc<ClientConfig>,
    proxy: Proxy,
}

/// The proxy did not let the connection through.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} did not open a tunnel: {source}")]
pub(crate) struct TunnelRefused {
    pub(crate) proxy: String,
    #[source]
    source: BoxError,
}

/// A connector for `https` URLs only.
pub(crate) fn tls(config: &Arc<ClientConfig>, proxy: Proxy) -> TlsConnector {
    let route = Route {
        tcp: tcp(),
        tls: Arc::clone(config),
        proxy,
    };
    HttpsConnectorBuilder::new()
        .with_tls_config((**config).clone())
        .https_only()
        .enable_http1()
        .wrap_connector(route)
}

/// TCP without delay, with a deadline for connecting.
pub(crate) fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(CONNECT_S_MAX)));
    tcp
}

impl Service<Uri> for Route {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let mut tcp = self.tcp.clone();
        let Some(intercept) = self.proxy.intercept(&target) else {
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(tcp.call(target).await?)) });
        };
        let proxy = intercept.uri().clone();
        let name = proxy
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let refused = move |source: BoxError| -> BoxError {
            Box::new(TunnelRefused {
                proxy: name,
                source,
            })
        };
        let auth = intercept.basic_auth().cloned();
        if proxy.scheme_str() == Some("https") {
            let over_tls = HttpsConnectorBuilder::new()
                .with_tls_config((*self.tls).clone())
                .https_only()
                .enable_http1()
                .wrap_connector(tcp);
            let mut tunnel = tunnel(proxy, over_tls, auth);
            return Box::pin(async move {
                tunnel
                    .call(target)
                    .await
                    .map_err(|error| refused(error.into()))
            });
        }
        let mut tunnel = tunnel(proxy, tcp, auth);
        Box::pin(async move {
            let stream = tunnel
                .call(target)
                .await
                .map_err(|error| refused(error.into()))?;
            Ok(MaybeHttpsStream::Http(stream))
        })
    }
}

fn tunnel<C>(proxy: Uri, connector: C, auth: Option<http::HeaderValue>) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy, connector);
    match auth {
        Some(auth) => tunnel.with_auth(auth),
        None => tunnel,
    }
}
