//! Reads the tenant.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::{Setup, SetupError};
use crate::exchange_admin::{ExchangeAdmin, ExchangePrincipal, RoleAssignment};
use crate::graph::{Application, EXCHANGE_APP_ID, ServicePrincipal};
use crate::observed::{
    ApplicationFound, Granted, GroupFound, Held, MailboxFound, Observed, PrincipalFound, Reach,
    ResourceFound, RoleFound, ScopeFound, filter_of, group_of,
};
use crate::plan::{SEND_AS_APP, SEND_ROLE};
use crate::state::{State, Thing};
use crate::timer::Backoff;
use crate::trouble::CallError;
use crate::wish::{CredentialWish, Method, Wish};

/// What does not change during a run.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) tenant_id: String,
    tenant_name: String,
    domains: Vec<String>,
    resource: Option<ServicePrincipal>,
    submission_off: bool,
    dehydrated: bool,
}

/// Whether a state belongs to this tenant and this wish.
pub(super) fn check_state(state: &State, wish: &Wish, frame: &Frame) -> Result<(), SetupError> {
    if !state.tenant_id.eq_ignore_ascii_case(&frame.tenant_id) {
        return Err(SetupError::OtherState {
            what: "the tenant",
            kept: state.tenant_id.clone(),
            wanted: frame.tenant_id.clone(),
        });
    }
    if let (Some(known), Some(wanted)) = (&state.application, &wish.client_id)
        && !known.client_id.eq_ignore_ascii_case(wanted.as_str())
    {
        return Err(SetupError::OtherState {
            what: "the client id",
            kept: known.client_id.clone(),
            wanted: wanted.to_string(),
        });
    }
    Ok(())
}

