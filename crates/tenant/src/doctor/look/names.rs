//! The names of the services.

use std::time::Duration;

use sendas_entra::{Clock as _, SystemClock};

use crate::doctor::case::Subject;
use crate::doctor::limits::NAMES;
use crate::doctor::seen::{Look, Names, Resolved};

/// Looks all four names up at once.
pub(in crate::doctor) async fn look(subject: &Subject) -> Look<Names> {
    let cloud = &subject.cloud;
    let (authority, smtp, graph, exchange) = tokio::join!(
        resolve(cloud.authority().host_and_port()),
        resolve(&cloud.smtp().host),
        resolve(cloud.graph().host_and_port()),
        resolve(cloud.exchange_admin().host_and_port()),
    );
    Ok(Names {
        authority,
        smtp,
        graph,
        exchange,
    })
}

async fn resolve(host_and_port: &str) -> Resolved {
    let host = host_of(host_and_port);
    let start = SystemClock::new().now().steady;
    let found = tokio::time::timeout(NAMES, tokio::net::lookup_host((host, 0))).await;
    let addresses = match found {
        Err(_) => Err(format!("no answer within {} s", NAMES.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(addresses)) => {
            let mut list: Vec<_> = addresses.map(|address| address.ip()).collect();
            list.dedup();
            if list.is_empty() {
                Err("the name has no address".to_owned())
            } else {
                Ok(list)
            }
        }
    };
    let took: Duration = SystemClock::new().now().steady.saturating_sub(start);
    Resolved {
        host: host.to_owned(),
        addresses,
        took,
    }
}

/// The host of `host`, `host:port` or `[address]:port`.
fn host_of(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    text.split(':').next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("a.example", "a.example"),
            ("a.example:443", "a.example"),
            ("[::1]:443", "::1"),
        ] {
            assert_eq!(host_of(text), expected);
        }
    }
}
