//! Secrets that give themselves away.
//!
//! Every secret a test or the sandbox makes carries a marker, so that one search over the output of
//! a whole test run proves that none of them was printed: plainly, in base64 (also twice, as in an
//! AUTH line that wraps a token), in hexadecimal or percent-encoded.

/// Stands in every client secret, password and control token: no form of it may be printed.
pub const SECRET: &str = "CANARY-SECRET";

/// Stands in an opaque claim of every access token: its plain form is a claim and may be shown, its
/// encoded forms are the token itself and may not.
pub const TOKEN: &str = "CANARY-TOKEN";

/// The first line of every private key in PEM form.
const KEY_HEADS: [&str; 4] = [
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
];

/// Makes a secret for a test: the marker and the name of what it belongs to.
pub fn secret(name: &str) -> String {
    format!("{SECRET}.{name}")
}

/// One place where a secret was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What was found: the marker and the form it stood in.
    pub what: String,
    /// Where it starts, in octets from the beginning of the text.
    pub offset: usize,
}

/// Looks for canaries in text; building it works out every encoded form once.
#[derive(Debug)]
pub struct Scanner {
    needles: Vec<Needle>,
}

#[derive(Debug)]
struct Needle {
    what: String,
    octets: Vec<u8>,
    /// Hexadecimal digits are written in either case.
    any_case: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Builds the scanner for all markers.
    pub fn new() -> Self {
        let mut needles = Vec::new();
        needles.push(Needle::plain(format!("{SECRET}, plain"), SECRET.as_bytes()));
        for head in KEY_HEADS {
            needles.push(Needle::plain(
                "a private key, plain".to_owned(),
                head.as_bytes(),
            ));
        }
        for marker in [SECRET, TOKEN] {
            let once = base64_forms(marker.as_bytes());
            for form in &once {
                needles.push(Needle::plain(format!("{marker}, base64"), form));
                for twice in base64_forms(form) {
                    needles.push(Needle::plain(format!("{marker}, base64 twice"), &twice));
                }
            }
            for (form, separator) in [("hexadecimal", ""), ("percent-encoded", "%")] {
                let octets = marker
                    .bytes()
                    .flat_map(|octet| format!("{separator}{octet:02x}").into_bytes())
                    .collect();
                needles.push(Needle {
                    what: format!("{marker}, {form}"),
                    octets,
                    any_case: true,
                });
            }
        }
        Self { needles }
    }

    /// Finds every canary in `text`, also one that is broken over lines.
    pub fn scan(&self, text: &[u8]) -> Vec<Hit> {
        let mut hits = self.scan_as_is(text);
        let joined = Joined::of(text);
        for hit in self.scan_as_is(&joined.octets) {
            let hit = Hit {
                offset: joined.origin[hit.offset],
                ..hit
            };
            if !hits.contains(&hit) {
                hits.push(hit);
            }
        }
        hits.sort_by_key(|hit| hit.offset);
        hits
    }

    fn scan_as_is(&self, text: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for needle in &self.needles {
            let first = needle.octets[0];
            let other = if needle.any_case {
                first.to_ascii_uppercase()
            } else {
                first
            };
            for (offset, octet) in text.iter().enumerate() {
                if (*octet == first || *octet == other) && needle.stands_at(&text[offset..]) {
                    hits.push(Hit {
                        what: needle.what.clone(),
                        offset,
                    });
                }
            }
        }
        hits
    }
}

impl Needle {
    fn plain(what: String, octets: &[u8]) -> Self {
        Self {
            what,
            octets: octets.to_vec(),
            any_case: false,
        }
    }

    fn stands_at(&self, text: &[u8]) -> bool {
        let Some(head) = text.get(..self.octets.len()) else {
            return false;
        };
        if self.any_case {
            head.eq_ignore_ascii_case(&self.octets)
        } else {
            head == self.octets
        }
    }
}

/// The text without line ends and the blanks that begin a folded line.
struct Joined {
    octets: Vec<u8>,
    /// Where each octet stood in the text.
    origin: Vec<usize>,
}

