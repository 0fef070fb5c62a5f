//! Mailboxes and what clients may do with them.

use serde_json::{Value, json};

use super::cmdlet::{Cmdlet, Invocation, Needs, Output};
use super::error::{self, CmdletError};
use super::identity;
use super::parameters::{Change, Kind, Number};
use crate::limits;
use crate::state::Tenant;
use crate::state::exchange::{Mailbox, MailboxKind};
use crate::state::filter;

/// What both cmdlets that read mailboxes take.
const READ_PARAMETERS: &[(&str, Kind)] = &[
    ("Identity", Kind::Text),
    ("Filter", Kind::Text),
    ("RecipientTypeDetails", Kind::Texts),
    ("ResultSize", Kind::Number),
    ("PropertySets", Kind::Ignored),
    ("Properties", Kind::Ignored),
];

pub(super) const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Get-Mailbox",
        needs: Needs::Recipients,
        parameters: READ_PARAMETERS,
        mandatory: &[],
        run: read,
    },
    Cmdlet {
        name: "Get-EXOMailbox",
        needs: Needs::Recipients,
        parameters: READ_PARAMETERS,
        mandatory: &[],
        run: read,
    },
    Cmdlet {
        name: "Set-Mailbox",
        needs: Needs::Recipients,
        parameters: &[
            ("Identity", Kind::Text),
            ("DisplayName", Kind::Text),
            ("EmailAddresses", Kind::Texts),
            ("MessageCopyForSMTPClientSubmissionEnabled", Kind::Flag),
            ("RecipientLimits", Kind::Number),
        ],
        mandatory: &["Identity"],
        run: update,
    },
    Cmdlet {
        name: "Get-CASMailbox",
        needs: Needs::Recipients,
        parameters: &[
            ("Identity", Kind::Text),
            ("Filter", Kind::Text),
            ("ResultSize", Kind::Number),
            ("PropertySets", Kind::Ignored),
            ("Properties", Kind::Ignored),
        ],
        mandatory: &[],
        run: read_client_access,
    },
    Cmdlet {
        name: "Set-CASMailbox",
        needs: Needs::Recipients,
        parameters: &[
            ("Identity", Kind::Text),
            ("SmtpClientAuthenticationDisabled", Kind::NullableFlag),
        ],
        mandatory: &["Identity"],
        run: update_client_access,
    },
    Cmdlet {
        name: "Get-Recipient",
        needs: Needs::Recipients,
        parameters: &[
            ("Identity", Kind::Text),
            ("Filter", Kind::Text),
            ("RecipientPreviewFilter", Kind::Text),
            ("RecipientTypeDetails", Kind::Texts),
            ("ResultSize", Kind::Number),
        ],
        mandatory: &[],
        run: read_recipients,
    },
];

/// Objects a cmdlet writes unless `-ResultSize` says otherwise; a warning tells of the others.
/// Source: `Get-Mailbox` page.
const RESULT_SIZE: usize = 1000;

/// `RecipientTypeDetails` of a mailbox.
pub(super) fn kind(mailbox: &Mailbox) -> &'static str {
    match mailbox.kind {
        MailboxKind::Shared => "SharedMailbox",
        MailboxKind::User => "UserMailbox",
    }
}

fn shown(tenant: &Tenant, address: &str, mailbox: &Mailbox) -> Value {
    let name = identity::local(address);
    let aliases = mailbox.aliases.iter().map(|alias| format!("smtp:{alias}"));
    let addresses: Vec<String> = std::iter::once(format!("SMTP:{address}"))
        .chain(aliases)
        .collect();
    let size = mailbox
        .send_size_octets_max
        .unwrap_or(limits::MESSAGE_OCTETS_MAX);
    json!({
        "Identity": name,
        "Id": name,
        "Name": name,
        "Alias": name,
        "DisplayName": mailbox.display_name,
        "PrimarySmtpAddress": address,
        "WindowsEmailAddress": address,
        "UserPrincipalName": address,
        "EmailAddresses": addresses,
        "RecipientType": "UserMailbox",
        "RecipientTypeDetails": kind(mailbox),
        "IsShared": mailbox.kind == MailboxKind::Shared,
        "Guid": mailbox.id,
        "ExchangeGuid": mailbox.id,
        "ExternalDirectoryObjectId": mailbox.id,
        "DistinguishedName": identity::distinguished_name(tenant, name),
        "MessageCopyForSMTPClientSubmissionEnabled":
            mailbox.message_copy_for_smtp_client_submission_enabled,
        "RecipientLimits": mailbox.recipient_limit.to_string(),
        "MaxSendSize": format!("{} MB ({size} bytes)", size / 1_048_576),
        "OrganizationId": tenant.domain,
    })
}

