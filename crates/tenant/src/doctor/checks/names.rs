//! Names.

use std::net::IpAddr;
use std::time::Duration;

use super::checks;
use crate::doctor::check::{Found, Scene, of, ok, problem, warning};
use crate::doctor::seen::{Names, Resolved};

/// A look-up that takes longer is told.
const SLOW: Duration = Duration::from_secs(2);

#[expect(
    clippy::unnecessary_wraps,
    reason = "every look of a check may say that it saw nothing"
)]
fn resolves(resolved: &Resolved) -> Found {
    Ok(match &resolved.addresses {
        Ok(addresses) => ok(format!(
            "{} has {} addresses",
            resolved.host,
            addresses.len()
        )),
        Err(words) => problem(format!("{}: {words}", resolved.host))
            .fix(format!("getent ahosts {}", resolved.host)),
    })
}

fn all<'a>(scene: &Scene<'a>) -> Result<[&'a Resolved; 4], String> {
    let Names {
        authority,
        smtp,
        graph,
        exchange,
    } = of(&scene.seen.names)?;
    Ok([authority, smtp, graph, exchange])
}

/// Addresses that no service on the Internet has.
fn is_inside(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unique_local()
                || v6.is_unspecified()
        }
    }
}

checks! { CHECKS, Dns:
    "D-DNS-01" Network Names ["D-CFG-04"] "the name of the token endpoint has addresses"
        tests "a look-up with the system's resolver"
        why "without a token there is no login"
        fix "getent ahosts login.microsoftonline.com"
        look |scene| resolves(&of(&scene.seen.names)?.authority);
    "D-DNS-02" Network Names ["D-CFG-04"] "the name of the submission host has addresses"
        tests "a look-up with the system's resolver"
        why "messages go there"
        fix "getent ahosts smtp.office365.com"
        look |scene| resolves(&of(&scene.seen.names)?.smtp);
    "D-DNS-03" Network Names ["D-CFG-04"] "the name of Microsoft Graph has addresses"
        tests "a look-up with the system's resolver"
        why "set-up and rotation of credentials go there"
        fix "getent ahosts graph.microsoft.com"
        look |scene| resolves(&of(&scene.seen.names)?.graph);
    "D-DNS-04" Network Names ["D-CFG-04"] "the name of the Exchange admin interface has addresses"
        tests "a look-up with the system's resolver"
        why "the set-up goes there"
        fix "getent ahosts outlook.office365.com"
        look |scene| resolves(&of(&scene.seen.names)?.exchange);
    "D-DNS-05" Network Names ["D-DNS-01", "D-DNS-02"] "the addresses are Microsoft's side of the Internet"
        tests "no private or loopback address for a name of a known cloud"
        why "such an address means that a filter or a hosts file answers for the service"
        fix "ask another resolver, and look at /etc/hosts"
        look |scene| {
            if scene.subject()?.cloud.ca().is_some() {
                return Ok(ok("the cloud file names its own hosts"));
            }
            let inside = all(scene)?.into_iter().find_map(|resolved| {
                let address = resolved.addresses.as_ref().ok()?.iter().find(|a| is_inside(a))?;
                Some(format!("{} has the address {address}", resolved.host))
            });
            Ok(inside.map_or_else(|| ok("none is private"), warning))
        };
    "D-DNS-06" Network Names ["D-DNS-01", "D-DNS-02"] "the resolver is quick"
        tests "each look-up takes less than two seconds"
        why "a resolver that is down is asked first, again and again"
        fix "look at /etc/resolv.conf"
        look |scene| {
            let slowest = all(scene)?.into_iter().max_by_key(|resolved| resolved.took);
            let slowest = slowest.ok_or("no name was looked up")?;
            let seen = format!("{} took {} ms", slowest.host, slowest.took.as_millis());
            Ok(if slowest.took < SLOW { ok(seen) } else { warning(seen) })
        };
    "D-DNS-07" Network Names ["D-DNS-02"] "the submission host is reached over IPv4"
        tests "the name has an IPv4 address, or IPv6 addresses that no gateway made"
        why "on a network with IPv6 alone, a gateway translates, and long-lived connections suffer"
        fix "look at DNS64 and NAT64 of the network"
        look |scene| {
            let addresses = of(&scene.seen.names)?.smtp.addresses.clone();
            let addresses = addresses.map_err(|_| "waits for D-DNS-02: the name has no address".to_owned())?;
            let is_made = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.segments()[..2] == [0x64, 0xff9b]);
            Ok(if addresses.iter().all(is_made) {
                warning("every address was made by a gateway (64:ff9b::/96)")
            } else {
                ok("it has addresses of its own")
            })
        };
}
