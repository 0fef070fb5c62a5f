//! One submission as envelopes that the service takes.

use std::collections::HashMap;

use sendas_envelope::Recipient;
use sendas_exchange::limits::{RECIPIENTS_PER_DOMAIN_MAX, RECIPIENTS_PER_MESSAGE_DEFAULT};

/// Cuts recipients into envelopes: at most 200 of one domain and 500 in each. Gives the places of
/// the recipients, in order; most submissions are one envelope.
pub fn split(recipients: &[Recipient]) -> Vec<Vec<usize>> {
    let (domain_max, max) = (
        RECIPIENTS_PER_DOMAIN_MAX as usize,
        RECIPIENTS_PER_MESSAGE_DEFAULT as usize,
    );
    if recipients.len() <= domain_max {
        return vec![(0..recipients.len()).collect()];
    }
    // The n-th recipient of a domain goes into the envelope n / 200 at the earliest.
    let mut of_domain: HashMap<String, usize> = HashMap::new();
    let mut envelopes: Vec<Vec<usize>> = Vec::new();
    for (at, recipient) in recipients.iter().enumerate() {
        let domain = recipient
            .path
            .address()
            .map(|address| address.domain().to_ascii_lowercase())
            .unwrap_or_default();
        let seen = of_domain.entry(domain).or_insert(0);
        let mut place = *seen / domain_max;
        *seen += 1;
        while envelopes.get(place).is_some_and(|own| own.len() >= max) {
            place += 1;
        }
        if envelopes.len() <= place {
            envelopes.resize_with(place + 1, Vec::new);
        }
        envelopes[place].push(at);
    }
    envelopes.retain(|own| !own.is_empty());
    envelopes
}
