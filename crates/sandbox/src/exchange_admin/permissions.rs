//! Permissions on mailboxes: full access, and sending as the mailbox.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cmdlet::{Cmdlet, Invocation, Needs, Output};
use super::error::{self, CmdletError};
use super::identity;
use super::parameters::Kind;
use crate::state::exchange::Mailbox;

/// Permission entries a mailbox can have; one more is refused. Source: `Add-MailboxPermission`.
const ENTRIES_MAX: usize = 500;

const FULL: &[(&str, Kind)] = &[
    ("Identity", Kind::Text),
    ("User", Kind::Text),
    ("AccessRights", Kind::Texts),
    ("InheritanceType", Kind::Text),
    ("AutoMapping", Kind::Flag),
];

const FULL_REMOVED: &[(&str, Kind)] = &[
    ("Identity", Kind::Text),
    ("User", Kind::Text),
    ("AccessRights", Kind::Texts),
    ("InheritanceType", Kind::Text),
];

const SEND: &[(&str, Kind)] = &[
    ("Identity", Kind::Text),
    ("Trustee", Kind::Text),
    ("AccessRights", Kind::Texts),
];

pub(super) const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Add-MailboxPermission",
        needs: Needs::Recipients,
        parameters: FULL,
        mandatory: &["Identity", "User", "AccessRights"],
        run: |call| add(call, &FULL_ACCESS),
    },
    Cmdlet {
        name: "Get-MailboxPermission",
        needs: Needs::Recipients,
        parameters: &[
            ("Identity", Kind::Text),
            ("User", Kind::Text),
            ("ResultSize", Kind::Number),
        ],
        mandatory: &["Identity"],
        run: |call| read(call, &FULL_ACCESS),
    },
    Cmdlet {
        name: "Remove-MailboxPermission",
        needs: Needs::Recipients,
        parameters: FULL_REMOVED,
        mandatory: &["Identity", "User", "AccessRights"],
        run: |call| remove(call, &FULL_ACCESS),
    },
    Cmdlet {
        name: "Add-RecipientPermission",
        needs: Needs::Recipients,
        parameters: SEND,
        mandatory: &["Identity", "Trustee", "AccessRights"],
        run: |call| add(call, &SEND_AS),
    },
    Cmdlet {
        name: "Get-RecipientPermission",
        needs: Needs::Recipients,
        parameters: &[
            ("Identity", Kind::Text),
            ("Trustee", Kind::Text),
            ("AccessRights", Kind::Texts),
            ("ResultSize", Kind::Number),
        ],
        mandatory: &[],
        run: |call| read(call, &SEND_AS),
    },
    Cmdlet {
        name: "Remove-RecipientPermission",
        needs: Needs::Recipients,
        parameters: SEND,
        mandatory: &["Identity", "Trustee", "AccessRights"],
        run: |call| remove(call, &SEND_AS),
    },
];

/// What tells the two permissions apart.
struct Right {
    name: &'static str,
    who: &'static str,
    set: fn(&mut Mailbox) -> &mut BTreeSet<String>,
    read: fn(&Mailbox) -> &BTreeSet<String>,
    rights_type: &'static str,
}

static FULL_ACCESS: Right = Right {
    name: "FullAccess",
    who: "User",
    set: |mailbox| &mut mailbox.full_access,
    read: |mailbox| &mailbox.full_access,
    rights_type: "Microsoft.Exchange.Management.RecipientTasks.MailboxRights",
};

static SEND_AS: Right = Right {
    name: "SendAs",
    who: "Trustee",
    set: |mailbox| &mut mailbox.send_as,
    read: |mailbox| &mailbox.send_as,
    rights_type: "Microsoft.Exchange.Management.RecipientTasks.RecipientAccessRight",
};

