//! Takes back what a set-up made: Exchange first, then Entra, and only what it made.

use serde_json::Value;

use super::look::strays;
use super::{Event, Setup, SetupError};
use crate::cmdlet::Cmdlet;
use crate::exchange_admin::ExchangeAdmin;
use crate::state::{Known, Record, State, StateFile, Thing};
use crate::trouble::CallError;

/// What undoing removes and restores, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoPlan {
    /// The tenant's id.
    pub tenant_id: String,
    /// What is taken back, in words.
    pub things: Vec<String>,
}

/// What was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// In words, in order.
    pub things: Vec<String>,
}

impl UndoPlan {
    pub(super) fn new(state: &State) -> Self {
        Self {
            tenant_id: state.tenant_id.clone(),
            things: order(state)
                .iter()
                .map(|record| record.thing.title())
                .collect(),
        }
    }
}

/// The records in the order of their taking back.
fn order(state: &State) -> Vec<Record> {
    let mut records = state.records.clone();
    // The newest first among equals: a switch that was changed twice ends as it was at first.
    records.reverse();
    records.sort_by_key(|record| rank(&record.thing));
    records
}

fn rank(thing: &Thing) -> u8 {
    match thing {
        Thing::Assignment { .. } => 0,
        Thing::Scope { .. } => 1,
        Thing::Member { .. } => 2,
        Thing::Group { .. } => 3,
        Thing::SendAs { .. } => 4,
        Thing::FullAccess { .. } => 5,
        Thing::Submission { .. } => 6,
        Thing::Registration { .. } => 7,
        Thing::RemovedRegistration { .. } => 8,
        Thing::Permission { .. } => 9,
        Thing::Federated { .. } => 10,
        Thing::Secret { .. } => 11,
        Thing::Certificate { .. } => 12,
        Thing::Principal => 13,
        Thing::Application { .. } => 14,
    }
}

pub(super) async fn run(setup: &Setup, file: &StateFile) -> Result<Undone, SetupError> {
    let mut state = file.load()?.ok_or_else(|| SetupError::NoState {
        path: file.path().to_owned(),
    })?;
    let frame = setup.frame().await?;
    if !state.tenant_id.eq_ignore_ascii_case(&frame.tenant_id) {
        return Err(SetupError::OtherState {
            what: "the tenant",
            kept: state.tenant_id,
            wanted: frame.tenant_id,
        });
    }
    setup.find_begun(&mut state, file).await?;
    let exchange = setup.exchange_admin(&frame.tenant_id);
    let records = order(&state);
    let total = records.len();
    let mut things = Vec::new();
    for (index, record) in records.into_iter().enumerate() {
        let title = record.thing.title();
        setup.progress.tell(&Event::Step {
            number: index + 1,
            total,
            title: format!("take back {title}"),
        });
        let back = Back {
            setup,
            exchange: &exchange,
            state: &state,
        };
        if let Err(source) = Box::pin(back.take(&record)).await {
            let left = UndoPlan::new(&state).things;
            return Err(SetupError::Undo {
                title,
                left,
                source: Box::new(source),
            });
        }
        state.forget(&record.thing);
        file.save(&state)?;
        things.push(title);
    }
    file.remove()?;
    Ok(Undone { things })
}

impl Setup {
    /// Finds an application whose making was interrupted.
    async fn find_begun(&self, state: &mut State, file: &StateFile) -> Result<(), SetupError> {
        if state.application.is_some() {
            return Ok(());
        }
        let begun = state
            .find(|thing| matches!(thing, Thing::Application { .. }))
            .cloned();
        let Some(record) = begun else {
            return Ok(());
        };
        let Thing::Application { name } = &record.thing else {
            return Ok(());
        };
        let found = self
            .await_sight(
                "the application",
                self.window_since(record.begun),
                async || self.newest_application(name, record.begun).await,
            )
            .await?;
        if let Some(application) = found {
            super::changes::know(state, &application);
            file.save(state)?;
        }
        Ok(())
    }
}

