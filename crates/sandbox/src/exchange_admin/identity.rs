//! Finding objects by what `-Identity` and its like may say.

use uuid::Uuid;

use super::error::{CmdletError, not_found};
use crate::digest;
use crate::state::Tenant;
use crate::state::exchange::ExchangePrincipal;

/// The distinguished name of an object of the organisation.
pub(super) fn distinguished_name(tenant: &Tenant, name: &str) -> String {
    crate::state::preset::distinguished_name(name, &tenant.domain)
}

/// Finds a service principal by name (its object id), distinguished name, GUID, application id or
/// object id.
pub(super) fn principal<'t>(
    tenant: &'t Tenant,
    identity: &str,
) -> Option<(Uuid, &'t ExchangePrincipal)> {
    let id: Option<Uuid> = identity.parse().ok();
    tenant
        .exchange
        .service_principals
        .iter()
        .find(|(object_id, principal)| {
            id == Some(**object_id)
                || id == Some(principal.app_id)
                || (id == Some(principal.guid) && !principal.guid.is_nil())
                || identity
                    .eq_ignore_ascii_case(&distinguished_name(tenant, &object_id.to_string()))
        })
        .map(|(id, principal)| (*id, principal))
}

/// Finds a mailbox by address, alias, object id, name, the part before the at sign, or
/// distinguished name; answers its primary address.
pub(super) fn mailbox(tenant: &Tenant, identity: &str) -> Result<String, CmdletError> {
    let wanted = identity.to_lowercase();
    let id: Option<Uuid> = identity.parse().ok();
    tenant
        .exchange
        .mailboxes
        .iter()
        .find(|(address, mailbox)| {
            **address == wanted
                || mailbox.aliases.contains(&wanted)
                || (id == Some(mailbox.id) && !mailbox.id.is_nil())
                || address.split('@').next() == Some(wanted.as_str())
                || mailbox.display_name.eq_ignore_ascii_case(identity)
                || identity.eq_ignore_ascii_case(&distinguished_name(tenant, local(address)))
        })
        .map(|(address, _)| address.clone())
        .ok_or_else(|| not_found(identity))
}

/// Finds a group by id, address, name, the part before the at sign, or distinguished name.
pub(super) fn group(tenant: &Tenant, identity: &str) -> Result<Uuid, CmdletError> {
    let id: Option<Uuid> = identity.parse().ok();
    tenant
        .groups
        .iter()
        .find(|(group_id, group)| {
            id == Some(**group_id)
                || group.mail.eq_ignore_ascii_case(identity)
                || group.display_name.eq_ignore_ascii_case(identity)
                || group.distinguished_name.eq_ignore_ascii_case(identity)
                || local(&group.mail).eq_ignore_ascii_case(identity)
        })
        .map(|(id, _)| *id)
        .ok_or_else(|| not_found(identity))
}

/// What a mailbox permission is given to: a service principal's object id, or an address.
pub(super) fn trustee(tenant: &Tenant, identity: &str) -> Result<String, CmdletError> {
    if let Some((object_id, _)) = principal(tenant, identity) {
        return Ok(object_id.to_string());
    }
    if let Ok(address) = mailbox(tenant, identity) {
        return Ok(address);
    }
    let person = tenant
        .users
        .values()
        .find(|user| user.user_principal_name.eq_ignore_ascii_case(identity));
    person
        .map(|user| user.user_principal_name.to_lowercase())
        .ok_or_else(|| not_found(identity))
}

/// The part of an address before the at sign.
pub(super) fn local(address: &str) -> &str {
    address.split('@').next().unwrap_or(address)
}

/// The security identifier of an object: made from its id, in the form of real ones.
pub(super) fn security_id(id: &str) -> String {
    let digest = digest::sha256_hex(id);
    let number = |from: usize| u32::from_str_radix(&digest[from..from + 8], 16).unwrap_or_default();
    format!(
        "S-1-5-21-{}-{}-{}-{}",
        number(0),
        number(8),
        number(16),
        number(24) % 100_000_000
    )
}
