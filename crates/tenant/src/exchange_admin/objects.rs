//! What cmdlets answer, as far as a set-up looks at it.

use serde_json::Value;

/// A service principal as Exchange holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangePrincipal {
    /// The client id it was registered with.
    pub app_id: String,
    /// The object id it was registered with.
    pub object_id: String,
    /// The name people see.
    pub display_name: String,
    /// Every name by which other cmdlets may show it, lower case.
    pub names: Vec<String>,
}

/// Settings of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Its primary address, lower case.
    pub address: String,
    /// `SmtpClientAuthenticationDisabled`: none means the organisation's value.
    pub submission_off: Option<bool>,
}

/// A right on a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionEntry {
    /// Who has it, lower case.
    pub holder: String,
    /// Which rights.
    pub rights: Vec<String>,
    /// Whether it denies instead of allowing.
    pub denies: bool,
}

/// A distribution or mail-enabled security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its distinguished name.
    pub distinguished_name: String,
}

/// A management scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its name.
    pub name: String,
    /// The filter of recipients.
    pub filter: String,
}

/// A role somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Its name.
    pub name: String,
    /// The role.
    pub role: String,
    /// Every text that names who holds it, lower case.
    pub holders: Vec<String>,
    /// The management scope it is bound to.
    pub scope: Option<String>,
    /// The group or administrative unit it is bound to instead.
    pub other_scope: Option<String>,
}

impl ExchangePrincipal {
    /// Whether a text in another cmdlet's answer means this principal.
    pub fn is_called(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.names.contains(&text)
    }
}

fn text<'a>(row: &'a Value, name: &str) -> Option<&'a str> {
    row.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// Every non-empty text under one of these names, lower case.
fn texts(row: &Value, names: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = names
        .iter()
        .filter_map(|name| text(row, name))
        .map(str::to_ascii_lowercase)
        .collect();
    found.dedup();
    found
}

pub(super) fn principals(rows: &[Value]) -> Vec<ExchangePrincipal> {
    rows.iter()
        .filter_map(|row| {
            Some(ExchangePrincipal {
                app_id: text(row, "AppId")?.to_ascii_lowercase(),
                object_id: text(row, "ObjectId")
                    .or_else(|| text(row, "ServiceId"))?
                    .to_ascii_lowercase(),
                display_name: text(row, "DisplayName").unwrap_or_default().to_owned(),
                // Not the display name: anybody may be called so.
                names: texts(
                    row,
                    &[
                        "AppId",
                        "ObjectId",
                        "ServiceId",
                        "Name",
                        "Identity",
                        "Id",
                        "Guid",
                        "ExchangeObjectId",
                        "Sid",
                        "DistinguishedName",
                    ],
                ),
            })
        })
        .collect()
}

/// The switch of the only row.
pub(super) fn switch(rows: &[Value]) -> Option<bool> {
    rows.first()?
        .get("SmtpClientAuthenticationDisabled")
        .and_then(truth)
}

pub(super) fn dehydrated(rows: &[Value]) -> bool {
    rows.first()
        .and_then(|row| row.get("IsDehydrated"))
        .and_then(truth)
        .unwrap_or(false)
}

/// Booleans come as such or as texts.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

pub(super) fn mailbox(rows: &[Value], asked: &str) -> Option<MailboxSettings> {
    let row = rows.first()?;
    Some(MailboxSettings {
        address: ["PrimarySmtpAddress", "WindowsEmailAddress"]
            .iter()
            .find_map(|name| text(row, name))
            .unwrap_or(asked)
            .to_ascii_lowercase(),
        submission_off: row.get("SmtpClientAuthenticationDisabled").and_then(truth),
    })
}

pub(super) fn permissions(rows: &[Value], holder: &str) -> Vec<PermissionEntry> {
    rows.iter()
        .filter_map(|row| {
            Some(PermissionEntry {
                holder: text(row, holder)?.to_ascii_lowercase(),
                rights: list(row.get("AccessRights")?),
                denies: row.get("Deny").and_then(truth).unwrap_or(false)
                    || text(row, "AccessControlType") == Some("Deny"),
            })
        })
        .collect()
}

/// A list of texts, which may also come as one text with commas.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Value::String(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// The row that was asked for, should the answer hold more than one.
fn asked_for<'a>(rows: &'a [Value], identity: &str, names: &[&str]) -> Option<&'a Value> {
    rows.iter().find(|row| {
        names
            .iter()
            .filter_map(|name| text(row, name))
            .any(|found| found.eq_ignore_ascii_case(identity))
    })
}

pub(super) fn group(rows: &[Value], identity: &str) -> Option<Group> {
    const NAMES: [&str; 7] = [
        "Name",
        "Identity",
        "DisplayName",
        "PrimarySmtpAddress",
        "DistinguishedName",
        "Guid",
        "Alias",
    ];
    let row = asked_for(rows, identity, &NAMES)?;
    Some(Group {
        name: text(row, "Name")
            .or_else(|| text(row, "DisplayName"))?
            .to_owned(),
        distinguished_name: text(row, "DistinguishedName")?.to_owned(),
    })
}

pub(super) fn members(rows: &[Value]) -> Vec<String> {
    rows.iter()
        .filter_map(|row| {
            [
                "PrimarySmtpAddress",
                "WindowsLiveID",
                "ExternalDirectoryObjectId",
                "Name",
            ]
            .iter()
            .find_map(|name| text(row, name))
        })
        .map(str::to_ascii_lowercase)
        .collect()
}

pub(super) fn scope(rows: &[Value], name: &str) -> Option<Scope> {
    let row = asked_for(rows, name, &["Name", "Identity", "Guid"])?;
    Some(Scope {
        name: text(row, "Name").unwrap_or(name).to_owned(),
        filter: ["RecipientFilter", "RecipientRestrictionFilter"]
            .iter()
            .find_map(|name| text(row, name))
            .unwrap_or_default()
            .to_owned(),
    })
}

pub(super) fn role_assignments(rows: &[Value], role: &str) -> Vec<RoleAssignment> {
    rows.iter()
        .filter(|row| {
            text(row, "Role").is_none_or(|found| {
                // Some answers put the tenant before the name.
                found
                    .rsplit(['\\', '/'])
                    .next()
                    .unwrap_or(found)
                    .eq_ignore_ascii_case(role)
            })
        })
        .filter_map(|row| {
            Some(RoleAssignment {
                name: text(row, "Name")
                    .or_else(|| text(row, "Identity"))?
                    .to_owned(),
                role: role.to_owned(),
                holders: texts(
                    row,
                    &[
                        "App",
                        "AppId",
                        "RoleAssignee",
                        "RoleAssigneeName",
                        "EffectiveUserName",
                        "ObjectId",
                        "ServicePrincipal",
                    ],
                ),
                scope: text(row, "CustomResourceScope")
                    .or_else(|| text(row, "CustomRecipientWriteScope"))
                    .map(str::to_owned),
                other_scope: text(row, "RecipientGroupScope")
                    .or_else(|| text(row, "RecipientAdministrativeUnitScope"))
                    .map(str::to_owned),
            })
        })
        .collect()
}

pub(super) fn in_scope(rows: &[Value], role: &str) -> Option<bool> {
    let answers: Vec<bool> = rows
        .iter()
        .filter(|row| text(row, "RoleName").is_some_and(|name| name.eq_ignore_ascii_case(role)))
        .filter_map(|row| row.get("InScope").and_then(truth))
        .collect();
    if answers.is_empty() && !rows.is_empty() {
        return None;
    }
    Some(answers.contains(&true))
}