fn shown_client_access(_: &Tenant, address: &str, mailbox: &Mailbox) -> Value {
    let name = identity::local(address);
    json!({
        "Identity": name,
        "Id": name,
        "Name": name,
        "DisplayName": mailbox.display_name,
        "PrimarySmtpAddress": address,
        "Guid": mailbox.id,
        "ExternalDirectoryObjectId": mailbox.id,
        "SmtpClientAuthenticationDisabled": mailbox.smtp_client_authentication_disabled,
        "ImapEnabled": true,
        "PopEnabled": true,
        "OWAEnabled": true,
    })
}

type Shape = fn(&Tenant, &str, &Mailbox) -> Value;

fn find(call: &Invocation<'_>, shape: Shape) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    if let Some(identity) = call.parameters.text("Identity") {
        let address = identity::mailbox(tenant, &identity)?;
        let mailbox = &tenant.exchange.mailboxes[&address];
        return Ok(Output::one(shape(tenant, &address, mailbox)));
    }
    let all = tenant.exchange.mailboxes.iter();
    select(
        call,
        all.map(|(address, mailbox)| {
            (
                address.clone(),
                kind(mailbox),
                shape(tenant, address, mailbox),
            )
        }),
    )
}

// Leaves what `-Filter` and `-RecipientTypeDetails` ask for, as many as `-ResultSize` says.
fn select(
    call: &Invocation<'_>,
    all: impl Iterator<Item = (String, &'static str, Value)>,
) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    let asked = call
        .parameters
        .text("Filter")
        .or_else(|| call.parameters.text("RecipientPreviewFilter"));
    if let Some(text) = &asked {
        filter::parse(text).map_err(|why| error::FILTER.with(&[text, &why]))?;
    }
    let kinds = call.parameters.texts("RecipientTypeDetails");
    let mut objects: Vec<Value> = all
        .filter(|(address, kind, _)| {
            asked
                .as_deref()
                .is_none_or(|f| filter::matches(f, tenant, address))
                && (kinds.is_empty() || kinds.iter().any(|k| k.eq_ignore_ascii_case(kind)))
        })
        .map(|(_, _, object)| object)
        .collect();
    let size = match call.parameters.number("ResultSize") {
        None => RESULT_SIZE,
        Some(Number::Unlimited) => usize::MAX,
        Some(Number::Of(size)) => usize::try_from(size).unwrap_or(usize::MAX),
    };
    let mut output = Output::default();
    if objects.len() > size {
        objects.truncate(size);
        output.warnings.push(format!(
            "By default, only the first {size} items are returned. Use the ResultSize parameter to specify the number of items returned. To return all items, specify \"-ResultSize Unlimited\"."
        ));
    }
    output.objects = Some(objects);
    Ok(output)
}

fn read(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    find(call, shown)
}

/// The same objects, seen by the protocols that reach them.
fn read_client_access(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    find(call, shown_client_access)
}

fn read_recipients(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let tenant = &*call.tenant;
    let recipient = |address: &str, name: &str, kind: &str| {
        json!({
            "Identity": identity::local(address),
            "Name": identity::local(address),
            "DisplayName": name,
            "PrimarySmtpAddress": address,
            "RecipientTypeDetails": kind,
            "DistinguishedName": identity::distinguished_name(tenant, identity::local(address)),
        })
    };
    let mailboxes = tenant.exchange.mailboxes.iter().map(|(address, mailbox)| {
        let kind = kind(mailbox);
        (
            address.clone(),
            kind,
            recipient(address, &mailbox.display_name, kind),
        )
    });
    let groups = tenant.groups.values().map(|group| {
        let kind = super::groups::kind(group);
        (
            group.mail.clone(),
            kind,
            recipient(&group.mail, &group.display_name, kind),
        )
    });
    if let Some(wanted) = call.parameters.text("Identity") {
        let address = identity::mailbox(tenant, &wanted).or_else(|missing| {
            identity::group(tenant, &wanted)
                .map(|id| tenant.groups[&id].mail.clone())
                .map_err(|_| missing)
        })?;
        let found = mailboxes.chain(groups).find(|(own, _, _)| *own == address);
        return Ok(Output::all(
            found.map(|(_, _, object)| object).into_iter().collect(),
        ));
    }
    select(call, mailboxes.chain(groups))
}

