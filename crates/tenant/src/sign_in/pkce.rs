//! What ties an answer of the browser to our question (RFC 7636, RFC 9700). Pure.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Octets of chance one sign-in needs.
pub(super) const CHANCE_OCTETS: usize = 64;

/// The verifier, which stays here, and the state, which comes back.
pub(super) struct Ties {
    pub(super) verifier: Zeroizing<String>,
    pub(super) state: String,
}

impl Ties {
    /// From unforeseeable octets: half for each.
    pub(super) fn from_chance(chance: &[u8; CHANCE_OCTETS]) -> Self {
        let (verifier, state) = chance.split_at(CHANCE_OCTETS / 2);
        Self {
            verifier: Zeroizing::new(URL_SAFE_NO_PAD.encode(verifier)),
            state: URL_SAFE_NO_PAD.encode(state),
        }
    }

    /// The S256 challenge of the verifier.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let ties = Ties {
            verifier: Zeroizing::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()),
            state: String::new(),
        };
        assert_eq!(
            ties.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn verifier_and_state_are_long_and_different() {
        let mut chance = [7; CHANCE_OCTETS];
        chance[40] = 1;
        let ties = Ties::from_chance(&chance);
        assert_eq!((ties.verifier.len(), ties.state.len()), (43, 43));
        assert_ne!(*ties.verifier, ties.state);
    }
}
