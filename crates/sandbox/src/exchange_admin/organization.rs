//! Organisation-wide switches.

use serde_json::{Value, json};

use super::cmdlet::{Cmdlet, Invocation, Needs, Output};
use super::error::{self, CmdletError};
use super::parameters::{Kind, Number};
use crate::limits;

pub(super) const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Get-TransportConfig",
        needs: Needs::Organization,
        parameters: &[],
        mandatory: &[],
        run: read_transport,
    },
    Cmdlet {
        name: "Set-TransportConfig",
        needs: Needs::Organization,
        parameters: &[
            ("SmtpClientAuthenticationDisabled", Kind::Flag),
            ("AllowLegacyTLSClients", Kind::Flag),
            ("MaxRecipientEnvelopeLimit", Kind::Number),
        ],
        mandatory: &[],
        run: update_transport,
    },
    Cmdlet {
        name: "Get-OrganizationConfig",
        needs: Needs::Organization,
        parameters: &[],
        mandatory: &[],
        run: read_organization,
    },
    Cmdlet {
        name: "Set-OrganizationConfig",
        needs: Needs::Organization,
        parameters: &[
            ("SendFromAliasEnabled", Kind::Flag),
            ("OAuth2ClientProfileEnabled", Kind::Flag),
        ],
        mandatory: &[],
        run: update_organization,
    },
    Cmdlet {
        name: "Enable-OrganizationCustomization",
        needs: Needs::Organization,
        parameters: &[],
        mandatory: &[],
        run: customise,
    },
    Cmdlet {
        name: "Get-AcceptedDomain",
        needs: Needs::Organization,
        parameters: &[("Identity", Kind::Text)],
        mandatory: &[],
        run: read_domains,
    },
];

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table holds cmdlets of one type"
)]
fn read_transport(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let transport = &call.tenant.exchange.transport;
    let limit = transport
        .max_recipient_envelope_limit
        .map_or_else(|| "Unlimited".to_owned(), |limit| limit.to_string());
    Ok(Output::one(json!({
        "Identity": "Transport Settings",
        "Name": "Transport Settings",
        "SmtpClientAuthenticationDisabled": transport.smtp_client_authentication_disabled,
        "AllowLegacyTLSClients": transport.allow_legacy_tls_clients,
        "MaxRecipientEnvelopeLimit": limit,
        "OrganizationId": call.tenant.domain,
        "IsValid": true,
    })))
}

fn update_transport(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let transport = &mut call.tenant.exchange.transport;
    if let Some(off) = call.parameters.flag("SmtpClientAuthenticationDisabled") {
        transport.smtp_client_authentication_disabled = off;
    }
    if let Some(allowed) = call.parameters.flag("AllowLegacyTLSClients") {
        transport.allow_legacy_tls_clients = allowed;
    }
    if let Some(limit) = call.parameters.number("MaxRecipientEnvelopeLimit") {
        transport.max_recipient_envelope_limit = match limit {
            Number::Unlimited => None,
            Number::Of(limit) => Some(
                u32::try_from(limit)
                    .ok()
                    .filter(|limit| (1..=limits::RECIPIENTS_PER_MESSAGE_MAX).contains(limit))
                    .ok_or_else(|| {
                        error::PARAMETER_VALUE.with(&[
                            "MaxRecipientEnvelopeLimit",
                            &limit.to_string(),
                            "a number from 1 to 1000",
                        ])
                    })?,
            ),
        };
    }
    Ok(Output::default())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table holds cmdlets of one type"
)]
fn read_organization(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let tenant = &call.tenant;
    let organization = &tenant.exchange.organization;
    Ok(Output::one(json!({
        "Identity": tenant.domain,
        "Name": tenant.domain,
        "DisplayName": tenant.display_name,
        "ExternalDirectoryOrganizationId": tenant.id,
        "IsDehydrated": organization.dehydrated,
        "SendFromAliasEnabled": organization.send_from_alias_enabled,
        "OAuth2ClientProfileEnabled": organization.oauth2_client_profile_enabled.unwrap_or(true),
        "OrganizationId": tenant.domain,
        "IsValid": true,
    })))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table holds cmdlets of one type"
)]
fn update_organization(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let organization = &mut call.tenant.exchange.organization;
    if let Some(on) = call.parameters.flag("SendFromAliasEnabled") {
        organization.send_from_alias_enabled = on;
    }
    if let Some(on) = call.parameters.flag("OAuth2ClientProfileEnabled") {
        organization.oauth2_client_profile_enabled = Some(on);
    }
    Ok(Output::default())
}

fn customise(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let organization = &mut call.tenant.exchange.organization;
    if !organization.dehydrated {
        return Err(error::HYDRATED.with(&[]));
    }
    organization.dehydrated = false;
    Ok(Output::default())
}

fn read_domains(call: &mut Invocation<'_>) -> Result<Output, CmdletError> {
    let wanted = call.parameters.text("Identity");
    let objects: Vec<Value> = call
        .tenant
        .all_domains()
        .enumerate()
        .filter(|(_, name)| {
            wanted
                .as_deref()
                .is_none_or(|w| w.eq_ignore_ascii_case(name))
        })
        .map(|(index, name)| {
            json!({
                "Identity": name,
                "Name": name,
                "DomainName": name,
                "DomainType": "Authoritative",
                "Default": index == 0,
                "InitialDomain": index == 0,
            })
        })
        .collect();
    match wanted {
        Some(wanted) if objects.is_empty() => Err(error::not_found(&wanted)),
        _ => Ok(Output::all(objects)),
    }
}