fn update(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let address = identity::mailbox(call.tenant, &call.parameters.needed("Identity"))?;
    let limit = match call.parameters.number("RecipientLimits") {
        None => None,
        Some(Number::Unlimited) => Some(limits::RECIPIENTS_PER_MESSAGE_MAX),
        Some(Number::Of(limit)) => Some(
            u32::try_from(limit)
                .ok()
                .filter(|limit| (1..=limits::RECIPIENTS_PER_MESSAGE_MAX).contains(limit))
                .ok_or_else(|| {
                    let shown = limit.to_string();
                    let range = "a number from 1 to 1000";
                    error::PARAMETER_VALUE.with(&["RecipientLimits", &shown, range])
                })?,
        ),
    };
    let aliases = aliases(call, &address)?;
    let Some(mailbox) = call.tenant.exchange.mailboxes.get_mut(&address) else {
        return Err(error::not_found(&address));
    };
    if let Some(limit) = limit {
        mailbox.recipient_limit = limit;
    }
    if let Some(aliases) = aliases {
        mailbox.aliases = aliases;
    }
    if let Some(name) = call.parameters.text("DisplayName") {
        mailbox.display_name = name;
    }
    let copy = "MessageCopyForSMTPClientSubmissionEnabled";
    if let Some(on) = call.parameters.flag(copy) {
        mailbox.message_copy_for_smtp_client_submission_enabled = on;
    }
    Ok(Output::default())
}

// The aliases after the change asked for; the primary address stays.
fn aliases(
    call: &Invocation<'_>,
    address: &str,
) -> Result<Option<std::collections::BTreeSet<String>>, CmdletError> {
    let Some(change) = call.parameters.change("EmailAddresses") else {
        return Ok(None);
    };
    let bare = |text: &String| {
        text.split_once(':')
            .map_or(text.as_str(), |(_, address)| address)
            .to_lowercase()
    };
    let mut aliases = call.tenant.exchange.mailboxes[address].aliases.clone();
    let (added, removed): (Vec<String>, Vec<String>) = match &change {
        Change::Whole(all) => {
            aliases.clear();
            (all.iter().map(bare).collect(), Vec::new())
        }
        Change::Parts { add, remove } => (
            add.iter().map(bare).collect(),
            remove.iter().map(bare).collect(),
        ),
    };
    for alias in &removed {
        aliases.remove(alias);
    }
    for alias in added.into_iter().filter(|alias| alias != address) {
        let domain = alias.rsplit_once('@').map_or("", |(_, domain)| domain);
        if !call.tenant.all_domains().any(|own| own == domain) {
            let kind = "an address of an accepted domain";
            return Err(error::PARAMETER_VALUE.with(&["EmailAddresses", &alias, kind]));
        }
        let taken = call
            .tenant
            .exchange
            .mailboxes
            .iter()
            .any(|(other, mailbox)| {
                other != address && (*other == alias || mailbox.aliases.contains(&alias))
            });
        if taken {
            return Err(error::EXISTS.with(&[&alias]));
        }
        aliases.insert(alias);
    }
    Ok(Some(aliases))
}

fn update_client_access(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let address = identity::mailbox(call.tenant, &call.parameters.needed("Identity"))?;
    let switch = "SmtpClientAuthenticationDisabled";
    if let Some(mailbox) = call.tenant.exchange.mailboxes.get_mut(&address)
        && call.parameters.has(switch)
    {
        // `null` clears the mailbox's own value.
        mailbox.smtp_client_authentication_disabled = call.parameters.flag(switch);
    }
    Ok(Output::default())
}
