//! Changing the document: JSON merge patch (RFC 7396), then validation of the whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Tenant;
use super::exchange::Mailbox;
use crate::limits;

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Where: member names with slashes between.
    pub at: String,
    /// What is wrong, as a sentence.
    pub problem: String,
}

/// Why a patch was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The patched document has not the form of a tenant.
    #[error("the patched document is not a tenant: {0}")]
    Form(#[source] serde_json::Error),
    /// The patched document contradicts itself.
    #[error("{}", list(.0))]
    Content(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|p| format!("{}: {}", p.at, p.problem))
        .collect::<Vec<_>>()
        .join("; ")
}

impl Tenant {
    /// The document after `patch` (RFC 7396: objects merge, `null` removes, anything else
    /// replaces).
    ///
    /// # Errors
    /// When the result has unknown or missing members, or contradicts itself.
    ///
    /// # Panics
    /// Never: a tenant is plain data.
    pub fn patched(&self, patch: &Value) -> Result<Self, PatchError> {
        let mut document = serde_json::to_value(self).expect("a tenant is plain data");
        merge(&mut document, patch);
        let mut tenant: Self = serde_json::from_value(document).map_err(PatchError::Form)?;
        tenant.lower_addresses();
        let problems = tenant.problems();
        if problems.is_empty() {
            Ok(tenant)
        } else {
            Err(PatchError::Content(problems))
        }
    }

    // Addresses are compared in lower case everywhere.
    fn lower_addresses(&mut self) {
        let mailboxes = std::mem::take(&mut self.exchange.mailboxes);
        self.exchange.mailboxes = mailboxes
            .into_iter()
            .map(|(address, mut mailbox)| {
                for set in [
                    &mut mailbox.aliases,
                    &mut mailbox.full_access,
                    &mut mailbox.send_as,
                ] {
                    *set = lowered(set);
                }
                (address.to_lowercase(), mailbox)
            })
            .collect();
        for group in self.groups.values_mut() {
            group.members = lowered(&group.members);
            group.mail = group.mail.to_lowercase();
        }
        for unit in self.exchange.administrative_units.values_mut() {
            unit.members = lowered(&unit.members);
        }
        self.domain = self.domain.to_lowercase();
        for domain in &mut self.domains {
            *domain = domain.to_lowercase();
        }
    }

    /// What contradicts itself in the document.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut say = |at: String, problem: &str| {
            found.push(Problem {
                at,
                problem: problem.to_owned(),
            });
        };
        for domain in self.all_domains() {
            if !domain.contains('.') || domain.contains(|c: char| c.is_whitespace() || c == '@') {
                say(
                    "domains".into(),
                    &format!("`{domain}` is not a domain name"),
                );
            }
        }
        let mut clients = BTreeMap::new();
        for (id, application) in &self.applications {
            if let Some(other) = clients.insert(application.app_id, id) {
                say(
                    format!("applications/{id}/app_id"),
                    &format!("is the client id of `{other}` too"),
                );
            }
            if !matches!(
                application.sign_in_audience.as_str(),
                "AzureADMyOrg" | "AzureADMultipleOrgs" | "AzureADandPersonalMicrosoftAccount"
            ) {
                say(
                    format!("applications/{id}/sign_in_audience"),
                    "must be `AzureADMyOrg`, `AzureADMultipleOrgs` or `AzureADandPersonalMicrosoftAccount`",
                );
            }
            for (key, certificate) in &application.certificates {
                if x509_parser::parse_x509_certificate(&certificate.octets()).is_err() {
                    say(
                        format!("applications/{id}/certificates/{key}/der"),
                        "is not a certificate (DER) in base64",
                    );
                }
            }
        }
        let mut principals = BTreeMap::new();
        for (id, principal) in &self.service_principals {
            if let Some(other) = principals.insert(principal.app_id, id) {
                say(
                    format!("service_principals/{id}/app_id"),
                    &format!("is the client id of `{other}` too"),
                );
            }
        }
        for (id, assignment) in &self.app_role_assignments {
            let at = format!("app_role_assignments/{id}");
            if !self
                .service_principals
                .contains_key(&assignment.principal_id)
            {
                say(
                    format!("{at}/principal_id"),
                    "names no service principal of the tenant",
                );
            }
            match self.service_principals.get(&assignment.resource_id) {
                None => say(format!("{at}/resource_id"), "names no service principal"),
                Some(resource) if !resource.app_roles.contains_key(&assignment.app_role_id) => {
                    say(format!("{at}/app_role_id"), "is no role of that resource");
                }
                Some(_) => {}
            }
        }
        let mut owners = BTreeMap::new();
        for (address, mailbox) in &self.exchange.mailboxes {
            let at = format!("exchange/mailboxes/{address}");
            self.mailbox_problems(&at, address, mailbox, &mut owners, &mut say);
        }
        if self.exchange.transport.max_recipient_envelope_limit == Some(0) {
            say(
                "exchange/transport/max_recipient_envelope_limit".into(),
                "must be at least 1; leave it out for the service's 1000",
            );
        }
        if self.behaviour.token_life_s.0 == 0 {
            say("behaviour/token_life_s".into(), "must be at least 1");
        }
        found
    }

    fn mailbox_problems<'a>(
        &'a self,
        at: &str,
        address: &'a str,
        mailbox: &'a Mailbox,
        owners: &mut BTreeMap<&'a str, &'a str>,
        say: &mut impl FnMut(String, &str),
    ) {
        let addresses = std::iter::once(address).chain(mailbox.aliases.iter().map(String::as_str));
        for each in addresses {
            match each.rsplit_once('@') {
                Some((local, domain)) if !local.is_empty() => {
                    if !self.all_domains().any(|d| d == domain) {
                        say(
                            at.into(),
                            &format!("`{domain}` is not a domain of the tenant"),
                        );
                    }
                }
                _ => say(at.into(), &format!("`{each}` is not an address")),
            }
            if let Some(other) = owners.insert(each, address) {
                say(at.into(), &format!("`{each}` belongs to `{other}` too"));
            }
        }
        if !(1..=limits::RECIPIENTS_PER_MESSAGE_MAX).contains(&mailbox.recipient_limit) {
            say(format!("{at}/recipient_limit"), "must be from 1 to 1000");
        }
    }

    /// Every verified domain, the initial one first.
    pub fn all_domains(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.domain.as_str()).chain(self.domains.iter().map(String::as_str))
    }
}

