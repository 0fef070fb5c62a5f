//! The AADSTS codes a sender without a user meets: cause, fix, who acts, temporary or not.
//!
//! Meanings: Microsoft's error code table (ERR-DOC). Text and HTTP status were recorded for 7000215,
//! 500011, 700038 and 70003 only; for the others [`Aadsts::error`] is the usual pattern.

mod table;

/// What is known of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aadsts {
    /// The number after `AADSTS`.
    pub code: u32,
    /// The OAuth error it usually comes with, where one is known.
    pub error: Option<&'static str>,
    /// The likely cause, one sentence.
    pub cause: &'static str,
    /// What mends it, one sentence.
    pub fix: &'static str,
    /// Who has to act.
    pub actor: Actor,
    /// What the trouble lies in.
    pub area: Area,
    /// Whether time mends it.
    pub nature: Nature,
}

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An administrator of the tenant, in Entra.
    Administrator,
    /// Whoever configures and runs this program.
    Operator,
    /// Nobody: time passes, or Microsoft acts.
    Nobody,
}

/// What the trouble lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Secret, certificate, assertion or federated token.
    Credential,
    /// Client id, registration, service principal, consent.
    Application,
    /// Tenant or cloud.
    Tenant,
    /// The resource asked for.
    Scope,
    /// A policy of the tenant.
    Policy,
    /// Form of the request.
    Request,
    /// Microsoft's side, or too many requests.
    Service,
}

/// Whether time mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Only a person mends it.
    Permanent,
    /// Asking again later helps.
    Temporary,
    /// Permanent, unless the credential or object was made minutes ago: Entra's servers may not
    /// know it yet.
    MaybeTooYoung,
}

impl Aadsts {
    /// Whether asking again later helps without anybody acting.
    pub fn is_temporary(&self) -> bool {
        self.nature == Nature::Temporary
    }

    /// Whether a change of the last minutes explains it.
    pub fn may_be_too_young(&self) -> bool {
        self.nature == Nature::MaybeTooYoung
    }
}

/// What is known of this code, if it is one a sender meets.
pub fn lookup(code: u32) -> Option<&'static Aadsts> {
    let index = table::TABLE
        .binary_search_by_key(&code, |entry| entry.code)
        .ok()?;
    table::TABLE.get(index)
}

/// Every code of the catalogue, in rising order.
pub fn all() -> &'static [Aadsts] {
    &table::TABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_every_entry_speaks() {
        assert!(all().windows(2).all(|pair| pair[0].code < pair[1].code));
        for entry in all() {
            assert!(
                entry.cause.ends_with('.') && entry.fix.ends_with('.'),
                "{}",
                entry.code
            );
            assert_eq!(lookup(entry.code), Some(entry));
        }
        assert_eq!(lookup(1), None);
    }

    #[test]
    fn every_code_of_the_fact_sheet_is_known() {
        for code in [
            7_000_215, 7_000_222, 700_016, 700_038, 7_000_229, 7_000_218, 700_025, 700_027,
            700_024, 700_030, 50_013, 50_012, 500_011, 501_051, 650_052, 650_056, 650_057, 70_011,
            1_002_012, 700_022, 28_002, 90_002, 900_023, 900_144, 9_002_313, 90_006, 90_024,
            90_033, 90_055, 50_196, 50_194, 9_001_023, 90_130, 90_124, 90_038, 900_382, 900_432,
            53_003, 530_032, 530_035, 65_001, 65_002, 70_001, 700_011, 7_000_112, 700_211, 700_212,
            700_213, 7_002_138, 700_229, 650_051, 70_003,
        ] {
            assert!(lookup(code).is_some(), "{code}");
        }
        for code in [90_006, 90_024, 90_033, 90_055, 50_196] {
            assert!(lookup(code).is_some_and(Aadsts::is_temporary), "{code}");
        }
        for code in [7_000_215, 700_027, 650_051] {
            assert!(lookup(code).is_some_and(Aadsts::may_be_too_young), "{code}");
        }
    }
}