impl Setup {
    /// The tenant's frame, read once in a run; refuses another tenant than the one named.
    pub(super) async fn frame(&self) -> Result<Frame, SetupError> {
        let kept = self
            .frame
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(frame) = kept {
            return Ok(frame);
        }
        let organization = self.graph.organization().await?;
        let domains: Vec<String> = organization
            .verified_domains
            .iter()
            .map(|domain| domain.name.to_lowercase())
            .collect();
        if let Some(wanted) = &self.tenant {
            let here = if wanted.is_id() {
                organization.id.eq_ignore_ascii_case(wanted.as_str())
            } else {
                domains.iter().any(|domain| domain == wanted.as_str())
            };
            if !here {
                return Err(SetupError::WrongTenant {
                    wanted: wanted.to_string(),
                    found: format!("{} ({})", organization.display_name, organization.id),
                });
            }
        }
        let resource = self.graph.service_principal_of(EXCHANGE_APP_ID).await?;
        let exchange = self.exchange_admin(&organization.id);
        let frame = Frame {
            submission_off: exchange.is_submission_off().await?,
            dehydrated: exchange.is_dehydrated().await?,
            tenant_id: organization.id,
            tenant_name: organization.display_name,
            domains,
            resource,
        };
        *self.frame.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame.clone());
        Ok(frame)
    }

    /// Reads everything the wish is about. What this run does not change is taken from what it saw
    /// `before`.
    pub(super) async fn observe(
        &self,
        wish: &Wish,
        state: Option<&State>,
        before: Option<&Observed>,
    ) -> Result<Observed, SetupError> {
        let frame = self.frame().await?;
        if let Some(state) = state {
            check_state(state, wish, &frame)?;
        }
        let exchange = self.exchange_admin(&frame.tenant_id);
        let mut observed = Observed {
            application: self.find_application(wish, state).await?,
            resource: frame.resource.as_ref().map(|resource| ResourceFound {
                id: resource.id.clone(),
                send_as_app: role_id(resource, SEND_AS_APP),
            }),
            held: state.map(|state| self.held(state)).unwrap_or_default(),
            tenant_id: frame.tenant_id.clone(),
            tenant_name: frame.tenant_name.clone(),
            domains: frame.domains.clone(),
            submission_off: frame.submission_off,
            dehydrated: frame.dehydrated,
            ..Observed::default()
        };
        if let Some(application) = observed.application().cloned() {
            self.look_at_principal(wish, &application, &frame, &mut observed)
                .await?;
            let ids: Vec<&str> = std::iter::once(application.id.as_str())
                .chain(observed.principal.as_ref().map(|found| found.id.as_str()))
                .collect();
            observed.registered = exchange.principals(&application.app_id, &ids).await?;
        }
        look_for_stale(&exchange, state, &mut observed).await?;
        let ours = Ours::of(&observed);
        observed.mailboxes = look_at_mailboxes(&exchange, wish, &ours, before).await?;
        if wish.method == Method::Rbac || ours.is_known() {
            look_at_roles(&exchange, wish, &ours, state, &mut observed).await?;
        }
        Ok(observed)
    }

    /// The application: by what the state knows, by the client id given, or by name.
    async fn find_application(
        &self,
        wish: &Wish,
        state: Option<&State>,
    ) -> Result<ApplicationFound, CallError> {
        let found = |application: Application, ours: bool| ApplicationFound::Found {
            application: Box::new(application),
            ours,
        };
        if let Some(state) = state
            && let Some(known) = &state.application
            && let Some(application) = self.graph.application(&known.object_id).await?
        {
            return Ok(found(application, state.made_application()));
        }
        if let Some(client_id) = &wish.client_id {
            let application = self.graph.application_of(client_id.as_str()).await?;
            return Ok(application.map_or_else(
                || ApplicationFound::UnknownClientId(client_id.to_string()),
                |application| found(application, false),
            ));
        }
        let named = self
            .graph
            .applications_named(&wish.names.application)
            .await?;
        Ok(if named.is_empty() {
            ApplicationFound::Missing
        } else {
            ApplicationFound::NameTaken(named.into_iter().map(|found| found.app_id).collect())
        })
    }

    async fn look_at_principal(
        &self,
        wish: &Wish,
        application: &Application,
        frame: &Frame,
        observed: &mut Observed,
    ) -> Result<(), CallError> {
        if matches!(wish.credential, CredentialWish::Federated(_)) {
            observed.federated = self.graph.federated(&application.id).await?;
        }
        let Some(principal) = self.graph.service_principal_of(&application.app_id).await? else {
            return Ok(());
        };
        observed.principal = Some(PrincipalFound {
            id: principal.id.to_ascii_lowercase(),
            enabled: principal.account_enabled,
        });
        let mut resources: BTreeMap<String, ServicePrincipal> = frame
            .resource
            .iter()
            .map(|resource| (resource.id.clone(), resource.clone()))
            .collect();
        for granted in self.graph.app_role_assignments(&principal.id).await? {
            if !resources.contains_key(&granted.resource_id)
                && let Some(resource) = self.graph.service_principal(&granted.resource_id).await?
            {
                resources.insert(granted.resource_id.clone(), resource);
            }
            let resource = resources.get(&granted.resource_id);
            let value = resource
                .and_then(|resource| {
                    resource
                        .app_roles
                        .iter()
                        .find(|role| role.id == granted.app_role_id)
                })
                .and_then(|role| role.value.clone());
            let name = granted
                .resource_display_name
                .or_else(|| resource.map(|resource| resource.display_name.clone()));
            observed.granted.push(Granted {
                id: granted.id,
                value: value.unwrap_or(granted.app_role_id),
                resource: name.unwrap_or(granted.resource_id),
            });
        }
        Ok(())
    }

    fn held(&self, state: &State) -> Held {
        let there = |place| self.store.has(place);
        Held {
            thumbprint: state
                .certificate()
                .filter(|(_, place)| there(place))
                .map(|(thumbprint, _)| thumbprint.to_owned()),
            key_id: state
                .secret()
                .filter(|(_, place)| there(place))
                .map(|(key_id, _)| key_id.to_owned()),
            label: state.label(),
        }
    }

    /// Looks for what an interrupted run had begun, until it shows or surely is not there.
    pub(super) async fn recover(
        &self,
        state: &mut State,
        file: &crate::state::StateFile,
    ) -> Result<(), SetupError> {
        let begun = |state: &State, is: fn(&Thing) -> bool| {
            state
                .records
                .iter()
                .find(|record| is(&record.thing))
                .cloned()
        };
        let application = begun(state, |thing| matches!(thing, Thing::Application { .. }));
        if let Some(record) = application {
            match (&state.application, &record.thing) {
                (None, Thing::Application { name }) => {
                    let window = self.window_since(record.begun);
                    let what = format!("the application {name:?}");
                    let found = self
                        .await_sight(&what, window, async || {
                            self.newest_application(name, record.begun).await
                        })
                        .await?;
                    match found {
                        Some(application) => super::changes::know(state, &application),
                        None => state.forget(&record.thing),
                    }
                }
                (Some(known), _) => {
                    let (id, window) = (known.object_id.clone(), self.window_since(record.begun));
                    let seen = self
                        .await_sight("the application", window, async || {
                            self.graph.application(&id).await
                        })
                        .await?;
                    if seen.is_none() {
                        forget_entra(state);
                    }
                }
                _ => {}
            }
            file.save(state)?;
        }
        let principal = begun(state, |thing| matches!(thing, Thing::Principal));
        if let (Some(record), Some(known)) = (principal, &state.application) {
            let client_id = known.client_id.clone();
            let window = self.window_since(record.begun);
            let found = self.await_principal(&client_id, window).await?;
            match (found, &mut state.application) {
                (Some(found), Some(known)) => {
                    known.principal_id = Some(found.id.to_ascii_lowercase());
                }
                _ => state.forget(&record.thing),
            }
            file.save(state)?;
        }
        let secret = begun(state, |thing| {
            matches!(thing, Thing::Secret { key_id: None, .. })
        });
        if let (Some(record), Some(known)) = (secret, &state.application) {
            let (id, label) = (known.object_id.clone(), state.label());
            let window = self.window_since(record.begun);
            // Whether it shows or not, the plan decides: a secret that shows is removed there.
            self.await_sight("the secret", window, async || {
                let application = self.graph.application(&id).await?;
                Ok(application.filter(|found| !strays(found, &label).is_empty()))
            })
            .await?;
            state.forget(&record.thing);
            file.save(state)?;
        }
        Ok(())
    }

    /// Looks for the enterprise application until it shows.
    pub(super) async fn await_principal(
        &self,
        client_id: &str,
        window: Backoff,
    ) -> Result<Option<ServicePrincipal>, CallError> {
        self.await_sight("the enterprise application", window, async || {
            self.graph.service_principal_of(client_id).await
        })
        .await
    }

    /// The application of this name that was made after `begun`: an interrupted run's.
    pub(super) async fn newest_application(
        &self,
        name: &str,
        begun: jiff::Timestamp,
    ) -> Result<Option<Application>, CallError> {
        // Clocks differ; and none of this name was there when it began.
        let earliest = begun - jiff::SignedDuration::from_mins(10);
        let mut named = self.graph.applications_named(name).await?;
        named.retain(|found| found.created_date_time.is_none_or(|at| at >= earliest));
        Ok(if named.len() == 1 { named.pop() } else { None })
    }
}

