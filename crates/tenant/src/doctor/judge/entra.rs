//! What Entra's answer and the token say.

use sendas_exchange::{Certainty, Method, Roles};

use super::{CLOCK_SKEW_S_MAX, Court, remaining};
use crate::doctor::facts::{Facts, TokenAnswer};

use Certainty::{Certain, Likely, Possible};

/// The cause behind an AADSTS number.
const CODES: &[(&str, &[u32])] = &[
    ("S-SECRET-WRONG", &[7_000_215]),
    ("S-SECRET-ENDED", &[7_000_222]),
    (
        "S-CREDENTIAL-LOST",
        &[7_000_218, 900_144, 9_002_313, 70_003],
    ),
    ("S-APPLICATION-UNKNOWN", &[700_016, 700_038]),
    ("S-ENTERPRISE-APPLICATION-MISSING", &[7_000_229, 650_051]),
    ("S-APPLICATION-PUBLIC", &[700_025]),
    ("S-CERTIFICATE-UNKNOWN", &[700_027, 700_030, 50_013, 50_012]),
    ("S-CLOCK", &[700_024]),
    ("S-RESOURCE-UNKNOWN", &[500_011, 650_052, 650_056, 650_057]),
    ("S-ASSIGNMENT-REQUIRED", &[501_051]),
    ("S-SCOPE", &[70_011, 1_002_012, 700_022, 28_002]),
    ("S-TENANT-UNKNOWN", &[90_002, 900_023]),
    ("S-TENANT-COMMON", &[50_194, 9_001_023, 90_130, 90_124]),
    ("S-TENANT-OTHER-CLOUD", &[90_038, 900_382, 900_432]),
    ("S-WORKLOAD-POLICY", &[53_003, 530_032, 530_035]),
    ("S-CONSENT-USER", &[65_001, 65_002]),
    ("S-APPLICATION-DISABLED", &[70_001, 700_011, 7_000_112]),
    (
        "S-FEDERATION-MISMATCH",
        &[700_211, 700_212, 700_213, 7_002_138, 700_229],
    ),
    ("S-ENTRA-BUSY", &[90_006, 90_024, 90_033, 90_055, 50_196]),
];

/// The cause that stands for an AADSTS number.
pub(crate) fn cause_of(code: u32) -> Option<&'static str> {
    CODES
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map(|(id, _)| *id)
}

pub(super) fn judge(court: &mut Court<'_>) {
    let facts = court.facts;
    match &facts.token {
        TokenAnswer::Unseen => directory(court),
        TokenAnswer::Refused {
            codes,
            words,
            may_be_too_young,
            is_temporary,
        } => {
            let known = codes.iter().find_map(|code| cause_of(*code));
            let id = match known {
                Some(id) => id,
                None if *is_temporary => "S-ENTRA-BUSY",
                None => "S-ENTRA-REFUSED",
            };
            let said = format!("Entra said: {words}");
            let is_young = facts.last_change_age.and_then(remaining).is_some();
            let certainty = if *may_be_too_young && is_young && !is_refuted(id, facts) {
                court.add("S-ENTRA-NOT-YET", Likely, said.clone());
                Possible
            } else {
                Certain
            };
            if id == "S-SECRET-WRONG" && facts.credential.is_shaped_as_id {
                let evidence = "the configured secret has the form of an id; a value never has";
                court.add("S-SECRET-ID", Certain, evidence);
            }
            if id == "S-CLOCK" {
                clock(court, Certain, &said);
            } else {
                court.add(id, certainty, said);
            }
            directory(court);
        }
        TokenAnswer::Issued(_) => {
            claims(court);
            directory(court);
        }
    }
    if let Some(skew) = facts.clock_skew_s
        && skew.abs() > CLOCK_SKEW_S_MAX
    {
        clock(court, Likely, "tokens and assertions name times");
    }
}

/// Whether the directory shows that time will not heal it.
fn is_refuted(id: &str, facts: &Facts) -> bool {
    let directory = &facts.directory;
    match id {
        "S-SECRET-WRONG" => {
            facts.credential.is_shaped_as_id || directory.is_secret_listed == Some(false)
        }
        "S-CERTIFICATE-UNKNOWN" => directory.is_certificate_listed == Some(false),
        "S-APPLICATION-UNKNOWN" => directory.has_application == Some(false),
        "S-ENTERPRISE-APPLICATION-MISSING" => directory.has_enterprise_application == Some(false),
        _ => false,
    }
}

