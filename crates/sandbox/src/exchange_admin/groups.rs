//! Distribution groups, whose direct members a scope counts.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::cmdlet::{Cmdlet, Invocation, Needs, Output};
use super::error::{self, CmdletError};
use super::identity;
use super::parameters::Kind;
use crate::state::Tenant;
use crate::state::directory::Group;

const MEMBER: &[(&str, Kind)] = &[
    ("Identity", Kind::Text),
    ("Member", Kind::Text),
    ("BypassSecurityGroupManagerCheck", Kind::Ignored),
];

pub(super) const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "New-DistributionGroup",
        needs: Needs::Recipients,
        parameters: &[
            ("Name", Kind::Text),
            ("DisplayName", Kind::Text),
            ("Alias", Kind::Text),
            ("PrimarySmtpAddress", Kind::Text),
            ("Type", Kind::Text),
            ("Members", Kind::Texts),
            ("Notes", Kind::Ignored),
        ],
        mandatory: &["Name"],
        run: create,
    },
    Cmdlet {
        name: "Get-DistributionGroup",
        needs: Needs::Recipients,
        parameters: &[("Identity", Kind::Text), ("ResultSize", Kind::Number)],
        mandatory: &[],
        run: read,
    },
    Cmdlet {
        name: "Remove-DistributionGroup",
        needs: Needs::Recipients,
        parameters: &[
            ("Identity", Kind::Text),
            ("BypassSecurityGroupManagerCheck", Kind::Ignored),
        ],
        mandatory: &["Identity"],
        run: remove,
    },
    Cmdlet {
        name: "Get-DistributionGroupMember",
        needs: Needs::Recipients,
        parameters: &[("Identity", Kind::Text), ("ResultSize", Kind::Number)],
        mandatory: &["Identity"],
        run: members,
    },
    Cmdlet {
        name: "Add-DistributionGroupMember",
        needs: Needs::Recipients,
        parameters: MEMBER,
        mandatory: &["Identity", "Member"],
        run: add,
    },
    Cmdlet {
        name: "Remove-DistributionGroupMember",
        needs: Needs::Recipients,
        parameters: MEMBER,
        mandatory: &["Identity", "Member"],
        run: drop_member,
    },
];

/// `RecipientTypeDetails` of a group.
pub(super) fn kind(group: &Group) -> &'static str {
    if group.kind == "security" {
        "MailUniversalSecurityGroup"
    } else {
        "MailUniversalDistributionGroup"
    }
}

fn shown(id: Uuid, group: &Group) -> Value {
    let alias = identity::local(&group.mail);
    json!({
        "Identity": group.display_name,
        "Id": group.display_name,
        "Name": group.display_name,
        "DisplayName": group.display_name,
        "Alias": alias,
        "PrimarySmtpAddress": group.mail,
        "DistinguishedName": group.distinguished_name,
        "Guid": id,
        "ExternalDirectoryObjectId": id,
        "GroupType": if group.kind == "security" { "Universal, SecurityEnabled" } else { "Universal" },
        "RecipientTypeDetails": kind(group),
        "IsValid": true,
    })
}

// A member as the group keeps it: an address, or another group's id.
fn member(tenant: &Tenant, named: &str) -> Result<String, CmdletError> {
    identity::mailbox(tenant, named).or_else(|missing| {
        identity::group(tenant, named)
            .map(|id| id.to_string())
            .map_err(|_| missing)
    })
}

