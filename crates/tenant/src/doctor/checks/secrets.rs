//! Credentials. Their texts are looked at and never shown.

use jiff::Timestamp;
use sendas_entra::{Certificate, Credential, SecretOrigin};

use super::checks;
use crate::doctor::check::{Finding, Found, Scene, known, of, ok, problem, warning};
use crate::doctor::gather::is_shaped_as_id;
use crate::doctor::limits::END_DAYS;
use crate::doctor::look::machine::is_private;

/// Days from one time to another, cut.
pub(super) fn days(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.as_second()) / 86_400
}

/// How an end is told.
pub(super) fn ends(now: Timestamp, end: Timestamp) -> Finding {
    let left = days(now, end);
    if end <= now {
        problem(format!("it ended at {end}"))
    } else if left < END_DAYS {
        warning(format!("it ends in {left} days"))
    } else {
        ok(format!("{left} days are left"))
    }
}

fn credential<'a>(scene: &Scene<'a>) -> Result<&'a Credential, String> {
    let credential = scene.subject()?.credential.as_ref();
    credential.map_err(|_| "waits for D-SEC-01: the credential cannot be loaded".to_owned())
}

fn certificate<'a>(scene: &Scene<'a>) -> Result<&'a Certificate, String> {
    match credential(scene)? {
        Credential::Certificate(certificate) => Ok(certificate),
        other => Err(format!(
            "the credential is no certificate: {}",
            other.kind()
        )),
    }
}

fn secret<'a>(scene: &Scene<'a>) -> Result<&'a sendas_entra::Secret, String> {
    match credential(scene)? {
        Credential::Secret(secret) => Ok(secret),
        other => Err(format!("the credential is no secret: {}", other.kind())),
    }
}

fn federated(scene: &Scene<'_>) -> Found {
    match &of(&scene.seen.machine)?.federated {
        None => Err(format!(
            "the credential is not federated: {}",
            credential(scene)?.kind()
        )),
        Some(Err(words)) => Ok(problem(words.clone())),
        Some(Ok(claims)) => Ok(match claims.expires_at() {
            Some(end) if end <= scene.seen.now => problem(format!("its token ended at {end}")),
            _ => ok(format!(
                "its token is of {}",
                claims.issuer().unwrap_or("an issuer that is not told")
            )),
        }),
    }
}

checks! { CHECKS, Secrets:
    "D-SEC-01" Nothing Given ["D-CFG-04"] "the credential can be loaded"
        tests "file, variable or systemd credential is there, readable, and of the right form"
        why "it is what proves the principal"
        fix "sendas config check"
        look |scene| Ok(match &scene.subject()?.credential {
            Ok(credential) => ok(format!("a {} is at hand", credential.kind())),
            Err(words) => problem(words.clone()),
        });
    "D-SEC-02" Nothing Machine ["D-SEC-01"] "nobody else can read the credential"
        tests "group and others have no rights on its file"
        why "whoever reads it sends as the principal"
        fix "chmod 600 FILE"
        look |scene| {
            let mode = of(&scene.seen.machine)?.credential_mode;
            let mode = mode.ok_or("the credential is in no file, or the system has no modes")?;
            Ok(if is_private(mode) {
                ok(format!("its mode is {mode:o}"))
            } else {
                problem(format!("its mode is {mode:o}"))
            })
        };
    "D-SEC-03" Nothing Given ["D-SEC-01"] "the secret is a value and no id"
        tests "it does not have the form of an id"
        why "the portal shows the id of a secret beside its value, and the value only once"
        fix "sendas credential rotate"
        look |scene| Ok(if is_shaped_as_id(secret(scene)?.expose()) {
            problem("it has the form of an id: the secret's id was taken for its value")
        } else {
            ok("it has no form of an id")
        });
    "D-SEC-04" Nothing Given ["D-SEC-01"] "the secret has the length of one"
        tests "it has 30 to 64 visible characters"
        why "a copied secret loses its end easily"
        fix "sendas credential rotate"
        look |scene| {
            let text = secret(scene)?.expose();
            let length = text.chars().count();
            Ok(if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
                warning("it holds a space or a control character")
            } else if (30..=64).contains(&length) || is_shaped_as_id(text) {
                ok(format!("{length} characters"))
            } else {
                warning(format!("{length} characters; Entra makes some 40"))
            })
        };
    "D-SEC-05" Nothing Given ["D-SEC-01"] "the secret is kept in a safe place"
        tests "it is not in an environment variable"
        why "the environment of a process is seen by its children and by others of its user"
        fix "put it into a file with mode 0600, or a systemd credential"
        look |scene| Ok(match secret(scene)?.origin() {
            SecretOrigin::Environment(name) => warning(format!("it is in the variable {name}")),
            SecretOrigin::File(_) => ok("it is in a file"),
            SecretOrigin::Systemd(_) => ok("systemd hands it over"),
            _ => ok("it was handed over"),
        });
    "D-SEC-06" Nothing Given ["D-SEC-01"] "the certificate's time has come"
        tests "`notBefore` lies in the past"
        why "Entra does not accept its assertions before"
        fix "sendas credential rotate"
        look |scene| {
            let begin = certificate(scene)?.not_before();
            Ok(if begin <= scene.seen.now { ok(format!("since {begin}")) } else { problem(format!("it begins at {begin}")) })
        };
    "D-SEC-07" Nothing Given ["D-SEC-01"] "the certificate's time is not over"
        tests "`notAfter` lies 30 days or more ahead"
        why "Entra does not accept its assertions afterwards, and nobody is told"
        fix "sendas credential rotate"
        look |scene| {
            Ok(ends(scene.seen.now, certificate(scene)?.not_after()))
        };
    "D-SEC-08" Nothing Machine ["D-SEC-01"] "the federated token is fresh"
        tests "the file holds a token whose end has not come"
        why "another issuer renews it; when it stops, no token comes any more"
        fix "look at what renews the token file"
        look federated;
    "D-SEC-09" AdminToken Directory ["D-SEC-01"] "Entra knows the credential"
        tests "the application lists a secret that begins as this one does, or this certificate"
        why "a credential of another application, or one that was removed, proves nothing"
        fix "sendas credential list"
        look |scene| {
            let facts = &of(&scene.seen.directory)?.facts;
            Ok(match (facts.is_secret_listed, facts.is_certificate_listed) {
                (Some(true), _) | (_, Some(true)) => ok("the application lists it"),
                (Some(false), _) => problem("no secret of the application begins as this one does"),
                (_, Some(false)) => problem("the application does not list this certificate, or its time is over"),
                _ => return Err("there is nothing to compare for this kind of credential".to_owned()),
            })
        };
    "D-SEC-10" AdminToken Directory ["D-SEC-09"] "the credential's end in Entra is far"
        tests "`endDateTime` lies 30 days or more ahead"
        why "that end counts, whatever the file says"
        fix "sendas credential rotate"
        look |scene| {
            let end = known(of(&scene.seen.directory)?.ends, "Entra")?;
            Ok(ends(scene.seen.now, end))
        };
}