/// The ids of secrets whose label begins with ours.
pub(super) fn strays(application: &Application, label: &str) -> Vec<String> {
    application
        .password_credentials
        .iter()
        .filter(|secret| {
            secret
                .display_name
                .as_ref()
                .is_some_and(|name| name.starts_with(label))
        })
        .map(|secret| secret.key_id.clone())
        .collect()
}

/// Somebody deleted the application: what belonged to it is gone as well.
fn forget_entra(state: &mut State) {
    state.application = None;
    state.records.retain(|record| {
        !matches!(
            record.thing,
            Thing::Application { .. }
                | Thing::Principal
                | Thing::Secret { .. }
                | Thing::Federated { .. }
                | Thing::Permission { .. }
        )
    });
}

fn role_id(resource: &ServicePrincipal, value: &str) -> Option<String> {
    resource
        .app_roles
        .iter()
        .find(|role| role.value.as_deref() == Some(value))
        .map(|role| role.id.clone())
}

/// Whether an earlier run made this, as its state says.
fn is_recorded(state: Option<&State>, is: impl Fn(&Thing) -> bool) -> bool {
    state.is_some_and(|state| state.find(is).is_some())
}

/// Registrations that an earlier run made for an enterprise application that is gone.
async fn look_for_stale(
    exchange: &ExchangeAdmin,
    state: Option<&State>,
    observed: &mut Observed,
) -> Result<(), CallError> {
    let present = observed.principal.as_ref().map(|found| found.id.clone());
    let mut old: Vec<String> = state
        .iter()
        .flat_map(|state| &state.records)
        .filter_map(|record| match &record.thing {
            Thing::Registration { object_id } => Some(object_id.to_ascii_lowercase()),
            _ => None,
        })
        .filter(|id| present.as_ref() != Some(id))
        .collect();
    let (ours, rest) = std::mem::take(&mut observed.registered)
        .into_iter()
        .partition(|found| old.contains(&found.object_id));
    observed.stale.registrations = ours;
    observed.registered = rest;
    old.retain(|id| {
        let known = observed.stale.registrations.iter();
        !known.clone().any(|found| found.object_id == *id)
    });
    for id in old {
        let found = exchange.principals(&id, &[&id]).await?;
        observed.stale.registrations.extend(found);
    }
    Ok(())
}