fn create(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    let name = call.parameters.needed("Name");
    let bare: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    let alias = call.parameters.text("Alias").unwrap_or(bare);
    let mail = call
        .parameters
        .text("PrimarySmtpAddress")
        .unwrap_or_else(|| format!("{alias}@{}", tenant.domain))
        .to_lowercase();
    let domain = mail.rsplit_once('@').map_or("", |(_, domain)| domain);
    if !tenant.all_domains().any(|own| own == domain) {
        let kind = "an address of an accepted domain";
        return Err(error::PARAMETER_VALUE.with(&["PrimarySmtpAddress", &mail, kind]));
    }
    let kind = match call.parameters.text("Type").as_deref() {
        None => "distribution",
        Some(text) if text.eq_ignore_ascii_case("Distribution") => "distribution",
        Some(text) if text.eq_ignore_ascii_case("Security") => "security",
        Some(text) => {
            let wanted = "Microsoft.Exchange.Management.RecipientTasks.GroupType";
            return Err(error::PARAMETER_VALUE.with(&["Type", text, wanted]));
        }
    };
    let taken = tenant
        .groups
        .values()
        .any(|group| group.mail == mail || group.display_name.eq_ignore_ascii_case(&name))
        || identity::mailbox(tenant, &mail).is_ok();
    if taken {
        return Err(error::EXISTS.with(&[&name]));
    }
    let members = call.parameters.texts("Members");
    let members: BTreeSet<String> = members
        .iter()
        .map(|named| member(tenant, named))
        .collect::<Result<_, _>>()?;
    let group = Group {
        display_name: call
            .parameters
            .text("DisplayName")
            .unwrap_or_else(|| name.clone()),
        mail,
        distinguished_name: identity::distinguished_name(tenant, &name),
        kind: kind.into(),
        members,
    };
    let id = call.chance.guid();
    let object = shown(id, &group);
    call.tenant.groups.insert(id, group);
    Ok(Output::one(object))
}

fn read(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let groups = &call.tenant.groups;
    if let Some(identity) = call.parameters.text("Identity") {
        let id = identity::group(call.tenant, &identity)?;
        return Ok(Output::one(shown(id, &groups[&id])));
    }
    let objects = groups.iter().map(|(id, group)| shown(*id, group));
    Ok(Output::all(objects.collect()))
}

fn remove(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let id = identity::group(call.tenant, &call.parameters.needed("Identity"))?;
    call.tenant.groups.remove(&id);
    let gone = id.to_string();
    for group in call.tenant.groups.values_mut() {
        group.members.remove(&gone);
    }
    Ok(Output::default())
}

fn members(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    let id = identity::group(tenant, &call.parameters.needed("Identity"))?;
    let objects = tenant.groups[&id].members.iter().filter_map(|member| {
        let nested: Option<(Uuid, &Group)> = member
            .parse()
            .ok()
            .and_then(|id| tenant.groups.get(&id).map(|group| (id, group)));
        if let Some((id, group)) = nested {
            return Some(shown(id, group));
        }
        let mailbox = tenant.exchange.mailboxes.get(member)?;
        let name = identity::local(member);
        Some(json!({
            "Identity": name,
            "Name": name,
            "DisplayName": mailbox.display_name,
            "PrimarySmtpAddress": member,
            "RecipientTypeDetails": super::mailboxes::kind(mailbox),
            "Guid": mailbox.id,
            "ExternalDirectoryObjectId": mailbox.id,
        }))
    });
    Ok(Output::all(objects.collect()))
}

fn add(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let id = identity::group(call.tenant, &call.parameters.needed("Identity"))?;
    let named = call.parameters.needed("Member");
    let member = member(call.tenant, &named)?;
    let Some(group) = call.tenant.groups.get_mut(&id) else {
        return Err(error::not_found(&named));
    };
    if !group.members.insert(member) {
        return Err(error::MEMBER_EXISTS.with(&[&named, &group.display_name]));
    }
    Ok(Output::default())
}

fn drop_member(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let id = identity::group(call.tenant, &call.parameters.needed("Identity"))?;
    let named = call.parameters.needed("Member");
    let member = member(call.tenant, &named)?;
    let Some(group) = call.tenant.groups.get_mut(&id) else {
        return Err(error::not_found(&named));
    };
    if !group.members.remove(&member) {
        return Err(error::MEMBER_MISSING.with(&[&named, &group.display_name]));
    }
    Ok(Output::default())
}
