//! The plan: what must change so that a tenant holds what is wished. Pure.

mod excess;
mod powershell;
mod rules;
mod step;
mod text;

pub use self::excess::Notice;
pub(crate) use self::excess::reach;
pub(crate) use self::step::Subjects;
pub use self::step::{Action, Side, Step};
use crate::observed::Observed;
use crate::wish::{Method, Wish};

/// The Exchange role that lets an application send.
pub const SEND_ROLE: &str = "Application SMTP.SendAsApp";

/// The application permission of the classic method.
pub const SEND_AS_APP: &str = "SMTP.SendAsApp";

/// What must change, in order, and what an administrator should know besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The tenant's id.
    pub tenant_id: String,
    /// The organisation's name.
    pub tenant_name: String,
    /// How the application is authorized.
    pub method: Method,
    /// The client id, once the application exists.
    pub client_id: Option<String>,
    /// The object id of the enterprise application, once it exists.
    pub principal_id: Option<String>,
    /// The distinguished name of the group of the scope, once it exists.
    pub group: Option<String>,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// What makes doing it impossible, as sentences.
    pub blocks: Vec<String>,
    /// What is used as it was found, and rights beyond the wish.
    pub notices: Vec<Notice>,
}

impl Plan {
    /// Compares what a tenant holds with what is wished.
    pub fn new(wish: &Wish, observed: &Observed) -> Self {
        let (steps, blocks) = rules::compare(wish, observed);
        Self {
            tenant_id: observed.tenant_id.clone(),
            tenant_name: observed.tenant_name.clone(),
            method: wish.method,
            client_id: observed
                .application()
                .map(|application| application.app_id.clone()),
            principal_id: observed.principal.as_ref().map(|found| found.id.clone()),
            group: observed
                .group
                .as_ref()
                .map(|group| group.distinguished_name.clone()),
            steps,
            blocks,
            notices: excess::notices(wish, observed),
        }
    }

    /// Whether the tenant holds everything already.
    pub fn is_done(&self) -> bool {
        self.steps.is_empty() && self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests;
