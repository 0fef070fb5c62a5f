//! Connections.

use std::time::Duration;

use sendas_entra::HttpError;
use sendas_smtp::client::Stage;

use super::checks;
use crate::doctor::check::{Found, Scene, known, of, ok, problem, waited_for, warning};
use crate::doctor::facts::Obstacle;
use crate::doctor::look::service::words;
use crate::doctor::seen::{Service, Trouble};

/// A connection that takes longer is told.
const SLOW: Duration = Duration::from_secs(3);

fn service<'a>(scene: &Scene<'a>) -> Result<&'a Service, String> {
    of(&scene.seen.service)
}

/// A stage was reached, or the trouble before it.
fn reached(seen: &Service, is_reached: bool, good: &str, waits: &str) -> Found {
    match (&seen.trouble, is_reached) {
        (_, true) => Ok(ok(good.to_owned())),
        (Some(Trouble::Broken(_, words)), _) => Ok(problem(words.clone())),
        (Some(Trouble::Refused(stage, reply)), _) => Ok(problem(format!(
            "the service answered {reply} at {}",
            stage.name()
        ))),
        (None, false) => Err(format!("waits for {waits}")),
    }
}

fn metadata<'a>(scene: &Scene<'a>) -> Result<&'a crate::doctor::seen::Metadata, String> {
    let web = of(&scene.seen.web)?;
    web.answer
        .as_ref()
        .map_err(|_| "waits for D-NET-01: the token endpoint did not answer".to_owned())
}

checks! { CHECKS, Network:
    "D-NET-01" Network Web ["D-DNS-01"] "the token endpoint answers"
        tests "a request for the tenant's metadata, through the proxy where one is set"
        why "tokens come from there"
        fix "open TCP port 443 to the host, or set HTTPS_PROXY"
        look |scene| {
            let web = match waited_for(&scene.seen.web)? {
                Ok(web) => web,
                Err(late) => return Ok(problem(late)),
            };
            Ok(match &web.answer {
                Ok(_) => ok(format!("in {} ms", web.took.as_millis())),
                Err(HttpError::Redirect { .. }) => ok("it answers with a redirect"),
                Err(error) => problem(words(error)),
            })
        };
    "D-NET-02" Network Web ["D-NET-01"] "it is Entra that answers"
        tests "the answer is a JSON object and no page or redirect"
        why "a captive portal or a filter answers with a page of its own"
        fix "open https://login.microsoftonline.com in a browser on this network"
        look |scene| {
            if let Err(error @ HttpError::Redirect { .. }) = &of(&scene.seen.web)?.answer {
                return Ok(problem(words(error)));
            }
            let found = metadata(scene)?;
            Ok(if found.is_json {
                ok(format!("HTTP {}", found.status))
            } else {
                problem(format!("HTTP {} with something that is no JSON", found.status))
            })
        };
    "D-NET-03" Network Web ["D-NET-01"] "the token endpoint is quick"
        tests "the answer takes less than three seconds"
        why "each new connection to the service waits for a token once an hour"
        fix "look at the proxy, and at the route"
        look |scene| {
            metadata(scene)?;
            let took = of(&scene.seen.web)?.took;
            let seen = format!("{} ms", took.as_millis());
            Ok(if took < SLOW { ok(seen) } else { warning(seen) })
        };
    "D-NET-04" Network Service ["D-DNS-02"] "the submission port takes connections"
        tests "TCP to the submission host, past any proxy"
        why "providers and clouds block outgoing mail ports, and SMTP does not go through an HTTP proxy"
        fix "open TCP port 587 to smtp.office365.com"
        look |scene| {
            let seen = service(scene)?;
            let good = format!("connected to {}", seen.peer.as_deref().unwrap_or("it"));
            reached(seen, seen.peer.is_some(), &good, "D-DNS-02")
        };
    "D-NET-05" Network Service ["D-NET-04"] "connecting is quick"
        tests "TCP takes less than three seconds"
        why "an address that does not answer is tried first each time"
        fix "look at the route, and at IPv6 without a way out"
        look |scene| {
            let took = service(scene)?.connected_after;
            let took = known(took, "the submission port, which took no connection,")?;
            let seen = format!("{} ms", took.as_millis());
            Ok(if took < SLOW { ok(seen) } else { warning(seen) })
        };
    "D-NET-06" Network Service ["D-NET-04"] "the service greets"
        tests "the first line is a 220"
        why "a service that is busy, or a firewall in between, says something else or nothing"
        fix "sendas probe --quit-after greeting"
        look |scene| {
            let seen = service(scene)?;
            let greeted = seen.greeting.as_deref().filter(|line| line.starts_with("220"));
            reached(seen, greeted.is_some(), greeted.unwrap_or_default(), "D-NET-04: there is no connection")
        };
    "D-NET-07" Network Service ["D-NET-06"] "it is Exchange that greets"
        tests "the greeting names Microsoft's mail service"
        why "a mail gateway that takes the connection over knows no token of yours"
        fix "take SMTP inspection off for this host"
        look |scene| {
            let greeting = service(scene)?.greeting.as_deref();
            let greeting = greeting.ok_or("waits for D-NET-06: nobody greeted")?;
            Ok(if greeting.contains("Microsoft ESMTP MAIL Service") {
                ok("it does")
            } else {
                warning(greeting.to_owned())
            })
        };
    "D-NET-08" Network Service ["D-NET-06"] "STARTTLS is offered and taken"
        tests "the reply to EHLO names STARTTLS, and the service takes it"
        why "no token is sent in plaintext"
        fix "sendas probe --quit-after ehlo"
        look |scene| {
            let seen = service(scene)?;
            let is_before = matches!(&seen.trouble, Some(Trouble::Broken(Obstacle::Untrusted | Obstacle::Handshake | Obstacle::NoMechanism, _)));
            let good = seen.tls.is_some() || is_before;
            reached(seen, good, "it is", "D-NET-06: nobody greeted")
        };
    "D-NET-09" Network Service ["D-NET-08"] "nobody puts words in before TLS"
        tests "no octets come behind the reply to STARTTLS in plaintext"
        why "such octets would be taken for replies from inside TLS"
        fix "sendas probe --quit-after tls, from another network"
        look |scene| {
            let seen = service(scene)?;
            if let Some(Trouble::Broken(Obstacle::Injected, words)) = &seen.trouble {
                return Ok(problem(words.clone()));
            }
            if seen.tls.is_some() { Ok(ok("nobody did")) } else { Err("waits for D-NET-08: TLS did not begin".to_owned()) }
        };
    "D-NET-10" Network Service ["D-NET-06"] "the service takes sessions now"
        tests "no refusal before AUTH"
        why "a busy service, or one that refuses this address or TLS version, says so here"
        fix "sendas probe --quit-after secure-ehlo"
        look |scene| {
            let seen = service(scene)?;
            Ok(match &seen.trouble {
                Some(Trouble::Refused(stage, reply)) => {
                    let meaning = sendas_exchange::explain(*stage, reply);
                    problem(format!("{} ({}): {reply}", meaning.title, meaning.id))
                }
                Some(Trouble::Broken(Obstacle::Lost, words)) => problem(words.clone()),
                _ if seen.greeting.is_some() => ok("it does"),
                _ => return Err(format!("waits for D-NET-06: {} was not reached", Stage::Greeting.name())),
            })
        };
}
