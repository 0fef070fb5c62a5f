//! Takes the steps of a plan.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::look::strays;
use super::{Event, Setup, SetupError};
use crate::exchange_admin::ExchangeAdmin;
use crate::graph::{Application, EXCHANGE_APP_ID, NewSecret};
use crate::key::{MadeCertificate, key_entry};
use crate::limits::SECRET_DAYS;
use crate::observed::{Observed, filter_of};
use crate::plan::{Action, SEND_ROLE};
use crate::state::{Known, State, StateFile, Thing};
use crate::store::Place;
use crate::trouble::CallError;
use crate::wish::{Method, Wish};

/// How often a secret is made anew because the answer with its text was lost.
const SECRETS_LOST_MAX: u32 = 2;

/// One run through the steps.
pub(super) struct Run<'a> {
    setup: &'a Setup,
    exchange: ExchangeAdmin,
    state: &'a mut State,
    file: &'a StateFile,
    wish: &'a Wish,
    /// The permission the application asks for, for the portal to show.
    role: Option<String>,
    /// Distinguished name of the group of the scope.
    group: Option<String>,
    /// What this step began.
    open: Option<Thing>,
}

/// Notes the ids of an application that was found or made.
pub(super) fn know(state: &mut State, application: &Application) {
    let principal_id = state
        .application
        .take()
        .filter(|known| known.object_id == application.id)
        .and_then(|known| known.principal_id);
    state.application = Some(Known {
        object_id: application.id.clone(),
        client_id: application.app_id.clone(),
        principal_id,
    });
    if let Some(thing) = state
        .find(|thing| matches!(thing, Thing::Application { .. }))
        .map(|record| record.thing.clone())
    {
        state.complete(&thing, thing.clone());
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(
        setup: &'a Setup,
        observed: &Observed,
        state: &'a mut State,
        file: &'a StateFile,
        wish: &'a Wish,
    ) -> Self {
        if let Some(application) = observed.application() {
            know(state, application);
        }
        if let (Some(known), Some(found)) = (&mut state.application, &observed.principal) {
            known.principal_id = Some(found.id.clone());
        }
        Self {
            exchange: setup.exchange_admin(&observed.tenant_id),
            role: observed
                .resource
                .as_ref()
                .and_then(|resource| resource.send_as_app.clone())
                .filter(|_| wish.method == Method::Classic),
            group: observed
                .group
                .as_ref()
                .map(|group| group.distinguished_name.clone()),
            open: None,
            setup,
            state,
            file,
            wish,
        }
    }

    /// Takes one step. What was surely refused leaves no record.
    pub(super) async fn take(&mut self, action: &Action) -> Result<(), SetupError> {
        self.open = None;
        let result = self.act(action).await;
        if let (Err(SetupError::Call(error)), Some(thing)) = (&result, self.open.take())
            && !error.may_have_acted()
            && !matches!(thing, Thing::Certificate { .. })
        {
            self.state.forget(&thing);
            self.file.save(self.state)?;
        }
        result
    }

    async fn act(&mut self, action: &Action) -> Result<(), SetupError> {
        match action {
            Action::CreateApplication { name } => self.create_application(name).await,
            Action::CreatePrincipal => self.create_principal().await,
            Action::AddCertificate => self.add_certificate().await,
            Action::RemoveStraySecret { key_id } => {
                let id = self.known().object_id.clone();
                Ok(self.setup.graph.remove_password(&id, key_id).await?)
            }
            Action::AddSecret => self.add_secret().await,
            Action::AddFederated(federation) => self.add_federated(federation).await,
            Action::GrantPermission { resource, role } => self.grant(resource, role).await,
            Action::EnableCustomization => self.customise(action).await,
            Action::CreateGroup { name } => self.create_group(name).await,
            Action::CreateScope { name, group } => self.create_scope(name, group).await,
            Action::AssignRole { name, .. } => self.assign_role(name, action).await,
            Action::Register { .. } => self.register(action).await,
            Action::RemoveAssignment { .. } | Action::RemoveScope { .. } => {
                self.remove(action).await
            }
            Action::RemoveRegistration { object_id, .. } if self.registered_here(object_id) => {
                self.remove(action).await?;
                let object_id = object_id.clone();
                self.state.forget(&Thing::Registration { object_id });
                Ok(self.file.save(self.state)?)
            }
            Action::RemoveRegistration {
                app_id,
                object_id,
                display_name,
            } => {
                let thing = Thing::RemovedRegistration {
                    app_id: app_id.clone(),
                    object_id: object_id.clone(),
                    display_name: display_name.clone(),
                };
                self.remove_registration(action, thing).await
            }
            Action::EnableSubmission { mailbox, before } => {
                let thing = Thing::Submission {
                    mailbox: mailbox.clone(),
                    before: *before,
                };
                self.set(action, thing).await
            }
            Action::GrantFullAccess { mailbox } => {
                let mailbox = mailbox.clone();
                self.set(action, Thing::FullAccess { mailbox }).await
            }
            Action::GrantSendAs { mailbox } => {
                let mailbox = mailbox.clone();
                self.set(action, Thing::SendAs { mailbox }).await
            }
            Action::AddMember { group, mailbox } => {
                let (group, mailbox) = (group.clone(), mailbox.clone());
                self.set(action, Thing::Member { group, mailbox }).await
            }
        }
    }

    async fn create_application(&mut self, name: &str) -> Result<(), SetupError> {
        let thing = Thing::Application {
            name: name.to_owned(),
        };
        self.begin(&thing)?;
        let (setup, begun) = (self.setup, self.setup.timer.now());
        let permission = self.role.as_deref().map(|role| (EXCHANGE_APP_ID, role));
        let made = setup
            .make(
                "the application",
                async || setup.graph.create_application(name, permission).await,
                async || setup.newest_application(name, begun).await,
            )
            .await?;
        know(self.state, &made);
        Ok(self.file.save(self.state)?)
    }

    async fn create_principal(&mut self) -> Result<(), SetupError> {
        self.begin(&Thing::Principal)?;
        let (setup, client_id) = (self.setup, self.known().client_id.clone());
        let made = setup
            .make(
                "the application to be seen everywhere",
                async || setup.graph.create_service_principal(&client_id).await,
                async || setup.graph.service_principal_of(&client_id).await,
            )
            .await?;
        if let Some(known) = &mut self.state.application {
            known.principal_id = Some(made.id.to_ascii_lowercase());
        }
        self.complete(&Thing::Principal, Thing::Principal)
    }

    /// Makes the key first, keeps it, and sends the public half; the old entries go along.
    async fn add_certificate(&mut self) -> Result<(), SetupError> {
        let kept = self
            .state
            .find(|thing| matches!(thing, Thing::Certificate { .. }))
            .map(|record| record.thing.clone());
        let thing = match kept {
            Some(thing @ Thing::Certificate { .. }) if self.has(&thing) => thing,
            lost => {
                if let Some(lost) = lost {
                    self.state.forget(&lost);
                }
                self.make_certificate()?
            }
        };
        let Thing::Certificate {
            thumbprint, der, ..
        } = &thing
        else {
            return Ok(());
        };
        let der = STANDARD.decode(der).unwrap_or_default();
        let entry = key_entry(&der, &self.state.label());
        let (setup, id) = (self.setup, self.known().object_id.clone());
        setup
            .set("the application", async || {
                let found = setup.graph.application(&id).await?;
                let application = found.ok_or_else(|| not_yet("GET /applications"))?;
                let known = application.certificates();
                if known.iter().any(|key| key.thumbprint == *thumbprint) {
                    return Ok(());
                }
                let mut entries: Vec<Value> = application.key_credentials;
                for old in &mut entries {
                    // An old key is not sent back by Graph; an explicit null would remove it.
                    if let Some(old) = old.as_object_mut()
                        && old.get("key").is_some_and(Value::is_null)
                    {
                        old.remove("key");
                    }
                }
                entries.push(entry.clone());
                setup.graph.set_key_credentials(&id, &entries).await
            })
            .await?;
        self.complete(&thing, thing.clone())
    }

    fn make_certificate(&mut self) -> Result<Thing, SetupError> {
        let name = &self.wish.names.application;
        let made = MadeCertificate::make(name, self.setup.timer.now())?;
        let place = self.setup.store.place(&format!(
            "{}-{}.pem",
            file_name(name),
            &made.thumbprint[..8].to_ascii_lowercase()
        ));
        let thing = Thing::Certificate {
            thumbprint: made.thumbprint.clone(),
            place: place.clone(),
            der: STANDARD.encode(&made.der),
            key_id: None,
        };
        self.begin(&thing)?;
        self.setup.store.put(&place, made.pem.as_bytes())?;
        self.setup.progress.tell(&Event::Kept {
            what: "certificate and private key",
            place,
        });
        Ok(thing)
    }

    /// Makes a secret and keeps its text at once. A secret whose text was lost is removed before
    /// another one is made.
    async fn add_secret(&mut self) -> Result<(), SetupError> {
        let id = self.known().object_id.clone();
        let label = self.state.label();
        let place = self.setup.store.place(&format!(
            "{}-{}.secret",
            file_name(&self.wish.names.application),
            self.state.marker
        ));
        let lost: Vec<Thing> = self
            .state
            .records
            .iter()
            .filter(|record| matches!(record.thing, Thing::Secret { .. }))
            .map(|record| record.thing.clone())
            .collect();
        for thing in lost {
            self.state.forget(&thing);
        }
        let thing = Thing::Secret {
            key_id: None,
            place: place.clone(),
        };
        self.begin(&thing)?;
        let end = self.setup.timer.now() + SignedDuration::from_hours(24 * SECRET_DAYS);
        let setup = self.setup;
        let made = self.make_secret(&id, &label, end).await?;
        setup.store.put(&place, made.text.expose().as_bytes())?;
        setup.progress.tell(&Event::Kept {
            what: "client secret",
            place: place.clone(),
        });
        let key_id = Some(made.key_id);
        self.complete(&thing, Thing::Secret { key_id, place })
    }

    async fn make_secret(
        &self,
        id: &str,
        label: &str,
        end: Timestamp,
    ) -> Result<NewSecret, CallError> {
        let (setup, mut early) = (self.setup, self.setup.window());
        let mut lost = 0;
        loop {
            let error = match setup.graph.add_password(id, label, end).await {
                Ok(made) => return Ok(made),
                Err(error) => error,
            };
            if error.is_early()
                && let Some(pause) = early.pause()
            {
                setup.pause("the application".into(), pause).await;
            } else if error.may_have_acted() && lost < SECRETS_LOST_MAX {
                // Nobody saw the text: the secret is removed as soon as it shows.
                lost += 1;
                let seen = setup
                    .await_sight("the secret", setup.window(), async || {
                        let found = setup.graph.application(id).await?;
                        let lost = found.map_or_else(Vec::new, |found| strays(&found, label));
                        Ok((!lost.is_empty()).then_some(lost))
                    })
                    .await?;
                for key_id in seen.unwrap_or_default() {
                    setup.graph.remove_password(id, &key_id).await?;
                }
            } else {
                return Err(error);
            }
        }
    }

    async fn add_federated(
        &mut self,
        federation: &crate::wish::Federation,
    ) -> Result<(), SetupError> {
        let name = format!("sendas-{}", self.state.marker);
        let thing = Thing::Federated {
            name: name.clone(),
            id: None,
        };
        self.begin(&thing)?;
        let (setup, id) = (self.setup, self.known().object_id.clone());
        let made = setup
            .make(
                "the federated credential",
                async || {
                    setup
                        .graph
                        .add_federated(
                            &id,
                            &name,
                            &federation.issuer,
                            &federation.subject,
                            &federation.audience,
                        )
                        .await
                },
                async || {
                    let list = setup.graph.federated(&id).await?;
                    Ok(list.into_iter().find(|found| found.name == name))
                },
            )
            .await?;
        let done = Thing::Federated {
            name,
            id: Some(made.id),
        };
        self.complete(&thing, done)
    }

    async fn grant(&mut self, resource: &str, role: &str) -> Result<(), SetupError> {
        let thing = Thing::Permission {
            id: None,
            role: role.to_owned(),
        };
        self.begin(&thing)?;
        let (setup, principal) = (self.setup, self.principal().to_owned());
        let made = setup
            .make(
                "the permission",
                async || setup.graph.grant(&principal, resource, role).await,
                async || {
                    let list = setup.graph.app_role_assignments(&principal).await?;
                    Ok(list
                        .into_iter()
                        .find(|found| found.app_role_id.eq_ignore_ascii_case(role)))
                },
            )
            .await?;
        self.touch();
        let done = Thing::Permission {
            id: Some(made.id),
            role: role.to_owned(),
        };
        self.complete(&thing, done)
    }

    async fn register(&mut self, action: &Action) -> Result<(), SetupError> {
        let (setup, exchange) = (self.setup, self.exchange.clone());
        let known = self.known().clone();
        let object_id = self.principal().to_owned();
        let thing = Thing::Registration {
            object_id: object_id.clone(),
        };
        self.begin(&thing)?;
        let cmdlet = self.cmdlet(action);
        setup
            .make(
                "the service principal in Exchange",
                async || exchange.run(&cmdlet).await.map(drop),
                async || {
                    let found = exchange.principals(&known.client_id, &[&object_id]).await?;
                    Ok(found
                        .iter()
                        .any(|found| found.object_id == object_id)
                        .then_some(()))
                },
            )
            .await?;
        self.touch();
        self.complete(&thing, thing.clone())
    }

    async fn remove_registration(
        &mut self,
        action: &Action,
        thing: Thing,
    ) -> Result<(), SetupError> {
        self.begin(&thing)?;
        self.remove(action).await?;
        self.complete(&thing, thing.clone())
    }

    fn registered_here(&self, wanted: &str) -> bool {
        let is = |thing: &Thing| matches!(thing, Thing::Registration { object_id } if object_id == wanted);
        self.state.find(is).is_some()
    }

    /// Removes something in Exchange. What was made here keeps its record: undoing what is gone
    /// already does nothing.
    async fn remove(&mut self, action: &Action) -> Result<(), SetupError> {
        let (setup, exchange) = (self.setup, self.exchange.clone());
        let cmdlet = self.cmdlet(action);
        setup
            .set("the removal", async || {
                // What is not found is gone.
                exchange.look(&cmdlet).await.map(drop)
            })
            .await?;
        self.touch();
        Ok(())
    }

    /// Leaves no record: it cannot be undone.
    async fn customise(&mut self, action: &Action) -> Result<(), SetupError> {
        let (setup, exchange) = (self.setup, self.exchange.clone());
        let cmdlet = self.cmdlet(action);
        Ok(setup
            .set("the organisation", async || {
                exchange.run(&cmdlet).await.map(drop)
            })
            .await?)
    }

    async fn create_group(&mut self, name: &str) -> Result<(), SetupError> {
        let thing = Thing::Group {
            name: name.to_owned(),
        };
        self.begin(&thing)?;
        let (setup, exchange) = (self.setup, self.exchange.clone());
        let cmdlet = self.cmdlet(&Action::CreateGroup {
            name: name.to_owned(),
        });
        let made = setup
            .make(
                "the group",
                async || exchange.new_group(&cmdlet, name).await,
                async || Ok(exchange.group(name).await?.map(Some)),
            )
            .await?;
        self.group = made.map(|group| group.distinguished_name);
        self.complete(&thing, thing.clone())
    }

    async fn create_scope(&mut self, name: &str, group: &str) -> Result<(), SetupError> {
        let (setup, exchange) = (self.setup, self.exchange.clone());
        if self.group.is_none() {
            let found = setup
                .await_sight("the group", setup.window(), async || {
                    exchange.group(group).await
                })
                .await?;
            self.group = found.map(|group| group.distinguished_name);
        }
        if self.group.is_none() {
            return Err(not_yet("Get-DistributionGroup").into());
        }
        let thing = Thing::Scope {
            name: name.to_owned(),
        };
        self.begin(&thing)?;
        let cmdlet = self.cmdlet(&Action::CreateScope {
            name: name.to_owned(),
            group: group.to_owned(),
        });
        setup
            .make(
                "the scope",
                async || exchange.run(&cmdlet).await.map(drop),
                async || Ok(exchange.scope(name).await?.map(drop)),
            )
            .await?;
        self.complete(&thing, thing.clone())
    }

    async fn assign_role(&mut self, name: &str, action: &Action) -> Result<(), SetupError> {
        let thing = Thing::Assignment {
            name: name.to_owned(),
        };
        self.begin(&thing)?;
        let (setup, exchange) = (self.setup, self.exchange.clone());
        let cmdlet = self.cmdlet(action);
        setup
            .make(
                "the role assignment",
                async || exchange.run(&cmdlet).await.map(drop),
                async || {
                    let list = exchange.role_assignments(SEND_ROLE).await?;
                    let named = |found: &crate::exchange_admin::RoleAssignment| {
                        found.name.eq_ignore_ascii_case(name)
                    };
                    Ok(list.iter().any(named).then_some(()))
                },
            )
            .await?;
        self.touch();
        self.complete(&thing, thing.clone())
    }

    /// A cmdlet that may run again: "exists already" is success.
    async fn set(&mut self, action: &Action, thing: Thing) -> Result<(), SetupError> {
        self.begin(&thing)?;
        let (setup, exchange) = (self.setup, self.exchange.clone());
        let cmdlet = self.cmdlet(action);
        setup
            .set(&action.title(), async || {
                exchange.run(&cmdlet).await.map(drop)
            })
            .await?;
        self.touch();
        self.complete(&thing, thing.clone())
    }

    fn cmdlet(&self, action: &Action) -> crate::cmdlet::Cmdlet {
        let known = self.state.application.as_ref();
        let text = |text: Option<&String>| text.cloned().unwrap_or_default().into();
        action
            .cmdlet(&crate::plan::Subjects {
                client_id: text(known.map(|known| &known.client_id)),
                principal_id: text(known.and_then(|known| known.principal_id.as_ref())),
                group_filter: text(self.group.as_deref().map(filter_of).as_ref()),
            })
            .expect("a step of the Exchange side has a cmdlet")
    }

    fn known(&self) -> &Known {
        self.state
            .application
            .as_ref()
            .expect("the plan makes the application first")
    }

    fn principal(&self) -> &str {
        self.known()
            .principal_id
            .as_deref()
            .expect("the plan makes the enterprise application first")
    }

    fn has(&self, thing: &Thing) -> bool {
        let place: Option<&Place> = match thing {
            Thing::Certificate { place, .. } => Some(place),
            _ => None,
        };
        place.is_some_and(|place| self.setup.store.has(place))
    }

    /// Rights changed now.
    fn touch(&mut self) {
        self.state.changed = Some(self.setup.timer.now());
    }

    fn begin(&mut self, thing: &Thing) -> Result<(), SetupError> {
        let known = self.state.find(|known| known == thing).is_some();
        self.open = (!known).then(|| thing.clone());
        self.state.begin(thing.clone(), self.setup.timer.now());
        Ok(self.file.save(self.state)?)
    }

    fn complete(&mut self, begun: &Thing, done: Thing) -> Result<(), SetupError> {
        self.state.complete(begun, done);
        Ok(self.file.save(self.state)?)
    }
}

/// The name of a file made from a name: letters, digits and hyphens.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect()
}

/// An object that was just made does not show yet.
fn not_yet(asked: &str) -> CallError {
    CallError::Refused(Box::new(crate::trouble::Refused {
        service: if asked.starts_with("GET") {
            crate::trouble::Service::Graph
        } else {
            crate::trouble::Service::Exchange
        },
        asked: asked.to_owned(),
        status: 404,
        code: String::new(),
        words: "the object that was just made does not show yet".into(),
        request_id: None,
        trouble: crate::trouble::Trouble::NotReplicated,
        retry_after: None,
    }))
}
