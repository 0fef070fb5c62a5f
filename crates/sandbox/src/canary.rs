//! Markers by which printed secrets are found.
//!
//! A sandbox's secrets protect nothing, so they may be recognizable: whoever tests a program against
//! the sandbox can search that program's output for them.

/// Stands in every client secret, password and control token the sandbox makes.
pub const SECRET_MARK: &str = "CANARY-SECRET";

/// Stands in an opaque claim of every access token: readable as a claim, and in base64 inside the
/// token itself.
pub const TOKEN_MARK: &str = "CANARY-TOKEN";