impl Joined {
    fn of(text: &[u8]) -> Self {
        let mut joined = Self {
            octets: Vec::new(),
            origin: Vec::new(),
        };
        let mut line_begins = false;
        for (at, octet) in text.iter().copied().enumerate() {
            match octet {
                b'\r' | b'\n' => line_begins = true,
                b' ' | b'\t' if line_begins => {}
                _ => {
                    line_begins = false;
                    joined.octets.push(octet);
                    joined.origin.push(at);
                }
            }
        }
        joined
    }
}

/// The characters that `marker` becomes in base64 wherever it stands in the encoded text: one form
/// for each of the three alignments and each of the two alphabets, without the characters that its
/// neighbours share.
fn base64_forms(marker: &[u8]) -> Vec<Vec<u8>> {
    let mut forms: Vec<Vec<u8>> = Vec::new();
    for shift in 0..3usize {
        let mut bits: Vec<bool> = Vec::new();
        for octet in marker {
            bits.extend((0..8).rev().map(|bit| octet >> bit & 1 == 1));
        }
        // The first bits complete a character that begins in the octets before the marker.
        let skipped = (6 - shift * 8 % 6) % 6;
        for alphabet in [STANDARD, URL_SAFE] {
            let form: Vec<u8> = bits[skipped..]
                .chunks_exact(6)
                .map(|six| {
                    let value = six
                        .iter()
                        .fold(0usize, |value, bit| value << 1 | usize::from(*bit));
                    alphabet[value]
                })
                .collect();
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(octets: &[u8]) -> String {
        octets
            .chunks(3)
            .flat_map(|three| {
                let mut word = [0u8; 3];
                word[..three.len()].copy_from_slice(three);
                let word = u32::from_be_bytes([0, word[0], word[1], word[2]]);
                (0..4).map(move |at| {
                    if at > three.len() {
                        '='
                    } else {
                        STANDARD[(word >> (18 - 6 * at) & 63) as usize] as char
                    }
                })
            })
            .collect()
    }

    fn forms(text: &str) -> Vec<String> {
        Scanner::new()
            .scan(text.as_bytes())
            .into_iter()
            .map(|hit| hit.what)
            .collect()
    }

    #[test]
    fn finds_a_secret_in_every_form() {
        let secret = secret("contoso");
        assert_eq!(
            forms(&format!("the secret is {secret}!")),
            ["CANARY-SECRET, plain"]
        );
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{secret}");
            assert_eq!(
                forms(&base64(text.as_bytes())),
                ["CANARY-SECRET, base64"],
                "{before}"
            );
            let twice = base64(format!("user={}", base64(text.as_bytes())).as_bytes());
            assert_eq!(forms(&twice), ["CANARY-SECRET, base64 twice"], "{before}");
        }
        let written =
            |each: fn(u8) -> String| secret.bytes().map(each).collect::<Vec<_>>().concat();
        assert_eq!(
            forms(&written(|octet| format!("{octet:02X}"))),
            ["CANARY-SECRET, hexadecimal"]
        );
        assert_eq!(
            forms(&written(|octet| format!("%{octet:02x}"))),
            ["CANARY-SECRET, percent-encoded"]
        );
        assert_eq!(
            forms("-----BEGIN PRIVATE KEY-----\n"),
            ["a private key, plain"]
        );
    }

    #[test]
    fn finds_a_secret_broken_over_lines() {
        let text = "first\r\n  CANARY-\r\n\tSECRET.x";
        assert_eq!(
            Scanner::new().scan(text.as_bytes()),
            [Hit {
                what: "CANARY-SECRET, plain".to_owned(),
                offset: 9
            }]
        );
    }

    #[test]
    fn a_claim_of_a_token_may_be_shown_but_not_the_token() {
        let claim = r#"{"uti":"CANARY-TOKEN.1"}"#;
        assert_eq!(forms(claim), Vec::<String>::new());
        assert_eq!(forms(&base64(claim.as_bytes())), ["CANARY-TOKEN, base64"]);
    }

    #[test]
    fn harmless_text_is_no_hit() {
        assert!(
            Scanner::new()
                .scan(b"canary-secret is lower case, CANARY alone is no marker")
                .is_empty()
        );
        assert!(Scanner::new().scan(b"").is_empty());
    }
}