/// Takes one thing back.
struct Back<'a> {
    setup: &'a Setup,
    exchange: &'a ExchangeAdmin,
    state: &'a State,
}

impl Back<'_> {
    async fn take(&self, record: &Record) -> Result<(), SetupError> {
        match &record.thing {
            Thing::Assignment { name } => {
                self.remove("Remove-ManagementRoleAssignment", name).await?;
            }
            Thing::Scope { name } => self.remove("Remove-ManagementScope", name).await?,
            Thing::Group { name } => self.remove("Remove-DistributionGroup", name).await?,
            Thing::Registration { object_id } => {
                self.remove("Remove-ServicePrincipal", object_id).await?;
            }
            Thing::Member { group, mailbox } => {
                let remove = Cmdlet::new("Remove-DistributionGroupMember")
                    .with("Identity", group)
                    .with("Member", mailbox)
                    .with("Confirm", false);
                self.run(&remove).await?;
            }
            Thing::SendAs { mailbox } => {
                self.take_right("Remove-RecipientPermission", "Trustee", mailbox, "SendAs")
                    .await?;
            }
            Thing::FullAccess { mailbox } => {
                self.take_right("Remove-MailboxPermission", "User", mailbox, "FullAccess")
                    .await?;
            }
            Thing::Submission { mailbox, before } => {
                let restore = Cmdlet::new("Set-CASMailbox")
                    .with("Identity", mailbox)
                    .with("SmtpClientAuthenticationDisabled", *before);
                self.run(&restore).await?;
            }
            Thing::RemovedRegistration {
                app_id,
                object_id,
                display_name,
            } => self.restore(app_id, object_id, display_name).await?,
            entra => self.take_entra(entra, record).await?,
        }
        Ok(())
    }

    async fn take_entra(&self, thing: &Thing, record: &Record) -> Result<(), SetupError> {
        let graph = &self.setup.graph;
        let known = self.state.application.as_ref();
        // What belongs to an application that is deleted below goes with it.
        let stays = !self.state.made_application();
        match (thing, known) {
            (Thing::Permission { id, role }, Some(known)) => {
                self.revoke(known, id.as_deref(), role).await?;
            }
            (Thing::Federated { name, id }, Some(known)) if stays => {
                let id = match id {
                    Some(id) => Some(id.clone()),
                    None => graph
                        .federated(&known.object_id)
                        .await?
                        .into_iter()
                        .find(|found| found.name == *name)
                        .map(|found| found.id),
                };
                if let Some(id) = id {
                    graph.remove_federated(&known.object_id, &id).await?;
                }
            }
            (Thing::Secret { key_id, place }, known) => {
                if let Some(known) = known.filter(|_| stays) {
                    self.remove_secret(known, key_id.as_deref(), record).await?;
                }
                self.setup.store.remove(place)?;
            }
            (
                Thing::Certificate {
                    thumbprint, place, ..
                },
                known,
            ) => {
                if let Some(known) = known.filter(|_| stays) {
                    self.remove_certificate(known, thumbprint).await?;
                }
                self.setup.store.remove(place)?;
            }
            (Thing::Principal, Some(known)) => {
                let id = if let Some(id) = &known.principal_id {
                    Some(id.clone())
                } else {
                    let window = self.setup.window_since(record.begun);
                    let found = self.setup.await_principal(&known.client_id, window).await?;
                    found.map(|found| found.id)
                };
                if let Some(id) = id {
                    graph.delete_service_principal(&id).await?;
                }
            }
            (Thing::Application { .. }, Some(known)) => {
                graph.delete_application(&known.object_id).await?;
            }
            // It had begun and never came to be.
            _ => {}
        }
        Ok(())
    }

    async fn revoke(&self, known: &Known, id: Option<&str>, role: &str) -> Result<(), CallError> {
        let Some(principal) = &known.principal_id else {
            return Ok(());
        };
        let graph = &self.setup.graph;
        let id = match id {
            Some(id) => Some(id.to_owned()),
            None => graph
                .app_role_assignments(principal)
                .await?
                .into_iter()
                .find(|found| found.app_role_id.eq_ignore_ascii_case(role))
                .map(|found| found.id),
        };
        match id {
            Some(id) => graph.revoke(principal, &id).await,
            None => Ok(()),
        }
    }

    async fn remove_secret(
        &self,
        known: &Known,
        key_id: Option<&str>,
        record: &Record,
    ) -> Result<(), CallError> {
        let graph = &self.setup.graph;
        if let Some(key_id) = key_id {
            return graph.remove_password(&known.object_id, key_id).await;
        }
        let label = self.state.label();
        let seen = self
            .setup
            .await_sight(
                "the secret",
                self.setup.window_since(record.begun),
                async || {
                    let found = graph.application(&known.object_id).await?;
                    let strays = found.map_or_else(Vec::new, |found| strays(&found, &label));
                    Ok((!strays.is_empty()).then_some(strays))
                },
            )
            .await?;
        for key_id in seen.unwrap_or_default() {
            graph.remove_password(&known.object_id, &key_id).await?;
        }
        Ok(())
    }

    async fn remove_certificate(&self, known: &Known, thumbprint: &str) -> Result<(), CallError> {
        let graph = &self.setup.graph;
        let Some(application) = graph.application(&known.object_id).await? else {
            return Ok(());
        };
        let certificates = application.certificates();
        if !certificates.iter().any(|key| key.thumbprint == thumbprint) {
            return Ok(());
        }
        let rest: Vec<Value> = application
            .key_credentials
            .into_iter()
            .zip(certificates)
            .filter(|(_, key)| key.thumbprint != thumbprint)
            .map(|(mut entry, _)| {
                if let Some(entry) = entry.as_object_mut()
                    && entry.get("key").is_some_and(Value::is_null)
                {
                    entry.remove("key");
                }
                entry
            })
            .collect();
        graph.set_key_credentials(&known.object_id, &rest).await
    }

    async fn take_right(
        &self,
        cmdlet: &'static str,
        holder: &'static str,
        mailbox: &str,
        right: &str,
    ) -> Result<(), CallError> {
        let principal = self
            .state
            .application
            .as_ref()
            .and_then(|known| known.principal_id.as_deref());
        let Some(principal) = principal else {
            return Ok(());
        };
        let remove = Cmdlet::new(cmdlet)
            .with("Identity", mailbox)
            .with(holder, principal)
            .with("AccessRights", right)
            .with("Confirm", false);
        self.run(&remove).await
    }

    /// Registers what was removed, so that the tenant is as it was.
    async fn restore(&self, app_id: &str, object_id: &str, name: &str) -> Result<(), CallError> {
        let register = Cmdlet::new("New-ServicePrincipal")
            .with("AppId", app_id)
            .with("ObjectId", object_id)
            .with("DisplayName", name);
        let exchange = self.exchange;
        self.setup
            .make(
                "the registration",
                async || exchange.run(&register).await.map(drop),
                async || {
                    let found = exchange.principals(app_id, &[object_id]).await?;
                    Ok((!found.is_empty()).then_some(()))
                },
            )
            .await
    }

    async fn remove(&self, cmdlet: &'static str, identity: &str) -> Result<(), CallError> {
        let remove = Cmdlet::new(cmdlet)
            .with("Identity", identity)
            .with("Confirm", false);
        self.run(&remove).await
    }

    /// What is not found is gone.
    async fn run(&self, cmdlet: &Cmdlet) -> Result<(), CallError> {
        let exchange = self.exchange;
        self.setup
            .set(cmdlet.name(), async || {
                exchange.look(cmdlet).await.map(drop)
            })
            .await
    }
}