// Mailbox and trustee of a call, its rights judged.
fn parties(call: &Invocation<'_>, right: &Right) -> Result<(String, String), CmdletError> {
    for asked in call.parameters.texts("AccessRights") {
        if !asked.eq_ignore_ascii_case(right.name) {
            return Err(error::PARAMETER_VALUE.with(&["AccessRights", &asked, right.rights_type]));
        }
    }
    let address = identity::mailbox(call.tenant, &call.parameters.needed("Identity"))?;
    let who = call.parameters.needed(right.who);
    // Entries of removed principals are named by their security identifier.
    let trustee = if who.to_lowercase().starts_with("s-1-5-21-") {
        who.to_lowercase()
    } else {
        identity::trustee(call.tenant, &who)?
    };
    Ok((address, trustee))
}

// Shows a trustee as the service does: service principals by name, which is their object id.
fn shown(address: &str, trustee: &str, right: &Right) -> Value {
    let trustee = if trustee.starts_with("s-1-5-21-") {
        trustee.to_uppercase()
    } else {
        trustee.to_owned()
    };
    entry(address, &trustee, right.name, right)
}

fn entry(address: &str, trustee: &str, rights: &str, right: &Right) -> Value {
    let mut object = json!({
        "Identity": identity::local(address),
        "AccessRights": [rights],
        "IsInherited": false,
    });
    object[right.who] = trustee.into();
    if right.who == "User" {
        object["Deny"] = "False".into();
        object["InheritanceType"] = "All".into();
        object["IsValid"] = true.into();
    } else {
        object["AccessControlType"] = "Allow".into();
        object["InheritanceType"] = "None".into();
        object["TrusteeSidString"] = identity::security_id(trustee).into();
    }
    object
}

fn add(call: &mut Invocation<'_>, right: &Right) -> Result<Output, CmdletError> {
    let (address, trustee) = parties(call, right)?;
    let Some(mailbox) = call.tenant.exchange.mailboxes.get_mut(&address) else {
        return Err(error::not_found(&address));
    };
    let entries = mailbox.full_access.len() + mailbox.send_as.len();
    let set = (right.set)(mailbox);
    let mut output = Output::one(shown(&address, &trustee, right));
    if set.contains(&trustee) {
        output.warnings.push(format!(
            "The appropriate access control entry is already present on the object \"{}\" for account \"{trustee}\".",
            identity::local(&address)
        ));
    } else if entries >= ENTRIES_MAX {
        return Err(error::PERMISSIONS_MAX.with(&[&address]));
    } else {
        set.insert(trustee);
    }
    Ok(output)
}

fn read(call: &mut Invocation<'_>, right: &Right) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    let wanted = match call.parameters.text(right.who) {
        Some(who) => Some(identity::trustee(tenant, &who)?),
        None => None,
    };
    let addresses: Vec<String> = match call.parameters.text("Identity") {
        Some(identity) => vec![identity::mailbox(tenant, &identity)?],
        None => tenant.exchange.mailboxes.keys().cloned().collect(),
    };
    let mut objects = Vec::new();
    for address in &addresses {
        // Every mailbox has this entry of its own.
        if wanted.is_none() {
            let rights = if right.who == "User" {
                "FullAccess, ReadPermission"
            } else {
                "SendAs"
            };
            let mut own = entry(address, "NT AUTHORITY\\SELF", rights, right);
            own["AccessRights"] = json!(rights.split(", ").collect::<Vec<_>>());
            objects.push(own);
        }
        let held = (right.read)(&tenant.exchange.mailboxes[address]).iter();
        let held = held.filter(|trustee| wanted.as_ref().is_none_or(|wanted| wanted == *trustee));
        objects.extend(held.map(|trustee| shown(address, trustee, right)));
    }
    Ok(Output::all(objects))
}

fn remove(call: &mut Invocation<'_>, right: &Right) -> Result<Output, CmdletError> {
    let (address, trustee) = parties(call, right)?;
    let Some(mailbox) = call.tenant.exchange.mailboxes.get_mut(&address) else {
        return Err(error::not_found(&address));
    };
    if (right.set)(mailbox).remove(&trustee) {
        return Ok(Output::default());
    }
    Ok(Output::warning(format!(
        "Can't remove the access control entry on the object \"{}\" for account \"{trustee}\" because the ACE doesn't exist on the object.",
        identity::local(&address)
    )))
}
