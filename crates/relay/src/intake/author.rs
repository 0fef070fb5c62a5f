//! Who a message says it is from: judged against what its client may be.

use sendas_config::RewriteFrom;
use sendas_envelope::header::{Field, Header};
use sendas_envelope::{Address, list};

use super::{Facts, IntakeError};

/// What happens to From.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// It stays.
    Kept,
    /// There is none: this address becomes it.
    Missing(Address),
    /// This address replaces it.
    Replaced(Address),
}

/// The fields that say who a message is from (RFC 5322 §3.6.2 and §3.6.6). The service looks at
/// From; recipients see all of them.
const NAMES: [&str; 4] = ["From", "Sender", "Resent-From", "Resent-Sender"];

/// Judges the fields together.
pub(super) fn judge(header: &Header<'_>, facts: &Facts) -> Result<Author, IntakeError> {
    let own = || facts.sender.route.address.clone();
    let is_replaced = facts.client.rewrite_from != RewriteFrom::Never;
    let mut is_fine = true;
    let mut is_readable = header.named("From").count() <= 1;
    for field in NAMES.iter().flat_map(|name| header.named(name)) {
        match list::parse(&header.value(field)) {
            Ok(entries) if !entries.is_empty() => {
                is_fine &= entries
                    .iter()
                    .all(|entry| facts.client.may_send_as(&entry.address));
            }
            _ => is_readable = false,
        }
    }
    let must_replace = facts.client.rewrite_from == RewriteFrom::Always
        || (is_replaced && !(is_fine && is_readable));
    if header.named("From").next().is_none() && (is_fine && is_readable || is_replaced) {
        return Ok(if must_replace && !is_fine {
            Author::Replaced(own())
        } else {
            Author::Missing(own())
        });
    }
    match (must_replace, is_readable, is_fine) {
        (true, ..) => Ok(Author::Replaced(own())),
        (false, false, _) => Err(IntakeError::Author),
        (false, true, false) => Err(IntakeError::NotAllowed),
        (false, true, true) => Ok(Author::Kept),
    }
}

/// Whether every address of a field is one that the client may use.
pub(super) fn is_allowed(header: &Header<'_>, field: &Field, facts: &Facts) -> bool {
    list::parse(&header.value(field)).is_ok_and(|entries| {
        entries
            .iter()
            .all(|entry| facts.client.may_send_as(&entry.address))
    })
}

/// Whether a field's value can be read as addresses.
pub(super) fn is_list(header: &Header<'_>, field: &Field) -> bool {
    list::parse(&header.value(field)).is_ok_and(|entries| !entries.is_empty())
}
