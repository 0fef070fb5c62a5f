//! What a client asks of the pages: its parameters, and who it is.

use std::collections::BTreeMap;

use super::client::{self, Client};
use super::failure::{self, Failure};
use super::token;
use crate::state::view::View;

/// The parameters of a query or a form.
pub(super) type Form = BTreeMap<String, String>;

/// Reads a query or a form; none when it names a parameter twice.
pub(super) fn parameters(text: &[u8]) -> Option<Form> {
    let mut form = Form::new();
    for (name, value) in form_urlencoded::parse(text) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(form)
}

/// The client of a request at a tenant.
pub(super) fn known_client(view: &View, tenant: &str, form: &Form) -> Result<Client, Failure> {
    match tenant {
        "common" | "organizations" => {}
        "consumers" => return Err(failure::COMMON_GRANT.with(&[])),
        other => token::find_tenant(view, other)?,
    }
    let client = form
        .get("client_id")
        .filter(|id| !id.is_empty())
        .ok_or_else(|| failure::PARAMETER_MISSING.with(&["client_id"]))?;
    client::find(view, client, tenant)
}

/// The scopes of a request; `resource` of the v1.0 address is the same as its `/.default`.
pub(super) fn scope_text(form: &Form) -> Result<String, Failure> {
    let given = |name: &str| form.get(name).filter(|value| !value.is_empty());
    match (given("scope"), given("resource")) {
        (Some(scope), None) => Ok(scope.clone()),
        (_, Some(resource)) => Ok(format!(
            "{}/.default openid offline_access",
            resource.trim_end_matches('/')
        )),
        (None, None) => Err(failure::PARAMETER_MISSING.with(&["scope"])),
    }
}