fn clock(court: &mut Court<'_>, certainty: Certainty, said: &str) {
    let seen = match court.facts.clock_skew_s {
        Some(0) => "this machine's clock agrees with the service's to the second".to_owned(),
        Some(skew) => format!(
            "this machine's clock is {} s {} the service's",
            skew.unsigned_abs(),
            if skew > 0 { "ahead of" } else { "behind" }
        ),
        None => "the difference of the clocks was not measured".to_owned(),
    };
    court.add("S-CLOCK", certainty, format!("{seen}; {said}"));
}

/// A token that the service cannot accept, whatever the tenant holds.
fn claims(court: &mut Court<'_>) {
    let facts = court.facts;
    let TokenAnswer::Issued(claims) = &facts.token else {
        return;
    };
    for (id, is_right, claim) in [
        ("S-TOKEN-AUDIENCE", claims.is_for_exchange, "aud"),
        ("S-TOKEN-TENANT", claims.is_of_tenant, "tid"),
        ("S-TOKEN-CLIENT", claims.is_of_principal, "appid"),
        ("S-TOKEN-TIME", claims.is_in_time, "nbf and exp"),
        (
            "S-TOKEN-DELEGATED",
            claims.is_delegated.map(|is_delegated| !is_delegated),
            "scp, upn or idtyp",
        ),
    ] {
        let skew = facts.clock_skew_s.unwrap_or(0).abs();
        if id == "S-TOKEN-TIME" && is_right == Some(false) && skew > CLOCK_SKEW_S_MAX {
            clock(court, Certain, "`nbf` and `exp` of the token do not fit it");
            continue;
        }
        if is_right == Some(false) {
            court.add_suspect(id, Certain, format!("`{claim}` of the token is wrong"));
        }
    }
    let lacks = !matches!(claims.roles, Roles::SendAsApp | Roles::Unknown);
    if lacks && facts.way_of_authorization() == Method::Classic {
        let seen = "`roles` of the token does not hold SMTP.SendAsApp";
        match facts.directory.is_permission_granted {
            Some(true) => {
                let granted = format!("{seen}, and Entra lists the grant");
                court.add("S-ENTRA-NOT-YET", Likely, granted);
            }
            _ => court.add_suspect("S-TOKEN-NO-ROLE", Certain, seen.to_owned()),
        }
    }
}

/// What the directory holds, where an administrator's token let us look.
fn directory(court: &mut Court<'_>) {
    let (directory, credential) = (&court.facts.directory, &court.facts.credential);
    let is_classic = court.facts.way_of_authorization() == Method::Classic;
    let mut wrong: Vec<(&'static str, &str)> = Vec::new();
    if directory.has_application == Some(false)
        && directory.has_enterprise_application != Some(true)
    {
        wrong.push((
            "S-APPLICATION-UNKNOWN",
            "Entra lists no application with this client id",
        ));
    } else if directory.has_enterprise_application == Some(false) {
        wrong.push((
            "S-ENTERPRISE-APPLICATION-MISSING",
            "Entra lists no enterprise application with this client id",
        ));
    }
    if directory.is_enabled == Some(false) {
        wrong.push((
            "S-APPLICATION-DISABLED",
            "`accountEnabled` of the enterprise application is false",
        ));
    }
    if directory.is_public == Some(true) {
        wrong.push((
            "S-APPLICATION-PUBLIC",
            "`isFallbackPublicClient` of the application is true",
        ));
    }
    if directory.is_secret_ended == Some(true) {
        wrong.push(("S-SECRET-ENDED", "`endDateTime` of the secret has passed"));
    } else if directory.is_secret_listed == Some(false) && !credential.is_shaped_as_id {
        wrong.push((
            "S-SECRET-WRONG",
            "no secret of the application begins as the configured one does",
        ));
    }
    if directory.is_certificate_listed == Some(false) {
        wrong.push((
            "S-CERTIFICATE-UNKNOWN",
            "the application does not list this certificate",
        ));
    }
    let has_not_logged_in = !matches!(court.facts.login, crate::doctor::facts::Login::In);
    for (id, evidence) in wrong {
        if has_not_logged_in {
            court.add(id, Certain, evidence);
        }
    }
    let is_ungranted = directory.is_permission_granted == Some(false);
    if is_ungranted && is_classic && has_not_logged_in {
        let seen = "Entra lists no grant of SMTP.SendAsApp".to_owned();
        court.add_suspect("S-TOKEN-NO-ROLE", Certain, seen);
    }
    if directory.is_assignment_required == Some(true) && is_ungranted && has_not_logged_in {
        court.add(
            "S-ASSIGNMENT-REQUIRED",
            Likely,
            "`appRoleAssignmentRequired` of Exchange's enterprise application is true",
        );
    }
}