fn lowered(set: &BTreeSet<String>) -> BTreeSet<String> {
    set.iter().map(|text| text.to_lowercase()).collect()
}

// RFC 7396 §2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::preset;

    #[test]
    fn merge_follows_the_examples_of_rfc_7396() {
        let table = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (
                json!({"a":{"b":"c"}}),
                json!({"a":{"b":"d","c":null}}),
                json!({"a":{"b":"d"}}),
            ),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (
                json!({}),
                json!({"a":{"bb":{"ccc":null}}}),
                json!({"a":{"bb":{}}}),
            ),
        ];
        for (mut target, patch, expected) in table {
            merge(&mut target, &patch);
            assert_eq!(target, expected, "{patch}");
        }
    }

    #[test]
    fn null_clears_the_mailbox_switch_and_false_sets_it() {
        let tenant = preset::empty();
        let address = format!("a@{}", tenant.domain);
        let with = |value: Value| {
            json!({"exchange":{"mailboxes":{(address.clone()):
                {"smtp_client_authentication_disabled": value}}}})
        };
        let off = tenant.patched(&with(json!(true))).unwrap();
        let switch =
            |t: &Tenant| t.exchange.mailboxes[&address].smtp_client_authentication_disabled;
        assert_eq!(switch(&off), Some(true));
        let cleared = off.patched(&with(Value::Null)).unwrap();
        assert_eq!(switch(&cleared), None);
        assert_eq!(
            switch(&cleared.patched(&with(json!(false))).unwrap()),
            Some(false)
        );
    }

    #[test]
    fn a_wrong_member_is_refused_by_name() {
        let error = preset::empty()
            .patched(&json!({"exchange":{"transprt":{}}}))
            .unwrap_err();
        assert!(error.to_string().contains("transprt"), "{error}");
    }

    #[test]
    fn contradictions_are_refused_with_their_place() {
        let tenant = preset::empty();
        let error = tenant
            .patched(
                &json!({"exchange":{"mailboxes":{"x@elsewhere.example":{"recipient_limit":0}}}}),
            )
            .unwrap_err();
        let PatchError::Content(problems) = error else {
            panic!("{error}")
        };
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[1].at.ends_with("recipient_limit"));
    }

    #[test]
    fn a_secret_is_kept_as_a_digest_only() {
        let id = uuid::Uuid::from_u128(1);
        let patched = preset::empty()
            .patched(&json!({"applications":{(id.to_string()):{
                "app_id": id, "display_name": "x",
                "secrets": {(id.to_string()): {"value":"canary-text","ends":"2030-01-01T00:00:00Z"}}
            }}}))
            .unwrap();
        assert!(patched.applications[&id].secrets[&id].matches("canary-text"));
        assert!(
            !serde_json::to_string(&patched)
                .unwrap()
                .contains("canary-text")
        );
    }
}