/// Every name by which Exchange may show our principal.
struct Ours {
    registered: Vec<ExchangePrincipal>,
    ids: Vec<String>,
}

impl Ours {
    fn of(observed: &Observed) -> Self {
        let ids = observed
            .application()
            .map(|found| found.app_id.to_ascii_lowercase())
            .into_iter()
            .chain(observed.principal.as_ref().map(|found| found.id.clone()))
            .collect();
        let present = observed.principal.as_ref().map(|found| &found.id);
        let registered = observed.registered.iter();
        Self {
            // What a wrong registration holds is lost with it.
            registered: registered
                .filter(|found| Some(&found.object_id) == present)
                .cloned()
                .collect(),
            ids,
        }
    }

    fn is_known(&self) -> bool {
        !self.registered.is_empty()
    }

    fn is(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.ids.contains(&text) || self.registered.iter().any(|found| found.is_called(&text))
    }
}

async fn look_at_mailboxes(
    exchange: &ExchangeAdmin,
    wish: &Wish,
    ours: &Ours,
    before: Option<&Observed>,
) -> Result<BTreeMap<String, MailboxFound>, CallError> {
    let mut found = BTreeMap::new();
    for asked in &wish.mailboxes {
        let mut mailbox = MailboxFound::default();
        if let Some(settings) = exchange.mailbox(asked).await? {
            mailbox.submission_off = settings.submission_off;
            let before = before.and_then(|before| before.mailboxes.get(asked));
            if let (Method::Rbac, Some(before)) = (wish.method, before) {
                mailbox.full_access = before.full_access;
                mailbox.send_as = before.send_as;
            } else if ours.is_known() {
                // Rights can only be held by a principal that Exchange knows. Where a role grants
                // what is wished, they are more than it takes.
                mailbox.full_access = exchange
                    .mailbox_permissions(&settings.address)
                    .await?
                    .iter()
                    .any(|entry| {
                        !entry.denies
                            && ours.is(&entry.holder)
                            && entry.rights.iter().any(|right| right == "FullAccess")
                    });
                mailbox.send_as = exchange
                    .recipient_permissions(&settings.address)
                    .await?
                    .iter()
                    .any(|entry| {
                        !entry.denies
                            && ours.is(&entry.holder)
                            && entry.rights.iter().any(|right| right == "SendAs")
                    });
            }
            mailbox.address = Some(settings.address);
        }
        found.insert(asked.clone(), mailbox);
    }
    Ok(found)
}

