//! Trust.

use jiff::Timestamp;
use sendas_entra::HttpError;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::checks;
use super::secrets::days;
use crate::doctor::check::{Scene, of, ok, problem, warning};
use crate::doctor::facts::Obstacle;
use crate::doctor::look::service::words;
use crate::doctor::seen::Trouble;

/// Days before its end from which the service's certificate is told: Microsoft renews earlier.
const END_DAYS: i64 = 7;

fn details<'a>(scene: &Scene<'a>) -> Result<&'a sendas_submit::TlsDetails, String> {
    let tls = of(&scene.seen.service)?.tls.as_ref();
    tls.ok_or_else(|| "waits for D-TLS-03: there was no handshake".to_owned())
}

fn leaf<'a>(scene: &Scene<'a>) -> Result<X509Certificate<'a>, String> {
    let first = details(scene)?.certificates.first();
    let first = first.ok_or("a resumed session shows no certificate")?;
    let parsed = X509Certificate::from_der(first);
    parsed
        .map(|(_, parsed)| parsed)
        .map_err(|_| "the certificate cannot be read".to_owned())
}

checks! { CHECKS, Tls:
    "D-TLS-01" Nothing Machine ["D-CFG-04"] "there is something to trust by"
        tests "the system's roots of trust, or the CA files that are named, can be loaded"
        why "without one, every certificate is a stranger's"
        fix "apt-get install ca-certificates"
        look |scene| {
            scene.subject()?;
            Ok(match &of(&scene.seen.machine)?.trust {
                None => ok("they can"),
                Some(words) => problem(words.clone()),
            })
        };
    "D-TLS-02" Network Web ["D-DNS-01", "D-TLS-01"] "the token endpoint's certificate is trusted"
        tests "the TLS handshake with the token endpoint"
        why "the credential is sent to nobody else"
        fix "if an inspecting proxy of your own is in between, name its CA in `network.ca`"
        look |scene| Ok(match &of(&scene.seen.web)?.answer {
            Ok(_) | Err(HttpError::Redirect { .. } | HttpError::Broken { .. } | HttpError::TooLarge { .. } | HttpError::Encoded { .. }) => ok("it is"),
            Err(error @ HttpError::Tls { .. }) => problem(words(error)),
            Err(error) => return Err(format!("waits for D-NET-01: {}", words(error))),
        });
    "D-TLS-03" Network Service ["D-NET-08", "D-TLS-01"] "the submission host's certificate is trusted"
        tests "the TLS handshake behind STARTTLS"
        why "the token is sent to nobody else"
        fix "if an inspecting device of your own is in between, name its CA in `network.ca`"
        look |scene| {
            let seen = of(&scene.seen.service)?;
            match &seen.trouble {
                _ if seen.tls.is_some() => Ok(ok("it is")),
                Some(Trouble::Broken(Obstacle::Untrusted | Obstacle::Handshake | Obstacle::Roots, words)) => Ok(problem(words.clone())),
                _ => Err("waits for D-NET-08: TLS did not begin".to_owned()),
            }
        };
    "D-TLS-04" Network Service ["D-TLS-03"] "the TLS version is current"
        tests "TLS 1.3, or 1.2"
        why "1.2 is the oldest that the service takes"
        fix "nothing: the service chooses"
        look |scene| {
            let tls = details(scene)?;
            Ok(ok(format!("{} with {}", tls.version, tls.cipher)))
        };
    "D-TLS-05" Network Service ["D-TLS-03"] "the submission host's certificate stays for a while"
        tests "its end lies a week or more ahead"
        why "a certificate about to end is a sign of a device in between that nobody cares for"
        fix "sendas probe --quit-after tls"
        look |scene| {
            let end = leaf(scene)?.validity().not_after.timestamp();
            let end = Timestamp::from_second(end).map_err(|_| "its end cannot be read".to_owned())?;
            let left = days(scene.seen.now, end);
            Ok(if left < END_DAYS { warning(format!("it ends in {left} days")) } else { ok(format!("{left} days are left")) })
        };
    "D-TLS-06" Network Service ["D-TLS-03"] "nobody inspects the conversation"
        tests "the certificate's issuer is one that Microsoft uses"
        why "a device that inspects TLS sees the token"
        fix "take inspection off for this host"
        look |scene| {
            let subject = scene.subject()?;
            let leaf = leaf(scene)?;
            let issuer = leaf.issuer().to_string();
            Ok(if subject.cloud.ca().is_some() {
                ok("the cloud file names its own CA")
            } else if ["DigiCert", "Microsoft"].iter().any(|name| issuer.contains(name)) {
                ok(issuer)
            } else {
                warning(format!("it was issued by {issuer}"))
            })
        };
}