async fn look_at_roles(
    exchange: &ExchangeAdmin,
    wish: &Wish,
    ours: &Ours,
    state: Option<&State>,
    observed: &mut Observed,
) -> Result<(), CallError> {
    let assignments = exchange.role_assignments(SEND_ROLE).await?;
    let (held, others): (Vec<RoleAssignment>, Vec<RoleAssignment>) = assignments
        .into_iter()
        .partition(|assignment| assignment.holders.iter().any(|holder| ours.is(holder)));
    for other in others {
        let named = |thing: &Thing| matches!(thing, Thing::Assignment { name } if name.eq_ignore_ascii_case(&other.name));
        if is_recorded(state, named) {
            observed.stale.assignments.push(other.name);
        } else if other.name.eq_ignore_ascii_case(&wish.names.assignment) {
            observed.assignment_name_taken = true;
        }
    }
    for assignment in held {
        let reach = reach(exchange, &assignment, ours, observed).await?;
        observed.roles.push(RoleFound { assignment, reach });
    }
    if wish.method == Method::Rbac && observed.roles.is_empty() {
        observed.scope = exchange
            .scope(&wish.names.scope)
            .await?
            .map(|scope| ScopeFound {
                name: scope.name,
                filter: scope.filter,
            });
        if let Some(group) = exchange.group(&wish.names.group).await? {
            observed.group = Some(GroupFound {
                members: exchange.members(&group.distinguished_name).await?,
                name: group.name,
                distinguished_name: group.distinguished_name,
            });
        }
        let group = observed.group.as_ref();
        let stale = observed.scope.take_if(|scope| {
            let fits = group.is_some_and(|group| {
                scope
                    .filter
                    .eq_ignore_ascii_case(&filter_of(&group.distinguished_name))
            });
            let named = |thing: &Thing| matches!(thing, Thing::Scope { name } if name.eq_ignore_ascii_case(&scope.name));
            !fits && is_recorded(state, named)
        });
        observed.stale.scopes.extend(stale.map(|scope| scope.name));
    }
    Ok(())
}

/// Whom an assignment reaches: the members of its group, or what Exchange says of our mailboxes.
async fn reach(
    exchange: &ExchangeAdmin,
    assignment: &RoleAssignment,
    ours: &Ours,
    observed: &Observed,
) -> Result<Reach, CallError> {
    let bound = match (&assignment.scope, &assignment.other_scope) {
        (None, None) => return Ok(Reach::Everybody),
        (Some(scope), _) => exchange
            .scope(scope)
            .await?
            .map_or_else(|| format!("the scope {scope:?}"), |scope| scope.filter),
        (None, Some(other)) => other.clone(),
    };
    let group = match (&assignment.scope, group_of(&bound)) {
        (_, Some(group)) => exchange.group(&group).await?,
        (None, None) => exchange.group(&bound).await?,
        (Some(_), None) => None,
    };
    if let Some(group) = group {
        return Ok(Reach::Members {
            members: exchange.members(&group.distinguished_name).await?,
            group: group.name,
        });
    }
    let mut inside = Vec::new();
    let principal = ours
        .registered
        .first()
        .map(|found| found.object_id.as_str());
    for found in observed.mailboxes.values() {
        if let (Some(address), Some(principal)) = (&found.address, principal)
            && exchange
                .is_in_scope(principal, address, SEND_ROLE)
                .await?
                .unwrap_or(false)
        {
            inside.push(address.clone());
        }
    }
    Ok(Reach::Filter {
        filter: bound,
        inside,
    })
}
